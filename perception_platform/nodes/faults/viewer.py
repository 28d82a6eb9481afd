"""An outside listener in a process of its own, which wants every message and may stop reading at any time."""

from __future__ import annotations

import sys

import rclpy
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from perception_platform.robot.load import load_robot
from perception_platform.ros.make import message_class
from perception_platform.ros.topics import TOPICS, sensors_of

_KEYS = ("obstacles", "tracks", "decision")
_DEPTH = 10


def main() -> None:
    """Listen, reliably, until told to end."""
    robot = load_robot(sys.argv[1])
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # ended like any other process
    node = rclpy.create_node("viewer", start_parameter_services=False, enable_rosout=False)
    for topic in (TOPICS[key] for key in _KEYS):
        for sensor in sensors_of(topic, robot):
            kind = message_class(topic.type)
            node.create_subscription(
                kind, topic.of(sensor), lambda _data: None, QoSProfile(depth=_DEPTH), raw=True
            )
    executor = EventsExecutor()
    executor.add_node(node)
    executor.spin()


if __name__ == "__main__":
    main()
