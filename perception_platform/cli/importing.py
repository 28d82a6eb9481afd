"""``perception-platform import``: recordings of others as bags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from perception_platform.bags.kitti_import import ImportSummary
    from perception_platform.robot.description import Robot

_commands = typer.Typer(help="Turn other recordings into bags.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="import")


@_commands.callback()
def group() -> None:
    """Turn other recordings into bags."""


@_commands.command("kitti-raw")
def kitti_raw(
    drive: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of one drive of the KITTI raw data set.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.mcap", help="The bag to write.")],
    robot: Annotated[str, typer.Option(help="Robot file with the KITTI sensors.")] = "delivery_van",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the summary there, as JSON.")
    ] = None,
) -> None:
    """Convert a KITTI raw drive: sweeps, left colour images, calibration and odometry.

    Without GPS/IMU the odometry comes from scan matching, and the bag says so.
    """
    from rich.console import Console
    from rich.markup import escape

    from perception_platform.robot.load import load_robot

    if out.suffix != ".mcap":
        raise InputError(out, "the bag's name has to end in .mcap")
    console = Console()
    summary = _with_progress(drive, out, load_robot(robot), console)
    if json_file:
        json_file.write_text(json.dumps(summary.as_dict(), indent=2) + "\n", encoding="utf-8")
    for warning in summary.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    console.print(
        f"{escape(summary.bag)}: {summary.sweeps} sweeps, {summary.images} images, {summary.duration_s:.1f} s, "
        f"{summary.distance_m:.1f} m at {summary.mean_speed_mps:.1f} m/s, odometry: {summary.odometry_source}",
        highlight=False,
        soft_wrap=True,
    )
    if summary.points_dropped:
        console.print(f"{summary.points_dropped} points were not finite and were left out", highlight=False)


def _with_progress(drive: Path, out: Path, robot: Robot, console: Console) -> ImportSummary:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from perception_platform.bags.kitti_import import import_kitti_raw

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as bar:

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        return import_kitti_raw(drive, out, robot, show)
