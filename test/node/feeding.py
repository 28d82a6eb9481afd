"""What surrounds a robot that stands in an empty hall, said on its topics at their rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Assessment, ObjectRisks
from perception_platform.messages.clouds import cloud_to_msg
from perception_platform.messages.motion import odometry_to_msg, twist_to_msg
from perception_platform.messages.verdicts import assessment_to_msg
from perception_platform.ros.make import make
from test.node.conftest import Peer

SCAN_RAYS = 181
SPEED_MPS = 0.5


def floor_and_wall() -> np.ndarray:
    """A sweep of a lidar 1.1 m above the floor: the floor around it, and a wall 15 m ahead."""
    azimuth, below = np.meshgrid(
        np.linspace(-np.pi, np.pi, 720, endpoint=False), np.deg2rad(np.arange(3, 16, 2))
    )
    reach_m = 1.1 / np.tan(below)
    floor = np.stack([reach_m * np.cos(azimuth), reach_m * np.sin(azimuth), np.full_like(reach_m, -1.1)], -1)
    y, z = np.meshgrid(np.arange(-5, 5, 0.1), np.arange(-1.0, 1.0, 0.2))
    wall = np.stack([np.full_like(y, 15.0), y, z], -1)
    return np.concatenate([floor.reshape(-1, 3), wall.reshape(-1, 3)]).astype(np.float32)


@dataclass
class Feed:
    """One topic: how its message is made for a time, how often it is sent, and whether it is."""

    publish: Callable[[Any], None]
    build: Callable[[int], Any]
    period_s: float
    silent: bool = False
    offset_s: float = 0.0
    spoil: Callable[[Any], None] | None = None
    due_s: float = 0.0

    def act(self) -> None:
        """Send what is due."""
        now_s = time.monotonic()
        if self.silent or now_s < self.due_s:
            return
        self.due_s = max(self.due_s + self.period_s, now_s)
        message = self.build(time.time_ns() + from_s(self.offset_s))
        if self.spoil:
            self.spoil(message)
        self.publish(message)


@dataclass
class Feeder:
    """All feeds, by key of the topic table."""

    feeds: dict[str, Feed] = field(default_factory=dict)

    def act(self) -> None:
        """Send what is due."""
        for feed in self.feeds.values():
            feed.act()

    def __getitem__(self, key: str) -> Feed:
        return self.feeds[key]


def around_the_gate(peer: Peer) -> Feeder:
    """Everything that the gate of ``amr`` needs, with nothing in the way."""
    return Feeder(
        {
            "assessment": Feed(peer.speak("assessment").publish, assessment, 0.1),
            "odometry": Feed(peer.speak("odometry").publish, odometry, 0.05),
            "obstacles": Feed(peer.speak("obstacles", "lidar_top").publish, obstacles, 0.1),
            "scan": Feed(peer.speak("scan", "scan_front").publish, scan, 1 / 15),
            "command": Feed(peer.speak("command").publish, command, 0.05),
        }
    )


def assessment(t_ns: int) -> Any:
    """Nothing in the way."""
    none, ids = np.zeros(0), np.zeros(0, dtype=np.int64)
    risks = ObjectRisks(ids, ids, np.zeros(0, dtype=bool), none, none, none, none, none, none)
    lineage = Lineage((SourceStamp("lidar_top", t_ns),))
    return assessment_to_msg(Assessment(t_ns, (), risks, lineage), "base_link", make)


def odometry(t_ns: int) -> Any:
    """Straight ahead, slowly."""
    ego = EgoState(t_ns, Transform.identity(), (SPEED_MPS, 0.0), 0.0)
    return odometry_to_msg(ego, "odom", "base_link", make)


def obstacles(t_ns: int) -> Any:
    """A few points far ahead."""
    points = np.array([[20.0, 0.1 * i, 0.5] for i in range(10)], dtype=np.float32)
    return cloud_to_msg(PointCloud(t_ns, "base_link", "lidar_top", points), make)


def sweep(t_ns: int) -> Any:
    """The hall, as the lidar sees it."""
    return cloud_to_msg(PointCloud(t_ns, "lidar_top", "lidar_top", floor_and_wall()), make)


def scan(t_ns: int) -> Any:
    """Nothing nearer than 15 m."""
    message = make("sensor_msgs/msg/LaserScan")
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(t_ns, 10**9)
    message.header.frame_id = "scan_front"
    message.angle_min, message.angle_max = -np.pi / 2, np.pi / 2
    message.angle_increment = np.pi / (SCAN_RAYS - 1)
    message.range_min, message.range_max = 0.05, 25.0
    message.ranges = [15.0] * SCAN_RAYS
    return message


def command(t_ns: int) -> Any:
    """Drive on."""
    return twist_to_msg(t_ns, "base_link", (SPEED_MPS, 0.0, 0.1), make)
