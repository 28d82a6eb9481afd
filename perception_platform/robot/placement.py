"""Where the nodes of a robot's stack run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from perception_platform.robot.parts import Name, Part
from perception_platform.robot.resources import Realtime

NodeName = Literal[
    "camera_driver", "lidar_driver", "perception", "tracker", "risk", "safety_gate", "telemetry"
]
# Drivers may be another package's; telemetry only looks on.
MAY_BE_LEFT_OUT: tuple[NodeName, ...] = ("camera_driver", "lidar_driver", "telemetry")


class Placement(Part):
    """Where a node runs, and what it asks of the machine. Drivers run once for each sensor they serve.

    Attributes:
        host: the machine.
        process: nodes that name the same one run in one process and hand values on by reference; the safety gate
            is always alone.
        realtime: of its process.
    """

    node: NodeName
    host: Name = "robot"
    process: Name | Literal[""] = ""
    realtime: Realtime = Realtime()


def check_placements(nodes: Sequence[Placement]) -> None:
    """Refuse a stack that is not whole, or whose processes cannot be shared.

    Raises:
        ValueError: says which node is the matter.
    """
    placed = [placement.node for placement in nodes]
    for name in get_args(NodeName):
        if placed.count(name) > 1:
            raise ValueError(f"{name} is placed {placed.count(name)} times; once is all that runs")
        if name not in placed and name not in MAY_BE_LEFT_OUT:
            raise ValueError(f"{name} is not placed: without it nothing stops the robot")
    for placement in nodes:
        others = [p for p in nodes if p.process and p.process == placement.process]
        if placement.process and placement.node == "safety_gate":
            raise ValueError("safety_gate needs a process of its own: it has to outlive what it checks")
        if any((p.host, p.realtime) != (placement.host, placement.realtime) for p in others):
            raise ValueError(f"nodes of process {placement.process!r} differ in host or realtime")
