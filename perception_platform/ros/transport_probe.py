"""Two processes that send a robot's sensor data over the middleware and count what arrives, and how late.

One process sends messages of each sensor's type, size and rate with the quality of service of the topic table; the
other takes them in as a node does. Both stamp by the steady clock that the processes of one machine share.
"""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image, PointCloud
from perception_platform.core.time import NS_PER_S
from perception_platform.messages.clouds import cloud_to_msg
from perception_platform.messages.fields import set_header, time_ns
from perception_platform.messages.images import image_to_msg
from perception_platform.robot.description import Robot
from perception_platform.robot.environment import own_domain
from perception_platform.robot.load import load_robot
from perception_platform.robot.sensors import Camera, Lidar
from perception_platform.ros import qos
from perception_platform.ros.make import make, message_class
from perception_platform.ros.topics import sensor_topic

# Rays a beam sends a turn: the finest step of the usual spinning lidars, so that the estimate is not below the truth.
RAYS_A_TURN = 2048
MATCH_WITHIN_S = 15.0
DRAIN_S = 0.5  # for what is still under way
POLL_S = 0.1
START_AND_END_S = 30.0  # of a process, before it counts as hung


@dataclass(slots=True)
class Stream:
    """How one sensor's messages fared.

    Attributes:
        sensor: its name.
        topic: ROS name.
        message_bytes: size of a message's data.
        rate_hz: its rate, from the robot file.
        planned: messages that were due.
        sent: messages that the sender got out; fewer than planned where the machine is too slow.
        latency_ms: of each message that arrived, from just before publishing to the receiver's callback.
    """

    sensor: str
    topic: str
    message_bytes: int
    rate_hz: float
    planned: int
    sent: int
    latency_ms: list[float]

    @property
    def lost(self) -> int:
        """Messages that were sent and did not arrive."""
        return self.sent - len(self.latency_ms)


def lidar_points(lidar: Lidar) -> int:
    """Points a sweep has at most, if every ray of a spinning lidar's field of view returns."""
    first_deg, last_deg = lidar.field_of_view_deg
    return round(lidar.beams * RAYS_A_TURN * (last_deg - first_deg) / 360.0)


def sample_message(sensor: Camera | Lidar) -> Any:
    """A message of the sensor's full size, as its driver makes it."""
    if isinstance(sensor, Camera):
        shape = (sensor.intrinsics.height_px, sensor.intrinsics.width_px, 3)
        return image_to_msg(Image(0, sensor.name, sensor.name, np.zeros(shape, np.uint8)), make)
    count = lidar_points(sensor)
    values = np.zeros(count, np.float32)
    points = PointCloud(
        0,
        sensor.name,
        sensor.name,
        np.zeros((count, 3), np.float32),
        values,
        values.astype(np.uint16),
        values,
    )
    return cloud_to_msg(points, make)


def large_sensors(robot: Robot) -> list[Camera | Lidar]:
    """The sensors whose messages are large: cameras and 3D lidars."""
    return [*robot.cameras, *robot.lidars]


def measure(robot: Robot, robot_file: str, seconds: float, environment: Mapping[str, str]) -> list[Stream]:
    """Send for that long from one process to another, both with that environment; how each stream fared.

    They meet in a DDS domain of their own, so that a robot that is running is not disturbed; if they do not find each
    other, all is lost.

    Raises:
        InputError: if a process fails or hangs.
    """
    domain = _other_domain(environment.get("ROS_DOMAIN_ID", ""))
    with ExitStack() as cleaning:
        receiver, sender = (
            cleaning.enter_context(_Role(role, robot_file, seconds, {**environment, "ROS_DOMAIN_ID": domain}))
            for role in ("receive", "send")
        )
        sent = sender.result(seconds + MATCH_WITHIN_S + START_AND_END_S)
        received = receiver.result(START_AND_END_S)
    return [
        Stream(
            sensor.name,
            sensor_topic(sensor).of(sensor.name),
            rate_hz=sensor.rate_hz,
            latency_ms=received[sensor.name],
            **sent[sensor.name],
        )
        for sensor in large_sensors(robot)
    ]


def _other_domain(own: str) -> str:
    domain = own_domain()
    return str(int(domain) + 1) if domain == own else domain


