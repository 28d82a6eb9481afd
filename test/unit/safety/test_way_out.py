"""A stopped robot is let out: the whole gate, the real assessment, and a robot that does what it is told."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.objects import Tracks
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Decision, GateState, Reason
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from perception_platform.safety.config import GateConfig
from perception_platform.safety.escape import Surroundings, is_escape
from perception_platform.safety.field import TURNING_RADPS
from perception_platform.safety.footprint import Motion
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen
from test.unit.safety.healthy import CONFIG, PERIOD_NS, beats, finding, healthy, running_gate
from test.unit.scenes import ego_state, points, post, track

Command = tuple[float, float, float]
BACK: Command = (-0.3, 0.0, 0.0)


def wall_ahead(robot: Robot, x_m: float) -> np.ndarray:
    width_m = np.arange(-1.5, 1.5, 0.1)
    return np.array([[x_m, y, 0.3] for y in width_m])


def drive(
    robot: Robot,
    config: GateConfig,
    command: Command,
    seconds: float,
    gap_m: float = 0.3,
    person: bool = False,
) -> tuple[list[Decision], list[float]]:
    """Decisions and gaps while a robot that stands in front of a wall, or a person, is commanded something."""
    gate, risk = SafetyGate(config), RiskConfig.from_robot(robot)
    gate.reset()
    front_m = float(config.footprint_m[:, 0].max())
    x_m, speed_mps = 0.0, 0.0
    decisions, gaps_m = [], []
    for i in range(round(seconds / (PERIOD_NS / 1e9))):
        now_ns = from_s(1.0) + i * PERIOD_NS
        seen_m = front_m + gap_m - x_m
        ego = ego_state(speed_mps, t_ns=now_ns)
        cloud = points(*wall_ahead(robot, seen_m), t_ns=now_ns) if not person else post(seen_m, t_ns=now_ns)
        tracks = track(seen_m + 0.25, t_ns=now_ns) if person else Tracks.empty(now_ns, "odom")
        clouds = {name: replace(cloud, sensor=name) for name in config.gap_sensors}
        verdict = assess(tracks, list(clouds.values()), ego, risk, now_ns=now_ns)
        inputs = GateInputs(
            Seen(verdict, 0.0), Seen(ego, 0.0), {n: Seen(c, 0.0) for n, c in clouds.items()},
            command=Seen(command, 0.0),
        )  # fmt: skip
        decisions.append(gate.step(now_ns, inputs))
        speed_mps = decisions[-1].output_mps[0]
        x_m += speed_mps * PERIOD_NS / 1e9
        gaps_m.append(seen_m - front_m)
    return decisions, gaps_m


@pytest.mark.slow
@pytest.mark.parametrize("person", [False, True])
@pytest.mark.parametrize("name", ["amr", "forklift", "delivery_van"])
def test_a_robot_in_a_stop_zone_backs_out_of_it_and_drives_on(name: str, person: bool) -> None:
    robot = load_robot(name)
    config = GateConfig.from_robot(robot)
    decisions, gaps_m = drive(robot, config, BACK, 15.0, person=person)
    assert decisions[0].action <= Action.STOP
    escaping = [d for d in decisions if d.state is GateState.ESCAPING]
    assert len(escaping) > 10
    assert all(abs(d.output_mps[0]) <= config.escape_mps + 1e-9 for d in escaping)
    assert all(d.findings[0].reason is Reason.ESCAPE for d in escaping)
    assert (np.diff(gaps_m) >= -1e-9).all()
    assert decisions[-1].state in (GateState.NORMAL, GateState.LIMITED)
    assert gaps_m[-1] > robot.clearance.ahead_m


@pytest.mark.parametrize("command", [(0.3, 0.0, 0.0), (0.3, 0.0, 0.5), (0.0, 0.0, 0.5), (0.0, 0.0, 0.0)])
def test_what_does_not_lead_away_is_not_let_through(command: Command) -> None:
    decisions, gaps_m = drive(load_robot("amr"), CONFIG, command, 3.0)
    assert {d.action for d in decisions} <= {Action.STOP, Action.EMERGENCY_STOP}
    assert all(d.output_mps == (0.0, 0.0, 0.0) for d in decisions)
    assert gaps_m[-1] == pytest.approx(gaps_m[0])


def stopped() -> tuple[SafetyGate, int]:
    """A gate that has been stopped by points ahead of a robot that stands."""
    gate, now_ns = running_gate()
    return gate, beats(gate, now_ns, 3, stop)[-1].t_ns + PERIOD_NS


def stop(now_ns: int, command: Command = BACK, speed_mps: float = 0.0, **changes: object) -> GateInputs:
    """A post in the stop zone, found by the risk stage; told to back up."""
    named = finding(Action.STOP, track_ids=(), points_m=((0.75, 0.0, 0.3),), reason=Reason.ZONE)
    good = healthy(now_ns, speed_mps, (named,))
    near = Seen(post(0.75, t_ns=now_ns - from_s(0.1)), 0.0)
    return replace(
        good, obstacles={**good.obstacles, "lidar_top": near}, command=Seen(command, 0.0), **changes
    )


def test_an_escape_begins_after_the_robot_stood_for_a_beat() -> None:
    gate, now_ns = running_gate()
    states = [d.state for d in beats(gate, now_ns, 3, stop)]
    assert states == [GateState.STOPPED, GateState.ESCAPING, GateState.ESCAPING]


@pytest.mark.parametrize("speed_mps", [0.05, -0.05, 0.8])
def test_none_begins_while_the_robot_moves(speed_mps: float) -> None:
    gate, now_ns = running_gate()
    moving = beats(gate, now_ns, 5, lambda t_ns: stop(t_ns, speed_mps=speed_mps))
    assert {d.state for d in moving} == {GateState.STOPPING}


def test_none_begins_while_the_robot_turns() -> None:
    gate, now_ns = running_gate()

    def turning(t_ns: int) -> GateInputs:
        return stop(t_ns, ego=Seen(ego_state(0.0, 0.1, t_ns), 0.0))

    assert {d.state for d in beats(gate, now_ns, 5, turning)} == {GateState.STOPPED}


def test_one_that_became_too_fast_ends() -> None:
    gate, now_ns = stopped()
    fast_mps = -(CONFIG.escape_mps + 0.06)
    assert gate.step(now_ns, stop(now_ns, speed_mps=fast_mps)).state is GateState.STOPPING


def test_odometry_may_exceed_what_was_let_through_a_little() -> None:
    gate, now_ns = stopped()
    assert gate.step(now_ns, stop(now_ns, speed_mps=-(CONFIG.escape_mps + 0.05))).state is GateState.ESCAPING


def test_what_counts_as_no_turning_is_none() -> None:
    gate, now_ns = running_gate()

    def hardly(t_ns: int) -> GateInputs:
        return stop(t_ns, ego=Seen(ego_state(0.0, TURNING_RADPS, t_ns), 0.0))

    assert beats(gate, now_ns, 2, hardly)[-1].state is GateState.ESCAPING


def test_an_escape_is_proven_until_the_brakes_take_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out of 0.4 s, a beat of 0.05 s, a reaction of 0.1 s."""
    asked_s: list[float] = []

    def remember(motion: Motion, around: Surroundings, delay_s: float, config: GateConfig) -> bool:
        asked_s.append(delay_s)
        return is_escape(motion, around, delay_s, config)

    monkeypatch.setattr("perception_platform.safety.gate.is_escape", remember)
    gate, now_ns = stopped()
    assert gate.step(now_ns, stop(now_ns)).state is GateState.ESCAPING
    assert asked_s[-1] == pytest.approx(0.55)


