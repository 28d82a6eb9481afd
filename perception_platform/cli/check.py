"""``perception-platform check``: whether this machine is set up for a robot."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from perception_platform.robot.description import Robot
    from perception_platform.robot.transport import Problem
    from perception_platform.ros.transport_probe import Stream

EXIT_LOSES_FRAMES = 1

_commands = typer.Typer(help="Check this machine's set-up for a robot.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="check")


@_commands.callback()
def group() -> None:
    """Check this machine's set-up for a robot."""


@_commands.command()
def transport(
    robot: Annotated[str, typer.Argument(help="Name of a robot file, or a path to one.")],
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="How long to send.")] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Tell whether camera images and lidar clouds of the robot's sizes and rates get through on this machine.

    Messages as large and as frequent as the robot's own go from one process to another, with the settings that nodes
    started from this shell have, in a DDS domain of their own: a robot that is running is not disturbed. What is known
    to lose frames is looked for as well, with what to do about it. Exit code 1: frames would be lost.
    """
    from rich.console import Console

    from perception_platform.robot.environment import process_environment
    from perception_platform.robot.load import load_robot
    from perception_platform.ros.transport_probe import measure

    description = load_robot(robot)
    environment = {
        **process_environment(description.discovery),
        **os.environ,
    }  # the caller's wins, as for nodes
    console = Console()
    with console.status(f"sending for {seconds:g} s"):
        streams = measure(description, robot, seconds, environment)
    problems = _problems(description, robot, environment, streams)
    good = not any(stream.lost for stream in streams) and not any(p.loses_frames for p in problems)
    if json_file:
        report = {
            "robot": description.name,
            "good": good,
            "seconds": seconds,
            "environment": {name: environment[name] for name in process_environment()},
            "streams": [_as_dict(stream) for stream in streams],
            "problems": [asdict(problem) for problem in problems],
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(console, streams, problems, good)
    if not good:
        raise typer.Exit(EXIT_LOSES_FRAMES)


def _problems(
    robot: Robot, robot_file: str, environment: Mapping[str, str], streams: list[Stream]
) -> list[Problem]:
    from perception_platform.robot.stack import describe_stack, processes
    from perception_platform.robot.transport import Problem, setup_problems

    largest_bytes = max((stream.message_bytes for stream in streams), default=0)
    started = len(processes(describe_stack(robot, robot_file)))
    problems = setup_problems(environment, robot.discovery, largest_bytes, started)
    if slow := [stream.sensor for stream in streams if stream.sent < stream.planned]:
        found = f"too busy to send all of {', '.join(slow)} in time"
        problems.append(
            Problem("this machine", found, "end what else runs, and check again", loses_frames=False)
        )
    if any(stream.lost for stream in streams) and not any(problem.loses_frames for problem in problems):
        found = "frames were lost, and none of the known causes is there"
        remedy = (
            "check again with nothing else running; if it stays so, the machine is too slow for these sensors"
        )
        problems.append(Problem("unknown", found, remedy))
    return problems


def _as_dict(stream: Stream) -> dict[str, Any]:
    row = asdict(stream)
    del row["latency_ms"]
    return {
        **row,
        "lost": stream.lost,
        **{f"{name}_ms": value for name, value in _latency_ms(stream).items()},
    }


def _latency_ms(stream: Stream) -> dict[str, float | None]:
    """p50, p99 and max; None of nothing."""
    import numpy as np

    if not stream.latency_ms:
        return dict.fromkeys(("p50", "p99", "max"))
    p50, p99 = np.percentile(stream.latency_ms, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": max(stream.latency_ms)}


def _print(console: Console, streams: list[Stream], problems: list[Problem], good: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("sensor", "message", "rate", "sent", "lost", "p50", "p99", "max")
    for stream in streams:
        latency = ("" if value is None else f"{value:.1f} ms" for value in _latency_ms(stream).values())
        lost = f"[red]{stream.lost}[/]" if stream.lost else "0"
        size = f"{stream.message_bytes / 1e6:.2f} MB"
        table.add_row(stream.sensor, size, f"{stream.rate_hz:g} Hz", str(stream.sent), lost, *latency)
    console.print(table if streams else "no camera and no 3D lidar: nothing large to send")
    for problem in problems:
        style = "red" if problem.loses_frames else "yellow"
        console.print(
            f"[{style}]{escape(problem.cause)}[/]: {escape(problem.found)}\n  → {escape(problem.remedy)}"
        )
    console.print("[green]good[/]" if good else "[red]frames would be lost[/]")
