"""The baselines by their own rules."""

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action
from perception_platform.robot.load import load_robot
from perception_platform.safety.inputs import GateInputs, Seen
from perception_platform.scenarios.policies import POLICIES, AutowareAeb, FixedField, NoProtection, chosen

FORKLIFT = load_robot("forklift")  # front at 2.10 m, half width 0.6 m, a lidar and a scanner
AMR = load_robot("amr")
START_NS = 10**18


def inputs(robot, speed_mps, x_m, t_s=0.0, y_m=0.0, points=5, age_s=0.05):
    """Obstacle points of every gap sensor at one place, and a command of 2 m/s."""
    t_ns = START_NS + from_s(t_s)
    place = np.tile([[x_m, y_m, 0.5]], (points, 1)).astype(np.float32)
    ego = EgoState(t_ns, Transform.identity(), (speed_mps, 0.0), 0.0)
    clouds = {
        s.name: Seen(PointCloud(t_ns - from_s(age_s), "base_link", s.name, place), age_s)
        for s in (*robot.lidars, *robot.scans)
    }
    return t_ns, GateInputs(ego=Seen(ego, 0.0), obstacles=clouds, command=Seen((2.0, 0.0, 0.1), 0.0))


def decide(judge, *args, **kwargs):
    return judge.step(*inputs(*args, **kwargs))


def test_without_protection_every_command_passes():
    decision = decide(NoProtection(FORKLIFT), FORKLIFT, 2.0, 2.2)
    assert decision.action is Action.PROCEED
    assert decision.output_mps == (2.0, 0.0, 0.1)


def test_the_fixed_field_stops_slows_and_lets_pass():
    field = FixedField(FORKLIFT)
    assert decide(field, FORKLIFT, 2.0, 2.5).output_mps == (0.0, 0.0, 0.0)
    slowed = decide(field, FORKLIFT, 2.0, 4.5)
    assert slowed.action is Action.LIMIT
    assert slowed.output_mps[0] == pytest.approx(0.3 * 2.0)
    assert decide(field, FORKLIFT, 2.0, 12.0).output_mps[0] == 2.0
    assert decide(field, FORKLIFT, 2.0, 2.5, y_m=1.5).action is Action.PROCEED


def test_the_fixed_field_needs_four_points_and_fresh_data():
    field = FixedField(FORKLIFT)
    assert decide(field, FORKLIFT, 2.0, 2.5, points=1).action is Action.PROCEED  # one of each of two sensors
    assert decide(field, FORKLIFT, 2.0, 2.5, points=2).action is Action.STOP
    assert decide(field, FORKLIFT, 2.0, 12.0, age_s=1.1).action is Action.STOP
    _, seen = inputs(AMR, 1.0, 12.0)
    lidar_alone = GateInputs(obstacles={"lidar_top": seen.obstacles["lidar_top"]})
    assert FixedField(AMR).step(START_NS, lidar_alone).action is Action.STOP


def test_from_the_slowed_speed_the_fixed_field_stops_short_of_a_standing_thing():
    field, drive = FixedField(FORKLIFT), FORKLIFT.drive
    slow_mps = FixedField.SLOWDOWN * drive.max_speed_mps
    edge_m = max(
        x for x in np.arange(2.15, 6.0, 0.01) if decide(field, FORKLIFT, slow_mps, x).action is Action.STOP
    )
    delay_s = (
        0.1 + 0.04 + 1 / FORKLIFT.gate.rate_hz + drive.reaction_s
    )  # a sweep, perception, a beat, the brakes
    needed_m = slow_mps * delay_s + slow_mps**2 / (2 * drive.emergency_decel_mps2)
    assert edge_m - 2.10 > needed_m


def aeb_brakes(speed_mps, gaps_m, step_s=0.1):
    """Whether it brakes after a row of gaps, a sweep each."""
    aeb = AutowareAeb(FORKLIFT)
    decisions = [decide(aeb, FORKLIFT, speed_mps, 2.10 + gap, t_s=k * step_s) for k, gap in enumerate(gaps_m)]
    return decisions[-1].action is Action.EMERGENCY_STOP


def test_emergency_braking_keeps_its_formula_for_a_standing_object():
    v, a, offset = 2.0, FORKLIFT.drive.emergency_decel_mps2, FORKLIFT.clearance.ahead_m
    needed_m = v * 1.0 + v**2 / (2 * a) + offset
    for gap, brakes in ((needed_m - 0.05, True), (needed_m + 0.05, False)):
        closing = [gap + v * 0.1 * k for k in (4, 3, 2, 1, 0)]
        assert aeb_brakes(v, closing) is brakes


def test_it_asks_for_more_from_an_approaching_object_and_less_from_one_that_drives_off():
    v = 2.0
    needed_m = v + v**2 / (2 * FORKLIFT.drive.emergency_decel_mps2) + FORKLIFT.clearance.ahead_m
    oncoming = [needed_m + 0.3 + (v + 1.0) * 0.1 * k for k in (4, 3, 2, 1, 0)]
    leaving = [needed_m - 0.3 + (v - 1.0) * 0.1 * k for k in (4, 3, 2, 1, 0)]
    assert aeb_brakes(v, oncoming) is True
    assert aeb_brakes(v, leaving) is False


def test_it_looks_at_its_path_alone_sleeps_at_rest_and_keeps_a_verdict():
    aeb = AutowareAeb(FORKLIFT)
    assert decide(aeb, FORKLIFT, 2.0, 3.0, y_m=1.0).action is Action.PROCEED
    assert decide(aeb, FORKLIFT, 0.05, 2.3).action is Action.PROCEED
    assert decide(aeb, FORKLIFT, 2.0, 3.0, t_s=1.0).action is Action.EMERGENCY_STOP
    assert decide(aeb, FORKLIFT, 0.0, 30.0, t_s=3.9).action is Action.EMERGENCY_STOP
    assert decide(aeb, FORKLIFT, 0.0, 30.0, t_s=4.1).action is Action.PROCEED


def test_policies_are_chosen_by_name():
    assert tuple(chosen([])) == POLICIES
    assert tuple(chosen(["none", "ours"])) == ("ours", "none")
    with pytest.raises(ValueError, match="no such policy"):
        list(chosen(["brave"]))
