"""Where a limit lies to the last digit, and on which side equality is: each of these slips would be less safe."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, GateState, NearObjects, Reason
from perception_platform.safety.checks import fresh_command
from perception_platform.safety.config import Drive, GateConfig
from perception_platform.safety.field import check_field
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, Seen
from perception_platform.safety.memory import Holds
from perception_platform.safety.override import Override
from perception_platform.safety.profile import STILL, VelocityProfile, limit_command
from perception_platform.safety.without import without_binding
from test.unit.safety.healthy import CONFIG, PERIOD_NS, assessment, beats, finding, healthy, running_gate
from test.unit.scenes import ego_state, points

DT_S = 0.05
# Its sides are numbers that single precision has, too: equality is met.
BOX = replace(CONFIG, footprint_m=np.array([[0.5, 0.25], [-0.5, 0.25], [-0.5, -0.25], [0.5, -0.25]]))
OMNI = replace(BOX, drive=Drive.OMNIDIRECTIONAL)


def hits(x_m: float, y_m: float, velocity: tuple[float, float, float], config: GateConfig = BOX) -> bool:
    """Whether points at that place are in the field of a standing robot that is told to drive so."""
    cloud = points(*((x_m, y_m, 0.1 * i) for i in range(3)))
    return check_field([cloud], ego_state(0.0), velocity, config) is not None


@pytest.mark.parametrize(
    ("place_m", "hit"),
    [
        ((0.53, 0.249), True), ((0.53, 0.25), False), ((0.53, -0.249), True), ((0.53, -0.25), False),
        ((0.5, 0.0), False), ((0.501, 0.0), True), ((0.549, 0.0), True), ((0.551, 0.0), False),
    ],
)  # fmt: skip
def test_what_touches_the_sides_of_the_field_is_outside(place_m: tuple[float, float], hit: bool) -> None:
    assert hits(*place_m, (0.2, 0.0, 0.0)) is hit


@pytest.mark.parametrize("place_m", [(0.5, 0.0), (-0.5, 0.0), (0.0, 0.25), (0.0, -0.25)])
def test_what_touches_the_outline_of_a_turning_robot_is_not_its_own(place_m: tuple[float, float]) -> None:
    assert hits(*place_m, (0.0, 0.0, 0.5))
    assert not hits(0.99 * place_m[0], 0.99 * place_m[1], (0.0, 0.0, 0.5))


@pytest.mark.parametrize(
    ("place_m", "hit"),
    [
        ((0.49, 0.27), True), ((-0.49, 0.27), True), ((0.51, 0.27), False), ((-0.51, 0.27), False),
        ((0.0, 0.31), False), ((0.0, -0.27), False),
    ],
)  # fmt: skip
def test_sideways_the_field_is_as_wide_as_the_robot_is_long(place_m: tuple[float, float], hit: bool) -> None:
    assert hits(*place_m, (0.0, 0.2, 0.0), OMNI) is hit
    assert hits(place_m[0], -place_m[1], (0.0, -0.2, 0.0), OMNI) is hit


def test_slantwise_the_field_begins_at_the_corner_that_leads() -> None:
    """With a slope of 3 to 4 the leading corner is 0.55 m ahead, and the widest are 0.5 m across."""
    c, s = 0.8, 0.6
    for ahead_m, across_m, hit in (
        (0.58, 0.0, True), (0.54, 0.0, False), (0.61, 0.0, False),
        (0.58, 0.49, True), (0.58, 0.51, False), (0.58, -0.49, True), (0.58, -0.51, False),
    ):  # fmt: skip
        place_m = (ahead_m * c - across_m * s, ahead_m * s + across_m * c)
        assert hits(*place_m, (0.2 * c, 0.2 * s, 0.0), OMNI) is hit
        mirrored = (place_m[0], -place_m[1])
        assert hits(*mirrored, (0.2 * c, -0.2 * s, 0.0), OMNI) is hit


def test_a_command_is_fresh_up_to_its_time_out() -> None:
    for silence_s, command in ((0.5, (1.0, 0.0, 0.2)), (0.500001, None), (math.nan, None)):
        inputs = replace(healthy(0), command=Seen((1.0, 0.0, 0.2), silence_s))
        assert fresh_command(inputs, CONFIG) == command


@pytest.mark.parametrize("axis", range(3))
def test_a_command_with_one_number_that_is_none_is_told(axis: int) -> None:
    gate, now_ns = running_gate()
    command = tuple(math.nan if i == axis else 0.1 for i in range(3))
    decision = gate.step(now_ns, replace(healthy(now_ns), command=Seen(command, 0.0)))  # type: ignore[arg-type]
    assert decision.reasons == (Reason.MALFORMED_INPUT,)
    assert decision.output_mps == (0.0, 0.0, 0.0)


def test_three_centimetres_a_second_are_not_standing() -> None:
    for speed_mps, state in ((0.0299, GateState.STOPPED), (0.03, GateState.STOPPING)):
        gate, now_ns = running_gate()
        assert gate.step(now_ns, healthy(now_ns, speed_mps, (finding(Action.STOP),))).state is state


def test_two_beats_of_the_same_moment_are_no_step_back() -> None:
    gate, now_ns = running_gate()
    gate.step(now_ns, healthy(now_ns))
    assert gate.step(now_ns, healthy(now_ns)).reasons == ()
    assert gate.step(now_ns - 1, healthy(now_ns)).reasons == (Reason.BACKWARDS_STAMP,)


def test_deadlines_missed_one_after_the_other_are_a_stop_at_once() -> None:
    gate, now_ns = running_gate()
    missed = (Event(Reason.DEADLINE_MISSED, "once", "scan_front"),)
    decisions = beats(gate, now_ns, 3, lambda t_ns: replace(healthy(t_ns), events=missed))
    assert [d.action for d in decisions] == [Action.LIMIT, Action.LIMIT, Action.STOP]
    often = next(f for f in decisions[-1].findings if f.reason is Reason.DEADLINES_MISSED)
    assert (often.value, often.threshold, often.unit) == (3.0, 3.0, "1")


def test_held_and_latched_stops_carry_no_speed() -> None:
    holds, stop = Holds(CONFIG), finding(Action.STOP)
    holds.step(0, [stop], started=True)
    (held,) = holds.step(PERIOD_NS, [], started=True)
    assert (held.action, held.speed_limit_mps) == (Action.STOP, 0.0)
    latching = Holds(replace(CONFIG, latch_on=frozenset({Reason.ZONE})))
    latching.reset()
    emergency = finding(Action.EMERGENCY_STOP, reason=Reason.ZONE)
    latching.step(0, [emergency], started=True)
    (latched,) = latching.step(PERIOD_NS, [], started=True)
    assert (latched.action, latched.speed_limit_mps) == (Action.EMERGENCY_STOP, 0.0)


def test_a_short_override_is_one_and_tells_what_is_left() -> None:
    override = Override(CONFIG)
    assert override.apply(0, []) == []
    override.grant(from_s(1.0), 0.5)
    (loud,) = override.apply(from_s(1.0), [])
    assert (loud.value, loud.threshold, loud.unit) == (0.5, 0.0, "s")
    assert override.apply(from_s(1.5) - 1, [])
    assert override.apply(from_s(1.5), []) == []


def test_the_first_braking_of_all_begins_softly() -> None:
    profile = VelocityProfile(CONFIG)
    profile.let_through((1.0, 0.0, 0.0), 1.5)
    assert profile.step(DT_S, Action.STOP, 0.0, None) == pytest.approx(1.0 - CONFIG.jerk_mps3 * DT_S**2)


def test_turning_is_no_speed_over_ground() -> None:
    profile = VelocityProfile(CONFIG)
    profile.let_through((0.3, 0.0, 1.0), 1.5)
    assert profile.step(DT_S, Action.STOP, 0.0, None) == pytest.approx(0.3 - CONFIG.jerk_mps3 * DT_S**2)


def test_a_limit_of_nought_lets_no_turn_on_the_spot_through() -> None:
    assert limit_command((0.0, 0.0, 0.5), 0.0, CONFIG) == STILL
    assert limit_command((0.0, 0.0, 0.5), 1e-9, CONFIG) == (0.0, 0.0, 0.5)


def test_points_a_third_outside_a_box_are_no_longer_the_objects() -> None:
    corners_m = np.array([[[3.0, 1.0], [2.0, 1.0], [2.0, 0.0], [3.0, 0.0]]])
    near = NearObjects(np.array([3]), corners_m, np.zeros((1, 2)))
    for x_m, action in ((1.86, Action.PROCEED), (1.84, Action.STOP)):
        raw = finding(Action.STOP, track_ids=(), points_m=((x_m, 0.5, 0.1),), sensor="lidar_top")
        left = without_binding([finding(Action.STOP), raw], near, 1.5)
        assert left is not None
        assert left.action is action


def test_the_counterfactual_is_worked_out_anew_when_objects_have_moved_under_the_same_findings() -> None:
    corners_m = np.array([[[1.0, 0.2], [0.6, 0.2], [0.6, -0.2], [1.0, -0.2]]])
    person = finding(Action.STOP)
    raw = finding(Action.STOP, track_ids=(), points_m=((0.8, 0.0, 0.3),), sensor="lidar_top")
    gate, now_ns = SafetyGate(CONFIG), from_s(10.0)
    for shift_m, action in ((0.0, Action.PROCEED), (5.0, Action.STOP), (0.0, Action.PROCEED)):
        near = NearObjects(np.array([3]), corners_m + shift_m, np.zeros((1, 2)))
        told = Seen(assessment(now_ns - from_s(0.1), person, raw, near=near), 0.05)
        decision = gate.step(now_ns, replace(healthy(now_ns), assessment=told))
        assert decision.without is not None
        assert decision.without.action is action
        now_ns += PERIOD_NS