def test_one_that_has_begun_goes_on_while_the_stop_is_held_and_none_begins_then() -> None:
    gate, now_ns = stopped()

    def clear(t_ns: int) -> GateInputs:
        return replace(healthy(t_ns, 0.0), command=Seen(BACK, 0.0))

    assert beats(gate, now_ns, 2, clear)[-1].findings[1].reason is Reason.HOLD
    gate, now_ns = running_gate()
    gate.step(now_ns, stop(now_ns, command=(0.0, 0.0, 0.0)))
    assert {d.state for d in beats(gate, now_ns + PERIOD_NS, 3, clear)} == {GateState.STOPPED}


def test_there_is_none_without_a_command_or_odometry_or_assessment_or_with_a_fault_or_a_latch() -> None:
    spoilt: list[dict[str, object]] = [
        {"command": None},
        {"ego": None},
        {"assessment": None},
        {"ego": Seen(replace(ego_state(0.0), velocity_mps=(math.nan, 0.0)), 0.0)},
        {"ego": Seen(ego_state(0.0), 60.0)},
        {"events": (Event(Reason.PUBLISHER_LOST, "risk"),)},
    ]
    for changes in spoilt:
        gate, now_ns = stopped()
        decision = gate.step(now_ns, replace(stop(now_ns), **changes))
        assert decision.output_mps == (0.0, 0.0, 0.0) or decision.action <= Action.STOP, changes
    gate, now_ns = running_gate(replace(CONFIG, latch_on=frozenset({Reason.ZONE})))
    assert {d.action for d in beats(gate, now_ns, 5, stop)} == {Action.STOP}


def test_none_from_a_stop_whose_cause_is_nowhere() -> None:
    gate, now_ns = running_gate()
    nowhere = (finding(Action.STOP, track_ids=(77,)),)

    def lost(t_ns: int) -> GateInputs:
        return replace(stop(t_ns), assessment=healthy(t_ns, findings=nowhere).assessment)

    assert {d.action for d in beats(gate, now_ns, 5, lost)} == {Action.STOP}


def test_limits_bind_an_escape_too() -> None:
    gate, now_ns = stopped()
    slow = stop(now_ns, speed_factor=0.05)
    decision = gate.step(now_ns, slow)
    assert decision.speed_limit_mps == pytest.approx(0.05 * CONFIG.max_speed_mps)
    assert abs(decision.output_mps[0]) <= decision.speed_limit_mps
