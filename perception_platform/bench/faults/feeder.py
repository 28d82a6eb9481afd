"""Everything around the robot in one process: sweeps, scans, odometry and commands, as well or as badly as ordered."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node

from perception_platform.bench.faults import scene
from perception_platform.bench.faults.ending import told_to_end
from perception_platform.bench.faults.orders import Listening, Orders
from perception_platform.core.time import NS_PER_S, from_s
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from perception_platform.ros import qos
from perception_platform.ros.make import make, message_class
from perception_platform.ros.topics import TOPICS, rate_hz
from perception_platform.sensing.sweep_files import load_sweep


@dataclass(slots=True)
class Feed:
    """One topic: what is published, when next, and how often; times by the steady clock, s."""

    key: str
    publish: Callable[[Any], None]
    message: Any
    period_s: float
    due_s: float = 0.0


class Feeder:
    """Publishes each row when it is due, and follows orders.

    Args:
        robot: the robot, whose lidar is fed if its driver is external.
        node: to publish with.
        folder: with the sweep.
        ticks: whether to publish ``/clock``.
    """

    def __init__(self, robot: Robot, node: Node, folder: Path, ticks: bool) -> None:
        self._robot, self._node = robot, node
        self._orders = Orders()
        self._back_ns = 0
        scanners = robot.scans
        self._feeds = [
            self._feed("odometry", scene.odometry_message(robot.odom_frame, robot.base_frame)),
            self._feed("command", scene.command_message(robot.base_frame)),
            *(self._feed("scan", scene.scan_message(s), s.name) for s in scanners),
        ]
        self._feeds[0].period_s = 1.0 / robot.gate.rate_hz  # the base reports as often as the gate asks
        for lidar in robot.lidars:
            if lidar.driver.type == "external":
                cloud = load_sweep(folder / "sweeps" / scene.SWEEP_FILE, 0, lidar.name)
                self._feeds.append(self._feed("points", scene.sweep_message(cloud), lidar.name))
        if ticks:
            self._feeds.append(self._feed("clock", make(TOPICS["clock"].type)))

    def follow(self, orders: Orders) -> None:
        """Speak as ordered from now on."""
        self._orders = orders
        self._back_ns += from_s(orders.clock_back_s)
        for feed in self._feeds:
            if feed.key == "points":
                own_s = 1.0 / rate_hz(TOPICS["points"], self._robot, self._robot.lidars[0].name)
                feed.period_s = 1.0 / orders.sweeps_hz if orders.sweeps_hz else own_s
                for i in range(round(orders.burst_s / own_s), 0, -1):
                    self._publish(feed, self._now_ns() - from_s(i * own_s))
                feed.due_s = min(feed.due_s, time.monotonic() + feed.period_s)

    def act(self) -> float:
        """Publish what is due; how long nothing else is, s."""
        now_s = time.monotonic()
        for feed in self._feeds:
            if now_s >= feed.due_s:
                feed.due_s = max(feed.due_s + feed.period_s, now_s)
                if feed.key not in self._orders.silent:
                    self._publish(feed, self._now_ns() + from_s(self._orders.shift_s.get(feed.key, 0.0)))
        return min(feed.due_s for feed in self._feeds) - time.monotonic()

    def _now_ns(self) -> int:
        return time.time_ns() - self._back_ns

    def _publish(self, feed: Feed, t_ns: int) -> None:
        stamp = feed.message.clock if feed.key == "clock" else feed.message.header.stamp
        stamp.sec, stamp.nanosec = divmod(t_ns, NS_PER_S)
        feed.publish(feed.message)

    def _feed(self, key: str, message: Any, sensor: str = "") -> Feed:
        topic = TOPICS[key]
        rate = rate_hz(topic, self._robot, sensor)
        made = self._node.create_publisher(
            message_class(topic.type), topic.of(sensor), qos.offered(topic, rate)
        )
        return Feed(key, made.publish, message, 1.0 / rate)


def main() -> None:
    """Speak until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("robot", type=Path)
    parser.add_argument("socket", type=Path)
    parser.add_argument("--clock", action="store_true")
    arguments = parser.parse_args()
    robot = load_robot(str(arguments.robot))
    with told_to_end():
        node = rclpy.create_node("feeder", start_parameter_services=False, enable_rosout=False)
        feeder = Feeder(robot, node, arguments.robot.parent, arguments.clock)
        listening = Listening(arguments.socket)
        while True:
            orders = listening.wait(feeder.act())
            if orders is not None:
                feeder.follow(orders)


if __name__ == "__main__":
    main()
