"""Figures to the last digit: where each limit lies, on which side of it equality is, and what a finding says of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.sensor_data import EgoState, SensorHealth, SensorStatus
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Decision, Finding, NearObjects, Reason
from perception_platform.robot.description import Model
from perception_platform.robot.load import load_robot
from perception_platform.safety.checks import age_s
from perception_platform.safety.config import Drive, GateConfig
from perception_platform.safety.escape import (
    Surroundings,
    escape_finding,
    is_escape,
    look_around,
    seen_from,
)
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import GateInputs, Seen
from perception_platform.safety.memory import DEADLINES, DEADLINES_WITHIN_S
from perception_platform.safety.opinions import DISAGREEMENT_S
from perception_platform.safety.override import LONGEST_S
from test.unit.safety.healthy import (
    CONFIG,
    FORKLIFT,
    PERIOD_NS,
    ROBOT,
    assessment,
    beats,
    finding,
    healthy,
    running_gate,
)
from test.unit.scenes import ego_state, points, post

NOW_NS = from_s(10.0) + PERIOD_NS


def step_with(**changes: object) -> Decision:
    gate, now_ns = running_gate()
    return gate.step(now_ns, replace(healthy(now_ns), **changes))


def test_the_configuration_is_the_robot_file() -> None:
    assert (CONFIG.max_speed_mps, CONFIG.max_yaw_rate_radps) == (1.5, 1.2)
    assert (CONFIG.service_decel_mps2, CONFIG.emergency_decel_mps2) == (0.8, 2.0)
    assert (CONFIG.jerk_mps3, CONFIG.reaction_s, CONFIG.period_ns) == (10.0, 0.1, 50_000_000)
    assert (CONFIG.input_timeout_s, CONFIG.command_timeout_s, CONFIG.future_tolerance_s) == (0.4, 0.5, 0.05)
    assert (CONFIG.latency_bound_s, CONFIG.hold_s, CONFIG.latch_on) == (0.3, 0.2, frozenset())
    assert (CONFIG.ahead_m, CONFIG.beside_m, CONFIG.escape_mps) == (0.5, 0.1, 0.25)
    assert CONFIG.gap_sensors == ("lidar_top", "scan_front")
    assert CONFIG.reporting_sensors == ()
    assert CONFIG.required_sensors == {"lidar_top", "scan_front"}
    assert [zone.tolist() for zone in CONFIG.stop_zones_m] == [
        [[1.15, 0.4], [0.45, 0.4], [0.45, -0.4], [1.15, -0.4]]
    ]
    assert CONFIG.drive is Drive.DIFFERENTIAL
    assert ROBOT.drive.braking_delay_s == pytest.approx(0.14)


def test_the_least_deceleration_is_that_with_the_largest_load_down_the_steepest_slope() -> None:
    """Of the forklift two thirds, less 9.81 sin(arctan 0.02) = 0.19616 m/s²."""
    forklift = GateConfig.from_robot(load_robot("forklift"))
    assert (forklift.service_decel_mps2, forklift.emergency_decel_mps2) == (1.0, 2.5)
    assert forklift.least_service_mps2 == pytest.approx(0.470506, abs=1e-6)
    assert forklift.least_emergency_mps2 == pytest.approx(1.470506, abs=1e-6)
    assert (CONFIG.least_service_mps2, CONFIG.least_emergency_mps2) == (0.8, 2.0)
    fading = ROBOT.drive.model_copy(update={"fade": [(0.5, 0.9), (1.0, 0.75)]})
    faded = GateConfig.from_robot(ROBOT.model_copy(update={"drive": fading}))
    assert (faded.least_service_mps2, faded.least_emergency_mps2) == pytest.approx((0.6, 1.5))


def test_an_escape_is_proven_for_the_least_service_deceleration() -> None:
    """At 0.25 m/s, 0.5 s late: 0.165 m with 0.8 m/s², 0.438 m with 0.1. A cause swings nearer in the second third."""
    beside = np.array([[-0.30, 0.42]])
    curve = (-0.20, 0.0, 0.06)
    scene = Surroundings(np.zeros((0, 2)), beside, np.zeros((0, 2)), np.zeros((0, 2)))
    found = [is_escape(curve, scene, 0.5, replace(CONFIG, least_service_mps2=a)) for a in (0.8, 0.05)]
    assert found == [True, False]


def test_a_slow_robot_escapes_no_faster_than_it_drives() -> None:
    slow = ROBOT.model_copy(update={"drive": ROBOT.drive.model_copy(update={"max_speed_mps": 0.1})})
    assert GateConfig.from_robot(slow).escape_mps == 0.1
    camera = ROBOT.sensor("camera_front").model_copy(update={"required": True})
    watched = ROBOT.model_copy(update={"sensors": [*ROBOT.lidars, camera]})
    assert GateConfig.from_robot(watched).reporting_sensors == ("camera_front",)
    assert GateConfig.from_robot(watched).gap_sensors == ("lidar_top",)


def test_only_what_nothing_rests_on_is_idle() -> None:
    """A camera that is not required and that no model looks at."""
    model = Model(head="camera_objects", sensor="camera_front", path="anything")
    camera = ROBOT.sensor("camera_front")
    required = camera.model_copy(update={"required": True})
    lidar = ROBOT.lidars[0].model_copy(update={"required": False})

    def idle(**changes: object) -> frozenset[str]:
        return GateConfig.from_robot(ROBOT.model_copy(update=changes)).idle_sensors

    assert idle() == {"camera_front"}
    assert idle(models=[model]) == set()
    assert idle(sensors=[*ROBOT.lidars, required]) == set()
    assert idle(sensors=[ROBOT.sensor("scan_front"), lidar, camera]) == {"camera_front"}


def moving(t_ns: int) -> Seen[EgoState]:
    return Seen(ego_state(1.0, t_ns=t_ns), 0.0)


def of_age(latency_s: float) -> Seen:
    lineage = Lineage((SourceStamp("lidar_top", NOW_NS - from_s(latency_s)),))
    return Seen(replace(assessment(NOW_NS - from_s(0.1)), lineage=lineage), 0.0)


def health(status: SensorStatus = SensorStatus.OK) -> SensorHealth:
    return SensorHealth(0, "lidar_top", status, (), 10.0, 0.1, 1, 0, 0, 0, (), "so")


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"ego": moving(NOW_NS + 50_000_000)}, ()),
        ({"ego": moving(NOW_NS + 50_000_001)}, (Reason.FUTURE_STAMP,)),
        ({"ego": Seen(ego_state(1.0, t_ns=NOW_NS), 0.4)}, ()),
        ({"ego": Seen(ego_state(1.0, t_ns=NOW_NS), 0.4000001)}, (Reason.ODOMETRY_STALE,)),
        ({"assessment": of_age(0.3)}, ()),
        ({"assessment": of_age(0.300001)}, (Reason.LATENCY_OVER_BOUND,)),
        ({"assessment": of_age(0.4)}, (Reason.LATENCY_OVER_BOUND,)),
        ({"assessment": of_age(0.400001)}, (Reason.ASSESSMENT_STALE,)),
        ({"health": {"lidar_top": Seen(health(), 3.0)}}, ()),
        ({"health": {"lidar_top": Seen(health(), 3.000001)}}, (Reason.SENSOR_FAILED,)),
        ({"command": Seen((1.0, 0.0, 0.2), 0.5)}, ()),
        ({"command": Seen((1.0, 0.0, 0.2), 0.500001)}, (Reason.COMMAND_STALE,)),
        ({"speed_factor": 1.0}, ()),
        ({"speed_factor": 0.999999}, (Reason.LOAD_SHED,)),
    ],
)
def test_equality_is_on_the_good_side(changes: dict[str, object], reasons: tuple[Reason, ...]) -> None:
    assert step_with(**changes).reasons == reasons


OWN = replace(CONFIG, timeouts_s={"lidar_top": 0.6, "scan_front": 0.15})


def under(config: GateConfig, **changes: object) -> Decision:
    gate, now_ns = running_gate(config)
    return gate.step(now_ns, replace(healthy(now_ns), **changes))


def behind(**ages_s: float) -> Seen:
    sources = tuple(SourceStamp(name, NOW_NS - from_s(age)) for name, age in ages_s.items())
    return Seen(replace(assessment(NOW_NS - from_s(0.1)), lineage=Lineage(sources)), 0.0)


def test_each_sensor_has_its_own_time_out_and_what_has_none_that_of_the_gate() -> None:
    assert CONFIG.timeouts_s == {"lidar_top": 0.4, "scan_front": 0.4}
    assert (OWN.timeout_s("scan_front"), OWN.timeout_s("lidar_top"), OWN.timeout_s("odometry")) == (
        0.15,
        0.6,
        0.4,
    )
    assert (OWN.longest_timeout_s, CONFIG.longest_timeout_s) == (0.6, 0.4)
    assert replace(OWN, input_timeout_s=0.9).longest_timeout_s == 0.9
    assert replace(OWN, timeouts_s={}).longest_timeout_s == 0.4
    own = [s.model_copy(update={"timeout_s": 0.15}) if s.name == "scan_front" else s for s in ROBOT.sensors]
    config = GateConfig.from_robot(ROBOT.model_copy(update={"sensors": own}))
    assert config.timeouts_s == {"lidar_top": 0.4, "scan_front": 0.15}


@pytest.mark.parametrize(
    ("sensor", "silence_s", "threshold"),
    [
        ("scan_front", 0.15, None),
        ("scan_front", 0.150001, 0.15),
        ("lidar_top", 0.6, None),
        ("lidar_top", 0.61, 0.6),
    ],
)
def test_points_are_stale_at_the_age_of_their_own_sensor(
    sensor: str, silence_s: float, threshold: float | None
) -> None:
    obstacles = healthy(NOW_NS).obstacles
    decision = under(OWN, obstacles={**obstacles, sensor: Seen(obstacles[sensor].value, silence_s)})
    found = [(f.reason, f.sensor, f.threshold) for f in decision.findings]
    expected = [] if threshold is None else [(Reason.OBSTACLES_STALE, sensor, threshold)]
    assert found == expected


def test_an_optional_sensor_has_its_own_time_out_too() -> None:
    config = replace(CONFIG, timeouts_s={"scan_rear": 0.2})
    for silence_s, used in ((0.2, True), (0.200001, False)):
        rear = Seen(replace(post(0.47, t_ns=NOW_NS), sensor="scan_rear"), silence_s)
        decision = under(config, obstacles={**healthy(NOW_NS).obstacles, "scan_rear": rear})
        assert (Reason.POINTS_IN_FIELD in decision.reasons) is used
        degraded = [f.threshold for f in decision.findings if f.reason is Reason.SENSOR_DEGRADED]
        assert degraded == ([] if used else [0.2])


@pytest.mark.parametrize(
    ("ages_s", "reasons", "value"),
    [
        ({"lidar_top": 0.25, "scan_front": 0.15}, (), 0.0),
        ({"lidar_top": 0.25, "scan_front": 0.16}, (Reason.ASSESSMENT_STALE,), 0.16),
        ({"lidar_top": 0.55, "scan_front": 0.1}, (Reason.LATENCY_OVER_BOUND,), 0.55),
        ({"lidar_top": 0.65, "scan_front": 0.16}, (Reason.ASSESSMENT_STALE,), 0.65),
        ({"lidar_top": 0.61, "scan_front": 0.5}, (Reason.ASSESSMENT_STALE,), 0.5),
    ],
)
def test_data_behind_an_assessment_is_old_by_the_sensor_that_it_is_of(
    ages_s: dict[str, float], reasons: tuple[Reason, ...], value: float
) -> None:
    decision = under(OWN, assessment=behind(**ages_s))
    assert decision.reasons == reasons
    assert [f.value for f in decision.findings] == ([] if not reasons else [pytest.approx(value)])


def test_optional_points_are_used_up_to_the_time_out_and_not_beyond() -> None:
    for silence_s, used in ((0.4, True), (0.400001, False)):
        rear = replace(post(0.47, t_ns=NOW_NS), sensor="scan_rear")
        decision = step_with(obstacles={**healthy(NOW_NS).obstacles, "scan_rear": Seen(rear, silence_s)})
        assert (Reason.POINTS_IN_FIELD in decision.reasons) is used
        assert (Reason.SENSOR_DEGRADED in decision.reasons) is not used


def test_an_age_is_the_larger_of_both_clocks() -> None:
    assert age_s(2_000_000_000, 1_500_000_000, 0.1) == 0.5
    assert age_s(2_000_000_000, 1_500_000_000, 0.7) == 0.7
    assert age_s(0, 0, math.nan) == math.inf


def said(reason: Reason, **changes: object) -> tuple[str, float, float, str, bool]:
    """Quantity, value, threshold, unit and side of a finding."""
    (found,) = [f for f in step_with(**changes).findings if f.reason is reason]
    return found.quantity, round(found.value, 6), found.threshold, found.unit, found.upper


def test_odometry_counts_up_to_its_time_out() -> None:
    """A robot that stands by odometry is not braked from what was let through before."""
    still = ego_state(0.0, t_ns=NOW_NS)
    for silence_s, known in ((0.4, True), (0.400001, False)):
        stop = healthy(NOW_NS, findings=(finding(Action.STOP),)).assessment
        decision = step_with(ego=Seen(still, silence_s), assessment=stop)
        assert (decision.profile_mps == 0.0) is known


def test_a_report_of_just_the_time_out_is_judged_by_its_status() -> None:
    bad = {"lidar_top": Seen(health(SensorStatus.DEGRADED), 3.0)}
    assert said(Reason.SENSOR_DEGRADED, health=bad)[0] == "sensor status"


def test_findings_of_faults_carry_their_measure() -> None:
    scan = healthy(NOW_NS).obstacles["scan_front"].value
    model = ModelStatus(0, "camera", None, ModelState.FALLBACK, "", 0.0, 0.0, 0, 0, "why")
    assert said(Reason.FUTURE_STAMP, ego=moving(NOW_NS + from_s(0.5))) == (
        "stamp ahead of clock", 0.5, 0.05, "s", True,
    )  # fmt: skip
    assert said(Reason.BACKWARDS_STAMP, ego=moving(NOW_NS - from_s(0.2))) == (
        "step of time",
        -0.13,
        0.0,
        "s",
        False,
    )
    aged = {**healthy(NOW_NS).obstacles, "scan_front": Seen(scan, 0.9)}
    assert said(Reason.OBSTACLES_STALE, obstacles=aged) == ("age", 0.9, 0.4, "s", True)
    assert said(Reason.LATENCY_OVER_BOUND, assessment=of_age(0.35)) == ("latency", 0.35, 0.3, "s", True)
    bad = {"lidar_top": Seen(health(SensorStatus.DEGRADED), 0.1)}
    assert said(Reason.SENSOR_DEGRADED, health=bad) == ("sensor status", 1.0, 2.0, "1", False)
    gone = {"lidar_top": Seen(health(), 4.0)}
    assert said(Reason.SENSOR_FAILED, health=gone) == ("silence of health reports", 4.0, 3.0, "s", True)
    assert said(Reason.COMMAND_STALE, command=Seen((1.0, 0.0, 0.0), 0.8)) == ("silence", 0.8, 0.5, "s", True)
    assert said(Reason.LOAD_SHED, speed_factor=0.4) == ("speed factor", 0.4, 1.0, "1", False)
    assert said(Reason.MODEL_FALLBACK, models={"camera": model}) == ("model state", 1.0, 2.0, "1", False)
    assert said(Reason.ASSESSMENT_MISSING, assessment=None) == ("", 0.0, 0.0, "", True)


def test_the_hold_ends_when_its_time_is_full() -> None:
    gate, now_ns = running_gate()
    gate.step(now_ns, healthy(now_ns, 1.0, (finding(Action.STOP),)))
    after = beats(gate, now_ns + PERIOD_NS, 5)
    assert [d.reasons for d in after] == [(Reason.HOLD,)] * 3 + [()] * 2
    hold = after[1].findings[0]
    assert (hold.value, hold.threshold, hold.unit, hold.upper, hold.margin) == (
        0.1, 0.2, "s", False, pytest.approx(-0.1),
    )  # fmt: skip


def test_a_beat_is_late_from_two_and_a_half_periods_on() -> None:
    for periods, late in ((2.5, False), (2.5000001, True)):
        gate, now_ns = running_gate()
        t_ns = now_ns - PERIOD_NS + round(periods * PERIOD_NS)
        assert (Reason.GATE_OVERRUN in gate.step(t_ns, healthy(t_ns)).reasons) is late


NOTHING = np.zeros((0, 2))


@pytest.mark.parametrize(("share", "let_out"), [(-0.02, False), (-0.002, False), (0.04, True)])
@pytest.mark.parametrize("speed_mps", [0.25, 0.1])
def test_an_escape_looks_as_far_as_it_has_to(share: float, let_out: bool, speed_mps: float) -> None:
    way_m = (
        speed_mps * 0.5 + speed_mps**2 / 1.6 + 0.5
    )  # 0.5 s late, braking with 0.8 m/s², and 0.5 m to spare
    behind = np.array([[-0.45 - way_m - CONFIG.beside_m - share, 0.0]])
    for scene in (
        Surroundings(behind, NOTHING, NOTHING, NOTHING),
        Surroundings(NOTHING, NOTHING, behind, np.zeros((1, 2))),
    ):
        assert is_escape((-speed_mps, 0.0, 0.0), scene, 0.5, CONFIG) is let_out


def test_what_a_stop_rests_on_is_left_for_as_long_as_the_robot_cannot_stop() -> None:
    """A post beside the rear: driving forward it is passed at once, backing up it comes nearer at first."""
    for x_m, let_out in ((-0.45 - 0.10, False), (-0.45 - 0.60, False), (-0.45 + 0.01, True)):
        cause = np.array([[x_m, 0.6]])
        assert (
            is_escape((-0.25, 0.0, 0.0), Surroundings(NOTHING, cause, NOTHING, NOTHING), 0.5, CONFIG)
            is let_out
        )


def test_tracks_are_predicted_for_two_seconds() -> None:
    """After two seconds it would be half a metre away, after two and a half in the robot."""
    walker, velocity = np.array([[-1.2, 3.2]]), np.array([[0.0, -1.3]])
    scene = Surroundings(NOTHING, NOTHING, walker, velocity)
    assert is_escape((-0.25, 0.0, 0.0), scene, 0.5, CONFIG)
    sooner = Surroundings(NOTHING, NOTHING, walker, 1.3 * velocity)
    assert not is_escape((-0.25, 0.0, 0.0), sooner, 0.5, CONFIG)


def test_only_points_near_by_are_looked_at_by_an_escape() -> None:
    far = CONFIG.ahead_m + CONFIG.beside_m + 1.0
    for k, count in ((-0.01, 4), (0.01, 0)):
        cloud = points(
            (0.45 + far + k, 0, 0), (-0.45 - far - k, 0, 0), (0, 0.3 + far + k, 0), (0, -0.3 - far - k, 0)
        )
        scene = look_around([cloud], NearObjects.none(), [], ego_state(), CONFIG, now_ns=0)
        assert len(scene.points_m) == count


def test_a_quarter_turn_to_the_left() -> None:
    moved = seen_from(np.array([[1.0, 1.0]]), (math.pi / 2, 0.0, math.pi / 2), np.array([1.0]))
    assert moved[0, 0] == pytest.approx([0.0, 0.0], abs=1e-9)  # an arc of radius 1 ends there


def test_points_that_the_gate_sees_are_those_of_fresh_clouds_of_the_van_at_speed() -> None:
    """At 13.9 m/s its field is 19.6 m deep: nothing that far may have been thinned out."""
    config = GateConfig.from_robot(load_robot("delivery_van"))
    depth_m = 0.05 + 13.9 * 0.25 + 13.9**2 / 12.0
    for x_m, hit in ((3.65 + depth_m - 0.05, True), (3.65 + depth_m + 0.05, False)):
        cloud = replace(post(x_m, t_ns=NOW_NS), sensor="velodyne")
        inputs = GateInputs(
            of_age(0.1), moving(NOW_NS), {"velodyne": Seen(cloud, 0.0)}, command=Seen((13.9, 0.0, 0.0), 0.0)
        )
        fast = replace(inputs, ego=Seen(ego_state(13.9, t_ns=NOW_NS), 0.0))
        decision = SafetyGate(config).step(NOW_NS, fast)
        assert (Reason.POINTS_IN_FIELD in decision.reasons) is hit


def test_an_odd_limit_of_the_risk_stage_keeps_its_emergency() -> None:
    odd: Finding = finding(Action.EMERGENCY_STOP, math.nan)
    (found,) = step_with(assessment=healthy(NOW_NS, findings=(odd,)).assessment).findings
    assert (found.reason, found.action, found.speed_limit_mps) == (
        Reason.MALFORMED_INPUT,
        Action.EMERGENCY_STOP,
        0.0,
    )
    zero = finding(Action.LIMIT, 0.0)
    (kept,) = step_with(assessment=healthy(NOW_NS, findings=(zero,)).assessment).findings
    assert kept.reason is Reason.OBJECT_IN_PATH


@pytest.mark.parametrize(
    ("place_m", "apart_m"),
    [
        ((3.1, 0.0), 1.0), ((-2.2, 0.3), 1.0), ((1.5, 1.6), 1.0), ((-1.0, -1.6), 1.0), ((1.9, 0.0), -0.2),
        ((3.1, 1.6), math.sqrt(2)), ((-2.2, -1.6), math.sqrt(2)), ((0.0, 0.5), -0.1),
    ],
)  # fmt: skip
def test_separations_are_those_of_the_footprint(place_m: tuple[float, float], apart_m: float) -> None:
    scene = Surroundings(np.array([place_m, (9.0, 9.0)]), NOTHING, NOTHING, NOTHING)
    found = escape_finding((-0.2, 0.0, 0.0), scene, FORKLIFT)
    assert found.value == pytest.approx(apart_m)
    assert (found.threshold, found.speed_limit_mps, found.action) == (0.15, 0.25, Action.LIMIT)


def test_a_copy_of_a_gate_remembers_what_it_holds_unless_told_otherwise() -> None:
    gate, now_ns = running_gate()
    gate.step(now_ns, healthy(now_ns, 1.0, (finding(Action.STOP),)))
    later_ns = now_ns + PERIOD_NS
    assert gate.copy().step(later_ns, healthy(later_ns)).reasons == (Reason.HOLD,)
    assert gate.copy(held=False).step(later_ns, healthy(later_ns)).reasons == ()
    assert gate.step(later_ns, healthy(later_ns)).reasons == (Reason.HOLD,)


def test_three_deadlines_in_two_seconds() -> None:
    assert (DEADLINES, DEADLINES_WITHIN_S, LONGEST_S, DISAGREEMENT_S) == (3, 2.0, 30.0, 2.0)
