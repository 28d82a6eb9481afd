"""Several nodes in one process: what they say to each other is handed on by reference, DDS serves everybody else."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from rclpy.node import Node

from perception_platform.core.errors import InputError
from perception_platform.robot.load import load_robot
from perception_platform.robot.stack import NodeSpec, describe_stack
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.process import run
from perception_platform.runtime.exchange import Exchange

_CLASSES = {
    "camera_driver": "CameraDriver",
    "lidar_driver": "LidarDriver",
    "perception": "PerceptionNode",
    "tracker": "TrackerNode",
    "risk": "RiskNode",
}


def make_nodes() -> list[PlatformNode]:
    """The nodes that the parameters name: ``robot``, ``use_sim_time``, and ``nodes``, their names with commas between.

    Raises:
        InputError: if the robot has no such node, or it may not share a process.
    """
    asking = Node("container")
    robot_file = str(asking.declare_parameter("robot", "").value)
    names = str(asking.declare_parameter("nodes", "").value).split(",")
    sim_time = bool(asking.get_parameter("use_sim_time").value)
    asking.destroy_node()
    robot = load_robot(robot_file)
    specs = {spec.name: spec for spec in describe_stack(robot, robot_file, sim_time=sim_time)}
    exchange = Exchange()
    return [_make(_find(name, specs), exchange) for name in names]


def _find(name: str, specs: dict[str, NodeSpec]) -> NodeSpec:
    spec = specs.get(name)
    if spec is None or spec.executable not in _CLASSES:
        fitting = ", ".join(n for n, s in specs.items() if s.executable in _CLASSES)
        raise InputError("container", f"{name!r} is none of {fitting}", "nodes")
    return spec


def _make(spec: NodeSpec, exchange: Exchange) -> PlatformNode:
    made: Any = getattr(import_module(spec.module), _CLASSES[spec.executable])
    node: PlatformNode = made(exchange=exchange, cli_args=spec.ros_arguments(), use_global_arguments=False)
    return node


def main() -> None:
    """Run the nodes."""
    sys.exit(run(make_nodes))


if __name__ == "__main__":
    main()
