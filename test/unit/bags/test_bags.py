"""Bags written here are read by others, and bags of others, good and bad, are read here."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory

from perception_platform.bags.reader import bag_info, read_messages
from perception_platform.bags.types import blank, known_types
from perception_platform.bags.writer import BagWriter
from perception_platform.cli import main as cli
from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.verdicts import Action, Decision, GateState
from perception_platform.messages.sensors import (
    cloud_from_msg,
    cloud_to_msg,
    ego_from_odometry,
    odometry_to_msg,
)
from perception_platform.messages.verdicts import decision_from_msg, decision_to_msg

POINTS, ODOM, DECISION = "/front/points", "/odom", "/safety/decision"
CLOUD2, ODOMETRY = "sensor_msgs/msg/PointCloud2", "nav_msgs/msg/Odometry"
SAFETY = "perception_platform_msgs/msg/SafetyDecision"


def cloud(t_ns: int, count: int = 500) -> PointCloud:
    rng = np.random.default_rng(t_ns)
    return PointCloud(t_ns, "front", "front", rng.normal(0, 9, (count, 3)).astype(np.float32))


def ego(t_ns: int) -> EgoState:
    return EgoState(t_ns, Transform.planar(1.0, 2.0, 0.5), (1.5, 0.0), 0.1)


def decision(t_ns: int) -> Decision:
    zero = (0.0, 0.0, 0.0)
    return Decision(t_ns, 3, Action.STOP, GateState.STOPPED, 0.0, 1.0, (), False, 7, None, zero)


def write(path: Path, count: int = 20) -> Path:
    with BagWriter(path) as bag:
        for i in range(count):
            t_ns = 10**9 + i * 10**8
            bag.write(POINTS, CLOUD2, t_ns, cloud_to_msg(cloud(t_ns), bag.make))
            bag.write(ODOM, ODOMETRY, t_ns + 1, odometry_to_msg(ego(t_ns), "odom", "base_link", bag.make))
            bag.write(DECISION, SAFETY, t_ns + 2, decision_to_msg(decision(t_ns), "base_link", bag.make))
        bag.add_metadata("about", {"made_by": "a test"})
    return path


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write(tmp_path / "bag.mcap")


def test_what_was_written_is_read(bag: Path) -> None:
    messages = list(read_messages(bag))
    assert [m.log_ns for m in messages] == sorted(m.log_ns for m in messages)
    assert Counter(m.topic for m in messages) == {POINTS: 20, ODOM: 20, DECISION: 20}
    first = cloud_from_msg(messages[0].message, "front")
    np.testing.assert_array_equal(first.xyz_m, cloud(10**9).xyz_m)
    assert ego_from_odometry(messages[1].message).velocity_mps == (1.5, 0.0)
    assert decision_from_msg(messages[2].message) == decision(10**9)


def test_topics_can_be_chosen(bag: Path) -> None:
    assert {m.topic for m in read_messages(bag, [ODOM])} == {ODOM}
    assert list(read_messages(bag, ["/none"])) == []


def test_the_same_bytes_twice(bag: Path, tmp_path: Path) -> None:
    assert write(tmp_path / "again.mcap").read_bytes() == bag.read_bytes()


def test_an_independent_reader_sees_the_same(bag: Path) -> None:
    with bag.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        messages = [found.decoded_message for found in reader.iter_decoded_messages()]
    assert len(messages) == 60
    np.testing.assert_array_equal(cloud_from_msg(messages[0], "front").xyz_m, cloud(10**9).xyz_m)
    assert decision_from_msg(messages[2]) == decision(10**9)


def test_conventions_of_rosbag2(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    with BagWriter(path) as bag:
        bag.write("/tf_static", "tf2_msgs/msg/TFMessage", 1, bag.make("tf2_msgs/msg/TFMessage"))
        bag.write("/odom", ODOMETRY, 1, bag.make(ODOMETRY))
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert reader.get_header().profile == "ros2"
        channels = {c.topic: c for c in summary.channels.values()}
        schemas = {s.name: s for s in summary.schemas.values()}
        assert {c.compression for c in summary.chunk_indexes} == {"zstd"}
    assert {c.message_encoding for c in channels.values()} == {"cdr"}
    assert schemas[ODOMETRY].encoding == "ros2msg"
    assert "MSG: geometry_msgs/PoseWithCovariance" in schemas[ODOMETRY].data.decode()
    (static,) = yaml.safe_load(channels["/tf_static"].metadata["offered_qos_profiles"])
    (odom,) = yaml.safe_load(channels["/odom"].metadata["offered_qos_profiles"])
    assert (static["durability"], odom["durability"]) == (1, 2)
    # As rosbag2 itself recorded it (nav2_turtlebot.mcap).
    assert channels["/odom"].metadata["topic_type_hash"] == (
        "RIHS01_3cc97dc7fb7502f8714462c526d369e35b603cfc34d946e3f2eda2766dfec6e0"
    )


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError), BagWriter(tmp_path / "bag.mcap") as bag:
        bag.write(ODOM, CLOUD2, 1, bag.make(ODOMETRY))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag.mcap") as bag:
        bag.write(ODOM, ODOMETRY, 1, bag.make(ODOMETRY))
        with pytest.raises(InputError, match="/odom: has type nav_msgs"):
            bag.write(ODOM, CLOUD2, 1, bag.make(CLOUD2))
        with pytest.raises(InputError, match="no_msgs/msg/Thing: unknown"):
            bag.make("no_msgs/msg/Thing")
        with pytest.raises(InputError, match="no_msgs/msg/Thing: unknown"):
            bag.write("/thing", "no_msgs/msg/Thing", 1, None)
        wrong = bag.make(ODOMETRY)
        wrong.child_frame_id = 5
        with pytest.raises(InputError, match="/odom: not a valid nav_msgs/msg/Odometry"):
            bag.write(ODOM, ODOMETRY, 1, wrong)
    with pytest.raises(InputError, match="cannot be written"):
        BagWriter(tmp_path / "no_folder" / "bag.mcap")


def test_info(bag: Path) -> None:
    info = bag_info(bag)
    assert [(t.topic, t.type, t.count, t.problem) for t in info.topics] == [
        (POINTS, CLOUD2, 20, ""),
        (ODOM, ODOMETRY, 20, ""),
        (DECISION, SAFETY, 20, ""),
    ]
    assert (info.count, info.start_ns, info.end_ns) == (60, 10**9, 10**9 + 19 * 10**8 + 2)


def test_a_bag_without_messages(tmp_path: Path) -> None:
    info = bag_info(write(tmp_path / "bag.mcap", count=0))
    assert (info.topics, info.start_ns, info.end_ns) == ((), None, None)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.97, 0.9999])
def test_a_truncated_bag_is_one_clear_error(bag: Path, share: float) -> None:
    whole = bag.read_bytes()
    bag.write_bytes(whole[: int(len(whole) * share)])
    for use in (bag_info, lambda path: list(read_messages(path))):
        with pytest.raises(
            InputError, match=r"bag\.mcap: .*(empty file|end mark is missing; \d+ messages)"
        ) as caught:
            use(bag)
        assert "\n" not in str(caught.value)


def test_the_error_counts_what_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.NONE, use_chunking=False)
        writer.start("ros2")
        channel = writer.register_channel(
            "/a", "cdr", writer.register_schema("std_msgs/msg/Bool", "ros2msg", b"bool data")
        )
        for i in range(10):
            writer.add_message(channel, i, b"\0\1\0\0\1", i)
        writer.finish()
    whole = path.read_bytes()
    assert len(list(read_messages(path))) == 10
    at = [i for i in range(len(whole)) if whole.startswith(b"\0\1\0\0\1", i)][6]
    path.write_bytes(whole[:at])
    with pytest.raises(InputError, match="6 messages are readable; `mcap recover` saves them"):
        bag_info(path)


def test_a_damaged_chunk_is_one_clear_error(bag: Path) -> None:
    data = bytearray(bag.read_bytes())
    data[len(data) // 3] ^= 0xFF
    bag.write_bytes(data)
    with pytest.raises(InputError, match=r"bag\.mcap: .*damaged"):
        list(read_messages(bag))


@pytest.fixture(scope="module")
def small_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("fuzz") / "bag.mcap", count=2)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_flipped_bytes_are_an_input_error_or_do_no_harm(
    small_bag: Path, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(small_bag.read_bytes())
    for share, mask in flips:
        data[int(share * len(data))] ^= mask
    damaged = small_bag.with_name("damaged.mcap")
    damaged.write_bytes(data)
    try:
        found = list(read_messages(damaged))
    except InputError:
        return
    assert len(found) <= 6


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.mcap", b"this is no bag at all", "not an MCAP file"),
        ("x.db3", b"this is no bag at all", "cannot be read"),
        ("x.bag", b"this is no bag at all", "cannot be read"),
        ("x.txt", b"text", "not a bag"),
        ("x.db3", b"", "cannot be read"),
    ],
)
def test_what_is_no_bag(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: .*{problem}") as caught:
        list(read_messages(path))
    assert "\n" not in str(caught.value)


def test_no_bag_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such bag"):
        list(read_messages(tmp_path / "none.mcap"))
    with pytest.raises(InputError, match=r"no \.mcap or \.db3 in it"):
        bag_info(tmp_path)
    (tmp_path / "a.mcap.zstd").touch()
    with pytest.raises(InputError, match="zstd -d"):
        bag_info(tmp_path)


def add_channel(writer: Writer, topic: str, kind: str, definition: bytes, encoding: str = "cdr") -> int:
    return writer.register_channel(topic, encoding, writer.register_schema(kind, "ros2msg", definition))


def test_what_cannot_be_decoded_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    good = bytes(
        known_types().serialize_cdr(known_types().types["std_msgs/msg/Bool"](data=True), "std_msgs/msg/Bool")
    )
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2")
        channels = [
            add_channel(writer, "/good", "std_msgs/msg/Bool", b"bool data"),
            add_channel(writer, "/unknown", "their_msgs/msg/Thing", b""),
            add_channel(writer, "/unreadable", "their_msgs/msg/Other", b"= = not a definition"),
            add_channel(writer, "/foreign", "std_msgs/msg/Bool", b"bool data", "json"),
        ]
        for t_ns, channel in enumerate(channels * 3):
            writer.add_message(channel, t_ns, good, t_ns)
        writer.add_message(channels[0], 99, good[:3], 99)
        writer.finish()
    skipped: Counter[str] = Counter()
    assert [(m.topic, m.message.data) for m in read_messages(path, skipped=skipped)] == [("/good", True)] * 3
    assert skipped == {
        "/unknown: unknown type their_msgs/msg/Thing": 3,
        "/unreadable: definition of their_msgs/msg/Other is not understood": 3,
        "/foreign: encoding 'json' is not understood": 3,
        "/good: malformed message": 1,
    }
    problems = {t.topic: bool(t.problem) for t in bag_info(path).topics}
    assert problems == {"/good": False, "/unknown": True, "/unreadable": True, "/foreign": True}


def test_a_definition_in_the_bag_wins_over_ours(tmp_path: Path) -> None:
    """A bag of another version of a type is read by its own definition."""
    path = tmp_path / "bag.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2")
        channel = add_channel(writer, "/flag", "std_msgs/msg/Bool", b"uint8 old_name")
        writer.add_message(channel, 1, b"\0\1\0\0\7", 1)
        writer.finish()
    (message,) = read_messages(path)
    assert message.message.old_name == 7


def test_definitions_in_idl(tmp_path: Path) -> None:
    """rosbag2 embeds IDL for types that were written in it."""
    bar = "=" * 80 + "\n"
    definition = (
        bar + "IDL: their_msgs/msg/Outer\n"
        "module their_msgs { module msg { struct Outer { their_msgs::msg::Inner inner; }; }; };\n"
        + bar + "IDL: their_msgs/msg/Inner\n"
        "module their_msgs { module msg { struct Inner { uint8 number; }; }; };\n"
    )  # fmt: skip
    path = tmp_path / "bag.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2")
        schema = writer.register_schema("their_msgs/msg/Outer", "ros2idl", definition.encode())
        writer.add_message(writer.register_channel("/idl", "cdr", schema), 1, b"\0\1\0\0\7", 1)
        writer.finish()
    (message,) = read_messages(path)
    assert message.message.inner.number == 7


def write_db3(path: Path, times_ns: list[int]) -> None:
    """A .db3 as rosbag2 wrote it before definitions were embedded."""
    store = known_types()
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,"
        " serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);"
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,"
        " data BLOB NOT NULL);"
    )
    message = odometry_to_msg(ego(1), "odom", "base_link", blank)
    beat = decision_to_msg(decision(1), "base_link", blank)
    database.execute("INSERT INTO topics VALUES (1, ?, ?, 'cdr', '')", (ODOM, ODOMETRY))
    database.execute("INSERT INTO topics VALUES (2, ?, ?, 'cdr', '')", (DECISION, SAFETY))
    rows = [(1, bytes(store.serialize_cdr(message, ODOMETRY))), (2, bytes(store.serialize_cdr(beat, SAFETY)))]
    database.executemany(
        "INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)",
        [(topic, t_ns, data) for t_ns in times_ns for topic, data in rows],
    )
    database.commit()
    database.close()


def test_db3_with_our_messages_and_no_definitions(tmp_path: Path) -> None:
    write_db3(tmp_path / "bag.db3", [5, 7])
    messages = list(read_messages(tmp_path / "bag.db3"))
    assert [(m.topic, m.log_ns) for m in messages] == [(ODOM, 5), (DECISION, 5), (ODOM, 7), (DECISION, 7)]
    assert decision_from_msg(messages[1].message) == decision(1)
    info = bag_info(tmp_path / "bag.db3")
    assert (info.count, info.start_ns, info.end_ns) == (4, 5, 7)


def test_a_truncated_db3_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "bag.db3"
    write_db3(path, list(range(200)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"bag\.db3: .*(cannot be read|truncated)"):
        list(read_messages(path))


def test_a_folder_is_read_in_time_order(tmp_path: Path) -> None:
    write_db3(tmp_path / "part_10.db3", [100, 300])
    write_db3(tmp_path / "part_9.db3", [50, 200])
    assert [m.log_ns for m in read_messages(tmp_path, [ODOM])] == [50, 100, 200, 300]
    assert bag_info(tmp_path).count == 8


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["perception-platform", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_info_on_the_command_line(
    bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(monkeypatch, "bag", "info", bag) == 0
    assert POINTS in capsys.readouterr().out
    assert run_cli(monkeypatch, "bag", "info", bag, "--json", tmp_path / "info.json") == 0
    assert json.loads((tmp_path / "info.json").read_text())["topics"][0]["count"] == 20
    bag.write_bytes(bag.read_bytes()[:1000])
    assert run_cli(monkeypatch, "bag", "info", bag) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


REAL = {
    "nav2_turtlebot.mcap": (8197, {}),
    "formats/tf_example": (518, {}),
    "formats/rosbag2_tests/rosbag2_py/test/resources/mcap/wbag": (6074, {}),
    "formats/rosbag2_tests/rosbag2_py/test/resources/sqlite3/wbag": (6074, {}),
    "formats/rosbag2_tests/rosbag2_py/test/resources/mcap/reindex_test_bags/multiple_files": (3177, {}),
    "formats/rosbag2_tests/rosbag2_tests/resources/sqlite3/cdr_test": (7, {}),
    "formats/rosbag2_tests/ros2bag/test/resources/empty_bag": (0, {}),
    "laser_people/positive_2_extracted.bag": (249, {}),
    "formats/rosbag2_tests/rosbag2_tests/resources/mcap/wrong_rmw_test": (
        0,
        {
            "/test_topic: encoding 'wrong_format' is not understood": 3,
            "/array_topic: encoding 'wrong_format' is not understood": 4,
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_bags_of_others(shared_data: Path, name: str) -> None:
    skipped: Counter[str] = Counter()
    messages = list(read_messages(shared_data / "bags" / name, skipped=skipped))
    assert (len(messages), dict(skipped)) == REAL[name]
    assert [m.log_ns for m in messages] == sorted(m.log_ns for m in messages)
    assert bag_info(shared_data / "bags" / name).count == len(messages) + skipped.total()


def test_real_odometry(shared_data: Path) -> None:
    states: list[Any] = [
        ego_from_odometry(m.message)
        for m in read_messages(shared_data / "bags" / "nav2_turtlebot.mcap", ["/odom"])
    ]
    assert len(states) == 2639
    assert max(abs(s.velocity_mps[0]) for s in states) < 1.0
