"""``perception-platform bench faults``: whether the robot stays safe when its processes die, hang, lie or drown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

QUICK_TRIES, QUICK_LOAD_S, LOAD_S = 5, 10.0, 60.0


def faults(
    only: Annotated[
        list[str] | None,
        typer.Option(help="Key of a fault to try, as in the table; may be given several times."),
    ] = None,
    times: Annotated[
        int | None,
        typer.Option(min=1, help="How often to try each fault; by default 100 times where it is quick."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Five tries of each fault, and 10 s of overload in place of 60 s.")
    ] = False,
    pace: Annotated[
        float,
        typer.Option(
            min=0.5,
            max=4,
            help="Run its sensors and gate so many times as fast as amr's, its time-outs shorter.",
        ),
    ] = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the tries, and of their moments.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Break a running robot on purpose, many times, and check what its base would see.

    The robot's own processes run over DDS on this machine alone. Each try begins with a robot that drives; then a
    process is killed or stopped, stamps lie, load is piled on. The decisions that follow have to be safe within the
    declared bound, and the robot has to drive again by itself. The machine should have nothing else to do; it takes
    about ten minutes. Exit code 1 if any try was unsafe or did not recover, a message is unaccounted for, or memory
    grows.
    """
    from rich.console import Console
    from rich.progress import Progress

    from perception_platform.bench.faults.bench import Effort, bench_faults, failures

    effort = Effort(times or (QUICK_TRIES if quick else None), QUICK_LOAD_S if quick else LOAD_S)
    with Progress(transient=True) as bar:
        task = bar.add_task("faults")
        report = bench_faults(
            pace,
            seed,
            only or (),
            effort,
            lambda done, total, what: bar.update(task, description=what, completed=done, total=total),
        )
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console = Console()
    console.print(_table(report["faults"]))
    wrong = {row["fault"]: failures(row) for row in report["faults"]}
    for key, texts in wrong.items():
        for text in texts:
            console.print(f"{key}: {text}", highlight=False, markup=False)
    if any(wrong.values()):
        raise typer.Exit(1)


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("fault", "safe", "to safe, s", "bound", "recovered", "after, s", "memory", "unaccounted")
    for row in rows:
        age = "age " if row["measures"] == "age of data" else ""
        table.add_row(
            row["fault"],
            f"{row['safe']} of {row['tries']}",
            age + _spread(row, "measured"),
            f"{row['bound_s']:.2f}",
            str(row["recovered"]),
            _spread(row, "recovery"),
            f"{row['grown_bytes'] / (1 << 20):+.1f} MiB",
            str(row["unaccounted"]),
        )
    table.caption = "times: median / longest; age: of the oldest data that the robot drove on"
    return table


def _spread(row: dict[str, Any], name: str) -> str:
    p50_s, max_s = row[f"{name}_p50_s"], row[f"{name}_max_s"]
    return "-" if p50_s is None else f"{p50_s:.2f} / {max_s:.2f}"
