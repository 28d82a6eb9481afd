"""``perception-platform bench risk``: is the risk stage in time, quiet and quick?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

OnProgress = Callable[[float], None]


def risk(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
    kitti_tracking: Annotated[
        Path | None,
        typer.Option(
            help="Folder laid out as KITTI tracking (seqmap.txt, detections_3d, ego_pose, label_02): human driving, in "
            "which every emergency stop is false. They are counted beside two plain rules.",
        ),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="Folder of recordings with truth.yaml, such as rosbags: Nav2's four gates are asked."
        ),
    ] = None,
    grid: Annotated[bool, typer.Option(help="Run the grid of cases with closed-form truth.")] = True,
    robot: Annotated[str, typer.Option(help="Robot file or name whose zones are timed.")] = "amr",
    samples: Annotated[int, typer.Option(min=10, help="Looks that are timed for each size.")] = 200,
    plot: Annotated[
        Path | None,
        typer.Option(help="With --kitti-tracking: PNG of gaps and times to collision against labels."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up halls that are timed.")] = 0,
) -> None:
    """Time looks of the risk stage and the gate's proof of an escape; judge stops: late, false, on human driving.

    Exit code 1 if the grid shows a late stop or a false one in a hundred, or a gate of the recordings is missed.
    docs/risk.md says how each figure is measured.
    """
    from rich.console import Console

    report: dict[str, Any] = {}
    if kitti_tracking:
        report["kitti_tracking"] = _with_bar("driving", lambda on: _kitti(kitti_tracking, plot, on))
    if recordings:
        from perception_platform.evaluation.risk_recordings import judge_recordings

        report["recordings"] = _with_bar("recordings", lambda on: judge_recordings(recordings, on))
    if grid:
        from perception_platform.evaluation.risk_grid import judge_grid

        report["grid"] = _with_bar("grid", judge_grid)
    report |= _with_bar("timing", lambda _on: _cost(robot, samples, seed))
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _show(report, Console())
    broken = _broken(report)
    for line in broken:
        Console().print(line, style="red")
    if broken:
        raise typer.Exit(1)


def _with_bar(what: str, work: Callable[[OnProgress], Any]) -> Any:
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        return work(lambda share: bar.update(task, completed=share))


def _cost(robot: str, samples: int, seed: int) -> dict[str, Any]:
    from perception_platform.evaluation.risk_bench import bench_approach, bench_cost, bench_escape

    return {
        "cost": bench_cost(robot, samples, seed),
        "approach": bench_approach(robot, samples, seed),
        "escape": bench_escape(robot, samples, seed),
    }


def _kitti(folder: Path, plot: Path | None, on_progress: OnProgress) -> dict[str, Any]:
    from perception_platform.evaluation.kitti_risk import judge_kitti

    report, lead = judge_kitti(folder, on_progress)
    if plot:
        from perception_platform.evaluation.risk_plots import plot_lead

        plot_lead(lead, plot)
    return report


def _broken(report: dict[str, Any]) -> list[str]:
    """What must not be."""
    grid = report.get("grid", {})
    gates = report.get("recordings", {}).get("met", {})
    lines = [f"{grid['late']} late stops on the grid"] if grid.get("late") else []
    if grid.get("false_rate", 0.0) >= 0.01:
        lines.append(f"{100 * grid['false_rate']:.2f} % false stops on the grid")
    return [*lines, *(f"recordings: {name} is missed" for name, met in gates.items() if not met)]


def _show(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table(
        "objects", "points", "p50", "p99", "samples", "of Nav2's 4.9 ms", title="a look of the risk stage"
    )
    for row in report["cost"]:
        figures = (f"{row['p50_ms']:.2f} ms", f"{row['p99_ms']:.2f} ms", str(row["samples"]))
        table.add_row(str(row["objects"]), str(row["points"]), *figures, f"{row['against_nav2']:.2f}")
    console.print(table)
    a = report["approach"]
    console.print(
        f"action approach, {a['points']} points: p50 {a['p50_ms']:.2f} ms, p99 {a['p99_ms']:.2f} ms, "
        f"{a['samples']} samples, {a['against_nav2']:.2f} of Nav2's 20.7 ms",
        highlight=False,
    )
    for row in report["escape"]:
        console.print(
            f"gate's beat that proves an escape, {row['points']} points: p50 {row['p50_ms']:.2f} ms, p99 "
            f"{row['p99_ms']:.2f} ms, worst {row['worst_ms']:.2f} ms of {row['samples']}, "
            f"{row['worst_of_period']:.2f} of the period",
            highlight=False,
        )
    if "grid" in report:
        g = report["grid"]
        console.print(
            f"grid: {g['cases']} cases; late stops {g['late']} of {g['avoidable']} (at most "
            f"{100 * g['late_rate_at_most']:.2f} %), false stops {g['false']} of {g['harmless']} (at most "
            f"{100 * g['false_rate_at_most']:.2f} %)",
            highlight=False,
        )
    if "kitti_tracking" in report:
        _show_kitti(report["kitti_tracking"], console)
    for name, value in report.get("recordings", {}).get("worst", {}).items():
        console.print(f"recordings: {name} {value:.3f}", highlight=False)


def _show_kitti(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table(
        "rule", "emergency stops", "a minute", "frames", title=f"{report['minutes']} min of human driving"
    )
    for name, row in report["rules"].items():
        table.add_row(name, str(row["emergency_stops"]), f"{row['per_minute']:.2f}", str(row["frames"]))
    console.print(table)
    lead = report["lead"]
    console.print(
        f"what is ahead: median error of the gap {lead['gap_error_m']['median']} m in {lead['moments']} moments, of "
        f"the time to collision {lead['ttc_error_s']['median']} s in {lead['moments_with_ttc_below_10_s']} below 10 s",
        highlight=False,
    )
