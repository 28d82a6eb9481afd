"""Result folders: what is read, and that each mistake is named by file, line, field and value."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.results import read_results
from test.unit.evaluation.result_folders import read_runs, write_lines, write_results, write_runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results", per_family=2)


def test_a_folder_is_read(folder: Path) -> None:
    results = read_results(folder)
    assert len(results.runs) == 11 * 2 * 4
    assert results.policies == ("ours", "fixed_field", "autoware_aeb", "none")
    assert results.missing("ours") == ()
    trace = results.trace(results.of("ours")[0])
    assert trace is not None
    assert trace.moments[0].moving == []
    assert len(trace.moments) == 40
    assert results.trace(results.of("none")[0]) is None


def test_what_was_not_run_is_missing(folder: Path) -> None:
    write_runs(folder, [run for run in read_runs(folder) if run["case"] != "low_obstacle/001"])
    assert read_results(folder).missing("ours") == ("low_obstacle/001",)


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda run: run.pop("hazard"), "results.jsonl: line 2: hazard: Field required"),
        (lambda run: run.update(hazzard="x"), "line 2: hazzard: Extra inputs are not permitted, got 'x'"),
        (lambda run: run.update(policy="mine"), "line 2: policy: .*got 'mine'"),
        (lambda run: run.update(seed="1"), "line 2: seed: .*valid integer, got '1'"),
        (lambda run: run.update(in_domain=1), "line 2: in_domain: .*valid boolean, got 1"),
        (lambda run: run["events"].update(time_lost_s=float("nan")), "line 2: events.time_lost_s: .*got nan"),
        (lambda run: run["events"].update(time_lost_s=float("inf")), "line 2: events.time_lost_s: .*got inf"),
        (lambda run: run["events"].update(min_separation_m=-0.1), "line 2: events.min_separation_m: .*-0.1"),
        (lambda run: run["events"].update(collision=True), "line 2: events: .*impact_speed_mps belongs to"),
        (lambda run: run.update(outcome="collision"), "line 2: .*events.collision is False"),
        (lambda run: run.update(events=None), "line 2: .*without events"),
        (lambda run: run.update(case="nobody/000"), "line 2: case: .*'nobody/000' is not in the manifest"),
        (
            lambda run: run.update(policy="ours"),
            "line 2: a second run of 'child_behind_vehicle/000', ours, seed 1",
        ),
    ],
)
def test_a_bad_line_is_named(folder: Path, change: Change, says: str) -> None:
    runs = read_runs(folder)
    change(runs[1])
    write_runs(folder, runs)
    with pytest.raises(InputError, match=says):
        read_results(folder)


def test_a_file_that_was_cut_off_is_refused(folder: Path) -> None:
    path = folder / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"results\.jsonl: line 88: Invalid JSON: EOF"):
        read_results(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"suite": ""}, "manifest.json: suite"),
        ({"expected_cases": ["a", "a"]}, "names a case twice"),
        ({"families": {"low_obstacle": 3}}, "families have 3 cases, expected_cases 22"),
    ],
)
def test_a_bad_manifest_is_named(folder: Path, change: dict[str, Any], says: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | change))
    with pytest.raises(InputError, match=says):
        read_results(folder)


@pytest.mark.parametrize("name", ["manifest.json", "results.jsonl"])
def test_files_have_to_be_there_and_be_text(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=f"{name}: .*codec"):
        read_results(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: No such file"):
        read_results(folder)


@pytest.mark.parametrize(
    ("line", "change", "says"),
    [
        (0, lambda scenery: scenery.pop("standing"), "line 1: standing: Field required"),
        (5, lambda moment: moment["pose"].pop(), "line 6: pose.2: Field required"),
        (5, lambda moment: moment.update(t_s=0.1), "line 6: t_s: 0.1 after 0.3"),
        (8, lambda moment: moment["moving"][0].__setitem__(2, -1.0), "line 9: moving.0.2: .*got -1"),
        (9, lambda moment: moment.update(speed_mps=float("nan")), "line 10: speed_mps: .*got nan"),
    ],
)
def test_a_bad_trace_is_named(folder: Path, line: int, change: Change, says: str) -> None:
    results = read_results(folder)
    run = results.of("ours")[0]
    path = folder / str(run.trace)
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    change(lines[line])
    write_lines(path, lines)
    with pytest.raises(InputError, match=f"{path.name}: .*{says}"):
        results.trace(run)
    write_lines(path, lines[:2])
    with pytest.raises(InputError, match="2 lines: what stands there and two moments are the least"):
        results.trace(run)


def test_a_trace_outside_the_folder_is_refused(folder: Path) -> None:
    runs = read_runs(folder)
    runs[0]["trace"] = "../secrets.json"
    write_runs(folder, runs)
    results = read_results(folder)
    with pytest.raises(InputError, match="outside the folder"):
        results.trace(results.runs[0])
