"""What the launch files have in common: the stack's description as launch actions. Needs ``launch_ros``."""

from __future__ import annotations

import os
from collections.abc import Callable

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction
from launch.events import matches_action
from launch.events.process import ProcessExited, ShutdownProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from perception_platform.robot.environment import process_environment
from perception_platform.robot.load import load_robot
from perception_platform.robot.stack import GROUPS, Group, NodeSpec, describe_stack, processes
from perception_platform.robot.supervisor import EXIT_BAD_INPUT

RESTART_AFTER_S = 1.0


def arguments() -> list[DeclareLaunchArgument]:
    """The arguments that every launch file of a part takes."""
    return [
        DeclareLaunchArgument("robot", description="name of a robot file, or a path to one"),
        DeclareLaunchArgument("host", default_value="", description="only the nodes of this machine"),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock"),
        DeclareLaunchArgument(
            "together",
            default_value="",
            description="parts that are launched together, with commas between: nodes of them that share a process do; "
            "by default this part alone",
        ),
    ]


def launch_group(group: Group) -> LaunchDescription:
    """Launch description of one part of the stack."""

    def nodes(context: LaunchContext) -> list[Node]:
        value = value_of(context)
        robot = load_robot(value("robot"))
        together = value("together").split(",") if value("together") else [group]
        specs = describe_stack(
            robot,
            value("robot"),
            groups=[g for g in GROUPS if g in together],
            host=value("host") or None,
            sim_time=value("use_sim_time").lower() == "true",
        )
        return [launch_node(spec, robot.discovery) for spec in processes(specs) if spec.group == group]

    return LaunchDescription([*arguments(), OpaqueFunction(function=nodes)])


def value_of(context: LaunchContext) -> Callable[[str], str]:
    """Looks up launch arguments."""
    return lambda name: LaunchConfiguration(name).perform(context)


def launch_node(spec: NodeSpec, discovery: str, *, restart: bool = True) -> Node:
    """The action that runs a node; it starts it again when it dies, unless it refused its input."""
    wanted = process_environment(discovery)
    return Node(
        package="perception_platform",
        executable=spec.executable,
        name=spec.name,
        parameters=[dict(spec.parameters)],
        additional_env={name: value for name, value in wanted.items() if name not in os.environ},
        output="screen",
        respawn=restart,
        respawn_delay=RESTART_AFTER_S,
        on_exit=_leave_refused if restart else None,
    )


def _leave_refused(event: ProcessExited, _context: LaunchContext) -> list[EmitEvent]:
    """Shut a process down for good whose input another start would not mend, before launch respawns it."""
    if event.returncode != EXIT_BAD_INPUT:
        return []
    return [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action)))]
