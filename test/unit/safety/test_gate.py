"""The gate: starts stopped, stops on every fault, passes on what the surroundings ask for, never more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.sensor_data import PointCloud, SensorHealth, SensorProblem, SensorStatus
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Decision, GateState, Reason
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen
from test.unit.safety.healthy import CONFIG, PERIOD_NS, assessment, finding, healthy, running_gate
from test.unit.scenes import ego_state, points, post


def step_with(**changes: object) -> Decision:
    gate, now_ns = running_gate()
    return gate.step(now_ns, replace(healthy(now_ns), **changes))


def test_an_empty_start_is_a_stop_and_says_what_it_waits_for() -> None:
    decision = SafetyGate(CONFIG).step(0, GateInputs())
    assert (decision.action, decision.state) == (Action.STOP, GateState.STARTING)
    assert decision.output_mps == (0.0, 0.0, 0.0)
    assert decision.latency_ns == -1
    assert set(decision.reasons) == {
        Reason.STARTING,
        Reason.ASSESSMENT_MISSING,
        Reason.ODOMETRY_MISSING,
        Reason.OBSTACLES_MISSING,
    }


def test_with_all_inputs_it_lets_the_command_through_and_counts_its_beats() -> None:
    gate, now_ns = running_gate()
    decision = gate.step(now_ns, healthy(now_ns))
    assert (decision.action, decision.state, decision.sequence) == (Action.PROCEED, GateState.NORMAL, 1)
    assert decision.output_mps == (1.0, 0.0, 0.2)
    assert decision.latency_ns == from_s(0.1)
    assert decision.lineage.sources == (SourceStamp("lidar_top", now_ns - from_s(0.1)),)


@pytest.mark.parametrize(
    ("action", "state", "speed_mps", "decel"),
    [
        (Action.LIMIT, GateState.LIMITED, 1.0, CONFIG.service_decel_mps2),
        (Action.STOP, GateState.STOPPING, 1.0, CONFIG.service_decel_mps2),
        (Action.STOP, GateState.STOPPED, 0.0, CONFIG.service_decel_mps2),
        (Action.EMERGENCY_STOP, GateState.STOPPING, 1.0, CONFIG.emergency_decel_mps2),
    ],
)
def test_what_the_risk_stage_asks_for_is_done(
    action: Action, state: GateState, speed_mps: float, decel: float
) -> None:
    gate, now_ns = running_gate()
    limit = 0.4 if action is Action.LIMIT else 0.0
    decision = gate.step(now_ns, healthy(now_ns, speed_mps, (finding(action, limit),)))
    assert (decision.action, decision.state, decision.deceleration_mps2) == (action, state, decel)
    assert decision.findings[0].track_ids == (3,)
    for _ in range(40):
        now_ns += PERIOD_NS
        decision = gate.step(now_ns, healthy(now_ns, decision.output_mps[0], (finding(action, limit),)))
    assert decision.output_mps == pytest.approx((limit, 0.0, 0.2 * limit))


STALE_S = CONFIG.input_timeout_s + 0.01


@pytest.mark.parametrize("silent", ["assessment", "ego"])
@pytest.mark.parametrize("how", ["silence", "old stamp", "nan silence"])
def test_stale_inputs_stop(silent: str, how: str) -> None:
    gate, now_ns = running_gate()
    inputs = healthy(now_ns)
    seen = getattr(inputs, silent)
    if how == "old stamp":
        gate = SafetyGate(CONFIG)
        seen = Seen(replace(seen.value, t_ns=now_ns - from_s(STALE_S)), 0.01)
    else:
        seen = Seen(seen.value, math.nan if how == "nan silence" else STALE_S)
    decision = gate.step(now_ns, replace(inputs, **{silent: seen}))
    stale = Reason.ASSESSMENT_STALE if silent == "assessment" else Reason.ODOMETRY_STALE
    assert (decision.action, decision.state) == (Action.STOP, GateState.FAULT)
    assert stale in decision.reasons


def test_stale_obstacles_of_one_required_sensor_stop() -> None:
    fresh = healthy(from_s(10.0) + PERIOD_NS).obstacles
    stale = {**fresh, "scan_front": Seen(fresh["scan_front"].value, STALE_S)}
    decision = step_with(obstacles=stale)
    assert decision.action is Action.STOP
    assert decision.findings[0].sensor == "scan_front"


def test_a_stamp_from_the_future_stops_and_a_small_offset_does_not() -> None:
    now_ns = from_s(10.0) + PERIOD_NS
    for ahead_s, action in ((0.04, Action.PROCEED), (5.0, Action.STOP)):
        ego = Seen(ego_state(1.0, t_ns=now_ns + from_s(ahead_s)), 0.0)
        assert step_with(ego=ego).action is action


def test_stamps_that_go_backwards_stop_and_are_forgiven_after_the_hold() -> None:
    gate, now_ns = running_gate()
    old = Seen(assessment(from_s(10.0) - from_s(0.2)), 0.0)
    decision = gate.step(now_ns, replace(healthy(now_ns), assessment=old))
    assert Reason.BACKWARDS_STAMP in decision.reasons
    later_ns = now_ns
    actions = []
    for _ in range(6):
        later_ns += PERIOD_NS
        actions.append(gate.step(later_ns, healthy(later_ns)).action)
    assert actions[0] is Action.STOP
    assert actions[-1] is Action.PROCEED


def test_a_clock_that_steps_back_stops_and_the_gate_recovers() -> None:
    gate, _ = running_gate()
    now_ns = from_s(3.0)
    assert Reason.BACKWARDS_STAMP in gate.step(now_ns, healthy(now_ns)).reasons
    actions = [gate.step(now_ns + i * PERIOD_NS, healthy(now_ns + i * PERIOD_NS)).action for i in range(1, 8)]
    assert actions[0] is Action.STOP
    assert actions[-1] is Action.PROCEED


def test_a_late_beat_limits() -> None:
    gate, now_ns = running_gate()
    late_ns = now_ns + 5 * PERIOD_NS
    decision = gate.step(late_ns, healthy(late_ns))
    assert decision.reasons == (Reason.GATE_OVERRUN,)
    assert decision.speed_limit_mps == pytest.approx(0.5 * CONFIG.max_speed_mps)


@pytest.mark.parametrize(
    ("factor", "share"), [(0.9, 0.5), (0.25, 0.25), (0.0, 0.0), (float("nan"), 0.0), (-1.0, 0.0)]
)
def test_stages_that_run_late_slow_the_robot_down(factor: float, share: float) -> None:
    gate, now_ns = running_gate()
    next_ns = now_ns + PERIOD_NS
    decision = gate.step(next_ns, replace(healthy(next_ns), speed_factor=factor))
    assert decision.reasons == (Reason.LOAD_SHED,)
    assert decision.speed_limit_mps == pytest.approx(share * CONFIG.max_speed_mps)
    assert decision.action is Action.LIMIT


def test_old_data_behind_a_fresh_assessment_limits() -> None:
    now_ns = from_s(10.0) + PERIOD_NS
    old = replace(
        assessment(now_ns - from_s(0.1)), lineage=Lineage((SourceStamp("lidar_top", now_ns - from_s(0.35)),))
    )
    assert step_with(assessment=Seen(old, 0.0)).reasons == (Reason.LATENCY_OVER_BOUND,)


@pytest.mark.parametrize("lineage", [Lineage((SourceStamp("lidar_top", from_s(9.0)),)), Lineage()])
def test_data_past_the_time_out_or_of_unknown_age_behind_a_fresh_assessment_stops(lineage: Lineage) -> None:
    now_ns = from_s(10.0) + PERIOD_NS
    stale = replace(assessment(now_ns - from_s(0.1)), lineage=lineage)
    decision = step_with(assessment=Seen(stale, 0.0))
    assert decision.reasons == (Reason.ASSESSMENT_STALE,)
    assert decision.action is Action.STOP


@pytest.mark.parametrize(
    ("sensor", "status", "silence_s", "expected"),
    [
        ("lidar_top", SensorStatus.OK, 0.5, Action.PROCEED),
        ("lidar_top", SensorStatus.DEGRADED, 0.5, Action.LIMIT),
        ("lidar_top", SensorStatus.FAILED, 0.5, Action.STOP),
        ("lidar_top", SensorStatus.OK, 3.5, Action.STOP),
        ("lidar_top", SensorStatus.OK, math.nan, Action.STOP),
        ("camera_rear", SensorStatus.FAILED, 0.5, Action.LIMIT),
        ("camera_front", SensorStatus.FAILED, 0.5, Action.PROCEED),  # no model of the amr looks at it
    ],
)
def test_health_reports(sensor: str, status: SensorStatus, silence_s: float, expected: Action) -> None:
    problems = () if status is SensorStatus.OK else (SensorProblem.LOW_RATE,)
    health = SensorHealth(0, sensor, status, problems, 10.0, 0.1, 1, 0, 0, 0, (), "as it is")
    assert step_with(health={sensor: Seen(health, silence_s)}).action is expected


def test_an_idle_camera_keeps_nothing_else_from_being_looked_at() -> None:
    failed = SensorHealth(0, "camera_front", SensorStatus.FAILED, (), 10.0, 0.1, 1, 0, 0, 0, (), "dark")
    lidar = replace(failed, sensor="lidar_top")
    decision = step_with(health={"camera_front": Seen(failed, 0.5), "lidar_top": Seen(lidar, 0.5)})
    assert decision.reasons == (Reason.SENSOR_FAILED,)
    assert decision.findings[0].sensor == "lidar_top"


def test_a_required_camera_has_to_report() -> None:
    config = replace(CONFIG, reporting_sensors=("camera_front",))
    inputs = healthy(from_s(1.0))
    assert Reason.SENSOR_FAILED in SafetyGate(config).step(from_s(1.0), inputs).reasons
    fine = SensorHealth(0, "camera_front", SensorStatus.OK, (), 10.0, 0.1, 1, 0, 0, 0, (), "fine")
    reported = replace(inputs, health={"camera_front": Seen(fine, 0.5)})
    assert SafetyGate(config).step(from_s(1.0), reported).action is Action.PROCEED


@pytest.mark.parametrize(
    ("reason", "action"),
    [
        (Reason.PUBLISHER_LOST, Action.STOP),
        (Reason.MALFORMED_INPUT, Action.LIMIT),
        (Reason.DEADLINE_MISSED, Action.LIMIT),
    ],
)
def test_events_act_as_their_row_says(reason: Reason, action: Action) -> None:
    decision = step_with(events=(Event(reason, "scan without ranges", "scan_front"),))
    assert decision.action is action
    assert "scan without ranges" in decision.findings[0].text


@pytest.mark.parametrize("command", [None, Seen((1.0, 0.0, 0.0), 0.6), Seen((math.nan, 0.0, 0.0), 0.0)])
def test_without_a_good_command_nothing_comes_out(command: Seen[tuple[float, float, float]] | None) -> None:
    decision = step_with(command=command)
    assert decision.output_mps == (0.0, 0.0, 0.0)
    assert decision.command_mps is None


@pytest.mark.parametrize("velocity", [(math.nan, 0.0), (0.5, math.inf)])
def test_a_speed_that_is_no_number_stops(velocity: tuple[float, float]) -> None:
    now_ns = from_s(10.0) + PERIOD_NS
    ego = replace(ego_state(0.5, t_ns=now_ns), velocity_mps=velocity)
    assert step_with(ego=Seen(ego, 0.0)).action <= Action.STOP


@pytest.mark.parametrize("limit", [math.nan, math.inf, -1.0])
def test_a_limit_that_makes_no_sense_is_a_stop(limit: float) -> None:
    gate, now_ns = running_gate()
    decision = gate.step(now_ns, healthy(now_ns, 1.0, (finding(Action.LIMIT, limit),)))
    assert decision.action is Action.STOP
    assert "makes no sense" in decision.findings[0].text


def test_the_gate_sees_points_that_the_risk_stage_overlooked() -> None:
    now_ns = from_s(10.0) + PERIOD_NS
    near = post(0.45 + 0.3, t_ns=now_ns - from_s(0.1))
    obstacles = {**healthy(now_ns).obstacles, "lidar_top": Seen(near, 0.05)}
    decision = step_with(obstacles=obstacles)
    assert decision.action is Action.EMERGENCY_STOP
    assert decision.reasons == (Reason.POINTS_IN_FIELD,)
    assert decision.findings[0].margin < 0


def test_the_field_looks_where_the_robot_goes() -> None:
    now_ns = from_s(10.0) + PERIOD_NS
    behind = post(-0.45 - 0.2, t_ns=now_ns - from_s(0.1))
    obstacles = {**healthy(now_ns).obstacles, "lidar_top": Seen(behind, 0.05)}
    assert step_with(obstacles=obstacles).action is Action.PROCEED
    backwards = Seen(ego_state(-1.0, t_ns=now_ns), 0.0)
    assert step_with(obstacles=obstacles, ego=backwards).action is Action.EMERGENCY_STOP


def clouds_with(cloud: PointCloud, now_ns: int) -> dict[str, Seen[PointCloud]]:
    return {**healthy(now_ns).obstacles, cloud.sensor: Seen(cloud, 0.05)}


NEXT_NS = from_s(10.0) + PERIOD_NS


@pytest.mark.parametrize(
    ("place_m", "command", "action"),
    [
        ((-0.48, 0.0), (-0.5, 0.0, 0.0), Action.EMERGENCY_STOP),
        ((-0.48, 0.0), (0.5, 0.0, 0.0), Action.PROCEED),
        ((0.48, 0.0), (0.5, 0.0, 0.0), Action.EMERGENCY_STOP),
        ((0.30, 0.40), (0.0, 0.0, 1.0), Action.EMERGENCY_STOP),
        ((0.30, 0.40), (0.5, 0.0, 0.0), Action.PROCEED),
        ((0.60, 0.30), (0.0, 0.0, 1.0), Action.PROCEED),
    ],
)
def test_of_a_standing_robot_the_field_is_where_the_command_would_take_it(
    place_m: tuple[float, float], command: tuple[float, float, float], action: Action
) -> None:
    cloud = points(*((*place_m, 0.1 * i) for i in range(4)), t_ns=NEXT_NS - from_s(0.1))
    noisy = Seen(ego_state(-0.001, t_ns=NEXT_NS), 0.0)
    decision = step_with(obstacles=clouds_with(cloud, NEXT_NS), ego=noisy, command=Seen(command, 0.0))
    assert decision.action is action


def test_an_optional_sensor_that_fell_silent_limits_and_its_old_points_are_left_out() -> None:
    near = replace(post(0.6), sensor="scan_rear")
    decision = step_with(obstacles={**healthy(NEXT_NS).obstacles, "scan_rear": Seen(near, 60.0)})
    assert decision.reasons == (Reason.SENSOR_DEGRADED,)
    assert decision.findings[0].sensor == "scan_rear"


def test_an_optional_sensor_that_speaks_is_looked_at() -> None:
    near = replace(post(0.6, t_ns=NEXT_NS), sensor="scan_rear")
    assert step_with(obstacles=clouds_with(near, NEXT_NS)).action is Action.EMERGENCY_STOP


def test_a_stop_lets_nothing_through_whatever_limit_it_comes_with() -> None:
    gate, now_ns = running_gate()
    decision = gate.step(now_ns, healthy(now_ns, 0.0, (finding(Action.STOP, 1.5),)))
    assert (decision.speed_limit_mps, decision.output_mps) == (0.0, (0.0, 0.0, 0.0))


def test_sideways_motion_which_nothing_judges_is_not_let_through() -> None:
    assert step_with(command=Seen((0.4, 0.9, 0.1), 0.0)).output_mps == (0.4, 0.0, 0.1)


def test_the_margin_of_a_fault_is_negative() -> None:
    old = Seen(healthy(NEXT_NS).assessment.value, STALE_S)  # type: ignore[union-attr]
    assert step_with(assessment=old).findings[0].margin == pytest.approx(-0.01)


def test_a_stop_is_held_for_a_while_after_its_reason_is_gone() -> None:
    gate, now_ns = running_gate()
    gate.step(now_ns, healthy(now_ns, 1.0, (finding(Action.STOP),)))
    states = []
    for i in range(1, 8):
        t_ns = now_ns + i * PERIOD_NS
        states.append((gate.step(t_ns, healthy(t_ns)).reasons, i * PERIOD_NS / 1e9))
    held = [t for reasons, t in states if reasons == (Reason.HOLD,)]
    assert max(held) < CONFIG.hold_s
    assert states[-1][0] == ()
    assert len(held) == 3


def test_the_stop_before_the_first_inputs_is_not_held() -> None:
    gate = SafetyGate(CONFIG)
    assert gate.step(from_s(10.0), GateInputs()).state is GateState.STARTING
    now_ns = from_s(10.0) + PERIOD_NS
    assert gate.step(now_ns, healthy(now_ns)).action is Action.PROCEED


def test_a_gate_that_may_latch_begins_latched_so_that_a_restart_releases_nothing() -> None:
    gate = SafetyGate(replace(CONFIG, latch_on=frozenset({Reason.ZONE})))
    decision = gate.step(from_s(1.0), healthy(from_s(1.0)))
    assert (decision.action, decision.latched, decision.output_mps) == (Action.STOP, True, (0.0, 0.0, 0.0))


@pytest.mark.parametrize("reason", [Reason.PUBLISHER_LOST, Reason.MALFORMED_INPUT])
def test_a_latched_stop_stays_until_it_is_reset(reason: Reason) -> None:
    """Also of a reason that by itself would only limit."""
    config = replace(CONFIG, latch_on=frozenset({reason}))
    gate = SafetyGate(config)
    gate.reset()
    now_ns = from_s(10.0)
    gate.step(now_ns, replace(healthy(now_ns), events=(Event(reason, "risk"),)))
    for i in range(1, 40):
        decision = gate.step(now_ns + i * PERIOD_NS, healthy(now_ns + i * PERIOD_NS))
    assert (decision.action, decision.latched) == (Action.STOP, True)
    gate.reset()
    for i in range(40, 50):
        decision = gate.step(now_ns + i * PERIOD_NS, healthy(now_ns + i * PERIOD_NS))
    assert (decision.action, decision.latched) == (Action.PROCEED, False)


speeds = st.floats(-3.0, 3.0)


@given(
    command=st.tuples(speeds, speeds, speeds),
    speed_mps=st.floats(-1.5, 1.5),
    limits=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=3),
    silence_s=st.floats(allow_nan=True, allow_infinity=True),
)
def test_nothing_comes_out_faster_than_command_or_limit(
    command: tuple[float, float, float], speed_mps: float, limits: list[float], silence_s: float
) -> None:
    gate, now_ns = running_gate()
    inputs = healthy(now_ns, speed_mps, tuple(finding(Action.LIMIT, limit) for limit in limits))
    inputs = replace(inputs, command=Seen(command, 0.0), assessment=Seen(inputs.assessment.value, silence_s))
    decision = gate.step(now_ns, inputs)
    out = decision.output_mps
    assert math.hypot(*out[:2]) <= min(math.hypot(*command[:2]), decision.profile_mps) + 1e-9
    assert decision.profile_mps <= max(
        decision.speed_limit_mps, abs(speed_mps)
    )  # never faster than it drives
    assert abs(out[2]) <= min(abs(command[2]), CONFIG.max_yaw_rate_radps) + 1e-9
    assert 0 <= decision.speed_limit_mps <= CONFIG.max_speed_mps
    if not silence_s <= CONFIG.input_timeout_s or any(not 0 <= limit < math.inf for limit in limits):
        assert decision.action <= Action.STOP
        assert decision.speed_limit_mps == 0.0


@given(st.lists(st.sampled_from([Action.EMERGENCY_STOP, Action.STOP, Action.LIMIT]), min_size=1, max_size=4))
def test_the_strictest_finding_binds(actions: list[Action]) -> None:
    gate, now_ns = running_gate()
    findings = tuple(finding(a, 0.5 if a is Action.LIMIT else 0.0) for a in actions)
    decision = gate.step(now_ns, healthy(now_ns, 1.0, findings))
    assert decision.action is min(actions)
    assert decision.findings[0].action is min(actions)
    assert np.isclose(decision.speed_limit_mps, 0.5 if min(actions) is Action.LIMIT else 0.0)
