"""The state machine: the changes that there are, each with its reason, and in the decision that makes it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Decision, GateState, Reason
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen
from perception_platform.safety.states import CHANGES, state_of, transition_text
from test.unit.safety.healthy import CONFIG, PERIOD_NS, finding, healthy
from test.unit.scenes import post

PAGE = Path(__file__).parents[3] / "docs" / "gate.md"
STOP, LIMIT, GO = finding(Action.STOP), finding(Action.LIMIT, 0.5), finding(Action.PROCEED, 1.5)
FAULT = replace(STOP, reason=Reason.ODOMETRY_STALE)
ESCAPE = replace(LIMIT, reason=Reason.ESCAPE)


@pytest.mark.parametrize(
    ("findings", "started", "standing", "state"),
    [
        ((), False, True, GateState.STARTING),
        ((STOP,), False, True, GateState.STARTING),
        ((), True, True, GateState.NORMAL),
        ((GO,), True, True, GateState.NORMAL),
        ((LIMIT, GO), True, True, GateState.LIMITED),
        ((STOP, LIMIT), True, True, GateState.STOPPED),
        ((STOP, LIMIT), True, False, GateState.STOPPING),
        ((FAULT, STOP), True, False, GateState.STOPPING),
        ((FAULT, LIMIT), True, True, GateState.FAULT),
        ((ESCAPE, STOP), True, False, GateState.ESCAPING),
    ],
)
def test_the_state_is_what_the_findings_make_of_it(
    findings: tuple, started: bool, standing: bool, state: GateState
) -> None:
    assert state_of(findings, started=started, standing=standing) is state


def test_a_change_says_why() -> None:
    told = replace(STOP, text="person 3 in the path")
    change = transition_text(GateState.NORMAL, GateState.STOPPING, (told,))
    assert change == "normal to stopping: person 3 in the path"
    assert transition_text(GateState.STOPPED, GateState.NORMAL, ()).endswith(": nothing limits the robot")
    assert transition_text(GateState.NORMAL, GateState.NORMAL, (told,)) == ""


def test_the_page_draws_the_changes_that_there_are() -> None:
    drawn = re.findall(r"^ +(\w+) --> (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    wanted = {(a.name.lower(), b.name.lower()) for a, to in CHANGES.items() for b in to if a is not b}
    assert {pair for pair in drawn if "start" not in pair} == wanted


def scenes(now_ns: int, which: str) -> GateInputs:
    speed_mps = 0.0 if which in ("standing", "way out") else 1.0
    wall = post(0.45 + 0.2, t_ns=now_ns - from_s(0.1))
    stop = (finding(Action.STOP, track_ids=(), points_m=((0.65, 0.0, 0.3),)),)
    good = healthy(now_ns, speed_mps)
    cases: dict[str, dict[str, object]] = {
        "clear": {},
        "limit": {"assessment": healthy(now_ns, findings=(LIMIT,)).assessment},
        "stop": {"assessment": healthy(now_ns, findings=stop).assessment},
        "standing": {"assessment": healthy(now_ns, findings=stop).assessment},
        "way out": {
            "assessment": healthy(now_ns, findings=stop).assessment,
            "obstacles": {**good.obstacles, "lidar_top": Seen(wall, 0.0)},
            "command": Seen((-0.3, 0.0, 0.0), 0.0),
        },
        "fault": {"ego": None},
        "lost": {"events": (Event(Reason.PUBLISHER_LOST, "risk"),)},
    }
    return replace(good, **cases[which])


@given(
    st.lists(st.sampled_from(["clear", "limit", "stop", "standing", "way out", "fault", "lost"]), max_size=25)
)
def test_the_gate_makes_no_other_changes_and_tells_each(story: list[str]) -> None:
    gate, now_ns = SafetyGate(CONFIG), from_s(1.0)
    before = GateState.STARTING
    for i, which in enumerate(story):
        decision: Decision = gate.step(now_ns + i * PERIOD_NS, scenes(now_ns + i * PERIOD_NS, which))
        assert decision.previous_state is before
        assert decision.state is before or decision.state in CHANGES[before]
        assert bool(decision.transition) == (decision.state is not before)
        before = decision.state
