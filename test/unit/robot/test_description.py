"""Robot files: the ones that come with the package are good, and bad ones say what is wrong where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from perception_platform.core.errors import InputError
from perception_platform.robot.load import load_robot, robot_names, robot_path


def write(tmp_path: Path, change: dict[str, Any]) -> Path:
    """The AMR's file with some of its fields replaced; a dotted key reaches into lists and tables."""
    data = yaml.safe_load(robot_path("amr").read_text())
    for dotted, value in change.items():
        *path, last = dotted.split(".")
        place = data
        for part in path:
            place = place[int(part)] if part.isdigit() else place[part]
        place[last] = value
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def test_the_three_robots_load() -> None:
    assert {"amr", "forklift", "delivery_van"} <= set(robot_names())
    for name in robot_names():
        robot = load_robot(name)
        assert robot.name == name
        assert all(zone.outlines_m(robot.footprint) or zone.stopping_ways for zone in robot.zones)


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"drive.service_decel_mps2": 0.0}, "drive.service_decel_mps2", "got 0.0"),
        ({"drive.reaction_s": float("nan")}, "drive.reaction_s", "nan"),
        ({"drive.emergency_decel_mps2": 0.1}, "drive", "weaker than service"),
        ({"gate.input_timeout_s": 0.0}, "gate.input_timeout_s", "got 0.0"),
        ({"gate.input_timeout_s": 60.0}, "gate.input_timeout_s", "got 60.0"),
        ({"gate.hold_s": None}, "gate.hold_s", "got None"),
        ({"gate.latch_on": ["nonsense"]}, "gate.latch_on", "nonsense"),
        ({"sensors.0.driver": {"type": "sonar"}}, "sensors.0", "sonar"),
        (
            {"sensors.0.required": False, "sensors.1.required": False},
            "sensors",
            "nothing else sees all of a gap",
        ),
        ({"sensors.0.name": "scan_front"}, "sensors", "'scan_front' is used twice"),
        (
            {"own_regions": [{"name": "mast", "polygon_m": [[0, 0], [1, 0], [1, 1]], "z_m": [2.0, 1.0]}]},
            "own_regions.0",
            "z_m: 2 is not below 1",
        ),
        ({"zones.0.action": "honk"}, "zones.0.action", "honk"),
        ({"zones.1.speed_limit_mps": None}, "zones.1", "speed_limit_mps: action limit takes"),
        ({"footprint_m": [[0, 0], [1, 1]]}, "footprint_m", "at least 3"),
        (
            {"models": [{"head": "camera_objects", "sensor": "nose", "path": "m"}]},
            "models",
            "no camera 'nose'",
        ),
        ({"models": [{"head": "camera_objects", "sensor": "lidar_top", "path": "m"}]}, "models", "no camera"),
        ({"drive.type": "tracked"}, "drive.type", "'differential', 'ackermann' or 'omnidirectional'"),
        ({"drive.fade": [[1.0, 0.5], [2.0, 0.8]]}, "drive", "shares must not"),
        ({"drive.max_payload_kg": 100}, "drive", "max_payload_kg needs mass_kg"),
        ({"drive.max_slope_percent": 9}, "drive", "does not hold the loaded robot"),
        ({"gate.output": "ackermann"}, "file", "gate.output: ackermann needs drive.type ackermann"),
        ({"gate.command": "ackermann", "drive.type": "ackermann"}, "file", "drive.wheelbase_m"),
        ({"gate.output": "joy"}, "gate.output", "'twist_stamped', 'twist' or 'ackermann'"),
        ({"sensors.1.timeout_s": 0.0}, "sensors.1.scan.timeout_s", "got 0.0"),
        ({"sensors.1.timeout_s": -1.0}, "sensors.1.scan.timeout_s", "got -1.0"),
        ({"sensors.1.timeout_s": 2.1}, "sensors.1.scan.timeout_s", "got 2.1"),
        ({"sensors.0.timeout_s": float("inf")}, "sensors.0.lidar.timeout_s", "got inf"),
        ({"sensors.0.timeout_s": float("nan")}, "sensors.0.lidar.timeout_s", "got nan"),
        ({"sensors.2.timeout_s": 1.0}, "sensors.2.camera.timeout_s", "Extra inputs"),
        ({"sensors.1.frame_id": ""}, "sensors.1.scan.frame_id", "got ''"),
        ({"base_frame": ""}, "base_frame", "got ''"),
        ({"odom_frame": "/odom"}, "odom_frame", "got '/odom'"),
        ({"odom_frame": "base_link"}, "file", "odom_frame: 'base_link' is the base_frame, too"),
        ({"base_frame": "lidar_top"}, "file", "sensors: 'lidar_top' is the base_frame or odom_frame"),
        ({"sensors.0.name": "odometry"}, "sensors.0.lidar.name", "names of other inputs"),
        ({"sensors.1.name": "assessment"}, "sensors.1.scan.name", "names of other inputs"),
        ({"sensors.2.name": "command"}, "sensors.2.camera.name", "names of other inputs"),
        (
            {"sensors.2.required": True, "sensors.2.driver": {"type": "external"}},
            "sensors.2.camera",
            "nobody reports this camera's health",
        ),
        ({"latency.bound_ms": 150}, "file", "latency: bound_ms leaves perception 40 ms, which takes 40"),
        ({"shedding": {"window_s": 2}}, "shedding", "climb_after_s is less than window_s"),
        ({"nodes.2.realtime": {"cpus": [-1]}}, "nodes.2.realtime.cpus", "got -1"),
        ({"turbo": True}, "turbo", "Extra inputs"),
    ],
)
def test_a_bad_field_is_named_with_its_value(
    tmp_path: Path, change: dict[str, Any], where: str, what: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_robot(str(write(tmp_path, change)))
    assert caught.value.source.endswith("robot.yaml")
    assert (caught.value.where or "").startswith(where)
    assert what in str(caught.value)


def test_a_camera_with_another_packages_driver_is_fine_while_nothing_depends_on_it(tmp_path: Path) -> None:
    robot = load_robot(str(write(tmp_path, {"sensors.2.driver": {"type": "external"}})))
    assert robot.cameras[0].driver.type == "external"


def test_what_a_node_asks_of_the_system_is_said_where_it_is_placed(tmp_path: Path) -> None:
    wanted = {"cpus": [1], "fifo_priority": 50, "lock_memory": True}
    nodes = load_robot(str(write(tmp_path, {"nodes.5.realtime": wanted}))).nodes
    assert nodes[5].node == "safety_gate"
    assert nodes[5].realtime.model_dump() == wanted | {"gc": "freeze"}
    assert nodes[2].realtime.fifo_priority is None


def test_frames_may_have_a_namespace(tmp_path: Path) -> None:
    robot = load_robot(str(write(tmp_path, {"odom_frame": "amr_7/odom"})))
    assert robot.odom_frame == "amr_7/odom"


def test_several_lidars_are_refused_until_tracks_are_made_from_several(tmp_path: Path) -> None:
    file = write(tmp_path, {})
    data = yaml.safe_load(file.read_text())
    data["sensors"].append(data["sensors"][0] | {"name": "lidar_rear"})
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match=r"sensors: .*one lidar at most, there are lidar_top, lidar_rear"):
        load_robot(str(file))


