"""``perception-platform gate``: ship, no-ship or not enough evidence, with a report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from perception_platform.evaluation.evidence.gate import Judgement
    from perception_platform.evaluation.evidence.safety_case import Document

SafetyCaseFile = Annotated[
    Path | None, typer.Option(help="Safety case; config/safety_case.yaml if left out.")
]
Evidence = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SOURCE=FILE", help="Further JSON that the safety case is bound to; may be given again."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gate)


def gate(
    suite: Annotated[str, typer.Argument(help="Gate by name, smoke or full, or a gate file of your own.")],
    baseline: Annotated[Path, typer.Option(help="Folder of results of the version in use.")],
    candidate: Annotated[Path, typer.Option(help="Folder of results of the version that wants to be.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")] = Path("run/gate"),
    safety_case: SafetyCaseFile = None,
    evidence: Evidence = None,
) -> None:
    """Decide whether a version may ship: exit code 0 ship, 1 no-ship, 2 not enough evidence.

    Both folders hold results.jsonl and manifest.json of the same suite. Each hazard has a bound that the counts have to
    prove, and one new failure in a critical stratum blocks. Missing, skipped and crashed cases are never passes; files
    that cannot be read are no evidence, and end with code 2, too. docs/evidence.md explains each figure.
    """
    decide(suite, baseline, candidate, out, safety_case, evidence)


def decide(
    suite: str,
    baseline: Path,
    candidate: Path,
    out: Path,
    safety_case: Path | None,
    evidence: list[str] | None,
) -> None:
    """Judge, report, show, and end the command with the verdict's exit code."""
    from perception_platform.evaluation.evidence.gate_file import load_gate
    from perception_platform.evaluation.evidence.report import write_report
    from perception_platform.evaluation.evidence.results import read_results
    from perception_platform.evaluation.evidence.safety_case import load_safety_case
    from perception_platform.robot.load import share_dir

    asked = load_gate(suite)
    case = load_safety_case(safety_case or share_dir() / "config" / "safety_case.yaml")
    documents, now_utc = _documents(evidence or []), datetime.now(UTC)
    before, after = read_results(baseline), read_results(candidate)
    judgement, figures = write_report(asked, before, after, case, documents, now_utc, out)
    _show(judgement, figures, out)
    raise typer.Exit(judgement.verdict.exit_code)


def _documents(given: list[str]) -> dict[str, Document]:
    """Further evidence by source; a file's age is that of its last change."""
    from perception_platform.evaluation.evidence.records import document
    from perception_platform.evaluation.evidence.safety_case import Document

    documents: dict[str, Document] = {}
    for text in given:
        source, equals, file = text.partition("=")
        if not (source and equals and file) or source == "gate" or source in documents:
            raise InputError("--evidence", f"{text!r} is not SOURCE=FILE with a source of its own")
        path = Path(file)
        content = document(path)
        documents[source] = Document(content, datetime.fromtimestamp(path.stat().st_mtime, UTC))
    return documents


def _show(judgement: Judgement, figures: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 120))
    lines = Table("verdict", "check", "of", "wanted", "found")
    for check in judgement.checks:
        lines.add_row(check.verdict, check.name, check.of, check.wanted, check.found)
    console.print(lines)
    nodes = figures["safety_case"]["nodes"]
    broken = [name for name, state in nodes.items() if not state["supported"]]
    said = f"not supported: {', '.join(broken)}" if broken else "supported"
    console.print(f"safety case: {said}", highlight=False)
    console.print(f"{out / 'report.html'}, {out / 'report.json'}", highlight=False, soft_wrap=True)
    console.print(f"[bold]{judgement.verdict}[/bold]", highlight=False)
