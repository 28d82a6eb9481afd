"""The braking profile: no faster than command, limit and braking allow, and no later than the brakes could."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.verdicts import Action
from perception_platform.safety.config import Drive
from perception_platform.safety.profile import STILL, VelocityProfile, limit_command
from test.unit.safety.healthy import CONFIG

DT_S = 0.05


def driving(speed_mps: float = 1.0) -> VelocityProfile:
    """A robot that was let drive at that speed."""
    profile = VelocityProfile(CONFIG)
    profile.let_through(
        (speed_mps, 0.0, 0.0), profile.step(DT_S, Action.PROCEED, CONFIG.max_speed_mps, speed_mps)
    )
    return profile


def brake(profile: VelocityProfile, action: Action, limit_mps: float, beats: int = 80) -> list[float]:
    """Speeds let through beat by beat, by a robot that follows at once."""
    speeds = [1.0]
    for _ in range(beats):
        bound_mps = profile.step(DT_S, action, limit_mps, speeds[-1])
        speeds.append(profile.let_through((1.0, 0.0, 0.0), bound_mps)[0])
    return speeds


def decels(speeds: list[float]) -> list[float]:
    return [(a - b) / DT_S for a, b in zip(speeds, speeds[1:], strict=False)]


def test_a_stop_brakes_with_bounded_jerk_up_to_the_service_deceleration() -> None:
    found = decels(brake(driving(), Action.STOP, 0.0))
    assert found[0] == pytest.approx(CONFIG.jerk_mps3 * DT_S)
    assert max(found) == pytest.approx(CONFIG.service_decel_mps2)
    assert max(b - a for a, b in zip(found, found[1:], strict=False)) <= CONFIG.jerk_mps3 * DT_S + 1e-9
    assert brake(driving(), Action.STOP, 0.0)[-1] == 0.0


def test_its_way_is_that_of_the_service_brake_after_the_delay_that_the_robot_file_counts() -> None:
    """What the risk stage plans with covers what the gate does."""
    speeds = brake(driving(), Action.STOP, 0.0)
    way_m = sum(speeds) * DT_S
    delay_s = CONFIG.service_decel_mps2 / (2 * CONFIG.jerk_mps3) + DT_S
    assert way_m <= 1.0 * delay_s + 1.0 / (2 * CONFIG.service_decel_mps2)


def test_an_emergency_brakes_as_hard_as_it_may_at_once_and_is_not_eased_off() -> None:
    profile = driving()
    assert decels(brake(profile, Action.EMERGENCY_STOP, 0.0, 4)) == pytest.approx([2.0] * 4)
    assert profile.step(DT_S, Action.STOP, 0.0, 1.0) == pytest.approx(0.6 - 2.0 * DT_S)
    profile.let_through((1.0, 0.0, 0.0), 0.5)
    assert profile.step(DT_S, Action.LIMIT, 0.1, 1.0) == pytest.approx(0.5 - 0.8 * DT_S)


def test_a_limit_is_kept_and_a_higher_one_is_reached_without_a_step() -> None:
    profile = driving()
    assert brake(profile, Action.LIMIT, 0.5)[-1] == 0.5
    assert profile.step(DT_S, Action.PROCEED, 1.5, 0.5) == pytest.approx(
        0.5 + CONFIG.service_decel_mps2 * DT_S
    )
    for _ in range(40):
        bound_mps = profile.step(DT_S, Action.PROCEED, 1.5, 0.5)
    assert bound_mps == 1.5


def test_after_a_limit_the_jerk_is_bounded_anew() -> None:
    profile = driving()
    brake(profile, Action.LIMIT, 0.5)
    profile.step(DT_S, Action.LIMIT, 0.5, 0.5)
    assert profile.step(DT_S, Action.LIMIT, 0.0, 0.5) == pytest.approx(0.5 - CONFIG.jerk_mps3 * DT_S**2)


@pytest.mark.parametrize(("measured_mps", "begins_mps"), [(0.4, 0.4), (2.0, 1.0), (None, 1.0)])
def test_braking_begins_at_the_speed_that_the_robot_has(
    measured_mps: float | None, begins_mps: float
) -> None:
    bound_mps = driving().step(DT_S, Action.STOP, 0.0, measured_mps)
    assert bound_mps == pytest.approx(begins_mps - CONFIG.jerk_mps3 * DT_S**2)


def test_what_stands_stays_standing() -> None:
    assert driving().step(DT_S, Action.STOP, 0.0, 0.0) == 0.0


def test_a_slow_robot_is_not_let_become_faster_on_the_way_down() -> None:
    profile = VelocityProfile(CONFIG)
    profile.let_through((0.2, 0.0, 0.0), CONFIG.max_speed_mps)
    assert profile.step(DT_S, Action.STOP, 0.0, 0.2) < 0.2


@pytest.mark.parametrize(
    ("drive", "command", "limit_mps", "expected"),
    [
        (Drive.DIFFERENTIAL, (1.0, 0.5, 0.2), 0.5, (0.5, 0.0, 0.1)),
        (Drive.DIFFERENTIAL, (0.0, 0.0, 2.4), 0.5, (0.0, 0.0, 1.2)),
        (Drive.DIFFERENTIAL, (-1.0, 0.0, 2.4), 5.0, (-0.5, 0.0, 1.2)),
        (Drive.DIFFERENTIAL, (1.0, 0.0, 0.2), 0.0, STILL),
        (Drive.DIFFERENTIAL, (1.0, 0.0, 0.2), -0.1, STILL),
        (Drive.DIFFERENTIAL, (1.0, 0.0, 0.2), math.nan, STILL),
        (Drive.DIFFERENTIAL, None, 1.0, STILL),
        (Drive.ACKERMANN, (0.0, 0.0, 0.2), 1.0, STILL),
        (Drive.ACKERMANN, (0.5, 0.3, 0.2), 1.0, (0.5, 0.0, 0.2)),
        (Drive.OMNIDIRECTIONAL, (0.3, 0.4, 0.2), 0.25, (0.15, 0.2, 0.1)),
        (Drive.OMNIDIRECTIONAL, (0.0, 0.4, 0.0), 0.5, (0.0, 0.4, 0.0)),
    ],
)
def test_commands_are_scaled_along_their_own_way(
    drive: Drive,
    command: tuple[float, float, float] | None,
    limit_mps: float,
    expected: tuple[float, float, float],
) -> None:
    assert limit_command(command, limit_mps, replace(CONFIG, drive=drive)) == pytest.approx(expected)


numbers = st.floats(-3.0, 3.0)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([Action.EMERGENCY_STOP, Action.STOP, Action.LIMIT, Action.PROCEED]),
            st.floats(0.0, 1.5),
            st.tuples(numbers, numbers, numbers),
            st.none() | st.floats(0.0, 2.0),
            st.floats(0.0, 0.3),
        ),
        max_size=30,
    ),
    drive=st.sampled_from(list(Drive)),
)
def test_out_is_never_faster_than_the_command_nor_than_limit_and_braking_allow(
    steps: list[tuple[Action, float, tuple[float, float, float], float | None, float]], drive: Drive
) -> None:
    profile = VelocityProfile(replace(CONFIG, drive=drive))
    before_mps = 0.0
    for action, wanted_mps, command, measured_mps, dt_s in steps:
        limit_mps = 0.0 if action <= Action.STOP else wanted_mps
        bound_mps = profile.step(dt_s, action, limit_mps, measured_mps)
        out = profile.let_through(command, bound_mps)
        speed_mps = math.hypot(*out[:2])
        assert speed_mps <= min(math.hypot(*command[:2]), bound_mps) + 1e-9
        assert abs(out[2]) <= min(abs(command[2]), CONFIG.max_yaw_rate_radps) + 1e-9
        assert bound_mps <= max(limit_mps, before_mps) + 1e-9
        before_mps = speed_mps if speed_mps > limit_mps else max(bound_mps, speed_mps)
