"""Criticality measures against hand-computed cases and against a step-by-step simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.risk.measures import (
    needed_way_m,
    post_encroachment_time_s,
    reach_m,
    required_decel_mps2,
    rss_lateral_m,
    rss_longitudinal_m,
    safe_speed_mps,
    separation_distance_m,
    time_headway_s,
    time_to_collision_accelerating_s,
    time_to_collision_s,
    time_to_collision_sigma_s,
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


def test_time_to_collision_with_acceleration_is_the_first_root() -> None:
    # 10 m at 4 m/s and 2 m/s^2 more: t^2 + 4 t - 10 = 0.
    assert time_to_collision_accelerating_s(10.0, 4.0, 2.0) == pytest.approx(np.sqrt(14.0) - 2.0)
    # 4 m/s that fall by 1 m/s^2 cover 8 m and no more.
    assert time_to_collision_accelerating_s(7.5, 4.0, -1.0) == pytest.approx(3.0)
    assert np.isinf(time_to_collision_accelerating_s(8.5, 4.0, -1.0))
    assert time_to_collision_accelerating_s(0.0, 4.0, 0.0) == 0.0
    assert np.isinf(time_to_collision_accelerating_s(np.inf, 4.0, 1.0))
    # Drawing apart now, and drawn together later.
    assert time_to_collision_accelerating_s(3.0, -2.0, 2.0) == pytest.approx(3.0)


@given(st.floats(0.1, 100.0), st.floats(0.1, 30.0))
def test_without_acceleration_it_is_the_plain_one(gap: float, closing: float) -> None:
    plain = time_to_collision_s(gap, closing)
    assert time_to_collision_accelerating_s(gap, closing, 0.0) == pytest.approx(plain, rel=1e-9)


def test_the_sigma_of_a_time_to_collision_is_that_of_many_draws() -> None:
    mean, sigmas = np.array([20.0, 5.0, 0.5]), np.array([0.3, 0.15, 0.1])
    cov = np.diag(sigmas**2)
    cov[0, 1] = cov[1, 0] = -0.4 * sigmas[0] * sigmas[1]
    draws = np.random.default_rng(3).multivariate_normal(mean, cov, 20_000)
    drawn_s = time_to_collision_accelerating_s(*draws.T)
    ttc_s = time_to_collision_accelerating_s(*mean)
    sigma_s = time_to_collision_sigma_s(ttc_s, mean[1], mean[2], cov)
    assert sigma_s == pytest.approx(drawn_s.std(), rel=0.03)
    assert np.isinf(time_to_collision_sigma_s(np.inf, 1.0, 0.0, cov))


def test_headway_is_the_time_to_where_the_object_is_now() -> None:
    assert time_headway_s(20.0, 10.0) == pytest.approx(2.0)
    assert np.isinf(time_headway_s(20.0, 0.0))


def test_post_encroachment_is_the_time_between_leaving_and_coming() -> None:
    def of(robot: tuple[float, float], other: tuple[float, float]) -> float:
        as_arrays = [(np.array([a]), np.array([b])) for a, b in (robot, other)]
        return float(post_encroachment_time_s(*as_arrays)[0])

    assert of((3.0, 4.0), (1.0, 2.5)) == pytest.approx(0.5)
    assert of((1.0, 2.5), (3.0, 4.0)) == pytest.approx(0.5)
    assert of((1.0, 3.0), (2.0, 4.0)) == pytest.approx(-1.0)
    assert np.isinf(of((1.0, 3.0), (np.inf, np.inf)))


def test_rss_gap_of_the_paper() -> None:
    # Both at 10 m/s, half a second, both brake with 5 m/s^2: the reaction way is what is needed.
    assert rss_longitudinal_m(10.0, 10.0, 0.5, 0.0, 5.0, 5.0) == pytest.approx(5.0)
    # Speeding up with 2 m/s^2 meanwhile: 5.25 m, then 11 m/s takes 12.1 m; the other one covers 10 m.
    assert rss_longitudinal_m(10.0, 10.0, 0.5, 2.0, 5.0, 5.0) == pytest.approx(5.25 + 12.1 - 10.0)
    assert rss_longitudinal_m(1.0, 20.0, 0.5, 0.0, 5.0, 5.0) == 0.0
    # One that comes at 4 m/s does the same: 2 m, then 16 / 12 m.
    assert rss_longitudinal_m(0.0, -4.0, 0.5, 0.0, 5.0, 6.0) == pytest.approx(2.0 + 16 / 12)


def test_rss_lateral_distance_of_the_paper() -> None:
    # Each may reach 0.1 m/s in half a second (0.025 m), and then needs 0.01 / 1.6 m.
    assert rss_lateral_m(0.0, 0.0, 0.5, 0.2, 0.8, 0.1) == pytest.approx(0.1 + 2 * (0.025 + 0.00625))


def test_a_person_gets_no_further_than_the_bounds_allow() -> None:
    # From 1 m/s with 0.5 m/s^2 to 2 m/s takes 2 s and 3 m; a second more is 2 m.
    assert reach_m(3.0, 1.0, 2.0, 0.5) == pytest.approx(5.0)
    assert reach_m(1.0, 1.0, 2.0, 0.5) == pytest.approx(1.25)
    assert reach_m(-1.0, 1.0, 2.0, 0.5) == 0.0


@given(st.floats(0.0, 5.0), st.floats(0.0, 2.0))
def test_the_reach_is_that_of_the_motion_stepped_through_time(t: float, v: float) -> None:
    steps = 2000
    speeds = np.minimum(v + 0.6 * (np.arange(steps) + 0.5) * t / steps, 2.0)
    assert reach_m(t, v, 2.0, 0.6) == pytest.approx(speeds.sum() * t / steps, abs=1e-3)


def test_separation_distance_of_iso_ts_15066() -> None:
    # A person at 1.6 m/s, a robot at 1 m/s that reacts in 0.1 s and brakes with 2 m/s^2: it stands after 0.6 s.
    expected = 1.6 * 0.6 + 1.0 * 0.1 + 0.25 + 0.2 + 0.05
    assert separation_distance_m(1.0, 1.6, 0.1, 2.0, 0.2, 0.05) == pytest.approx(expected)


def test_slow_closing_counts_and_none_does_not() -> None:
    assert time_to_collision_s(1.0, 0.5) == pytest.approx(2.0)
    assert np.isinf(time_to_collision_s(1.0, 1e-6))
    assert time_to_collision_s(-1.0, 0.5) == 0.0  # already overlapping
    assert time_to_collision_accelerating_s(-1.0, 0.5, 0.0) == 0.0


def test_accelerating_bodies_that_just_touch_meet_and_those_that_part_do_not() -> None:
    assert time_to_collision_accelerating_s(8.0, 4.0, -1.0) == pytest.approx(4.0)
    assert np.isinf(time_to_collision_accelerating_s(3.0, -2.0, 0.0))
    assert np.isinf(time_to_collision_accelerating_s(1.0, -2.0, -1.0))
    assert np.isinf(time_to_collision_accelerating_s(1.0, 5e-7, 0.0))


def test_the_sigma_at_low_speed_and_of_what_parts() -> None:
    of_gap = np.diag([0.04, 0.0, 0.0])
    assert time_to_collision_sigma_s(2.0, 0.5, 0.0, of_gap) == pytest.approx(0.2 / 0.5)
    assert np.isinf(time_to_collision_sigma_s(2.0, 1e-6, 0.0, of_gap))
    assert np.isinf(time_to_collision_sigma_s(2.0, -1.0, 0.0, of_gap))
    # After 2 s at 1 m/s and 0.5 m/s^2 more it is 2 m/s; a doubt of 0.1 m/s^2 is 0.2 m then.
    assert time_to_collision_sigma_s(2.0, 1.0, 0.5, np.diag([0.0, 0.0, 0.01])) == pytest.approx(0.1)
    assert time_to_collision_sigma_s(2.0, 1.0, 0.5, np.diag([0.0, 0.01, 0.0])) == pytest.approx(0.1)
    assert time_to_collision_sigma_s(2.0, 0.5, 0.0, np.diag([-0.01, 0.0, 0.0])) == 0.0  # rounding


def test_one_that_never_comes_is_never_met_even_where_the_other_never_leaves() -> None:
    robot, other = (np.array([np.inf]), np.array([5.0])), (np.array([1.0]), np.array([np.inf]))
    assert np.isinf(post_encroachment_time_s(robot, other))
    assert np.isinf(post_encroachment_time_s(other, robot))


def test_rss_gap_of_what_stands_and_of_what_is_slow() -> None:
    # From 1 m/s to 2 m/s in half a second: 0.75 m, then 0.4 m. What stands does not begin to come.
    assert rss_longitudinal_m(1.0, 0.0, 0.5, 2.0, 5.0, 5.0) == pytest.approx(1.15)
    assert rss_longitudinal_m(0.0, -0.5, 0.5, 0.0, 5.0, 6.0) == pytest.approx(0.25 + 0.25 / 12)
    # 1 m/s: 0.5 m, then 0.1 m; the other one, away at 0.5 m/s, covers 0.025 m.
    assert rss_longitudinal_m(1.0, 0.5, 0.5, 0.0, 5.0, 5.0) == pytest.approx(0.575)
    assert rss_lateral_m(0.3, 0.1, 0.5, 0.2, 0.8, 0.1) == pytest.approx(0.1 + 0.175 + 0.1 + 0.075 + 0.025)


def test_nobody_is_taken_to_be_faster_than_people_are() -> None:
    assert reach_m(1.0, 3.0, 2.0, 0.5) == pytest.approx(2.0)


def test_separation_from_a_slow_person_and_from_one_who_leaves() -> None:
    robot_m = 2.0 * 0.1 + 1.0
    assert separation_distance_m(2.0, 0.5, 0.1, 2.0, 0.0, 0.0) == pytest.approx(0.5 * 1.1 + robot_m)
    assert separation_distance_m(2.0, -1.0, 0.1, 2.0, 0.0, 0.0) == pytest.approx(robot_m)


def test_way_left_to_what_is_slow() -> None:
    assert way_left_m(10.0, 0.5, 0.5, 8.0) == pytest.approx(10.0 + 0.25 / 16)
    assert way_left_m(10.0, 0.0, 0.5, 8.0) == 10.0
    assert way_left_m(10.0, -0.5, 0.5, 8.0) == pytest.approx(10.0 - 0.25)


def test_required_deceleration_when_little_way_is_left_at_low_speed() -> None:
    assert required_decel_mps2(0.5, 0.0, 0.5, 0.5) == pytest.approx(0.125 / 0.25)
    assert required_decel_mps2(0.5, 1.0, 0.5, 0.5) == pytest.approx(0.625 / 0.25)
    assert np.isinf(required_decel_mps2(0.5, 0.0, 0.2, 0.5))


@pytest.mark.parametrize("way_m", [-np.inf, np.nan, -1.0, 0.0])
def test_a_way_that_is_none_or_not_known_lets_no_speed_be_safe(way_m: float) -> None:
    assert safe_speed_mps(way_m, 0.5, 0.3, 1.0) == 0.0


def test_what_touches_already_is_met_at_once_however_hard_the_robot_brakes() -> None:
    assert time_to_collision_accelerating_s(-0.1, 0.5, -1.0) == 0.0


def test_what_gap_and_acceleration_have_in_common_counts_with_its_sign() -> None:
    """With t = 2 s and v = 1 m/s the weights are 1, -2, -2: 0.04 + 4 * 0.01 - 2 * 2 * 0.01 = 0.04 m²."""
    cov = np.zeros((3, 3))
    cov[0, 0], cov[2, 2], cov[0, 2], cov[2, 0] = 0.04, 0.01, 0.01, 0.01
    assert time_to_collision_sigma_s(2.0, 1.0, 0.0, cov) == pytest.approx(0.2)
