"""The tracker's process: what it says is in the robot's own fixed frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import yaml

from perception_platform.core.objects import Detections
from perception_platform.messages.objects import detections_to_msg
from perception_platform.robot.load import robot_path
from perception_platform.ros.make import make
from test.node import feeding
from test.node.conftest import Peer, Started


def test_tracks_are_in_the_fixed_frame_of_the_robot_file(
    start: Callable[..., Started], peer: Peer, tmp_path: Path
) -> None:
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    file = tmp_path / "amr.yaml"
    file.write_text(yaml.safe_dump(robot | {"odom_frame": "amr_7/odom"}), encoding="utf-8")
    tracks = peer.listen("tracks")
    start("tracker", f"robot:={file}")
    odometry, detections = peer.speak("odometry"), peer.speak("detections")
    due_s = 0.0

    def feed() -> None:
        nonlocal due_s
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + 0.1
            t_ns = time.time_ns()
            odometry.publish(feeding.odometry(t_ns))
            detections.publish(detections_to_msg(Detections.empty(t_ns, "base_link"), make))

    peer.each.append(feed)
    peer.until(lambda: tracks, what="tracks")
    assert tracks[0][1].header.frame_id == "amr_7/odom"
