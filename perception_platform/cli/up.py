"""``perception-platform up``: a robot's nodes as supervised processes, without launch."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from perception_platform.robot.stack import Group, NodeSpec
    from perception_platform.robot.supervisor import Command, Supervisor

POLL_S = 0.1
STATE_STYLES = {"running": "green", "waiting": "yellow", "ended": "red", "refused": "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    robot: Annotated[str, typer.Argument(help="Name of a robot file, or a path to one.")],
    host: Annotated[str | None, typer.Option(help="Only the nodes of this machine.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this group: drivers, perception, safety or telemetry; repeatable."),
    ] = None,
    no_drivers: Annotated[bool, typer.Option("--no-drivers", help="Leave the drivers out.")] = False,
    sim_time: Annotated[bool, typer.Option("--sim-time", help="Follow /clock.")] = False,
    log_folder: Annotated[
        Path | None, typer.Option(help="Where the processes write; default: ROS's own log folder.")
    ] = None,
) -> None:
    """Run a robot's nodes and keep them running, until interrupted."""
    from rich.console import Console
    from rich.live import Live

    from perception_platform.core.errors import InputError
    from perception_platform.robot.supervisor import Event, Supervisor

    nodes, commands = _plan(robot, host, _groups(only or [], no_drivers), sim_time)
    folder = log_folder or _ros_log_folder() / "perception_platform"
    console = Console(soft_wrap=True)

    def tell(event: Event) -> None:
        style = "red" if event.bad else "dim"
        clock = time.strftime("%H:%M:%S")
        console.print(f"{clock} {event.name}: {event.text}", style=style, highlight=False, markup=False)

    ending = _until_told()
    console.print(f"{len(nodes)} nodes of {robot}; what they write is in {folder}; Ctrl-C ends them")
    with Supervisor(commands, folder, tell) as supervisor:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while not ending.wait(POLL_S) and any(c.state != "refused" for c in supervisor.children):
                supervisor.poll()
                if console.is_terminal:
                    live.update(_table(nodes, supervisor), refresh=True)
        if not ending.is_set():
            raise InputError(robot, "every node refused its input: see above")
    console.print("all processes ended")


def _groups(only: list[str], no_drivers: bool) -> list[Group]:
    from perception_platform.core.errors import InputError
    from perception_platform.robot.stack import GROUPS

    for name in only:
        if name not in GROUPS:
            raise InputError("--only", f"there is no group {name!r}, only {', '.join(GROUPS)}")
    return [g for g in GROUPS if (g in only or not only) and not (no_drivers and g == "drivers")]


def _plan(
    robot_file: str, host: str | None, groups: list[Group], sim_time: bool
) -> tuple[list[NodeSpec], list[Command]]:
    from perception_platform.core.errors import InputError
    from perception_platform.robot.environment import process_environment
    from perception_platform.robot.load import load_robot
    from perception_platform.robot.stack import describe_stack, processes
    from perception_platform.robot.supervisor import node_command

    robot = load_robot(robot_file)
    nodes = processes(describe_stack(robot, robot_file, groups=groups, host=host, sim_time=sim_time))
    if not nodes:
        raise InputError(
            robot_file, f"nothing to run: no nodes in {', '.join(groups) or 'no group'}", "nodes"
        )
    wanted = process_environment(robot.discovery)
    environment = {name: os.environ.get(name, value) for name, value in wanted.items()}
    return nodes, [node_command(node, environment) for node in nodes]


def _ros_log_folder() -> Path:
    """Where ROS 2 logs: ROS_LOG_DIR, ROS_HOME/log or ~/.ros/log."""
    if folder := os.environ.get("ROS_LOG_DIR"):
        return Path(folder).expanduser()
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "log"


def _until_told() -> threading.Event:
    """An event that the signals which end a process set."""
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ending.set())
    return ending


def _table(nodes: list[NodeSpec], supervisor: Supervisor) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("node", "group", "state", "pid", "for", "restarts", "last line", expand=True, box=None)
    for node, child in zip(nodes, supervisor.children, strict=True):
        style = STATE_STYLES[child.state]
        table.add_row(
            node.name,
            node.group,
            f"[{style}]{child.state}[/]",
            str(child.pid or ""),
            f"{time.monotonic() - child.since_s:.0f} s",
            str(child.restarts),
            escape(child.last_line()),
        )
    return table
