"""``perception-platform bench simulation`` and ``bench scale``: how fast scenarios run on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")]


def simulation(
    runs: Annotated[int, typer.Option(min=1, help="Drives through the crowd.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the crowds.")] = 0,
    json_file: JsonFile = None,
) -> None:
    """Time the simulation of a 32-beam lidar among 15 walking people on one core, against real time.

    Beside it stands the factor of the whole closed loop: the same drives with perception, tracker, risk and gate.
    """
    from perception_platform.scenarios.bench import bench_simulation

    report = _with_bar("simulation", runs, lambda step: bench_simulation(runs, seed, step))
    _write(report, json_file)
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "times real time, p50", "p1", "drives")
    for name, row in report["times_real_time"].items():
        table.add_row(name.replace("_", " "), f"{row['p50']:.1f}", f"{row['p1']:.1f}", str(row["samples"]))
    Console().print(table)


def scale(
    runs: Annotated[int, typer.Option(min=2, help="Jobs for each number of processes.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Of the cases.")] = 0,
    json_file: JsonFile = None,
) -> None:
    """Time the same scenario runs by one worker process and by two, and say what a million a night takes."""
    from perception_platform.scenarios.bench import bench_scale

    report = _with_bar("scale", 2 * runs, lambda step: bench_scale(runs, seed, step))
    _write(report, json_file)
    from rich.console import Console

    cost, night = report["processor_s_per_run"], report["a_million_a_night"]
    for line in (
        f"{report['runs']} runs: {report['wall_s']['1']} s by one process, {report['wall_s']['2']} s by two",
        f"efficiency of two: {report['efficiency']}",
        f"processor time of a run: {cost['mean']} s on average, p50 {cost['p50']}, p99 {cost['p99']}",
        f"a million in {night['hours']:.0f} hours: {night['core_hours']} core hours, {night['cores']} cores",
    ):
        Console().print(line, highlight=False)


def _with_bar(name: str, total: int, measure: Any) -> dict[str, Any]:
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task(name, total=total)
        report: dict[str, Any] = measure(lambda: bar.update(task, advance=1))
    return report


def _write(report: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
