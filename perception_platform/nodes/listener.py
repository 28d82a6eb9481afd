"""Hears everything the stack says, as core values: what recorders and views are built on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from perception_platform.messages.objects import detections_from_msg, tracks_from_msg
from perception_platform.messages.sensors import (
    cloud_from_msg,
    ego_from_odometry,
    image_from_msg,
    scan_to_cloud,
)
from perception_platform.messages.verdicts import assessment_from_msg, decision_from_msg, health_from_msg
from perception_platform.ros.node import PlatformNode

Hear = Callable[[object, str, int], None]

_STACK_DECODERS: dict[str, Callable[[Any], object]] = {
    "odometry": ego_from_odometry,
    "detections": detections_from_msg,
    "tracks": tracks_from_msg,
    "assessment": assessment_from_msg,
    "decision": decision_from_msg,
    "sensor_health": health_from_msg,
}


class Listener(PlatformNode):
    """Hands on every value of the stack; what is malformed is counted and left out.

    Args:
        hear: called with (value, sensor or an empty string, arrival by the steady clock in ns).
        images: whether to listen to cameras too, which are large.
    """

    def __init__(self, hear: Hear, images: bool) -> None:
        super().__init__("listener")
        self._hear = hear
        self._images = images

    def set_up(self) -> None:
        """Subscribe to all that a viewer or recorder wants."""
        for key, decode in _STACK_DECODERS.items():
            self._listen(key, "", decode)
        for lidar in self.robot.lidars:
            self._listen_to_sensor("obstacles", lidar.name, cloud_from_msg)
        for scan in self.robot.scans:
            self._listen_to_sensor("scan", scan.name, scan_to_cloud)
        for camera in self.robot.cameras if self._images else ():
            self._listen_to_sensor("image", camera.name, image_from_msg)

    def _listen_to_sensor(self, key: str, sensor: str, decode: Callable[[Any, str], object]) -> None:
        self._listen(key, sensor, lambda message: decode(message, sensor))

    def _listen(self, key: str, sensor: str, decode: Callable[[Any], object]) -> None:
        def receive(message: Any) -> None:
            received_ns = time.monotonic_ns()
            self._hear(decode(message), sensor, received_ns)

        self.subscribe(key, receive, sensor)
