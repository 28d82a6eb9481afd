"""The bundled recordings through the chain, in lockstep: truth held, reference met, the same bytes twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception_platform.perception.load import load_graph
from perception_platform.replay.compare import compare_runs
from perception_platform.replay.run import replay_lockstep
from perception_platform.replay.truth import Truth, check_run, load_truth
from perception_platform.robot.load import load_robot, share_dir

APPLICATIONS = ("people_protection", "vehicle_following", "free_space_keeping")
RECORDINGS = sorted(path.parent for path in (share_dir() / "rosbags").glob("*/truth.yaml"))


def replay(recording: Path, out_dir: Path) -> dict[str, Any]:
    robot = load_robot(load_truth(recording / "truth.yaml").robot)
    return replay_lockstep(recording / f"{recording.name}.mcap", robot, load_graph(robot), out_dir)


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda path: path.name)
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, dict[str, Any]]:
    """A recording, the folder of its run and the summary."""
    out_dir = tmp_path_factory.mktemp(request.param.name)
    return request.param, out_dir, replay(request.param, out_dir)


def test_there_are_recordings() -> None:
    assert {path.name for path in RECORDINGS} >= {"amr_person", "forklift_pallet", "wall_approach"}


def test_every_window_of_the_truth_is_held(run: tuple[Path, Path, dict[str, Any]]) -> None:
    recording, out_dir, summary = run
    results = check_run(
        out_dir / "decisions.jsonl", summary["start_ns"], load_truth(recording / "truth.yaml")
    )
    assert results
    assert [f"{r.window.why}: {r.text}" for r in results if not r.passed] == []


def test_the_truth_can_be_broken(run: tuple[Path, Path, dict[str, Any]]) -> None:
    """The same decisions against the truth turned round: each window fails."""
    recording, out_dir, summary = run
    truth = load_truth(recording / "truth.yaml")
    other = {"stop": "no_stop", "no_stop": "stop"}
    turned = [w.model_copy(update={"expect": other[w.expect]}) for w in truth.windows]
    reversed_truth = Truth(version=1, robot=truth.robot, windows=turned)
    assert not any(
        r.passed for r in check_run(out_dir / "decisions.jsonl", summary["start_ns"], reversed_truth)
    )


def test_the_run_is_as_its_reference(run: tuple[Path, Path, dict[str, Any]]) -> None:
    recording, out_dir, _ = run
    differences = compare_runs(recording / "reference", out_dir)
    assert [str(d) for d in differences[:5]] == []


def test_the_same_recording_gives_the_same_bytes(
    run: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    recording, _, summary = run
    assert replay(recording, tmp_path)["digest"] == summary["digest"]


def test_applications_are_served_beside_each_other_at_their_rates(
    run: tuple[Path, Path, dict[str, Any]],
) -> None:
    _, out_dir, summary = run
    lines = [json.loads(line) for line in (out_dir / "applications.jsonl").read_text("utf-8").splitlines()]
    times = {name: [x["t_ns"] for x in lines if x["application"] == name] for name in APPLICATIONS}
    sweeps = next(s["processed"] for name, s in summary["sensors"].items() if name.startswith("lidar"))
    assert len(times["people_protection"]) == len(times["vehicle_following"]) >= sweeps - 1
    assert len(times["free_space_keeping"]) == pytest.approx(sweeps / 2, abs=2)
    assert all(line["age_ms"] <= line["deadline_ms"] for line in lines)
    nearest_m = min(x["value"] for x in lines if x["value"] is not None)
    assert 0 <= nearest_m < 6.0, "each recording brings something near"


def test_every_frame_is_accounted_for(run: tuple[Path, Path, dict[str, Any]]) -> None:
    summary = run[2]
    assert summary["frames_in"] == summary["frames_processed"] + sum(summary["frames_dropped"].values())
    assert summary["frames_processed"] > 0.95 * summary["frames_in"]


def test_a_robot_with_a_scanner_alone_follows_people_and_holds_the_truth(tmp_path: Path) -> None:
    recording = share_dir() / "rosbags" / "amr_person"
    robot = load_robot("amr")
    robot = robot.model_copy(update={"sensors": list(robot.scans)})
    bag, truth = recording / f"{recording.name}.mcap", load_truth(recording / "truth.yaml")
    first, again = (
        replay_lockstep(bag, robot, load_graph(robot), tmp_path / name) for name in ("first", "again")
    )
    assert first["digest"] == again["digest"]
    lines = [json.loads(x) for x in (tmp_path / "first" / "tracks.jsonl").read_text("utf-8").splitlines()]
    people = [
        t for line in lines for t in line["tracks"] if t["class"] == "person" and t["sensors"] == ["scan"]
    ]
    assert {t["id"] for t in people if np.hypot(*t["velocity_mps"]) > 0.5}, "somebody walks"
    results = check_run(tmp_path / "first" / "decisions.jsonl", first["start_ns"], truth)
    assert results
    assert all(r.passed for r in results)
