"""The gate's state machine: which state a decision puts it in, and which changes of state there are."""

from __future__ import annotations

from collections.abc import Sequence

from perception_platform.core.verdicts import Action, Finding, GateState, Reason
from perception_platform.safety.faults import SURROUNDINGS

_DRIVES = frozenset({GateState.NORMAL, GateState.LIMITED})
_STANDS = frozenset({GateState.STOPPING, GateState.STOPPED, GateState.FAULT})

# From each state to which others. Nothing leads back to STARTING, and an escape begins where the robot stands.
CHANGES: dict[GateState, frozenset[GateState]] = {
    GateState.STARTING: _DRIVES | _STANDS,
    GateState.FAULT: _DRIVES | _STANDS,
    GateState.STOPPED: _DRIVES | _STANDS | {GateState.ESCAPING},
    GateState.STOPPING: _DRIVES | _STANDS,
    GateState.LIMITED: _DRIVES | _STANDS,
    GateState.NORMAL: _DRIVES | _STANDS,
    GateState.ESCAPING: _DRIVES | _STANDS,
}


def state_of(findings: Sequence[Finding], *, started: bool, standing: bool) -> GateState:
    """The state that a decision with these findings, strictest first, puts the gate in.

    Args:
        findings: every rule that applies; the first one binds.
        started: whether every input has come once.
        standing: whether the robot is known to stand.
    """
    if not started:
        return GateState.STARTING
    if not findings or findings[0].action is Action.PROCEED:
        return GateState.NORMAL
    if findings[0].reason is Reason.ESCAPE:
        return GateState.ESCAPING
    if findings[0].action is Action.LIMIT:
        return GateState.LIMITED
    if not any(f.reason in SURROUNDINGS for f in findings if f.action <= Action.STOP):
        return GateState.FAULT
    return GateState.STOPPED if standing else GateState.STOPPING


def transition_text(before: GateState, after: GateState, findings: Sequence[Finding]) -> str:
    """Why the state changed, one line for people; empty if it did not."""
    if after is before:
        return ""
    why = findings[0].text if findings else "nothing limits the robot"
    return f"{before.name.lower()} to {after.name.lower()}: {why}"
