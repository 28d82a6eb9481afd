"""``perception-platform scenarios``: families of situations, driven in a closed loop and searched for failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from perception_platform.scenarios.cases import Case
    from perception_platform.scenarios.description import Family

_commands = typer.Typer(
    help="Drive families of situations in simulation, and look for failures.", no_args_is_help=True
)

Folder = Annotated[
    Path | None,
    typer.Option("--families", help="Folder of scenario files; those of the package if left out."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn: the same seed gives the same bytes.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes on this machine.")]
Dask = Annotated[str | None, typer.Option(help="Address of a Dask scheduler, e.g. tcp://host:8786.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="scenarios")


@_commands.callback()
def group() -> None:
    """Drive families of situations in simulation, and look for failures (docs/scenarios.md)."""


@_commands.command("list")
def list_families(families: Folder = None, as_json: AsJson = False) -> None:
    """List all families: their hazard, robot, domain, and whether a stop is expected."""
    from rich.console import Console
    from rich.table import Table

    from perception_platform.scenarios.load import load_families

    found = load_families(families).values()
    if as_json:
        keys = ("family", "title", "hazard", "robot", "tags", "in_domain", "stop_expected")
        _print_json([{key: getattr(family, key) for key in keys} for family in found])
        return
    table = Table("family", "hazard", "robot", "stop", "domain", "what happens")
    for f in found:
        stop, domain = "expected" if f.stop_expected else "wrong", "partly" if f.domain else "inside"
        table.add_row(f.family, f.hazard, f.robot, stop, domain if f.in_domain else "outside", f.title)
    Console().print(table)


@_commands.command()
def show(
    family: Annotated[str, typer.Argument(help="Name of a family.")],
    index: Annotated[int, typer.Option(min=0, help="Which random case of it.")] = 0,
    seed: Seed = 0,
    regression: Annotated[str | None, typer.Option(help="Id of a kept failure of it instead.")] = None,
    policy: Annotated[
        str, typer.Option(help="Who drives: ours, fixed_field, autoware_aeb or none.")
    ] = "ours",
    plot: Annotated[Path | None, typer.Option(help="Draw the run from above into this PNG.")] = None,
    families: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Drive one case of a family and tell what happened, with its values; draw it with --plot."""
    from perception_platform.scenarios.cases import draw
    from perception_platform.scenarios.job import Job, run_job
    from perception_platform.scenarios.load import choose, load_families, load_regressions

    known = load_families(families)
    (description,) = choose(known, [family])
    case = draw(description, seed, index)
    if regression is not None:
        case = _named(load_regressions(known), regression)
    result = run_job(Job(case, _policies([policy])[0], trace=True))
    if plot is not None and result.trace:
        from perception_platform.scenarios.plot import plot_trace

        plot_trace(result.trace, result.line, description.title, plot)
    if as_json:
        _print_json(result.line)
        return
    _show_result(description, result.line)
    if plot is not None and result.trace:
        typer.echo(f"drawn: {plot}")


