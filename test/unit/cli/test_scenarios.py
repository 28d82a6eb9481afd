"""The scenarios command: what people and programs see, and what a wrong request is answered with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from test.unit.scenarios.families import described


@pytest.fixture
def families(tmp_path: Path) -> str:
    folder = tmp_path / "families"
    folder.mkdir()
    (folder / "block_ahead.yaml").write_text(yaml.safe_dump(described()))
    return str(folder)


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["scenarios", *arguments], env={"COLUMNS": "160"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_families_are_listed_for_people_and_programs(families):
    assert "A block stands in the way" in call("list", "--families", families)
    (row,) = json.loads(call("list", "--families", families, "--json"))
    assert row["family"] == "block_ahead"
    assert row["stop_expected"] is True


def test_one_case_is_shown_and_drawn(families, tmp_path):
    plot = tmp_path / "one.png"
    shown = ("show", "block_ahead", "--families", families, "--policy", "none")
    line = json.loads(call(*shown, "--json", "--plot", str(plot)))
    assert line["outcome"] == "collision"
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = call(*shown, "--index", "3")
    assert "collision" in text
    assert "block_ahead-3-" in text


def test_runs_leave_results_and_a_summary(families, tmp_path):
    out = tmp_path / "out"
    arguments = ("run", "--families", families, "--runs", "2", "--policy", "none", "--out", str(out))
    table = json.loads(call(*arguments, "--json"))
    assert table["none"]["runs"] == 2
    assert len((out / "results.jsonl").read_text().splitlines()) == 2
    assert len(list((out / "traces").iterdir())) == 2
    assert "2 runs" in call(*arguments)


def test_a_search_tells_what_it_found(families, tmp_path):
    out = tmp_path / "found.json"
    arguments = ("search", "block_ahead", "--families", families, "--policy", "none", "--budget", "20")
    text = call(*arguments, "--out", str(out))
    report = json.loads(out.read_text())
    assert report["failures"] == 20
    assert report["probability"]["exact"]["high"] == 1.0
    assert "smallest failure block_ahead-" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "block_beyond"), "block_beyond: no such family; there are block_ahead"),
        (("show", "block_ahead", "--policy", "brave"), "no such policy"),
        (("show", "block_ahead", "--regression", "x"), "no kept failure 'x'"),
    ],
)
def test_a_wrong_request_is_one_clear_line(families, arguments, told):
    with pytest.raises(InputError, match=told):
        call(*arguments, "--families", families)
