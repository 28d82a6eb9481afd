"""Which nodes a robot's stack has: the one description behind launch files and ``perception-platform up``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from perception_platform.core.errors import InputError
from perception_platform.robot.description import Robot
from perception_platform.robot.placement import NodeName, Placement

Group = Literal["drivers", "perception", "safety", "telemetry"]
GROUPS: tuple[Group, ...] = get_args(Group)
Parameter = str | bool | float

_GROUP_OF: dict[NodeName, Group] = {
    "camera_driver": "drivers",
    "lidar_driver": "drivers",
    "perception": "perception",
    "tracker": "perception",
    "risk": "safety",
    "safety_gate": "safety",
    "telemetry": "telemetry",
}


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node to run.

    Attributes:
        executable: name of the executable, and of the module in ``perception_platform.nodes``.
        name: ROS name of the node.
        group: part of the stack it belongs to.
        host: machine that runs it.
        parameters: ROS parameters.
        process: name of the process that it shares with others, or an empty string.
    """

    executable: str
    name: str
    group: Group
    host: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    process: str = ""

    @property
    def module(self) -> str:
        """The Python module to run."""
        return f"perception_platform.nodes.{self.executable}"

    def ros_arguments(self) -> list[str]:
        """Command-line arguments that give the node its name and parameters."""
        arguments = ["--ros-args", "-r", f"__node:={self.name}"]
        for key, value in self.parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ["-p", f"{key}:={text}"]
        return arguments


def describe_stack(
    robot: Robot,
    robot_file: str,
    *,
    groups: Collection[Group] = GROUPS,
    host: str | None = None,
    sim_time: bool = False,
) -> list[NodeSpec]:
    """The nodes of a robot in the order of its file; drivers once for each sensor that is not external.

    Args:
        robot: the robot.
        robot_file: name or path that the nodes load it by.
        groups: parts of the stack that are wanted.
        host: only the nodes of this machine; None for all.
        sim_time: whether the nodes follow ``/clock``.

    Raises:
        InputError: if no node of the robot file runs on that host.
    """
    hosts = sorted({placement.host for placement in robot.nodes})
    if host is not None and host not in hosts:
        raise InputError(robot_file, f"no node runs on {host!r}, only on {', '.join(hosts)}", "nodes")
    common: dict[str, Parameter] = {"robot": robot_file, "use_sim_time": sim_time}
    return [
        spec
        for placement in robot.nodes
        for spec in _nodes_of(placement, robot, common)
        if spec.group in groups and host in (None, spec.host)
    ]


def processes(nodes: Sequence[NodeSpec]) -> list[NodeSpec]:
    """What to start for these nodes: each by itself, or one ``container`` for all that share a process.

    A container belongs to the group ``perception`` if one of its nodes does, else to that of its first node.
    """
    by_process: dict[str, list[NodeSpec]] = {}
    for node in nodes:
        by_process.setdefault(node.process or node.name, []).append(node)
    return [
        _container(name, members) if len(members) > 1 else members[0] for name, members in by_process.items()
    ]


def _container(name: str, members: list[NodeSpec]) -> NodeSpec:
    groups = [member.group for member in members]
    first = members[0]
    parameters = {key: first.parameters[key] for key in ("robot", "use_sim_time")}
    parameters["nodes"] = ",".join(member.name for member in members)
    group: Group = "perception" if "perception" in groups else groups[0]
    return NodeSpec("container", name, group, first.host, parameters)


def _nodes_of(placement: Placement, robot: Robot, common: dict[str, Parameter]) -> Iterator[NodeSpec]:
    group = _GROUP_OF[placement.node]
    if group != "drivers":
        yield NodeSpec(placement.node, placement.node, group, placement.host, common, placement.process)
        return
    for sensor in robot.cameras if placement.node == "camera_driver" else robot.lidars:
        if sensor.driver.type != "external":
            parameters = common | {"sensor": sensor.name}
            name = f"{sensor.name}_driver"
            yield NodeSpec(placement.node, name, group, placement.host, parameters, placement.process)