@_commands.command()
def run(
    out: Annotated[Path, typer.Option(help="Folder for results.jsonl, manifest.json and traces.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[FAMILY]...", help="Families; all if left out.")
    ] = None,
    runs: Annotated[int, typer.Option(min=0, help="Random cases of each family.")] = 5,
    seed: Seed = 0,
    policy: Annotated[
        list[str] | None, typer.Option(help="Who drives; all four if left out. May be repeated.")
    ] = None,
    regressions: Annotated[bool, typer.Option(help="Run the kept failures of these families, too.")] = True,
    traces: Annotated[
        Literal["none", "failures", "all"], typer.Option(help="Which runs leave lines for pictures.")
    ] = "failures",
    workers: Workers = 1,
    dask: Dask = None,
    families: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Drive random cases with every policy, on the same perception, and write what happened.

    Give the same command again after it was cut short: what is there is not run twice. One process, several or a
    cluster write the same bytes.
    """
    from rich.console import Console

    from perception_platform.scenarios.load import choose, load_families, load_regressions
    from perception_platform.scenarios.runners import runner_for
    from perception_platform.scenarios.suite import Suite, random_cases, run_suite, summary

    known = load_families(families)
    chosen = choose(known, names or [])
    wanted = {family.family for family in chosen}
    kept = [c for c in load_regressions(known) if c.family.family in wanted] if regressions else []
    suite = Suite(
        "+".join(names or ["all"]),
        (*random_cases(chosen, runs, seed), *kept),
        _policies(policy or []),
        traces,
    )
    console = Console(stderr=as_json)
    with _bar(console) as bar:
        task = bar.add_task("runs", total=len(suite.jobs()))
        lines = run_suite(suite, out, runner_for(workers, dask), lambda result: bar.update(task, advance=1))
    if as_json:
        _print_json(summary(lines))
        return
    _show_summary(summary(lines), console)
    console.print(f"{out / 'results.jsonl'}: {len(lines)} runs", highlight=False)


@_commands.command()
def search(
    family: Annotated[str, typer.Argument(help="Name of a family.")],
    out: Annotated[Path, typer.Option(help="JSON file for what was found.")],
    budget: Annotated[int, typer.Option(min=20, help="Runs to spend.")] = 200,
    seed: Seed = 0,
    policy: Annotated[str, typer.Option(help="Who drives.")] = "ours",
    save: Annotated[bool, typer.Option(help="Keep the smallest failures as regression cases.")] = False,
    in_domain: Annotated[bool, typer.Option(help="Search only where the stack claims to work.")] = True,
    workers: Workers = 1,
    dask: Dask = None,
    families: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Look for collisions in a family's ranges, estimate how likely they are, and make each as small as can be.

    A cross-entropy search moves a sampling distribution towards collisions; the estimate weighs its samples by how
    likely the family's own distribution makes them. Half of the budget is drawn from that one, for an exact bound.
    """
    from rich.console import Console

    from perception_platform.scenarios.load import choose, load_families, scenarios_dir
    from perception_platform.scenarios.runners import runner_for
    from perception_platform.scenarios.search import SearchOptions, keep, search_family

    (description,) = choose(load_families(families), [family])
    options = SearchOptions(budget, seed, _policies([policy])[0], in_domain)
    console = Console(stderr=as_json)
    with _bar(console) as bar:
        task = bar.add_task("search", total=budget)
        report = search_family(
            description, options, runner_for(workers, dask), lambda n: bar.update(task, advance=n)
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    paths = (
        [keep(case, found, scenarios_dir() / "regressions") for case, found in report.minimal] if save else []
    )
    if as_json:
        _print_json(report.as_json())
        return
    for line in (*report.text(), *(f"kept: {path}" for path in paths)):
        console.print(line, highlight=False)


def _policies(names: Sequence[str]) -> tuple[Any, ...]:
    from perception_platform.scenarios.policies import chosen

    try:
        return tuple(chosen(list(names)))
    except ValueError as error:
        raise InputError("--policy", str(error)) from error


def _named(cases: Sequence[Case], case_id: str) -> Case:
    for case in cases:
        if case.id == case_id:
            return case
    raise InputError(
        "--regression", f"no kept failure {case_id!r}; there are {', '.join(c.id for c in cases) or 'none'}"
    )


def _bar(console: Console) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def _show_result(family: Family, line: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("what", "value", title=f"{line['case']}: {family.title}", title_justify="left")
    for name, value in {**line["parameters"], **line["events"]}.items():
        table.add_row(name.replace("_", " "), "none" if value is None else str(value))
    for name in ("policy", "outcome", "in_domain", "stop_expected"):
        table.add_row(name.replace("_", " "), str(line[name]))
    console.print(table)


def _show_summary(table: dict[str, dict[str, Any]], console: Console) -> None:
    from rich.table import Table

    columns = list(next(iter(table.values()), {}))
    shown = Table("policy", *(column.replace("_", " ") for column in columns))
    for policy, row in table.items():
        shown.add_row(policy, *(str(row[column]) for column in columns))
    console.print(shown)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))
