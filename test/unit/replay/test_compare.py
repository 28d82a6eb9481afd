"""Comparison with a reference: equal runs have no differences, each kind of change is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perception_platform.core.errors import InputError
from perception_platform.replay.compare import compare_runs, save_reference

Line = dict[str, Any]


def decision(i: int) -> Line:
    return {
        "t_ns": i * 50,
        "action": "limit",
        "state": "limited",
        "reasons": ["zone"],
        "latched": False,
        "speed_limit_mps": 0.8,
    }


def tracks(i: int) -> Line:
    return {
        "t_ns": i * 100,
        "tracks": [{"id": 4, "center_odom_m": [1.0, 2.0, 0.5], "velocity_mps": [0.1, 0.0]}],
    }


def write_run(folder: Path, change: Callable[[list[Line], list[Line]], None] = lambda d, t: None) -> Path:
    folder.mkdir()
    files = [decision(i) for i in range(4)], [tracks(i) for i in range(3)]
    change(*files)
    for name, lines in zip(("decisions.jsonl", "tracks.jsonl"), files, strict=True):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_equal_runs_and_a_saved_reference_agree(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    save_reference(run, tmp_path / "reference")
    assert compare_runs(tmp_path / "reference", run) == []


def within_tolerance(d: list[Line], t: list[Line]) -> None:
    d[1]["speed_limit_mps"] += 0.01
    t[1]["tracks"][0]["center_odom_m"][0] += 0.01


def test_the_arithmetic_of_another_machine_is_no_difference(tmp_path: Path) -> None:
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", within_tolerance)
    assert compare_runs(old, new) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d, t: d[2].update(action="stop"), "action"),
        (lambda d, t: d[2].update(reasons=[]), "reasons"),
        (lambda d, t: d[2].update(speed_limit_mps=0.5), "speed_limit_mps"),
        (lambda d, t: d[2].update(speed_limit_mps=None), "speed_limit_mps"),
        (lambda d, t: d.pop(), "line"),
        (lambda d, t: d.append(decision(9)), "line"),
        (lambda d, t: t[1]["tracks"][0].update(velocity_mps=[0.5, 0.0]), "track 4 velocity_mps[0]"),
        (lambda d, t: t[1].update(tracks=[]), "track 4 center_odom_m[0]"),
        (lambda d, t: t[1]["tracks"][0].update(id=5), "track 4 center_odom_m[0]"),
    ],
)
def test_a_change_is_found_where_it_is(
    tmp_path: Path, change: Callable[[list[Line], list[Line]], None], field: str
) -> None:
    differences = compare_runs(write_run(tmp_path / "old"), write_run(tmp_path / "new", change))
    assert differences[0].field == field
    assert differences[0].line > 1


def test_a_missing_or_broken_reference_is_one_clear_line(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with pytest.raises(InputError, match="no such record"):
        compare_runs(tmp_path / "nowhere", run)
    (run / "decisions.jsonl").write_text("{broken\n")
    with pytest.raises(InputError, match="line 1"):
        compare_runs(run, run)
