"""``perception-platform replay``: a recording through the chain, in lockstep or through the live nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from perception_platform.cli.options import Rate
from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from perception_platform.replay.truth import WindowResult
    from perception_platform.robot.description import Robot

SHOWN_DIFFERENCES = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    bag: Annotated[Path, typer.Argument(help="MCAP file, .db3 file or rosbag2 folder.")],
    robot: Annotated[str, typer.Option(help="Name of a robot file, or a path to one.")],
    out: Annotated[Path, typer.Option(help="Folder for records, summary.json and timing.json.")],
    live: Annotated[bool, typer.Option("--live", help="Play it to the real nodes over DDS.")] = False,
    rate: Rate = 1.0,
    truth: Annotated[
        Path | None, typer.Option(help="Truth to hold the decisions against; truth.yaml beside the bag.")
    ] = None,
    save_reference: Annotated[
        bool, typer.Option("--save-reference", help="Keep this run as the recording's reference.")
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Write report.html and report.png, too.")] = False,
) -> None:
    """Run a recording through a robot's chain and record every detection, track and decision.

    In lockstep, the default, no clock is read: the same recording gives the same bytes twice. A truth.yaml and a
    reference/ beside the bag are held against the run; it exits with 1 when one of them does not agree.
    """
    from perception_platform.robot.load import load_robot

    console = Console()
    description = load_robot(robot)
    if not bag.exists():
        raise InputError(bag, "no such bag")
    truth_file = truth or _truth_beside(bag)
    with Progress(
        TextColumn("replaying"), BarColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("replay", total=1.0)
        if live:
            summary = _live(bag, robot, out, rate, lambda share: bar.update(task, completed=share))
        else:
            summary = _lockstep(bag, description, out, lambda share: bar.update(task, completed=share))
    console.print(_table(summary))
    passed = _hold_against_truth(out, truth_file, summary, console) if truth_file else True
    reference = (bag if bag.is_dir() else bag.parent) / "reference"
    if save_reference:
        _save_reference(out, reference, live, console)
    elif reference.is_dir() and not live:
        passed &= _hold_against_reference(reference, out, console)
    if report:
        _report(out, description, truth_file, console)
    if not passed:
        raise typer.Exit(1)


def _truth_beside(bag: Path) -> Path | None:
    beside = (bag if bag.is_dir() else bag.parent) / "truth.yaml"
    return beside if beside.is_file() else None


def _lockstep(bag: Path, robot: Robot, out: Path, on_progress: Any) -> dict[str, Any]:
    from perception_platform.perception.load import load_graph
    from perception_platform.replay.run import replay_lockstep

    return replay_lockstep(bag, robot, load_graph(robot), out, on_progress)


def _live(bag: Path, robot: str, out: Path, rate: float, on_progress: Any) -> dict[str, Any]:
    from perception_platform.bags.reader import span_ns
    from perception_platform.core.verdicts import Decision
    from perception_platform.nodes.live import LiveRun
    from perception_platform.nodes.live_replay import replay_live
    from perception_platform.replay.gate_journal import JOURNAL

    start_ns, end_ns = span_ns(bag)

    def hear(value: object, _sensor: str, _received_ns: int) -> None:
        if isinstance(value, Decision):
            on_progress((value.t_ns - start_ns) / max(end_ns - start_ns, 1))

    run = LiveRun(bag, robot, out / "log", rate=rate, journal=out / JOURNAL)
    summary, _ = replay_live(run, out, hear)
    return summary


def _table(summary: dict[str, Any]) -> Table:
    table = Table("what", "count", title=f"{summary['bag']}, {summary['mode']}", title_justify="left")
    table.add_row("frames in", str(summary["frames_in"]))
    table.add_row("frames processed", str(summary["frames_processed"]))
    for reason, count in summary["frames_dropped"].items():
        table.add_row(f"frames dropped: {reason.replace('_', ' ')}", str(count))
    for action, count in summary["decisions"].items():
        table.add_row(f"decisions: {action.replace('_', ' ')}", str(count))
    table.add_row("first stop", _or_none(summary["first_stop_t_s"], "s"))
    table.add_row("latency p50 / p99", f"{summary['latency_ms']['p50']} / {summary['latency_ms']['p99']} ms")
    table.add_row("times real time", str(summary["realtime_factor"]))
    table.add_row("digest", summary["digest"][:16])
    return table


def _or_none(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{value} {unit}"


def _hold_against_truth(out: Path, truth_file: Path, summary: dict[str, Any], console: Console) -> bool:
    from perception_platform.replay.truth import check_run, load_truth

    results = check_run(out / "decisions.jsonl", summary["start_ns"], load_truth(truth_file))
    for result in results:
        console.print(_window_line(result), highlight=False)
    return all(result.passed for result in results)


def _window_line(result: WindowResult) -> str:
    window = result.window
    verdict = "[green]held  [/]" if result.passed else "[red]BROKEN[/]"
    span = f"{window.from_s:6.2f} to {window.to_s:6.2f} s"
    return f"{verdict} {window.expect.replace('_', ' '):7} {span}  {result.text}  ({window.why})"


def _save_reference(out: Path, reference: Path, live: bool, console: Console) -> None:
    from perception_platform.replay.compare import save_reference

    if live:
        raise InputError("--save-reference", "a live run is no reference: its times differ from run to run")
    save_reference(out, reference)
    console.print(f"kept as {reference}: commit it alone, saying which figure moved and why")


def _hold_against_reference(reference: Path, out: Path, console: Console) -> bool:
    from perception_platform.replay.compare import compare_runs

    differences = compare_runs(reference, out)
    for difference in differences[:SHOWN_DIFFERENCES]:
        console.print(f"[red]CHANGED[/] {difference}", highlight=False)
    if len(differences) > SHOWN_DIFFERENCES:
        console.print(f"[red]CHANGED[/] and in {len(differences) - SHOWN_DIFFERENCES} more places")
    if not differences:
        console.print("[green]as in the reference[/]")
    return not differences


def _report(out: Path, robot: Robot, truth_file: Path | None, console: Console) -> None:
    from perception_platform.explain.report import write_report
    from perception_platform.replay.truth import load_truth

    windows = load_truth(truth_file).windows if truth_file else []
    console.print(f"report: {write_report(out, robot, out, windows=windows)}")
