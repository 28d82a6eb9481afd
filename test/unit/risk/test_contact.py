"""Robot and objects moved through time, and the emergency stops that rest on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action
from perception_platform.risk.assess import Conditions, assess
from perception_platform.risk.brakes import Brakes
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.contact import Braking, touched
from perception_platform.risk.path import predict_path
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, post, track

VAN = RiskConfig.from_robot(load_robot("delivery_van"))
AMR = RiskConfig.from_robot(load_robot("amr"))
FOOTPRINT = np.array([[1.0, 0.5], [-1.0, 0.5], [-1.0, -0.5], [1.0, -0.5]])
CAR = {"size_m": (4.2, 1.8, 1.5), "class_id": ObjectClass.CAR}


def box(x_m: float, y_m: float = 0.0, half_m: float = 0.25) -> np.ndarray:
    return np.array([[[x_m + half_m, y_m + half_m], [x_m - half_m, y_m + half_m],
                      [x_m - half_m, y_m - half_m], [x_m + half_m, y_m - half_m]]])  # fmt: skip


def hits(
    corners_m: np.ndarray,
    velocity: tuple[float, float],
    braking: Braking,
    yaw_rate: float = 0.0,
    **more: float,
) -> bool:
    path = predict_path(ego_state(braking.speed_mps, yaw_rate), FOOTPRINT, 0.0)
    return bool(touched(corners_m, np.array([velocity]), FOOTPRINT, path, braking, **more)[0])


@given(st.floats(0.5, 8.0), st.floats(0.0, 0.5), st.floats(0.5, 6.0))
@settings(max_examples=40)
def test_the_braked_way_is_the_closed_form(speed: float, reaction_s: float, decel: float) -> None:
    braking = Braking(speed, reaction_s, decel)
    way_m = braking.way_m(braking.times_s)
    whole_m = speed * reaction_s + speed**2 / (2 * decel)
    if len(way_m) <= 80:
        assert way_m[-1] == pytest.approx(whole_m, rel=1e-6)
    assert (np.diff(way_m) >= -1e-9).all()


def test_a_wall_just_beyond_the_stop_is_not_touched_and_one_just_before_is() -> None:
    braking = Braking(4.0, 0.5, 2.0)  # 2 m and 4 m
    assert not hits(box(1.0 + 6.0 + 0.25 + 0.05), (0.0, 0.0), braking)
    assert hits(box(1.0 + 6.0 + 0.25 - 0.05), (0.0, 0.0), braking)


def test_who_has_crossed_before_or_comes_after_is_not_touched() -> None:
    braking = Braking(4.0, 0.5, 2.0)
    assert hits(box(4.0, -1.2), (0.0, 1.2), braking)
    assert not hits(box(4.0, 0.5), (0.0, 1.2), braking)
    assert not hits(box(4.0, -6.0), (0.0, 1.2), braking)


def test_a_bend_takes_the_robot_past_or_into_it() -> None:
    braking = Braking(4.0, 0.5, 2.0)
    beside = box(5.0, 1.6)
    assert not hits(beside, (0.0, 0.0), braking)
    assert hits(beside, (0.0, 0.0), braking, yaw_rate=0.4)
    assert hits(beside, (0.0, 0.0), braking, turn_per_m=0.1)
    assert not hits(beside, (0.0, 0.0), braking, turn_per_m=-0.1)


def test_slowing_and_narrowing_take_contact_away() -> None:
    braking = Braking(4.0, 0.5, 2.0)
    assert not hits(box(4.0, -2.0), (0.0, 1.2), braking, slowing_mps2=2.0)
    grazes = box(4.0, 0.7)
    assert hits(grazes, (0.0, 0.0), braking)
    assert not hits(grazes, (0.0, 0.0), braking, narrower_m=0.1)


def action(config: RiskConfig, speed_mps: float, tracks: Tracks, yaw_rate: float = 0.0) -> Action:
    exact = replace(tracks, state_cov=tracks.state_cov * 0.01)
    got = assess(exact, (), ego_state(speed_mps, yaw_rate), config, now_ns=from_s(0.07))
    return got.findings[0].action if got.findings else Action.PROCEED


def test_a_person_ahead_is_braked_for_as_soon_as_the_service_brake_would_touch() -> None:
    """1.5 m/s: 0.25 s and 1.41 m of the service brake."""
    near_m, far_m = 0.45 + 0.25 + 1.6, 0.45 + 0.25 + 1.9
    assert action(AMR, 1.5, track(near_m)) is Action.EMERGENCY_STOP
    assert action(AMR, 1.5, track(far_m)) is Action.STOP


def test_a_parked_car_that_ordinary_steering_avoids_is_first_braked_for_gently() -> None:
    """8 m/s: 3.4 m until it brakes, and 10.7 m of the service or 5.3 m of the emergency brake."""
    edge = {**CAR, "velocity_mps": (0.0, 0.0)}
    beside_m = 0.91 + 0.9 - 0.5  # half a metre of it is in the way
    gaps_m = {gap: action(VAN, 8.0, track(3.65 + 2.1 + gap, beside_m, **edge)) for gap in (13.0, 8.5)}
    assert gaps_m[13.0] is Action.STOP
    assert gaps_m[8.5] is Action.EMERGENCY_STOP, "at the last look from which the emergency brake still does"
    whole = action(VAN, 8.0, track(3.65 + 2.1 + 8.5, 0.0, **edge))
    assert whole is Action.EMERGENCY_STOP


def test_an_oncoming_car_in_its_own_lane_is_nothing_to_brake_hard_for() -> None:
    """A bend to the left sweeps the band over the other lane; they pass each other all the same."""
    comes = track(3.65 + 20.0, 3.0, velocity_mps=(-9.0, 0.0), **CAR)
    assert action(VAN, 7.0, comes, yaw_rate=0.1) is not Action.EMERGENCY_STOP


def test_a_car_that_drives_into_the_robots_way_is_braked_hard_for() -> None:
    """Head on, in the middle of the lane."""
    assert action(VAN, 7.0, track(3.65 + 9.0, 0.0, velocity_mps=(-7.0, 0.0), **CAR)) is Action.EMERGENCY_STOP


# --- brakes ---------------------------------------------------------------------------------------------------


def test_brakes_fade_with_speed_and_give_way_to_load_and_slope() -> None:
    brakes = Brakes((5.0, np.inf), (4.0, 3.0))
    assert (brakes.at(5.0), brakes.at(5.1)) == (4.0, 3.0)
    assert brakes.under(0.5, 0.0).decel_mps2 == (2.0, 1.5)
    assert brakes.under(1.0, 0.1).decel_mps2 == pytest.approx((4.0 - 0.981, 3.0 - 0.981))
    assert brakes.under(1.0, -0.3) == brakes
    assert min(brakes.under(0.1, 0.9).decel_mps2) > 0


@given(st.floats(0.1, 60.0), st.floats(0.0, 2.0), st.floats(0.0, 1.0))
@settings(max_examples=60)
def test_the_safe_speed_of_fading_brakes_stops_in_its_way(way: float, u: float, t: float) -> None:
    brakes = Brakes((2.0, 5.0, np.inf), (4.0, 3.0, 1.5))
    v = float(brakes.safe_speed_mps(way, u, t))
    a = brakes.at(v)
    assert v * (t + u / a) + v**2 / (2 * a) <= way + 1e-6


def limit(config: RiskConfig, **conditions: float) -> float:
    got = assess(
        Tracks.empty(0, "odom"),
        (post(0.45 + 2.0),),
        ego_state(0.5),
        config,
        now_ns=0,
        conditions=Conditions(**conditions),
    )
    return got.findings[0].speed_limit_mps


def test_load_slope_and_latency_lower_the_limit() -> None:
    loaded = replace(AMR, zones=(), mass_kg=200.0, max_payload_kg=100.0)
    limits = [limit(loaded, payload_kg=kg) for kg in (0.0, 50.0, 100.0)]
    assert limits[0] > limits[1] > limits[2]
    assert limit(loaded) == limits[2], "nobody says what is loaded: the most that may be"
    assert limit(replace(loaded, max_downhill=0.02), payload_kg=0.0) < limits[0]
    assert limit(loaded, payload_kg=0.0, latency_s=0.3) < limits[0]


def test_a_slope_in_the_odometry_counts_downhill_only() -> None:
    config = replace(AMR, zones=())

    def at(pitch_rad: float) -> float:
        pose = ego_state(0.5).odom_from_base
        tilted = type(pose).from_xyz_rpy((0.0, 0.0, 0.0), (0.0, pitch_rad, 0.0))
        ego = replace(ego_state(0.5), odom_from_base=tilted)
        got = assess(Tracks.empty(0, "odom"), (post(2.45),), ego, config, now_ns=0)
        return got.findings[0].speed_limit_mps

    assert at(0.03) < at(0.0) == at(-0.03), "nose down is downhill"


def test_what_is_not_known_of_a_track_is_taken_off_its_gap() -> None:
    config = replace(AMR, zones=())
    sure, vague = track(3.0), replace(track(3.0), state_cov=np.eye(4)[None] * 0.04)

    def of(tracks: Tracks) -> float:
        return float(assess(tracks, (), ego_state(1.0), config, now_ns=0).objects.speed_limit_mps[0])

    assert of(vague) < of(sure)
