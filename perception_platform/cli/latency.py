"""``perception-platform latency``: where the time from capture to decision goes, in a run, a bag or a running stack."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from perception_platform.core.verdicts import Decision
    from perception_platform.runtime.latency import Decided, DecisionLatency, Latencies

WORST = 10
BAR_CELLS = 40
SHOWN_OFFSET_MS = 0.1  # smaller offsets of clocks say nothing
COLUMNS = ("p50", "p90", "p99", "max")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(latency)


def latency(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|BAG",
            help="Folder that a replay, demo or live run left, or a recording with /safety/decision "
            "(.mcap, .db3 or rosbag2 folder).",
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Listen to the running stack instead.")] = False,
    robot: Annotated[
        str | None,
        typer.Option(
            help="With --live: robot file that says how far to look for the stack; else this machine."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="With --live: how long to listen.")] = 10.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures there, too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them there, as PNG.")] = None,
) -> None:
    """Show what each part of the chain adds to a decision's latency.

    Parts of a stage: the way TO it, HAND-OVER (until the input lay ready),
    QUEUE (until work began), COMPUTE, PUBLISH; at the gate WAIT FOR BEAT in
    place of the queue. They add up in every decision.

    The headline, "new results", counts each sweep once, at the first decision
    that rests on it. The gate then decides on it again until the next one is
    there: "every decision" tells how old data gets.

    Of the worst decisions it names the cause: the part that is furthest above
    its own median, and garbage collection or a missing core (preemption) where
    these explain it. docs/latency.md says how to read it all.

    Of a live run these are measured times; of a lockstep run the declared ones.

    Examples:

    perception-platform latency run/demo --plot latency.png

    perception-platform latency --live --seconds 30 --json latency.json
    """
    from rich.console import Console

    from perception_platform.runtime.latency import measure

    _check_source(source, live, robot)
    console = Console()
    name = "the running stack" if source is None else str(source)
    decided = _listen(robot, seconds, console) if source is None else _read(source, console)
    latencies = measure(decided)
    if not latencies.decisions:
        why = ", ".join(f"{count} {what}" for what, count in latencies.left_out.items()) or "there is none"
        raise InputError(name, f"no decision with a known latency: {why}")
    figures = _figures(name, latencies)
    _show(figures, console)
    if json_file:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if plot:
        _plot(latencies, plot, console)


def _check_source(source: Path | None, live: bool, robot: str | None) -> None:
    """One source, and nothing that belongs to another.

    Raises:
        InputError: otherwise.
    """
    if live == (source is not None):
        raise InputError("latency", "give either a run or a bag, or --live")
    if robot and not live:
        raise InputError("--robot", "says how far to look for a running stack: it goes with --live")


# --- where decisions come from ------------------------------------------------------------------------------


def _read(source: Path, console: Console) -> list[Decided]:
    """The decisions of a run's folder or of a bag.

    Raises:
        InputError: if it is neither, or malformed.
    """
    from perception_platform.explain.run_files import decided, read_decisions

    file = source if source.name == "decisions.jsonl" else source / "decisions.jsonl"
    if file.is_file():
        return decided(read_decisions(file), file)
    if not source.exists():
        raise InputError(
            source, "no such run or bag; make one with perception-platform replay, see its --help"
        )
    return _read_bag(source, console)


def _read_bag(bag: Path, console: Console) -> list[Decided]:
    from perception_platform.bags.reader import bag_info, read_messages
    from perception_platform.messages.verdicts import decision_from_msg
    from perception_platform.ros.topics import TOPICS

    topic, info = TOPICS["decision"].name, bag_info(bag)
    if topic not in [known.topic for known in info.topics] or info.start_ns is None or info.end_ns is None:
        raise InputError(bag, f"has no {topic}: replay it first, perception-platform replay --help")
    start_ns, span_ns = info.start_ns, max(info.end_ns - info.start_ns, 1)
    skipped: Counter[str] = Counter()
    decisions: list[Decision] = []
    with _progress("reading", console) as bar:
        task = bar.add_task("reading", total=1.0)
        for record in read_messages(bag, [topic], skipped):
            bar.update(task, completed=(record.log_ns - start_ns) / span_ns)
            try:
                decisions.append(decision_from_msg(record.message))
            except InputError as error:
                skipped[str(error)] += 1
            except AttributeError as error:
                skipped[f"recorded with messages of another version: {error}"] += 1
    return _decided(str(bag), decisions, skipped, console)


def _listen(robot: str | None, seconds: float, console: Console) -> list[Decided]:
    from perception_platform.nodes.decision_listener import hear_decisions
    from perception_platform.robot.load import load_robot

    discovery = load_robot(robot).discovery if robot else "localhost"
    skipped: Counter[str] = Counter()
    with _progress("listening", console) as bar:
        task = bar.add_task("listening", total=seconds)
        decisions = hear_decisions(
            seconds,
            discovery,
            lambda since_s, count: bar.update(task, completed=since_s, description=f"{count} decisions"),
            skipped,
        )
    return _decided("/safety/decision", decisions, skipped, console)


def _decided(
    source: str, decisions: list[Decision], skipped: Counter[str], console: Console
) -> list[Decided]:
    """Of what could be read; says what could not.

    Raises:
        InputError: if nothing could.
    """
    from perception_platform.runtime.latency import Decided

    if skipped and not decisions:
        raise InputError(source, f"no decision can be read: {next(iter(skipped))}")
    for why, count in skipped.items():
        console.print(f"left out {count} decisions: {why}", style="yellow", markup=False)
    return [Decided(decision.t_ns, decision.lineage) for decision in decisions]


@contextmanager
def _progress(what: str, console: Console) -> Iterator[Progress]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield bar


# --- what is told of them -----------------------------------------------------------------------------------


def _figures(source: str, latencies: Latencies) -> dict[str, Any]:
    """All that is shown, written and compared."""
    from perception_platform.runtime.latency import by_part, histogram, percentiles, worst
    from perception_platform.runtime.latency_causes import cause, usual

    new, medians = latencies.new, usual(latencies.decisions)
    totals_ms = [decision.total_ms for decision in new]
    parts = {part.name: samples for part, samples in by_part(new).items() if max(samples) > 0}

    def tell(decision: DecisionLatency) -> dict[str, Any]:
        found = cause(decision, medians)
        return {
            "t_ns": decision.t_ns,
            "at_s": round((decision.t_ns - latencies.decisions[0].t_ns) / 1e9, 3),
            "total": round(decision.total_ms, 3),
            "cause": found.kind,
            "text": found.text,
            "parts": {part.name: round(spent, 3) for part, spent in decision.parts_ms.items()},
        }

    return {
        "source": source,
        "unit": "ms",
        "new_results": percentiles(totals_ms),
        "every_decision": percentiles([decision.total_ms for decision in latencies.decisions]),
        "left_out": latencies.left_out,
        "parts": {name: percentiles(samples) for name, samples in parts.items()},
        "clock_behind_at_least": {stage: round(ms, 3) for stage, ms in latencies.clocks_ms.items()},
        "histogram": [{"from": low, "to": high, "count": n} for low, high, n in histogram(totals_ms)],
        "worst": [tell(decision) for decision in worst(new, WORST)],
    }


def _show(figures: dict[str, Any], console: Console) -> None:
    console.print(_parts_table(figures))
    console.print(_histogram_table(figures["histogram"]))
    console.print(_worst_table(figures["worst"]))
    for line in _notes(figures):
        console.print(line, highlight=False, markup=False)


def _parts_table(figures: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(
        "part, ms",
        *COLUMNS,
        "number",
        title=f"from capture to decision: {figures['source']}",
        title_justify="left",
    )
    totals = {
        "[bold]total, new results[/]": figures["new_results"],
        "total, every decision": figures["every_decision"],
    }
    for i, (name, row) in enumerate((*figures["parts"].items(), *totals.items())):
        last_part = i == len(figures["parts"]) - 1
        numbers = (f"{row[column]:.1f}" for column in COLUMNS)
        table.add_row(name, *numbers, str(row["samples"]), end_section=last_part)
    table.caption = "parts add up in each decision, their percentiles do not"
    return table


def _histogram_table(bins: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    most = max(row["count"] for row in bins)
    table = Table("new results, ms", "number", "", box=None)
    for row in bins:
        cells = round(BAR_CELLS * row["count"] / most)
        bar = "█" * cells or ("▏" if row["count"] else "")
        table.add_row(f"{row['from']:g} to {row['to']:g}", str(row["count"]), bar)
    return table


def _worst_table(slowest: list[dict[str, Any]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("at, s", "latency, ms", "cause", "in words", title="the worst", title_justify="left")
    for row in slowest:
        table.add_row(f"{row['at_s']:.2f}", f"{row['total']:.1f}", row["cause"], escape(row["text"]))
    return table


def _notes(figures: dict[str, Any]) -> list[str]:
    notes = [f"left out: {count} decisions {why}" for why, count in figures["left_out"].items()]
    for stage, behind_ms in figures["clock_behind_at_least"].items():
        if abs(behind_ms) >= SHOWN_OFFSET_MS:
            side = "behind" if behind_ms > 0 else "ahead of"
            notes.append(
                f"clock of {stage}: at least {abs(behind_ms):.1f} ms {side} that of the sensors; times are corrected"
            )
    return notes


def _plot(latencies: Latencies, path: Path, console: Console) -> None:
    from perception_platform.runtime.latency import worst

    try:
        from perception_platform.explain.latency import draw_latency
    except ModuleNotFoundError as error:
        raise InputError("--plot", f"needs {error.name}: install the extra [view]") from error
    draw_latency(latencies, worst(latencies.new, WORST), path)
    console.print(f"drawn: {path}", markup=False, highlight=False, soft_wrap=True)