class _Role:
    """One of the two processes; it ends when its input does, and with the block at the latest."""

    def __init__(self, role: str, robot_file: str, seconds: float, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, role, robot_file, str(seconds)],
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> _Role:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def result(self, within_s: float) -> dict[str, Any]:
        """End its input, and hear what it has to say."""
        try:
            out, said = self._process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired as error:
            raise InputError("transport probe", f"did not end within {within_s:g} s") from error
        if self._process.returncode:
            lines = said.strip().splitlines() or [f"exit code {self._process.returncode}"]
            raise InputError("transport probe", lines[-1])
        result: dict[str, Any] = json.loads(out.splitlines()[-1])  # the middleware may have spoken before
        return result


def _send(node: Node, robot: Robot, seconds: float) -> dict[str, dict[str, int]]:
    """Publish each sensor at its rate; how much of what, by sensor."""
    sensors = large_sensors(robot)
    messages = [sample_message(sensor) for sensor in sensors]
    publishers = [
        node.create_publisher(
            type(message),
            sensor_topic(sensor).of(sensor.name),
            qos.offered(sensor_topic(sensor), sensor.rate_hz),
        )
        for sensor, message in zip(sensors, messages, strict=True)
    ]
    _wait_for_match(publishers)
    start_ns = time.monotonic_ns() + NS_PER_S // 10
    end_ns = start_ns + round(seconds * NS_PER_S)
    planned, sent = _times_due(sensors, start_ns, seconds), [0] * len(sensors)
    for due_ns, i in heapq.merge(*([(t, i) for t in times] for i, times in enumerate(planned))):
        time.sleep(max(0, due_ns - time.monotonic_ns()) / NS_PER_S)
        if time.monotonic_ns() > end_ns:
            break  # too slow
        set_header(messages[i], time.monotonic_ns(), sensors[i].name)
        publishers[i].publish(messages[i])
        sent[i] += 1
    time.sleep(DRAIN_S)  # a publisher that goes takes along what is still under way
    return {
        sensor.name: {"message_bytes": len(message.data), "planned": len(times), "sent": count}
        for sensor, message, times, count in zip(sensors, messages, planned, sent, strict=True)
    }


def _times_due(sensors: Sequence[Camera | Lidar], start_ns: int, seconds: float) -> list[list[int]]:
    """When each sensor's messages are due; sensors do not fire together: each begins in another part of its period."""
    return [
        [
            start_ns + round((k + i / len(sensors)) * NS_PER_S / sensor.rate_hz)
            for k in range(round(seconds * sensor.rate_hz))
        ]
        for i, sensor in enumerate(sensors)
    ]


def _wait_for_match(publishers: Sequence[Any]) -> None:
    give_up_s = time.monotonic() + MATCH_WITHIN_S
    while not all(publisher.get_subscription_count() for publisher in publishers):
        if time.monotonic() > give_up_s:
            return
        time.sleep(0.01)
    time.sleep(DRAIN_S)  # the other side learns of the match a little later


def _receive(node: Node, robot: Robot) -> dict[str, list[float]]:
    """Take in until the input ends; each message's latency in ms, by sensor."""
    latency_ms: dict[str, list[float]] = {sensor.name: [] for sensor in large_sensors(robot)}

    def take(message: Any) -> None:
        age_ns = time.monotonic_ns() - time_ns(message.header.stamp, "transport probe")
        latency_ms[message.header.frame_id].append(age_ns / 1e6)

    for sensor in large_sensors(robot):
        topic = sensor_topic(sensor)
        profile = qos.requested(topic, sensor.rate_hz)
        node.create_subscription(message_class(topic.type), topic.of(sensor.name), take, profile)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    ended = Event()

    def end_with_input() -> None:
        sys.stdin.read()
        ended.set()

    Thread(target=end_with_input, name="input", daemon=True).start()
    while not ended.is_set():
        executor.spin_once(timeout_sec=POLL_S)
    return latency_ms


def main() -> None:
    """Run one of the two: ``send`` or ``receive``, a robot file, seconds."""
    role, robot_file, seconds = sys.argv[1:]
    robot = load_robot(robot_file)
    rclpy.init()
    node = Node(f"transport_probe_{role}")
    result = _send(node, robot, float(seconds)) if role == "send" else _receive(node, robot)
    node.destroy_node()
    rclpy.try_shutdown()
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
