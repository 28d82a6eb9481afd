"""The risk node's process: every kind of source, zones switched by service, payload, markers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.verdicts import Action, Assessment, Finding
from perception_platform.messages.clouds import cloud_to_msg
from perception_platform.messages.objects import tracks_to_msg
from perception_platform.messages.verdicts import assessment_from_msg
from perception_platform.robot.description import Robot
from perception_platform.robot.load import robot_path
from perception_platform.ros.make import installed, make
from test.node import feeding
from test.node.conftest import Peer, Started
from test.node.feeding import Feed, Feeder

AHEAD = [[3.0, 0.5], [0.46, 0.5], [0.46, -0.5], [3.0, -0.5]]


@pytest.fixture
def robot_file(tmp_path: Path) -> Path:
    """The AMR with a source of each kind, a load, and one zone that may be switched."""
    file = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    ahead = {"rate_hz": 10, "mounting": {"xyz_m": [0.45, 0.0, 0.3]}, "driver": {"type": "external"}}
    file["sensors"] += [
        {"name": name, "kind": kind, "required": False, **ahead}
        for name, kind in (("sonar", "range"), ("depth", "cloud"), ("hole", "polygon"))
    ]
    file["drive"] |= {"mass_kg": 150.0, "max_payload_kg": 100.0}
    file["zones"] = [{"name": "field", "polygon_m": AHEAD, "action": "stop", "switchable": True}]
    path = tmp_path / "amr.yaml"
    path.write_text(yaml.safe_dump(file), encoding="utf-8")
    return path


def tracks(t_ns: int) -> Any:
    return tracks_to_msg(Tracks.empty(t_ns, "odom"), make)


def stamped(type_name: str, t_ns: int, frame: str) -> Any:
    message = make(type_name)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(t_ns, 10**9)
    message.header.frame_id = frame
    return message


def sonar(t_ns: int) -> Any:
    """Something 1.5 m ahead of the bumper."""
    message = stamped("sensor_msgs/msg/Range", t_ns, "sonar")
    message.min_range, message.max_range, message.field_of_view, message.range = 0.1, 4.0, 0.3, 1.5
    return message


def hole(t_ns: int) -> Any:
    """A hole in the floor, 1.2 m ahead of the bumper."""
    message = stamped("geometry_msgs/msg/PolygonStamped", t_ns, "hole")
    for x, y in ((1.2, -0.2), (1.6, -0.2), (1.6, 0.2), (1.2, 0.2)):
        point = make("geometry_msgs/msg/Point32")
        point.x, point.y = x, y
        message.polygon.points.append(point)
    return message


def depth(t_ns: int) -> Any:
    """Points 1.8 m ahead of the bumper."""
    xyz_m = np.array([[1.8, 0.02 * i, 0.2] for i in range(8)], dtype=np.float32)
    return cloud_to_msg(PointCloud(t_ns, "depth", "depth", xyz_m), make)


def test_sources_zones_load_and_markers(start: Callable[..., Started], peer: Peer, robot_file: Path) -> None:
    peer.robot = Robot.model_validate(yaml.safe_load(robot_file.read_text(encoding="utf-8")))
    heard = peer.listen("assessment")
    drawn = peer.listen("zones") if installed("visualization_msgs/msg/MarkerArray") else None
    feeds = {
        "odometry": Feed(peer.speak("odometry").publish, feeding.odometry, 0.05),
        "obstacles": Feed(peer.speak("obstacles", "lidar_top").publish, feeding.obstacles, 0.1),
        "tracks": Feed(peer.speak("tracks").publish, tracks, 0.1),
        "sonar": Feed(peer.speak("range", "sonar").publish, sonar, 0.1),
        "depth": Feed(peer.speak("cloud", "depth").publish, depth, 0.1),
        "hole": Feed(peer.speak("polygon", "hole").publish, hole, 0.1),
    }
    node = start("risk", f"robot:={robot_file}")
    peer.each.append(Feeder(feeds).act)

    def newest() -> Assessment:
        return assessment_from_msg(heard[-1][1])

    def of(sensor: str, zone: str = "") -> Finding | None:
        found = newest().findings if heard else ()
        return next((f for f in found if f.sensor == sensor and f.zone == zone), None)

    for sensor, gap_m in (("sonar", 1.5), ("depth", 1.8), ("hole", 1.2)):
        peer.until(lambda s=sensor: of(s), what=sensor)  # type: ignore[misc]
        assert of(sensor).value == pytest.approx(gap_m, abs=0.05)  # type: ignore[union-attr]
    assert of("sonar", "field").action is Action.STOP  # type: ignore[union-attr]

    enable = peer.node.create_client(SetBool, "/risk/zones/field/enable")
    peer.until(enable.service_is_ready, what="the service")
    enable.call_async(SetBool.Request(data=False))
    peer.until(lambda: newest().disabled_zones == ("field",), what="a zone that is off")
    assert of("sonar", "field") is None
    peer.until(lambda: "zone field switched off by a service call" in node.said(), what="a line in the log")
    enable.call_async(SetBool.Request(data=True))
    peer.until(lambda: of("sonar", "field"), what="a zone that is on again")

    loaded_mps = of("sonar").speed_limit_mps  # type: ignore[union-attr]
    settings = peer.node.create_client(SetParameters, "/risk/set_parameters")
    peer.until(settings.service_is_ready, what="the parameters")

    def say_payload(kg: float) -> Any:
        parameter = Parameter("payload_kg", value=kg).to_parameter_msg()
        answer = settings.call_async(SetParameters.Request(parameters=[parameter]))
        peer.until(answer.done, what="an answer")
        return answer.result().results[0]

    assert say_payload(0.0).successful
    peer.until(lambda: of("sonar") and of("sonar").speed_limit_mps > 1.05 * loaded_mps, what="a higher limit")
    refused = say_payload(500.0)
    assert not refused.successful
    assert "not between 0 and the 100" in refused.reason

    if drawn is not None:
        peer.until(lambda: drawn, what="markers")
        names = {marker.ns for marker in drawn[-1][1].markers}
        assert {"footprint", "path", "field"} <= names
    assert node.end() == 0, node.said()
