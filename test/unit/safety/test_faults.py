"""The fault table: no reason without a row, no row without action, text and recovery, none that a value removes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.sensor_data import SensorHealth, SensorProblem, SensorStatus
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Reason
from perception_platform.safety.checks import BLOCKED
from perception_platform.safety.faults import FAULTS, SURROUNDINGS, Recovery
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen
from perception_platform.safety.memory import DEADLINES, DEADLINES_WITHIN_S
from test.unit.safety.healthy import CONFIG, PERIOD_NS, assessment, beats, healthy, running_gate
from test.unit.scenes import ego_state

PAGE = Path(__file__).parents[3] / "docs" / "gate.md"
NOW_NS = from_s(10.0) + PERIOD_NS
LONG_S = 60.0


def test_every_reason_is_a_fault_with_a_row_or_a_finding_of_the_surroundings() -> None:
    assert set(FAULTS) | SURROUNDINGS == set(Reason)
    assert not set(FAULTS) & SURROUNDINGS
    for reason, row in FAULTS.items():
        assert row.text, reason
        assert row.recovery.value, reason
        assert row.speed_share == 0 if row.action is Action.STOP else 0 < row.speed_share <= 1, reason


def table() -> str:
    """The rows as the page shows them."""
    return "".join(
        f"| `{reason.name.lower()}` | {row.text} | {row.action.name.lower()}"
        f"{f' to {row.speed_share:.0%}' if row.action is Action.LIMIT and row.speed_share < 1 else ''}"
        f" | {row.recovery.value} |\n"
        for reason, row in FAULTS.items()
    )


def test_the_page_has_the_table() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), f"put this into {PAGE}:\n{table()}"


def broken(reason: Reason) -> GateInputs:
    """Inputs of the beat at NOW_NS that show one fault."""
    good = healthy(NOW_NS)
    scan = good.obstacles["scan_front"]
    verdict = assessment(NOW_NS - from_s(0.1))
    aged = replace(verdict, lineage=Lineage((SourceStamp("lidar_top", NOW_NS - from_s(0.35)),)))
    health = SensorHealth(0, "lidar_top", SensorStatus.DEGRADED, (), 10.0, 0.1, 1, 0, 0, 0, (), "as it is")
    model = ModelStatus(
        0, "camera_objects", None, ModelState.FALLBACK, "", 0.0, 0.0, 0, 0, "weights are missing"
    )
    changed: dict[Reason, dict[str, object]] = {
        Reason.ASSESSMENT_MISSING: {"assessment": None},
        Reason.ASSESSMENT_STALE: {"assessment": Seen(verdict, LONG_S)},
        Reason.OBSTACLES_MISSING: {"obstacles": {"scan_front": scan}},
        Reason.OBSTACLES_STALE: {"obstacles": {**good.obstacles, "scan_front": Seen(scan.value, LONG_S)}},
        Reason.ODOMETRY_MISSING: {"ego": None},
        Reason.ODOMETRY_STALE: {"ego": Seen(ego_state(1.0, t_ns=NOW_NS), LONG_S)},
        Reason.SENSOR_FAILED: {
            "health": {"lidar_top": Seen(replace(health, status=SensorStatus.FAILED), 0.1)}
        },
        Reason.SENSOR_DEGRADED: {"health": {"lidar_top": Seen(health, 0.1)}},
        Reason.SENSOR_BLOCKED: {
            "health": {"lidar_top": Seen(replace(health, problems=(SensorProblem.SECTOR_BLIND,)), 0.1)}
        },
        Reason.FUTURE_STAMP: {"ego": Seen(ego_state(1.0, t_ns=NOW_NS + from_s(1.0)), 0.0)},
        Reason.BACKWARDS_STAMP: {"ego": Seen(ego_state(1.0, t_ns=NOW_NS - from_s(0.2)), 0.0)},
        Reason.LATENCY_OVER_BOUND: {"assessment": Seen(aged, 0.0)},
        Reason.COMMAND_STALE: {"command": Seen((1.0, 0.0, 0.0), LONG_S)},
        Reason.LOAD_SHED: {"speed_factor": 0.5},
        Reason.MODEL_FALLBACK: {"models": {"camera_objects": model}},
    }
    return replace(good, **(changed.get(reason) or {"events": (Event(reason, "it", "scan_front"),)}))


SHOWN_BY_INPUTS = sorted(
    set(FAULTS) - {Reason.STARTING, Reason.DEADLINES_MISSED, Reason.GATE_OVERRUN, Reason.OVERRIDE}
)


@pytest.mark.parametrize("reason", SHOWN_BY_INPUTS)
def test_each_fault_is_noticed_and_does_what_its_row_says(reason: Reason) -> None:
    gate, now_ns = running_gate()
    decision = gate.step(now_ns, broken(reason))
    row = FAULTS[reason]
    (found, *_) = [f for f in decision.findings if f.reason is reason]
    assert found.action is row.action
    assert found.speed_limit_mps == row.speed_share * CONFIG.max_speed_mps
    assert found.text.startswith(("latched until reset: ", row.text))
    assert decision.action <= row.action


@pytest.mark.parametrize("reason", SHOWN_BY_INPUTS)
def test_each_fault_ends_as_its_row_says(reason: Reason) -> None:
    gate, now_ns = running_gate()
    gate.step(now_ns, broken(reason))
    after = beats(gate, now_ns + PERIOD_NS, 20)
    hold_beats = math.ceil(from_s(CONFIG.hold_s) / PERIOD_NS) - 1
    hold_beats += reason is Reason.FUTURE_STAMP  # the first stamp of now lies before the one of the future
    still = {Recovery.WITH_CAUSE: 0, Recovery.AFTER_HOLD: hold_beats, Recovery.BY_RESET: 20}
    lasted = [d for d in after if d.action is not Action.PROCEED]
    assert len(lasted) == still[FAULTS[reason].recovery]
    if FAULTS[reason].recovery is Recovery.BY_RESET:
        assert after[-1].latched
        gate.reset()
        assert beats(gate, now_ns + 30 * PERIOD_NS, 20)[-1].action is Action.PROCEED


@pytest.mark.parametrize("problem", sorted(BLOCKED))
def test_a_blocked_sensor_is_told_from_one_that_is_only_slow(problem: SensorProblem) -> None:
    gate, now_ns = running_gate()
    health = SensorHealth(
        0, "lidar_top", SensorStatus.DEGRADED, (problem,), 10.0, 0.1, 1, 0, 0, 0, (), "dirt"
    )
    decision = gate.step(now_ns, replace(healthy(now_ns), health={"lidar_top": Seen(health, 0.1)}))
    assert decision.reasons == (Reason.SENSOR_BLOCKED,)
    assert "lidar_top: dirt" in decision.findings[0].text


@pytest.mark.parametrize(
    ("blind_deg", "limit_mps"),
    [
        ((), 0.75), ((45.0,), 0.5625), ((30.0, 60.0), 0.375), ((150.0,), 0.25), ((180.0,), 0.25), ((200.0,), 0.25),
        ((math.nan,), 0.25), ((math.inf,), 0.25), ((-90.0,), 0.75),
    ],
)  # fmt: skip
def test_the_more_of_the_circle_is_blind_the_slower_the_robot(
    blind_deg: tuple[float, ...], limit_mps: float
) -> None:
    """Half of 1.5 m/s, less by what is blind of half a turn; never below the 0.25 m/s of an escape."""
    gate, now_ns = running_gate()
    sectors = tuple((-1.0, -1.0 + math.radians(deg)) for deg in blind_deg)
    problems = (SensorProblem.SECTOR_BLIND,)
    health = SensorHealth(0, "lidar_top", SensorStatus.DEGRADED, problems, 10.0, 0.1, 1, 0, 0, 0, sectors, "")
    decision = gate.step(now_ns, replace(healthy(now_ns), health={"lidar_top": Seen(health, 0.1)}))
    assert decision.findings[0].speed_limit_mps == pytest.approx(limit_mps)
    assert decision.speed_limit_mps == pytest.approx(limit_mps)


def test_a_blind_robot_that_is_slower_than_an_escape_stays_so() -> None:
    """Half of its 0.3 m/s is below the 0.25 m/s of an escape."""
    gate, now_ns = running_gate(replace(CONFIG, max_speed_mps=0.3))
    health = SensorHealth(
        0, "lidar_top", SensorStatus.DEGRADED, (SensorProblem.SECTOR_BLIND,), 10.0, 0.1, 1, 0, 0, 0, ((-1.0, 2.0),), ""
    )  # fmt: skip
    decision = gate.step(now_ns, replace(healthy(now_ns, 0.1), health={"lidar_top": Seen(health, 0.1)}))
    assert decision.findings[0].speed_limit_mps == pytest.approx(0.15)


@pytest.mark.parametrize("state", list(ModelState))
def test_only_the_model_that_was_asked_for_is_good_enough(state: ModelState) -> None:
    gate, now_ns = running_gate()
    status = ModelStatus(0, "camera_objects", None, state, "", 0.0, 0.0, 0, 0, "why")
    decision = gate.step(now_ns, replace(healthy(now_ns), models={"camera_objects": status}))
    assert decision.reasons == (() if state is ModelState.ACTIVE else (Reason.MODEL_FALLBACK,))


MISS = (Event(Reason.DEADLINE_MISSED, "once", "scan_front"),)


def missing(gate: SafetyGate, now_ns: int, every: int, times: int) -> set[Reason]:
    """Reasons of all decisions while an input misses its deadline each so many beats."""
    found: set[Reason] = set()
    for i in range(every * times):
        t_ns = now_ns + i * PERIOD_NS
        events = MISS if i % every == 0 else ()
        found |= set(gate.step(t_ns, replace(healthy(t_ns), events=events)).reasons)
    return found


def test_deadlines_missed_again_and_again_are_a_stop_and_now_and_then_a_limit() -> None:
    often = int(from_s(DEADLINES_WITHIN_S) / PERIOD_NS / (DEADLINES - 1))
    assert Reason.DEADLINES_MISSED in missing(*running_gate(), every=often, times=DEADLINES)
    assert Reason.DEADLINES_MISSED not in missing(*running_gate(), every=often, times=DEADLINES - 1)
    assert Reason.DEADLINES_MISSED not in missing(*running_gate(), every=often + 1, times=8)


def test_deadlines_of_different_inputs_are_not_added_up() -> None:
    gate, now_ns = running_gate()
    for i in range(6):
        t_ns = now_ns + i * PERIOD_NS
        event = Event(Reason.DEADLINE_MISSED, "once", f"sensor_{i}")
        assert gate.step(t_ns, replace(healthy(t_ns), events=(event,))).action is Action.LIMIT


def test_a_late_beat_tells_by_how_much() -> None:
    gate, now_ns = running_gate()
    (found,) = gate.step(now_ns + 4 * PERIOD_NS, healthy(now_ns + 4 * PERIOD_NS)).findings
    assert (found.reason, found.value, found.threshold) == (Reason.GATE_OVERRUN, 0.25, 0.05)
    on_time = [*beats(gate, now_ns + 5 * PERIOD_NS, 2), gate.step(NOW_NS + from_s(0.415), healthy(NOW_NS))]
    assert [d.action for d in on_time[:2]] == [Action.PROCEED, Action.PROCEED]


# Values with which other stacks let a check be switched off, or with which it never fires.
ODD = (0.0, -1.0, math.nan, math.inf, -math.inf)


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    "limit", ["input_timeout_s", "command_timeout_s", "future_tolerance_s", "hold_s", "latency_bound_ms"]
)
def test_no_value_of_the_robot_file_switches_a_check_off(limit: str, value: float) -> None:
    from perception_platform.robot.description import Gate, Latency

    if limit == "latency_bound_ms":
        with pytest.raises(ValueError, match="bound_ms"):
            Latency(perception_ms=1, tracker_ms=1, risk_ms=1, bound_ms=value)
    elif value == 0.0 and limit in ("future_tolerance_s", "hold_s"):
        Gate(**{limit: value})  # the strictest, and no hold: neither lets anything through
    else:
        with pytest.raises(ValueError, match=limit):
            Gate(**{limit: value})
