"""``perception-platform explain``: a decision made again from its own inputs is the same, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.perception.load import load_graph
from perception_platform.replay.run import replay_lockstep
from perception_platform.robot.load import load_robot, share_dir

BAG = share_dir() / "rosbags" / "amr_person" / "amr_person.mcap"
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("run")
    robot = load_robot("amr")
    replay_lockstep(BAG, robot, load_graph(robot), out_dir)
    return out_dir


def lines(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "decisions.jsonl").read_text().splitlines()]


def told(tmp_path: Path, *arguments: object) -> tuple[dict[str, Any], str, int]:
    out = tmp_path / "why.json"
    result = RUNNER.invoke(app, ["explain", *map(str, arguments), "--json", str(out)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(out.read_text()), result.output, result.exit_code


def first(run_dir: Path, **wanted: str) -> dict[str, Any]:
    return next(line for line in lines(run_dir) if all(line[k] == v for k, v in wanted.items()))


@pytest.mark.parametrize("action", ["proceed", "limit", "stop", "emergency_stop"])
def test_a_decision_of_a_run_is_made_again_byte_for_byte(run_dir: Path, tmp_path: Path, action: str) -> None:
    line = first(run_dir, action=action)
    why, said, code = told(tmp_path, run_dir, "--decision", line["sequence"])
    assert code == 0
    assert why["same_when_made_again"]
    assert why["same_as_recorded"]
    assert why["decision"] == line
    assert "byte for byte" in said


def test_without_the_person_the_robot_would_have_driven_on(run_dir: Path, tmp_path: Path) -> None:
    line = first(run_dir, state="stopped")
    why, said, _ = told(tmp_path, run_dir, "--decision", line["sequence"])
    assert why["object"]["track_ids"]
    assert why["object"]["points"] > 50
    assert why["without_object"]["action"] in ("proceed", "limit")
    assert f"without track {why['object']['track_ids'][0]}" in said
    distance = next(flip for flip in why["flips"] if flip["quantity"] == "distance")
    assert 0 < distance["change"] < 3
    assert distance["becomes"]["action"] == "limit"


def test_of_free_driving_it_says_what_would_have_ended_it(run_dir: Path, tmp_path: Path) -> None:
    line = [line for line in lines(run_dir) if line["action"] == "proceed" and line["t_ns"] % 10**9][60]
    why, _, _ = told(tmp_path, run_dir, "--decision", line["sequence"])
    assert why["without_object"] is None
    latency = next(flip for flip in why["flips"] if flip["quantity"] == "latency")
    assert latency["change"] == pytest.approx(0.3 - line["latency_ms"] / 1e3, abs=0.01)  # the robot's bound
    assert latency["becomes"]["action"] == "limit"


def test_a_recording_alone_will_do(tmp_path: Path, run_dir: Path) -> None:
    why, said, code = told(tmp_path, BAG, "--robot", "amr", "--time", "6.5")
    assert code == 0
    assert why["same_as_recorded"] is None
    assert "as recorded" not in said
    assert why["decision"] in lines(run_dir)


def test_a_run_that_says_something_else_is_told(run_dir: Path, tmp_path: Path) -> None:
    changed = tmp_path / "run"
    changed.mkdir()
    (changed / "summary.json").write_bytes((run_dir / "summary.json").read_bytes())
    text = (
        (run_dir / "decisions.jsonl")
        .read_text()
        .replace('"deceleration_mps2": 0.8', '"deceleration_mps2": 0.9')
    )
    (changed / "decisions.jsonl").write_text(text)
    why, said, code = told(tmp_path, changed, "--decision", "100")
    assert (code, why["same_when_made_again"], why["same_as_recorded"]) == (1, True, False)
    assert "as recorded in the run: NOT" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--decision", "1", "--time", "1"], "either --decision or --time"),
        ([], "either --decision or --time"),
        (["--decision", "99999"], "no decision 99999"),
        (["--time", "99999"], "no such decision"),
        (["--decision", "1", "--bag", "gone.mcap"], "gone.mcap: no such bag"),
    ],
)
def test_what_cannot_be_explained_is_one_clear_line(
    run_dir: Path, arguments: list[str], complaint: str
) -> None:
    result = RUNNER.invoke(app, ["explain", str(run_dir), *arguments])
    assert isinstance(result.exception, InputError)
    assert complaint in str(result.exception)


def test_a_recording_needs_its_robot_and_a_live_run_its_journal(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["explain", str(BAG), "--time", "1"])
    assert "give --robot" in str(result.exception)
    (tmp_path / "summary.json").write_text('{"mode": "live", "bag_path": "x", "robot": "amr"}')
    result = RUNNER.invoke(app, ["explain", str(tmp_path), "--time", "1"])
    assert "no such journal" in str(result.exception)
    (tmp_path / "summary.json").write_text("{}")
    result = RUNNER.invoke(app, ["explain", str(tmp_path), "--time", "1"])
    assert "no summary of a replay" in str(result.exception)
