"""``perception-platform evaluate smoke`` and ``full``: drive a suite of scenarios, then judge and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perception_platform.cli.gate import Evidence, SafetyCaseFile, decide
from perception_platform.cli.scenarios import Dask, Workers, progress_bar

Out = Annotated[Path, typer.Option(help="Folder for results, traces and report.")]
Baseline = Annotated[
    Path | None,
    typer.Option(
        help="Results of the version in use; compared with itself if left out, which shows no regression."
    ),
]


def smoke(
    out: Out = Path("run/smoke"),
    baseline: Baseline = None,
    safety_case: SafetyCaseFile = None,
    evidence: Evidence = None,
    workers: Workers = 1,
    dask: Dask = None,
) -> None:
    """Drive one case of each scenario family and judge it by the gate smoke: for every change, in under 3 minutes.

    Exit codes as of `perception-platform gate`. Give the same command again after it was cut short to go on.
    """
    _evaluate("smoke", out, baseline, safety_case, evidence, workers, dask)


def full(
    out: Out = Path("run/full"),
    baseline: Baseline = None,
    safety_case: SafetyCaseFile = None,
    evidence: Evidence = None,
    workers: Workers = 1,
    dask: Dask = None,
) -> None:
    """Drive all families and all baselines, and judge by the gate full: for a release; hours on one core.

    Exit codes as of `perception-platform gate`. Give the same command again after it was cut short to go on.
    """
    _evaluate("full", out, baseline, safety_case, evidence, workers, dask)


def _evaluate(
    name: str,
    out: Path,
    baseline: Path | None,
    safety_case: Path | None,
    evidence: list[str] | None,
    workers: int,
    dask: str | None,
) -> None:
    from perception_platform.evaluation.evidence.suites import load_suite
    from perception_platform.scenarios.runners import runner_for
    from perception_platform.scenarios.suite import run_suite

    suite = load_suite(name)
    with progress_bar(Console()) as bar:
        task = bar.add_task("runs", total=len(suite.jobs()))
        run_suite(suite, out, runner_for(workers, dask), lambda result: bar.update(task, advance=1))
    decide(name, baseline or out, out, out, safety_case, evidence)
