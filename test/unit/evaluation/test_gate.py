"""Ship gates: that they let a sound version through, and how each of them refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence import gate_file
from perception_platform.evaluation.evidence.gate import Judgement, Verdict, judge
from perception_platform.evaluation.evidence.gate_file import gate_names, load_gate
from perception_platform.evaluation.evidence.results import read_results
from perception_platform.robot.load import share_dir
from test.unit.evaluation.result_folders import Faults, read_runs, write_results, write_runs

# So many cases a family let a sound version prove what the gate asks for.
PER_FAMILY = {"smoke": 12, "full": 70}
GATES = share_dir() / "config" / "gates"


@pytest.fixture(scope="module", params=["smoke", pytest.param("full", marks=pytest.mark.slow)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sound(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp(name) / "sound", name, PER_FAMILY[name])


def judged(name: str, baseline: Path, candidate: Path) -> Judgement:
    return judge(load_gate(name), read_results(baseline), read_results(candidate))


def refused_by(judgement: Judgement, verdict: Verdict = Verdict.NO_SHIP) -> set[str]:
    return {check.name for check in judgement.checks if check.verdict is verdict}


def with_faults(name: str, folder: Path, faults: Faults) -> Path:
    return write_results(folder / "candidate", name, PER_FAMILY[name], faults)


def test_each_gate_that_comes_along_is_tried_here() -> None:
    assert gate_names() == sorted(PER_FAMILY)


def test_a_sound_version_ships(name: str, sound: Path) -> None:
    judgement = judged(name, sound, sound)
    assert judgement.verdict is Verdict.SHIP
    assert {check.verdict for check in judgement.checks} == {Verdict.SHIP}


def test_a_blind_spot_is_refused(name: str, sound: Path, tmp_path: Path) -> None:
    judgement = judged(name, sound, with_faults(name, tmp_path, Faults(blind_deg=(-5.0, 15.0))))
    assert judgement.verdict is Verdict.NO_SHIP
    assert refused_by(judgement) >= {
        "collisions",
        "collisions_by_hazard",
        "people_and_property",
        "comparison",
    }


def test_added_latency_is_refused(name: str, sound: Path, tmp_path: Path) -> None:
    judgement = judged(name, sound, with_faults(name, tmp_path, Faults(added_latency_ms=100.0)))
    assert judgement.verdict is Verdict.NO_SHIP
    assert refused_by(judgement) >= {"latency_ms", "people_and_property"}


def test_crouching_people_that_are_missed_are_refused(name: str, sound: Path, tmp_path: Path) -> None:
    judgement = judged(name, sound, with_faults(name, tmp_path, Faults(crouching_missed=0.2)))
    assert judgement.verdict is Verdict.NO_SHIP
    assert "people_and_property" in refused_by(judgement)
    strata = {c.of: c.verdict for c in judgement.checks if c.name == "collisions_by_hazard"}
    assert [of for of, verdict in strata.items() if verdict is Verdict.NO_SHIP] == ["low_person"]


def test_a_corrupt_file_is_refused(name: str, sound: Path, tmp_path: Path) -> None:
    candidate = with_faults(name, tmp_path, Faults())
    path = candidate / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-200] + b"\x00" * 200)
    found = CliRunner().invoke(app, ["gate", name, "--baseline", str(sound), "--candidate", str(candidate)])
    assert isinstance(found.exception, InputError)
    assert "results.jsonl: line" in str(found.exception)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return write_results(tmp_path / "candidate", "smoke", PER_FAMILY["smoke"])


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("smoke") / "baseline", "smoke", PER_FAMILY["smoke"])


def changed(folder: Path, case: str, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The folder with our run of a case changed."""
    runs = read_runs(folder)
    for run in runs:
        if (run["case"], run["policy"]) == (case, "ours"):
            change(run)
    write_runs(folder, [run for run in runs if run["outcome"] != "missing"])
    return folder


CASE = "low_obstacle/003"


