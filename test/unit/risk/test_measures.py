"""Criticality measures against hand-computed cases and against a step-by-step simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.risk.measures import (
    needed_way_m,
    required_decel_mps2,
    safe_speed_mps,
    time_to_collision_s,
    way_left_m,
)

speeds = st.floats(0.05, 30.0)
approaches = st.floats(0.0, 5.0)
reactions = st.floats(0.0, 2.0)
decels = st.floats(0.2, 10.0)
ways = st.floats(0.0, 200.0)


def test_needed_way_is_reaction_way_plus_braking_way() -> None:
    assert needed_way_m(10.0, 0.0, 0.5, 5.0) == pytest.approx(5.0 + 10.0)


def test_needed_way_counts_what_approaches_while_braking() -> None:
    # 10 m/s at 5 m/s^2 takes 2 s; someone who walks 1.5 m/s towards the robot covers 3 m meanwhile.
    assert needed_way_m(10.0, 1.5, 0.5, 5.0) == pytest.approx(15.0 + 3.0)


def test_time_to_collision() -> None:
    assert time_to_collision_s(10.0, 4.0) == pytest.approx(2.5)
    assert np.isinf(time_to_collision_s(10.0, 0.0))
    assert np.isinf(time_to_collision_s(10.0, -1.0))
    assert np.isinf(time_to_collision_s(np.inf, 3.0))


def test_way_left_grows_when_the_object_drives_away_and_shrinks_when_it_comes() -> None:
    assert way_left_m(10.0, 8.0, 0.5, 8.0) == pytest.approx(10.0 + 4.0)
    assert way_left_m(10.0, -2.0, 0.5, 8.0) == pytest.approx(10.0 - 1.0)


def test_required_deceleration() -> None:
    assert required_decel_mps2(10.0, 0.0, 15.0, 0.5) == pytest.approx(5.0)
    assert np.isinf(required_decel_mps2(10.0, 0.0, 5.0, 0.5))
    assert required_decel_mps2(0.0, 0.0, 0.0, 0.5) == 0.0


def test_no_way_left_means_no_speed_and_no_object_means_no_limit() -> None:
    assert safe_speed_mps(0.0, 0.0, 0.3, 1.0) == 0.0
    assert safe_speed_mps(-1.0, 0.0, 0.3, 1.0) == 0.0
    assert np.isinf(safe_speed_mps(np.inf, 0.0, 0.3, 1.0))


@given(speeds, approaches, reactions, decels)
def test_safe_speed_is_the_inverse_of_needed_way(v: float, u: float, t: float, a: float) -> None:
    assert safe_speed_mps(needed_way_m(v, u, t, a), u, t, a) == pytest.approx(v, rel=1e-6)


@given(speeds, approaches, reactions, decels)
def test_required_deceleration_uses_the_way_up(v: float, u: float, t: float, a: float) -> None:
    assert required_decel_mps2(v, u, needed_way_m(v, u, t, a), t) == pytest.approx(a, rel=1e-6)


@given(ways, approaches, reactions, decels, st.floats(0.0, 1.0))
def test_more_latency_or_less_brake_never_raises_the_limit(
    way: float, u: float, t: float, a: float, more: float
) -> None:
    limit = safe_speed_mps(way, u, t, a)
    assert safe_speed_mps(way, u, t + more, a) <= limit + 1e-9
    assert safe_speed_mps(way, u, t, a / (1 + more)) <= limit + 1e-9
    assert safe_speed_mps(way, u + more, t, a) <= limit + 1e-9
    assert safe_speed_mps(way + more, u, t, a) >= limit - 1e-9


@pytest.mark.parametrize("v", [0.5, 2.0, 9.0])
@pytest.mark.parametrize("u", [0.0, 1.4])
def test_stepping_the_motion_through_time_meets_the_closed_form(v: float, u: float) -> None:
    reaction_s, decel, dt = 0.3, 1.5, 1e-4
    gap = float(needed_way_m(v, u, reaction_s, decel)) + u * reaction_s
    speed, t = v, 0.0
    while speed > 0:
        gap -= (speed + u) * dt
        t += dt
        speed = v if t < reaction_s else speed - decel * dt
    assert gap == pytest.approx(0.0, abs=0.01)
