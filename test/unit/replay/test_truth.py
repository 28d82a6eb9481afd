"""Holding decisions against windows: each way to break one is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.replay.truth import Truth, Window, check_run, check_windows, load_truth

TIMES_S = np.arange(0.0, 10.0, 0.05).tolist()
STOP = Window(expect="stop", from_s=3.0, to_s=6.0, why="a person is in the path")
FREE = Window(expect="no_stop", from_s=7.0, to_s=9.0, why="the way is free")


def actions(*stops_s: tuple[float, float], stop: str = "stop") -> list[str]:
    return [stop if any(a <= t < b for a, b in stops_s) else "proceed" for t in TIMES_S]


@pytest.mark.parametrize("kind", ["stop", "emergency_stop"])
def test_a_stop_in_time_held_and_released_passes(kind: str) -> None:
    stop, free = check_windows(TIMES_S, actions((3.2, 6.3), stop=kind), [STOP, FREE])
    assert stop.passed
    assert free.passed
    assert stop.reaction_s == pytest.approx(0.2)
    assert stop.release_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("stops_s", "complaint"),
    [
        ([], "no stop"),
        ([(3.4, 6.3)], "late"),
        ([(3.1, 4.0), (4.2, 6.3)], "released at 4.00 s inside"),
        ([(3.1, 6.8)], "after"),
        ([(3.1, 10.0)], "not released in time"),
    ],
)
def test_a_broken_stop_window_says_how(stops_s: list[tuple[float, float]], complaint: str) -> None:
    (result,) = check_windows(TIMES_S, actions(*stops_s), [STOP])
    assert not result.passed
    assert complaint in result.text


def test_a_stop_where_none_may_be_is_found_and_no_decision_is_no_pass() -> None:
    (stopped,) = check_windows(TIMES_S, actions((8.0, 8.1)), [FREE])
    assert not stopped.passed
    (untested,) = check_windows(TIMES_S[:100], actions()[:100], [FREE])
    assert not untested.passed
    assert "not tested" in untested.text


def test_an_escape_is_the_stop_that_it_leads_out_of(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    for state, passes in (("escaping", True), ("limited", False)):
        lines = [
            {"t_ns": round(t * 1e9), "state": state if 5.0 <= t < 6.3 else "stopped", "action": "limit"}
            | ({"action": "stop"} if 3.1 <= t < 5.0 else {})
            for t in TIMES_S
        ]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        (result,) = check_run(file, 0, Truth(version=1, robot="amr", windows=[STOP]))
        assert result.passed is passes


def test_a_window_that_lasts_to_the_end_needs_no_release() -> None:
    (result,) = check_windows(TIMES_S, actions((3.1, 10.0)), [STOP.model_copy(update={"to_s": 9.8})])
    assert result.passed


@pytest.mark.parametrize(
    "text",
    ["version: 2", "version: 1\nrobot: amr\nwindows: [{expect: go, from_s: 0, to_s: 1, why: x}]", "{"],
)
def test_a_malformed_truth_is_one_clear_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "truth.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_truth(file)
    assert "truth.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
