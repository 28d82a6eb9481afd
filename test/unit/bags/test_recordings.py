"""Every recording of ours holds to the topic table: names, types, rates, and stamps that fit the time of recording."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from perception_platform.bags.reader import bag_info, read_messages
from perception_platform.core.time import NS_PER_S
from perception_platform.robot.load import load_robot, share_dir
from perception_platform.ros.topics import TABLE, Topic, rate_hz

RECORDINGS = sorted((share_dir() / "rosbags").glob("*/*.mcap"))
# A recording may lose a message at its ends.
RATE_TOLERANCE = 0.1


def rows_of(robot_name: str) -> dict[str, tuple[Topic, float]]:
    """The table's row and rate of each topic a robot can have, by ROS name."""
    robot = load_robot(robot_name)
    rows = {}
    for topic in TABLE:
        sensors = [s.name for s in robot.sensors] if "{sensor}" in topic.name else [None]
        for sensor in sensors:
            rows[topic.of(sensor or "")] = (topic, rate_hz(topic, robot, sensor))
    return rows


def robot_of(recording: Path) -> str:
    return str(yaml.safe_load((recording.parent / "truth.yaml").read_text(encoding="utf-8"))["robot"])


def test_there_are_recordings() -> None:
    assert RECORDINGS
    assert sum(path.stat().st_size for path in RECORDINGS) < 20e6


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda p: p.stem)
def test_a_recording_holds_to_the_table(recording: Path) -> None:
    rows = rows_of(robot_of(recording))
    info = bag_info(recording)
    assert info.start_ns is not None
    assert info.end_ns is not None
    duration_s = (info.end_ns - info.start_ns) / NS_PER_S
    for found in info.topics:
        assert found.topic in rows, f"{found.topic} is not in the table"
        row, expected_hz = rows[found.topic]
        assert found.type == row.type
        assert not found.problem
        measured_hz = found.count / duration_s
        assert measured_hz > expected_hz * (1 - RATE_TOLERANCE), found.topic
        if row.rate_hz is None:
            # A sensor has one rate; whoever else publishes may be faster.
            assert measured_hz < expected_hz * (1 + RATE_TOLERANCE), found.topic


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda p: p.stem)
def test_stamps_rise_and_are_not_ahead_of_the_recording(recording: Path) -> None:
    last_ns: dict[str, int] = defaultdict(int)
    for m in read_messages(recording):
        header = getattr(m.message, "header", None)
        if header is None:
            continue
        stamp_ns = header.stamp.sec * NS_PER_S + header.stamp.nanosec
        assert last_ns[m.topic] < stamp_ns <= m.log_ns, m.topic
        last_ns[m.topic] = stamp_ns
