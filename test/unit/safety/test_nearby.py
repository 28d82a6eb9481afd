"""The points around the footprint are picked once a sweep, and none is missing that is asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.safety.nearby import SPARE, Nearby
from test.unit.safety.healthy import CONFIG
from test.unit.scenes import points

LOW, HIGH = CONFIG.footprint_m.min(axis=0), CONFIG.footprint_m.max(axis=0)
xy = st.tuples(st.floats(-9.0, 9.0), st.floats(-9.0, 9.0))


@given(st.lists(xy, max_size=20), st.lists(st.floats(0.1, 4.0), min_size=1, max_size=4))
def test_nothing_within_reach_is_missing_however_often_the_reach_changes(
    places: list[tuple[float, float]], reaches_m: list[float]
) -> None:
    nearby, cloud = Nearby(CONFIG), points(*((x, y, 0.5) for x, y in places))
    for reach_m in reaches_m:
        found = {tuple(p) for p in nearby.of(cloud, reach_m, 2.0).xyz_m.tolist()}
        way_m = [reach_m, 2.0]
        inside = ((cloud.xyz_m[:, :2] >= LOW - way_m) & (cloud.xyz_m[:, :2] <= HIGH + way_m)).all(axis=1)
        assert {tuple(p) for p in cloud.xyz_m[inside].tolist()} <= found


def test_far_points_are_left_out_on_every_side_and_what_is_no_number_is_not_far() -> None:
    for x, y in ((HIGH[0] + SPARE, 0.0), (LOW[0] - SPARE, 0.0), (0.0, HIGH[1] + 2.0), (0.0, LOW[1] - 2.0)):
        near, far = (points((x * k, y * k, 0.5)) for k in (0.999, 1.001))
        assert len(Nearby(CONFIG).of(near, 1.0, 2.0)) == 1
        assert len(Nearby(CONFIG).of(far, 1.0, 2.0)) == 0
    assert len(Nearby(CONFIG).of(points((math.nan, 0.0, 0.5)), 1.0, 2.0)) == 1


def test_they_are_picked_once_a_cloud_and_sensor() -> None:
    nearby, cloud = Nearby(CONFIG), points((1.0, 0.0, 0.5))
    first = nearby.of(cloud, 1.0, 2.0)
    assert nearby.of(cloud, SPARE, 2.0) is first
    assert nearby.of(replace(cloud, sensor="scan_front"), 1.0, 2.0) is not first
    assert nearby.of(cloud, 0.5, 2.0) is first
    assert nearby.of(cloud, SPARE + 0.01, 2.0) is not first
    assert nearby.of(replace(cloud), 1.0, 2.0) is not first
    assert len(nearby.of(cloud, math.nan, 2.0)) == 1


def test_what_lies_on_the_limit_is_near_whichever_corner_the_footprint_begins_with() -> None:
    """A footprint of 2 x 1 m: picked 1.5 x 1 m beyond its ends and 0.5 m beside it, so up to 2.5 and 1 m."""
    box_m = np.array([[-1.0, 0.5], [-1.0, -0.5], [1.0, -0.5], [1.0, 0.5]])
    for turn in range(4):
        config = replace(CONFIG, footprint_m=np.roll(box_m, turn, axis=0))
        for x, y in ((2.5, 0.0), (-2.5, 0.0), (0.0, 1.0), (0.0, -1.0)):
            assert len(Nearby(config).of(points((x, y, 0.5)), 1.0, 0.5)) == 1
            assert len(Nearby(config).of(points((x * 1.01, y * 1.01, 0.5)), 1.0, 0.5)) == 0
