"""``perception-platform bench``: how fast parts of the platform are on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

_commands = typer.Typer(help="Measure speed on this machine.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="bench")


@_commands.callback()
def group() -> None:
    """Measure speed on this machine."""


@_commands.command()
def tracking(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up scenes.")] = 0,
) -> None:
    """Time the tracker a frame, for growing numbers of objects, next to the plain baseline."""
    from perception_platform.evaluation.track_bench import bench_tracking

    rows = bench_tracking(seed)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    from rich.console import Console
    from rich.table import Table

    table = Table("tracker", "objects", "p50", "p99", "frames/s", "samples", "times the baseline's speed")
    for row in rows:
        table.add_row(
            row["tracker"],
            str(row["objects"]),
            f"{row['p50_ms']:.2f} ms",
            f"{row['p99_ms']:.2f} ms",
            f"{row['frames_per_s']:.0f}",
            str(row["samples"]),
            f"{row['speed_against_baseline']:.2f}",
        )
    Console().print(table)