@pytest.mark.parametrize(
    ("outcome", "verdict", "checks"),
    [
        ("missing", Verdict.NOT_ENOUGH, {"complete", "people_and_property", "collisions_anywhere"}),
        ("skipped", Verdict.NOT_ENOUGH, {"complete", "people_and_property", "collisions", "late_stops"}),
        ("crashed", Verdict.NO_SHIP, {"people_and_property", "collisions", "collisions_by_hazard"}),
    ],
)
def test_what_did_not_run_is_never_a_pass(
    baseline: Path, candidate: Path, outcome: str, verdict: Verdict, checks: set[str]
) -> None:
    changed(candidate, CASE, lambda run: run.update(outcome=outcome, events=None, latency_ms=None))
    judgement = judged("smoke", baseline, candidate)
    assert judgement.verdict is verdict
    assert refused_by(judgement, verdict) >= checks


def test_a_run_that_the_baseline_lacks_leaves_its_stratum_open(baseline: Path, candidate: Path) -> None:
    changed(candidate, CASE, lambda run: run.update(outcome="missing"))
    assert refused_by(judged("smoke", candidate, baseline), Verdict.NOT_ENOUGH) >= {"people_and_property"}


def test_one_regression_blocks_whatever_else_was_gained(baseline: Path, candidate: Path) -> None:
    """The baseline fails ten cases that the candidate passes, and passes the one that it fails."""
    late = {"late_stop": True}
    for k in range(10):
        changed(candidate, f"cyclist_blind_side/{k:03d}", lambda run: run["events"].update(late))
    better_but_one = write_results(candidate.parent / "better", "smoke", PER_FAMILY["smoke"])
    changed(better_but_one, "crouching_worker/002", lambda run: run["events"].update(late))
    judgement = judged("smoke", candidate, better_but_one)
    assert refused_by(judgement) == {"people_and_property"}
    comparison = next(c for c in judgement.checks if c.kind == "comparison")
    assert (comparison.figures["won"], comparison.figures["lost"]) == (10, 1)


def test_slower_is_refused_and_in_doubt_not_passed(baseline: Path, candidate: Path) -> None:
    runs = read_runs(candidate)
    for run in runs:
        run["events"]["time_lost_s"] += 2.0
    write_runs(candidate, runs)
    assert refused_by(judged("smoke", baseline, candidate)) == {"time_lost"}
    for run in runs:  # one family alone: 16 s there are 1.5 s on average, and may be chance
        run["events"]["time_lost_s"] += 14.0 if run["family"] == "wall_beside_path" else -2.0
    write_runs(candidate, runs)
    assert refused_by(judged("smoke", baseline, candidate), Verdict.NOT_ENOUGH) == {"time_lost"}


def test_too_few_runs_are_not_enough_and_say_how_many_more(tmp_path: Path) -> None:
    few = write_results(tmp_path / "few", "smoke", per_family=4)
    judgement = judged("smoke", few, few)
    assert judgement.verdict is Verdict.NOT_ENOUGH
    check = next(c for c in judgement.checks if c.name == "collisions")
    assert check.figures["further_trials"] == 49 - 40
    assert "9 more without one would do" in check.found


def test_a_run_without_a_latency_leaves_it_open(baseline: Path, candidate: Path) -> None:
    changed(candidate, CASE, lambda run: run.update(latency_ms={"p50": None, "p99": None}))
    assert refused_by(judged("smoke", baseline, candidate), Verdict.NOT_ENOUGH) == {"latency_ms"}


def test_data_that_a_scenario_makes_late_is_not_the_versions_fault(baseline: Path, candidate: Path) -> None:
    """In both alike; what the candidate adds to it counts all the same."""
    late = {"hazard": "latency", "latency_ms": {"p50": 60.0, "p99": 2000.0}}
    delayed = write_results(candidate.parent / "delayed", "smoke", PER_FAMILY["smoke"])
    for folder in (candidate, delayed):
        for i in range(PER_FAMILY["smoke"]):
            changed(folder, f"low_obstacle/{i:03d}", lambda run: run.update(late))
    assert "latency_ms" not in refused_by(judged("smoke", candidate, delayed))
    assert "latency_ms" in refused_by(judged("smoke", baseline, delayed))


