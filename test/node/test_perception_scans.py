"""2D scans reach perception's process: they name what the lidar sees, and are all that is there without one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from perception_platform.core.objects import Detections, ObjectClass, SensorKind
from perception_platform.messages.clouds import cloud_to_msg
from perception_platform.messages.objects import detections_from_msg
from perception_platform.robot.load import load_robot, robot_path
from perception_platform.ros.make import make
from perception_platform.ros.topics import TOPICS
from test.node import feeding
from test.node.conftest import Peer, Started
from test.unit.perception.sweeps import Solid, sweep

AMR = load_robot("amr")
DETECTIONS = TOPICS["detections"].name
PERSON_X_M = 2.0
LEGS_M = 0.15  # to both sides of the middle
LEG_RADIUS_M = 0.07
UPPER_BODY = Solid(PERSON_X_M, 0.0, (0.3, 0.5, 0.75), bottom_m=1.0)


def legs(t_ns: int) -> Any:
    """Two legs ahead of the scanner, before a wall."""
    message = feeding.scan(t_ns)
    azimuth = message.angle_min + message.angle_increment * np.arange(feeding.SCAN_RAYS)
    ranges_m = np.full(feeding.SCAN_RAYS, 15.0)
    ahead_m = PERSON_X_M - AMR.sensor("scan_front").mounting.xyz_m[0]
    for side in (-1, 1):
        along = ahead_m * np.cos(azimuth) + side * LEGS_M * np.sin(azimuth)
        beside_m = np.abs(side * LEGS_M * np.cos(azimuth) - ahead_m * np.sin(azimuth))
        ranges_m = np.where((along > 0) & (beside_m < LEG_RADIUS_M), along - LEG_RADIUS_M, ranges_m)
    message.ranges = ranges_m.tolist()
    return message


def body(t_ns: int) -> Any:
    """A sweep that shows the upper half of somebody."""
    seen = sweep([UPPER_BODY], AMR.lidars[0].mounting.transform(), "lidar_top")
    stamped = cloud_to_msg(seen, make)
    stamped.header.stamp.sec, stamped.header.stamp.nanosec = divmod(t_ns, 10**9)
    return stamped


@pytest.fixture
def perceives(
    start: Callable[..., Started], peer: Peer, tmp_path: Path
) -> Callable[[bool, Callable[[Detections], bool]], None]:
    """Runs perception of ``amr``, with its lidar or without, on legs until its detections are as wanted."""

    def run(with_lidar: bool, wanted: Callable[[Detections], bool]) -> None:
        file = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
        unused = ("camera",) if with_lidar else ("camera", "lidar")
        file["sensors"] = [s for s in file["sensors"] if s["kind"] not in unused]
        file["nodes"] = [n for n in file["nodes"] if not n["node"].endswith("_driver")]
        (tmp_path / "amr.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
        peer.listen("detections")
        started = start("perception", f"robot:={tmp_path / 'amr.yaml'}")
        scans, sweeps = peer.speak("scan", "scan_front"), peer.speak("points", "lidar_top")
        peer.until(scans.get_subscription_count, within_s=60.0, what="a subscription")
        due_s, begin = [0.0], len(peer.heard[DETECTIONS])

        def seen() -> bool:
            if time.monotonic() > due_s[0]:
                due_s[0] = time.monotonic() + 0.1
                scans.publish(legs(time.time_ns()))
                peer.spin(0.03)  # the scan is there when the sweep comes
                sweeps.publish(body(time.time_ns()))
            return any(wanted(detections_from_msg(m)) for _, m in peer.heard[DETECTIONS][begin:])

        peer.until(seen, what="the person")
        assert started.end() == 0, started.said()

    return run


def test_legs_in_a_scan_name_what_the_lidar_sees(perceives: Callable[..., None]) -> None:
    both = SensorKind.LIDAR | SensorKind.SCAN

    def wanted(found: Detections) -> bool:
        people = (found.class_ids == ObjectClass.PERSON) & (found.sensors == int(both))
        return people.any() and {s.sensor for s in found.lineage.sources} == {"lidar_top", "scan_front"}

    perceives(True, wanted)


def test_a_robot_without_a_lidar_finds_people_by_their_legs(perceives: Callable[..., None]) -> None:
    def wanted(found: Detections) -> bool:
        (at,) = np.nonzero(found.class_ids == ObjectClass.PERSON)
        near = len(at) == 1 and abs(found.centers_m[at[0], 0] - PERSON_X_M) < 0.2
        return (
            near
            and [s.sensor for s in found.lineage.sources] == ["scan_front"]
            and found.frame_id == "base_link"
        )

    perceives(False, wanted)
