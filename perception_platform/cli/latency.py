"""``perception-platform latency``: where the time from capture to decision went in a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from perception_platform.runtime.latency import Parts

WORST = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(latency)


def latency(
    run: Annotated[Path, typer.Argument(help="Folder of a run: what replay, demo or a live run left.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there, too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them there, as PNG.")] = None,
) -> None:
    """Show what each part of the chain adds to a decision's latency, and the worst decisions with their cause.

    Of a live run these are measured times; of a lockstep run the declared ones.
    """
    from rich.console import Console

    from perception_platform.runtime.latency import by_part, percentiles, worst

    decisions = read_parts(run / "decisions.jsonl")
    total = percentiles([d.total_ms for d in decisions])
    parts = by_part(decisions)
    slowest = worst(decisions, WORST)
    console = Console()
    console.print(_parts_table(total, parts))
    console.print(_worst_table(slowest, decisions[0].t_ns))
    if json_file:
        figures = {"unit": "ms", "total": total, "parts": parts, "worst": [_as_json(d) for d in slowest]}
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if plot:
        from perception_platform.explain.latency import draw_latency

        draw_latency(decisions, plot)
        console.print(f"drawn: {plot}")


def read_parts(decisions_file: Path) -> list[Parts]:
    """The latency in parts of each decision of a run that rests on sensor data.

    Raises:
        InputError: if there is no such file, it is malformed, or no decision rests on sensor data.
    """
    from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
    from perception_platform.runtime.latency import split

    if not decisions_file.is_file():
        raise InputError(
            decisions_file, "no such file; replay a bag first: perception-platform replay --help"
        )
    try:
        lines = decisions_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(decisions_file, f"cannot be read: {error}") from error
    found = []
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            sources = tuple(SourceStamp(**source) for source in line["lineage"]["sources"])
            stages = tuple(StageTiming(**stage) for stage in line["lineage"]["stages"])
            found.append(split(Lineage(sources, stages), line["t_ns"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(decisions_file, f"not a decision: {error}", f"line {number}") from error
    decisions = [parts for parts in found if parts is not None]
    if not decisions:
        raise InputError(decisions_file, "no decision in it rests on sensor data")
    return decisions


def _parts_table(total: dict[str, Any], parts: dict[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(
        "part, ms", "p50", "p90", "p99", "max", title="from capture to decision", title_justify="left"
    )
    for name, figures in (*parts.items(), ("[bold]total[/]", total)):
        table.add_row(name, *(f"{figures[column]:.1f}" for column in ("p50", "p90", "p99", "max")))
    table.caption = f"{total['samples']} decisions; parts add up in each decision, their percentiles do not"
    return table


def _worst_table(slowest: list[Parts], start_ns: int) -> Table:
    from rich.table import Table

    table = Table("at, s", "latency, ms", "most of it", title="the worst", title_justify="left")
    for decision in slowest:
        cause = f"{decision.largest}, {decision.parts_ms[decision.largest]:.1f} ms"
        table.add_row(f"{(decision.t_ns - start_ns) / 1e9:.2f}", f"{decision.total_ms:.1f}", cause)
    return table


def _as_json(decision: Parts) -> dict[str, Any]:
    parts = {name: round(value, 3) for name, value in decision.parts_ms.items()}
    return {
        "t_ns": decision.t_ns,
        "total": round(decision.total_ms, 3),
        "largest": decision.largest,
        "parts": parts,
    }