STACK = ["perception", "tracker", "risk", "safety_gate"]


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        *[([n for n in STACK if n != left_out], f"{left_out} is not placed") for left_out in STACK],
        *[([*STACK, twice], f"{twice} is placed 2 times") for twice in STACK],
        ([*STACK, "lidar_driver", "lidar_driver"], "lidar_driver is placed 2 times"),
    ],
)
def test_each_node_of_the_stack_is_placed_once(tmp_path: Path, nodes: list[str], problem: str) -> None:
    file = write(tmp_path, {"nodes": [{"node": node} for node in nodes]})
    with pytest.raises(InputError, match=rf"robot\.yaml: nodes: .*{problem}"):
        load_robot(str(file))


def test_drivers_may_be_left_to_others(tmp_path: Path) -> None:
    robot = load_robot(str(write(tmp_path, {"nodes": [{"node": node} for node in STACK]})))
    assert [placement.node for placement in robot.nodes] == STACK


def test_telemetry_is_served_to_this_machine_alone_unless_told_otherwise(tmp_path: Path) -> None:
    assert load_robot("amr").telemetry.host.is_loopback
    told = {"host": "::", "port": 9000, "otlp_endpoint": "http://collector:4318"}
    telemetry = load_robot(str(write(tmp_path, {"telemetry": told}))).telemetry
    assert (str(telemetry.host), telemetry.port, telemetry.otlp_endpoint) == tuple(told.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [("host", "everywhere"), ("port", 0), ("port", 65536), ("otlp_endpoint", "collector:4318")],
)
def test_telemetry_that_cannot_be_is_refused(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"robot\.yaml: telemetry\.{field}"):
        load_robot(str(write(tmp_path, {"telemetry": {field: value}})))


@pytest.mark.parametrize("text", ["{", "a: [1, 2", "\t- x", ""])
def test_a_file_that_is_no_yaml_table_is_one_clear_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_robot(str(file))
    assert "\n" not in str(caught.value)


def test_an_unknown_robot_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"amr, delivery_van, forklift"):
        load_robot("tank")
    with pytest.raises(InputError, match="no such robot file"):
        load_robot("nowhere/tank.yaml")
