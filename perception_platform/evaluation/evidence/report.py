"""Judge a candidate and write it down: ``report.html``, one file that needs nothing else, and ``report.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.gate import Judgement, judge
from perception_platform.evaluation.evidence.gate_file import Gate
from perception_platform.evaluation.evidence.results import Results
from perception_platform.evaluation.evidence.safety_case import Document, SafetyCase, examine
from perception_platform.evaluation.evidence.summary import summary, worst_runs

MOST_REPLAYS = 8


def write_report(
    gate: Gate,
    baseline: Results,
    candidate: Results,
    case: SafetyCase,
    documents: Mapping[str, Document],
    now_utc: datetime,
    out_dir: Path,
) -> tuple[Judgement, dict[str, Any]]:
    """Judge and report.

    Args:
        gate: what is asked.
        baseline: results of the version in use.
        candidate: results of the version that wants to be.
        case: the safety case that is bound to the figures.
        documents: further evidence by source; the judgement itself comes in as ``gate``.
        now_utc: by which evidence has an age.
        out_dir: where the two files go; it is made.

    Returns:
        The judgement, and what is in ``report.json``. The same results at the same time give the same bytes.

    Raises:
        InputError: if results are of another suite or a trace is malformed, or matplotlib is not installed.
    """
    try:
        from perception_platform.evaluation.evidence.page import Replay, page
    except ModuleNotFoundError as error:
        raise InputError("report", f"needs {error.name}: install the extra [view]") from error
    judgement = judge(gate, baseline, candidate)
    figures = summary(gate, baseline, candidate, judgement)
    states = examine(case, {**documents, "gate": Document(figures, candidate.made_utc)}, now_utc)
    worst = worst_runs(gate, baseline, candidate, MOST_REPLAYS)
    replays = [Replay(why, run, candidate.trace(run)) for why, run in worst]
    html = page(figures, candidate, replays, case, states)
    figures["worst"] = [{"why": r.why, **r.run.model_dump(mode="json")} for r in replays]
    figures["safety_case"] = {
        "title": case.title,
        "nodes": {name: asdict(state) for name, state in states.items()},
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "report.html").write_text(html, encoding="utf-8")
    (out_dir / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return judgement, figures
