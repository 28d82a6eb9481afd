"""The gate's own look at raw points: how deep, how wide, on which side equality is, and what a finding says of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.verdicts import Action
from perception_platform.robot.load import load_robot
from perception_platform.safety.config import Drive, GateConfig
from perception_platform.safety.escape import escape_motion
from perception_platform.safety.field import check_field, field_reach_m
from test.unit.safety.healthy import CONFIG, FORKLIFT
from test.unit.scenes import ego_state, points, post


def test_the_field_is_as_deep_as_the_least_emergency_deceleration_takes() -> None:
    """From 2 m/s: 0.05 + 2 * 0.2 + 4 / (2 * 1.470506) = 1.8101 m beyond the forks."""
    forklift = GateConfig.from_robot(load_robot("forklift"))
    for x_m, hit in ((2.10 + 1.8099, True), (2.10 + 1.8104, False)):
        assert (check_field([post(x_m)], ego_state(2.0), None, forklift) is not None) is hit


def test_the_field_says_what_it_saw() -> None:
    cloud = points((0.48, 0.0, 0.1), (0.47, 0.1, 0.2), (0.49, 0.0, 0.3), (0.46, -0.1, 0.4))
    found = check_field([cloud], ego_state(0.0), None, CONFIG)
    assert found is not None
    assert found.value == pytest.approx(0.01, abs=1e-6)
    assert (found.threshold, found.unit, found.upper) == (0.05, "m", False)
    assert [p[0] for p in found.points_m] == pytest.approx([0.46, 0.47, 0.48])
    assert (found.action, found.speed_limit_mps, found.sensor) == (Action.EMERGENCY_STOP, 0.0, "lidar_top")
    assert check_field([points((0.46, 0, 0), (0.47, 0, 0))], ego_state(0.0), None, CONFIG) is None
    assert check_field([points((0.46, 0, 0), (0.47, 0, 0), (0.47, 0, 1))], ego_state(0.0), None, CONFIG)


@pytest.mark.parametrize(
    ("place_m", "hit"),
    [
        ((0.46, 0.299), True), ((0.46, 0.3), False), ((0.46, 0.301), False), ((0.46, -0.299), True),
        ((0.46, -0.301), False), ((0.499, 0.0), True), ((0.501, 0.0), False), ((0.449, 0.0), False),
    ],
)  # fmt: skip
def test_the_edges_of_the_field(place_m: tuple[float, float], hit: bool) -> None:
    cloud = points(*((*place_m, 0.1 * i) for i in range(3)))
    assert (check_field([cloud], ego_state(0.0), (0.2, 0.0, 0.0), CONFIG) is not None) is hit


@pytest.mark.parametrize(
    ("place_m", "hit"),
    [
        ((0.0, 0.58), True),
        ((0.0, 0.6), False),
        ((0.46, 0.31), True),
        ((0.44, 0.29), False),
        ((-0.5, 0.0), True),
    ],
)
def test_the_circle_of_a_turn(place_m: tuple[float, float], hit: bool) -> None:
    cloud = points(*((*place_m, 0.1 * i) for i in range(3)))
    turning = replace(ego_state(0.0), yaw_rate_radps=0.06)
    assert (check_field([cloud], turning, None, CONFIG) is not None) is hit
    told = check_field([cloud], ego_state(0.0), (0.0, 0.0, -0.06), CONFIG)
    assert (told is not None) is hit
    if told is not None:
        assert told.threshold == pytest.approx(math.hypot(0.45, 0.3) + 0.05)
        assert told.value == pytest.approx(math.hypot(*place_m), abs=1e-6)
    noise = replace(ego_state(0.0), yaw_rate_radps=0.05)
    assert check_field([points((0.0, 0.58, 0), (0.0, 0.58, 1), (0.0, 0.58, 2))], noise, None, CONFIG) is None


def test_slow_is_noise_up_to_three_centimetres_a_second() -> None:
    behind = points(*((-0.47, 0.0, 0.1 * i) for i in range(3)))
    assert check_field([behind], ego_state(-0.03), (0.5, 0.0, 0.0), CONFIG) is None
    assert check_field([behind], ego_state(-0.031), (0.5, 0.0, 0.0), CONFIG) is not None


def test_how_far_the_field_reaches() -> None:
    around_m = math.hypot(0.45, 0.3) + 0.05
    depth_m = around_m + 0.05 + 1.0 * 0.1 + 1.0 / 4.0
    assert field_reach_m(ego_state(1.0), CONFIG) == pytest.approx((depth_m, around_m))
    omni = replace(CONFIG, drive=Drive.OMNIDIRECTIONAL)
    assert field_reach_m(ego_state(1.0), omni) == pytest.approx((depth_m, depth_m))


def test_the_first_of_several_clouds_with_points_in_the_field_is_told() -> None:
    clear, near = post(5.0), replace(post(0.47), sensor="scan_front")
    found = check_field([clear, near], ego_state(0.0), None, CONFIG)
    assert found is not None
    assert found.sensor == "scan_front"


def test_turning_the_corner_that_is_farthest_is_the_fastest_and_the_reach() -> None:
    corner_m = math.hypot(2.1, 0.6)
    motion = escape_motion((0.0, 0.0, 1.0), FORKLIFT)
    assert motion == pytest.approx((0.0, 0.0, 0.25 / corner_m))
    for beyond_m, hit in ((0.04, True), (0.06, False)):
        cloud = points(*((0.0, corner_m + beyond_m, 0.1 * i) for i in range(3)))
        assert (check_field([cloud], ego_state(0.0), (0.0, 0.0, 0.5), FORKLIFT) is not None) is hit


def test_the_field_reaches_around_the_farthest_corner() -> None:
    """Of the forklift hypot(2.1, 0.6) and 5 cm to each side; ahead 0.05 + 2 * 0.2 + 4 / (2 * 1.470506) m more."""
    around_m = math.hypot(2.1, 0.6) + 0.05
    assert field_reach_m(ego_state(2.0), FORKLIFT) == pytest.approx((around_m + 1.810076, around_m), abs=1e-5)


@pytest.mark.parametrize(
    ("along_m", "across_m", "hit"),
    [(2.20, -1.6, True), (2.20, 1.35, True), (2.20, 1.75, False), (1.98, 0.0, False), (2.20, 0.0, True)],
)
def test_the_field_of_a_body_that_goes_aslant(along_m: float, across_m: float, hit: bool) -> None:
    """At 45 degrees a body from -1.2 to 2.1 m, 0.8 m to the left and 0.6 to the right, ends at 2.9 / sqrt 2 = 2.051 m
    along and reaches from -2.7 / sqrt 2 = -1.909 to 2.0 / sqrt 2 = 1.414 m across; its mirror would to 1.27 m."""
    body_m = np.array([[2.1, 0.8], [-1.2, 0.8], [-1.2, -0.6], [2.1, -0.6]])
    config = replace(FORKLIFT, drive=Drive.OMNIDIRECTIONAL, footprint_m=body_m)
    c = math.sqrt(0.5)
    place_m = ((along_m - across_m) * c, (along_m + across_m) * c)
    cloud = points(*((*place_m, 0.1 * i) for i in range(3)))
    ego = replace(ego_state(0.0), velocity_mps=(0.3, 0.3))
    assert (check_field([cloud], ego, None, config) is not None) is hit
