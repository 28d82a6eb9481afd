"""An outside listener in a process of its own, which wants every message and may stop reading at any time."""

from __future__ import annotations

import sys

import rclpy
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.qos import QoSProfile

from perception_platform.bench.faults.ending import told_to_end
from perception_platform.robot.load import load_robot
from perception_platform.ros.make import message_class
from perception_platform.ros.topics import TOPICS, sensors_of

_KEYS = ("obstacles", "tracks", "decision")
_DEPTH = 10
LISTEN_S = 0.2


def main() -> None:
    """Listen, reliably, until told to end."""
    robot = load_robot(sys.argv[1])
    with told_to_end():
        node = rclpy.create_node("viewer", start_parameter_services=False, enable_rosout=False)
        for topic in (TOPICS[key] for key in _KEYS):
            for sensor in sensors_of(topic, robot):
                kind, name = message_class(topic.type), topic.of(sensor)
                node.create_subscription(kind, name, lambda _data: None, QoSProfile(depth=_DEPTH), raw=True)
        executor = EventsExecutor()
        executor.add_node(node)
        while True:  # spin() keeps a core busy when nothing comes
            executor.spin_once(timeout_sec=LISTEN_S)


if __name__ == "__main__":
    main()
