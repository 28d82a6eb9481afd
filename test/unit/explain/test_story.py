"""What a report picks from a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception_platform.explain.run_files import Run, read_run
from perception_platform.explain.story import (
    gaps,
    paths_in_odom,
    reason_spans,
    reasons,
    spans,
    stops,
    telling_moment,
)
from test.unit.explain.runs import free_run, stopping_run, write


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_run(write(tmp_path, stopping_run()))


def read(folder: Path, records: dict[str, Any]) -> Run:
    return read_run(write(folder, records))


def test_spans_follow_each_other_without_a_gap(run: Run) -> None:
    found = [(s.value, round(s.from_s, 6), round(s.to_s, 6)) for s in spans(run, lambda d: d["action"])]
    assert found == [("proceed", 0, 1), ("limit", 1, 1.4), ("stop", 1.4, 1.7), ("limit", 1.7, 2.0)]


def test_reasons_and_stops_have_their_times(run: Run) -> None:
    assert reasons(run) == ["zone", "object_in_path"]
    assert [(s.from_s, s.to_s) for s in reason_spans(run, "object_in_path")] == [pytest.approx((1.4, 1.7))]
    assert [s.first["t_ns"] - run.start_ns for s in stops(run)] == [1_400_000_000]


def test_the_first_stop_is_the_most_telling_moment(run: Run) -> None:
    moment = telling_moment(run)
    assert moment.t_s == pytest.approx(1.4)
    assert moment.decision["action"] == "stop"
    assert moment.tracks is not None
    assert run.t_s(moment.tracks) == pytest.approx(1.4)
    assert moment.obstacles_m.shape == (2, 2)


def test_trails_are_where_the_track_was_seen_from_the_robot_now(run: Run) -> None:
    trail_m = telling_moment(run).trails_m[7]
    assert trail_m[-1] == pytest.approx([4.0 - 1.4, 2.0 - 1.4])
    assert trail_m[0] == pytest.approx([4.0 - 1.4, 2.0])


def test_without_a_stop_it_is_the_tightest_gap(tmp_path: Path) -> None:
    records = stopping_run()
    records["summary"]["first_stop_t_s"] = None
    moment = telling_moment(read(tmp_path, records))
    assert moment.t_s == pytest.approx(1.9)
    assert "1.10 m" in moment.why


def test_with_nothing_in_the_path_it_is_the_lowest_limit(tmp_path: Path) -> None:
    records = free_run()
    records["decisions"][10]["speed_limit_mps"] = 0.4
    moment = telling_moment(read(tmp_path, records))
    assert moment.t_s == pytest.approx(0.5)


def test_gaps_are_nan_while_nothing_is_in_the_path(run: Run) -> None:
    times_s, gaps_m = gaps(run)
    assert len(times_s) == len(gaps_m) == 20
    assert math.isnan(gaps_m[0])
    assert gaps_m[10] == pytest.approx(2.0)


def test_paths_hold_every_position(run: Run) -> None:
    name, way_m = paths_in_odom(run)[7]
    assert name == "person"
    assert np.diff(way_m[:, 1]) == pytest.approx(np.full(19, -0.1))


def test_before_the_first_sweep_nothing_is_known(tmp_path: Path) -> None:
    records = stopping_run()
    records["tracks"], records["detections"] = [], []
    moment = telling_moment(read(tmp_path, records))
    assert moment.tracks is None
    assert moment.obstacles_m.shape == (0, 2)
    assert moment.trails_m == {}
