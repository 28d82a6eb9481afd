"""The fault table: every fault has one row: action, text, recovery. No setting switches a row off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from perception_platform.core.verdicts import Action, Reason


class Recovery(Enum):
    """When what a fault asks for ends; the value says it for people."""

    WITH_CAUSE = "as soon as the cause is gone"
    AFTER_HOLD = "when the cause has been gone for gate.hold_s"
    BY_RESET = "when ~/reset is called after the cause is gone, or the gate is restarted"
    BY_TIME = "by itself, when its time is up"


@dataclass(frozen=True, slots=True)
class FaultRow:
    """What a fault leads to.

    Attributes:
        action: what the robot has to do while it lasts.
        speed_share: share of the robot's highest speed that is left, for limits.
        text: for people: what is wrong and what is done about it.
        recovery: when that ends.
    """

    action: Action
    speed_share: float
    text: str
    recovery: Recovery


def _stop(text: str, recovery: Recovery = Recovery.AFTER_HOLD) -> FaultRow:
    return FaultRow(Action.STOP, 0.0, text, recovery)


def _half(text: str, recovery: Recovery = Recovery.WITH_CAUSE) -> FaultRow:
    return FaultRow(Action.LIMIT, 0.5, text, recovery)


FAULTS: dict[Reason, FaultRow] = {
    Reason.STARTING: _stop("waiting for the first complete set of inputs", Recovery.WITH_CAUSE),
    Reason.ASSESSMENT_MISSING: _stop("no risk assessment has come"),
    Reason.ASSESSMENT_STALE: _stop("the risk assessment is out of date"),
    Reason.OBSTACLES_MISSING: _stop("no obstacle points have come"),
    Reason.OBSTACLES_STALE: _stop("obstacle points are out of date"),
    Reason.ODOMETRY_MISSING: _stop("no odometry has come: speed is unknown"),
    Reason.ODOMETRY_STALE: _stop("odometry is out of date: speed is unknown"),
    Reason.SENSOR_FAILED: _stop("a required sensor has failed"),
    Reason.SENSOR_DEGRADED: _half("a sensor is degraded"),
    Reason.SENSOR_BLOCKED: _half("a part of what a sensor should see is blocked"),
    Reason.FUTURE_STAMP: _stop("a stamp lies in the future: clocks disagree"),
    Reason.BACKWARDS_STAMP: _stop("time went backwards"),
    Reason.MALFORMED_INPUT: _half("a malformed message was refused", Recovery.AFTER_HOLD),
    Reason.TRANSFORM_LOST: _stop("an input is in a frame that nothing leads to: where it belongs is unknown"),
    Reason.LATENCY_OVER_BOUND: _half("decisions rest on data older than the latency bound"),
    Reason.PUBLISHER_LOST: _stop("the publisher of an input is gone"),
    Reason.DEADLINE_MISSED: _half("an input missed its deadline", Recovery.AFTER_HOLD),
    Reason.DEADLINES_MISSED: _stop("an input missed its deadline again and again"),
    Reason.COMMAND_STALE: FaultRow(
        Action.PROCEED, 1.0, "no fresh velocity command: velocity out is zero", Recovery.WITH_CAUSE
    ),
    Reason.GATE_OVERRUN: _half("the gate's beat came late"),
    Reason.LOAD_SHED: _half("perception runs late: the stopping distance grows"),
    Reason.MODEL_FALLBACK: _half("a model that was asked for does not run: objects may lack names"),
    Reason.CONFIG_CHANGED: _stop(
        "the robot file was changed while the robot moved: the nodes run with the old one", Recovery.BY_RESET
    ),
    Reason.OVERRIDE: FaultRow(
        Action.LIMIT, 1.0, "DEVELOPMENT OVERRIDE: faults do not stop the robot", Recovery.BY_TIME
    ),
}

SURROUNDINGS = frozenset(
    {
        Reason.OBJECT_IN_PATH,
        Reason.POINTS_IN_PATH,
        Reason.ZONE,
        Reason.POINTS_IN_FIELD,
        Reason.HOLD,
        Reason.ESCAPE,
        Reason.OPINIONS_DIFFER,
    }
)