def test_two_late_decisions_of_one_run_are_no_slower_version(baseline: Path, candidate: Path) -> None:
    """The p99 of a run is that of two or three decisions: it jumps where the robot only drives a little otherwise."""
    changed(candidate, CASE, lambda run: run.update(latency_ms={"p50": 60.0, "p99": 205.0}))
    assert "latency_ms" not in refused_by(judged("smoke", baseline, candidate))


def test_no_run_at_all_is_not_enough(baseline: Path, candidate: Path) -> None:
    write_runs(candidate, [])
    judgement = judged("smoke", baseline, candidate)
    assert judgement.verdict is Verdict.NOT_ENOUGH
    assert refused_by(judgement, Verdict.SHIP) == {"same_suite"}


def test_other_scenarios_are_not_comparable(baseline: Path, candidate: Path) -> None:
    manifest = json.loads((candidate / "manifest.json").read_text())
    (candidate / "manifest.json").write_text(json.dumps(manifest | {"digest": "6" * 64}))
    assert refused_by(judged("smoke", baseline, candidate), Verdict.NOT_ENOUGH) == {"same_suite"}


def test_a_suite_that_shrank_is_not_comparable(baseline: Path, tmp_path: Path) -> None:
    fewer = write_results(tmp_path / "fewer", "smoke", PER_FAMILY["smoke"] - 1)
    judgement = judged("smoke", baseline, fewer)
    assert "same_suite" in refused_by(judgement, Verdict.NOT_ENOUGH)
    assert "11 cases are in one of them only" in judgement.checks[0].found


def test_another_suite_is_refused(baseline: Path) -> None:
    with pytest.raises(InputError, match=r"manifest.json: suite: 'smoke', but gate 'full' judges 'full'"):
        judged("full", baseline, baseline)


def test_a_gate_that_was_changed_under_its_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in GATES.iterdir():
        text = path.read_text().replace("at_most: 0.06\n", "at_most: 0.5\n", 1)
        (tmp_path / path.name).write_text(text)
    monkeypatch.setattr(gate_file, "_folder", lambda: tmp_path)
    with pytest.raises(
        InputError, match=r"smoke.yaml: version: digest .* is not what frozen.yaml has for smoke-2"
    ):
        load_gate("smoke")


def test_a_gates_digest_is_of_all_it_asks_for() -> None:
    gate = load_gate("smoke")
    text = json.dumps(gate.model_dump(mode="json"), sort_keys=True)
    assert gate.digest == hashlib.sha256(text.encode()).hexdigest()
    assert load_gate(str(GATES / "smoke.yaml")) == gate


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("confidence: 0.95", "confidence: .nan", "confidence: .*nan"),
        ("at_most: 0.96\n", "at_most: 0\n", "requirements.1.at_most: .*greater than 0, got 0"),
        ("event: late_stop", "event: fright", "requirements.2.event: .*'fright'"),
        ("name: false_stops", "name: late_stops", "'late_stops' is used twice"),
        ("suite: smoke", "sweet: smoke", "suite: Field required"),
    ],
)
def test_a_bad_gate_file_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (GATES / "smoke.yaml").read_text()
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=f"mine.yaml: .*{says}"):
        load_gate(str(tmp_path / "mine.yaml"))


def test_an_unknown_gate_is_told_which_there_are() -> None:
    with pytest.raises(InputError, match="there are full, smoke, or give a path"):
        load_gate("swift")


@pytest.mark.parametrize(
    ("scope", "families"),
    [
        ({"hazards": ["low_object"]}, {"low_obstacle"}),
        ({"families": ["cross_traffic", "nothing"]}, {"cross_traffic"}),
        ({"tags": ["obstacles"], "stop_expected": True}, {"low_obstacle", "glass_door"}),
        ({"in_domain": False}, {"slippery_floor"}),
    ],
)
def test_a_scope_says_which_runs_count(baseline: Path, scope: dict[str, Any], families: set[str]) -> None:
    holds = gate_file.Scope.model_validate(scope).holds
    assert {run.family for run in read_results(baseline).runs if holds(run)} == families
