"""Hears everything the stack says, as core values: what recorders and views are built on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from rclpy.serialization import deserialize_message

from perception_platform.core.errors import InputError
from perception_platform.messages.objects import detections_from_msg, tracks_from_msg
from perception_platform.messages.sensors import (
    cloud_from_msg,
    ego_from_odometry,
    scan_to_cloud,
)
from perception_platform.messages.verdicts import assessment_from_msg, decision_from_msg, health_from_msg
from perception_platform.ros.images import decode_image
from perception_platform.ros.make import message_class
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.topics import TOPICS, Topic

Hear = Callable[[object, str, int], None]
FAR_BEHIND = 100  # messages
LOW_PRIORITY = 10  # niceness

_STACK_DECODERS: dict[str, Callable[[Any], object]] = {
    "odometry": ego_from_odometry,
    "detections": detections_from_msg,
    "tracks": tracks_from_msg,
    "assessment": assessment_from_msg,
    "decision": decision_from_msg,
    "sensor_health": health_from_msg,
}


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came: serialised, with its arrival by the steady clock, ns."""

    topic: Topic
    sensor: str
    data: bytes
    received_ns: int
    decode: Callable[[Any], object]


class Listener(PlatformNode):
    """Hands on every value of the stack; what is malformed is counted and left out.

    Messages are taken in as bytes, and decoded in a thread of low priority: looking at the stack must neither
    slow it down nor miss a decision. Sweeps and images are left out while that thread is far behind.

    Args:
        hear: called with (value, sensor or an empty string, arrival by the steady clock in ns).
        images: whether to listen to cameras too, which are large.
    """

    def __init__(self, hear: Hear, images: bool) -> None:
        super().__init__("listener")
        self._hear = hear
        self._images = images
        self._waiting: SimpleQueue[Heard | None] = SimpleQueue()

    def set_up(self) -> None:
        """Subscribe to all that a viewer or recorder wants."""
        for key, decode in _STACK_DECODERS.items():
            self._listen(key, "", decode)
        for lidar in self.robot.lidars:
            self._listen_to_sensor("obstacles", lidar.name, cloud_from_msg)
        for scan in self.robot.scans:
            self._listen_to_sensor("scan", scan.name, scan_to_cloud)
        for camera in self.robot.cameras if self._images else ():
            self._listen_to_sensor("image", camera.name, decode_image)
        self.work("listener", self._hand_on)

    def tear_down(self) -> None:
        """Let the thread end when it has handed on what is waiting."""
        self._waiting.put(None)

    def _listen_to_sensor(self, key: str, sensor: str, decode: Callable[[Any, str], object]) -> None:
        self._listen(key, sensor, lambda message: decode(message, sensor))

    def _listen(self, key: str, sensor: str, decode: Callable[[Any], object]) -> None:
        topic = TOPICS[key]

        def receive(data: bytes) -> None:
            if sensor and self._waiting.qsize() > FAR_BEHIND:
                self.tally.add(topic.of(sensor), "left out")
            else:
                self._waiting.put(Heard(topic, sensor, data, time.monotonic_ns(), decode))

        self.subscribe(key, receive, sensor, raw=True)

    def _hand_on(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
        while (heard := self._waiting.get()) is not None:
            message = deserialize_message(heard.data, message_class(heard.topic.type))
            try:
                self._hear(heard.decode(message), heard.sensor, heard.received_ns)
            except InputError as error:
                self.trouble("malformed", heard.topic, heard.sensor, str(error))
