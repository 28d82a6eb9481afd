"""The smoke suite, whole: driven in the closed loop, judged and reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.evaluation.evidence.results import read_results
from perception_platform.evaluation.evidence.suites import load_suite


@pytest.mark.timeout(900)
def test_the_smoke_suite_is_driven_judged_and_reported(tmp_path: Path) -> None:
    out = tmp_path / "smoke"
    found = CliRunner().invoke(app, ["evaluate", "smoke", "--out", str(out), "--workers", "2"])
    figures = json.loads((out / "report.json").read_text())
    assert found.exit_code == figures["exit_code"], found.output
    assert figures["completeness"]["unfinished"] == 0
    assert len(read_results(out).runs) == len(load_suite("smoke").jobs())
    assert "replay-time" in (out / "report.html").read_text(encoding="utf-8")
