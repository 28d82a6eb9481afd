"""Hears everything the stack says, as core values: what recorders and views are built on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from rclpy.serialization import deserialize_message

from perception_platform.core.errors import InputError
from perception_platform.ros.codecs import decoded
from perception_platform.ros.make import message_class
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.topics import TOPICS, Topic, type_on

Hear = Callable[[object, str, int], None]
FAR_BEHIND = 100  # messages
LOW_PRIORITY = 10  # niceness

_STACK = ("odometry", "detections", "tracks", "assessment_full", "decision", "sensor_health", "applications")


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came: serialised, with its arrival by the steady clock, ns."""

    topic: Topic
    sensor: str
    data: bytes
    received_ns: int


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
        for key in _STACK:
            self._listen(key)
        for lidar in self.robot.lidars:
            self._listen("obstacles", lidar.name)
        for source in self.robot.sources:
            self._listen(source.kind, source.name)
        for camera in self.robot.cameras if self._images else ():
            self._listen("image", camera.name)
        self.work("listener", self._hand_on)

    def tear_down(self) -> None:
        """Let the thread end when it has handed on what is waiting."""
        self._waiting.put(None)

    def _listen(self, key: str, sensor: str = "") -> None:
        topic = TOPICS[key]

        def receive(data: bytes) -> None:
            if sensor and self._waiting.qsize() > FAR_BEHIND:
                self.tally.add(topic.of(sensor), "left out")
            else:
                self._waiting.put(Heard(topic, sensor, data, time.monotonic_ns()))

        self.subscribe_raw(key, receive, sensor)

    def _hand_on(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
        while (heard := self._waiting.get()) is not None:
            message = deserialize_message(heard.data, message_class(type_on(heard.topic, self.robot)))
            try:
                self._hear(
                    decoded(heard.topic, message, heard.sensor, self.robot), heard.sensor, heard.received_ns
                )
            except InputError as error:
                self.trouble("malformed", heard.topic, heard.sensor, str(error))
