"""The development override: loud, short, in every decision, and never in the way of the surroundings."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Reason
from perception_platform.safety.inputs import GateInputs
from perception_platform.safety.override import LONGEST_S
from test.unit.safety.healthy import CONFIG, PERIOD_NS, beats, finding, healthy, running_gate


def blind(now_ns: int) -> GateInputs:
    """No obstacle points: a stop."""
    return replace(healthy(now_ns), obstacles={})


def test_while_it_lasts_faults_limit_to_a_creep_and_every_decision_says_so() -> None:
    gate, now_ns = running_gate()
    gate.override(now_ns, 1.0)
    lasting = beats(gate, now_ns, 20, blind)
    for decision in lasting:
        assert (decision.action, decision.speed_limit_mps) == (Action.LIMIT, CONFIG.escape_mps)
        (loud,) = [f for f in decision.findings if f.reason is Reason.OVERRIDE]
        assert "DEVELOPMENT OVERRIDE" in loud.text
        assert loud.value == pytest.approx(1.0 - (decision.t_ns - now_ns) / 1e9)
        (fault, *_) = [f for f in decision.findings if f.reason is Reason.OBSTACLES_MISSING]
        assert fault.text.startswith("overridden: ")
    after = gate.step(now_ns + 20 * PERIOD_NS, blind(now_ns + 20 * PERIOD_NS))
    assert after.action is Action.STOP
    assert Reason.OVERRIDE not in after.reasons


def test_it_is_in_decisions_that_need_none_too_and_lets_no_limit_grow() -> None:
    gate, now_ns = running_gate()
    gate.override(now_ns, 1.0)
    decision = gate.step(now_ns, healthy(now_ns))
    assert decision.reasons == (Reason.OVERRIDE,)
    assert decision.speed_limit_mps == CONFIG.escape_mps
    slower = gate.step(now_ns + PERIOD_NS, healthy(now_ns + PERIOD_NS, 0.1, (finding(Action.LIMIT, 0.1),)))
    assert slower.speed_limit_mps == 0.1
    shed = replace(healthy(now_ns + 2 * PERIOD_NS), speed_factor=0.01)
    assert gate.step(now_ns + 2 * PERIOD_NS, shed).speed_limit_mps == pytest.approx(0.015)


@pytest.mark.parametrize("action", [Action.STOP, Action.EMERGENCY_STOP])
def test_what_the_surroundings_ask_for_is_not_overridden(action: Action) -> None:
    gate, now_ns = running_gate()
    gate.override(now_ns, 1.0)
    assert gate.step(now_ns, healthy(now_ns, 1.0, (finding(action),))).action is action


def test_a_clock_that_steps_back_ends_it() -> None:
    gate, now_ns = running_gate()
    gate.override(now_ns, 1.0)
    for t_ns in (now_ns - from_s(5.0), now_ns + PERIOD_NS):
        assert Reason.OVERRIDE not in gate.step(t_ns, blind(t_ns)).reasons


@pytest.mark.parametrize("duration_s", [0.0, -1.0, LONGEST_S + 0.1, math.inf, math.nan])
def test_it_cannot_be_had_for_ever(duration_s: float) -> None:
    gate, now_ns = running_gate()
    with pytest.raises(ValueError, match="at most 30 s"):
        gate.override(now_ns, duration_s)
    assert gate.step(now_ns, blind(now_ns)).action is Action.STOP


def test_the_longest_is_allowed() -> None:
    gate, now_ns = running_gate()
    gate.override(now_ns, LONGEST_S)
    assert gate.step(now_ns, blind(now_ns)).action is Action.LIMIT
