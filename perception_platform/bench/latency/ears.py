"""What a bench has for ears and mouth: it feeds odometry and commands, and keeps decisions and ledgers as they come."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from perception_platform.core.geometry import Transform
from perception_platform.core.runtime_status import EdgeCount
from perception_platform.core.sensor_data import EgoState
from perception_platform.messages.motion import odometry_to_msg, twist_to_msg
from perception_platform.messages.runtime import runtime_status_from_msg
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.description import Robot
from perception_platform.robot.environment import own_domain
from perception_platform.ros import qos
from perception_platform.ros.codecs import encoded
from perception_platform.ros.make import make, message_class
from perception_platform.ros.topics import TOPICS, rate_hz
from perception_platform.runtime.latency import Decided

SPEED_MPS = 3.0
CHAIN = {"perception", "tracker", "risk", "safety_gate"}


def ego_at(t_ns: int) -> EgoState:
    """Odometry of a robot that drives straight on from x = 0 at t = 0, modulo a kilometre."""
    x_m = t_ns / 1e9 * SPEED_MPS % 1000.0
    return EgoState(t_ns, Transform.from_xyz_rpy((x_m, 0.0, 0.0), (0.0, 0.0, 0.0)), (SPEED_MPS, 0.0), 0.0)


class Ears:
    """A plain node of the bench.

    Attributes:
        edges: last ledger of each node.
        decisions: serialised decisions, in the order in which they came.
    """

    def __init__(self, robot: Robot) -> None:
        self.edges: dict[str, tuple[EdgeCount, ...]] = {}
        self.decisions: list[bytes] = []
        self._robot = robot
        self._node = Node("bench")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._odometry, self._command = self._publisher("odometry"), self._publisher("command")
        self._node.create_timer(1 / TOPICS["odometry"].rate_hz, self._say_odometry)  # type: ignore[operator]
        self._node.create_timer(1 / TOPICS["command"].rate_hz, self._say_command)  # type: ignore[operator]
        self._subscribe("decision", self.decisions.append, raw=True)
        self._subscribe("runtime_status", self._keep_edges)

    def spin(self, for_s: float) -> None:
        """Listen and speak for a while."""
        end_s = time.monotonic() + for_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def stack_is_up(self) -> bool:
        """Whether every stage has reported and the gate decides."""
        return set(self.edges) >= CHAIN and len(self.decisions) > 0

    def forget_decisions(self) -> None:
        """Begin to collect decisions anew."""
        self.decisions.clear()

    def decided(self) -> list[Decided]:
        """The decisions that came."""
        kind = message_class(TOPICS["decision"].type)
        values = [decision_from_msg(deserialize_message(data, kind)) for data in self.decisions]
        return [Decided(value.t_ns, value.lineage) for value in values]

    def speak_for_chain(self, obstacles: Any, assessment: Any) -> None:
        """From now on, say obstacle points and an assessment at their rate, stamped anew each time."""
        lidar = self._robot.lidars[0].name
        out = self._publisher("obstacles", lidar), self._publisher("assessment")

        def say() -> None:
            t_ns = time.time_ns()
            out[0].publish(encoded(TOPICS["obstacles"], replace(obstacles, t_ns=t_ns), self._robot))
            out[1].publish(encoded(TOPICS["assessment"], replace(assessment, t_ns=t_ns), self._robot))

        self._node.create_timer(1 / rate_hz(TOPICS["obstacles"], self._robot, lidar), say)

    def close(self) -> None:
        """End."""
        self._executor.shutdown()
        self._node.destroy_node()

    def _publisher(self, key: str, sensor: str = "") -> Any:
        topic = TOPICS[key]
        profile = qos.offered(topic, rate_hz(topic, self._robot, sensor))
        return self._node.create_publisher(message_class(topic.type), topic.of(sensor), profile)

    def _subscribe(self, key: str, use: Any, *, raw: bool = False) -> None:
        topic = TOPICS[key]
        self._node.create_subscription(message_class(topic.type), topic.name, use, 100, raw=raw)

    def _keep_edges(self, message: Any) -> None:
        status = runtime_status_from_msg(message)
        self.edges[status.node] = status.edges

    def _say_odometry(self) -> None:
        ego = ego_at(time.time_ns())
        self._odometry.publish(odometry_to_msg(ego, self._robot.odom_frame, self._robot.base_frame, make))

    def _say_command(self) -> None:
        command = (SPEED_MPS, 0.0, 0.0)
        self._command.publish(twist_to_msg(time.time_ns(), self._robot.base_frame, command, make))


@contextmanager
def listening(robot: Robot) -> Iterator[Ears]:
    """Ears in a DDS domain of this process's own, on this machine; processes started from it inherit the domain."""
    os.environ.setdefault("ROS_DOMAIN_ID", own_domain())
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    rclpy.init()
    ears = Ears(robot)
    try:
        yield ears
    finally:
        ears.close()
        rclpy.try_shutdown()
