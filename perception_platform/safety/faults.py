"""The fault table: every fault has one row with an action and a text. No setting switches a row off."""

from __future__ import annotations

from dataclasses import dataclass

from perception_platform.core.verdicts import Action, Reason


@dataclass(frozen=True, slots=True)
class FaultRow:
    """What a fault leads to.

    Attributes:
        action: what the robot has to do while it lasts.
        speed_share: share of the robot's highest speed that is left, for limits.
        text: for people: what is wrong and what is done about it.
    """

    action: Action
    speed_share: float
    text: str


def _stop(text: str) -> FaultRow:
    return FaultRow(Action.STOP, 0.0, text)


def _half(text: str) -> FaultRow:
    return FaultRow(Action.LIMIT, 0.5, text)


FAULTS: dict[Reason, FaultRow] = {
    Reason.STARTING: _stop("waiting for the first complete set of inputs"),
    Reason.ASSESSMENT_MISSING: _stop("no risk assessment has come"),
    Reason.ASSESSMENT_STALE: _stop("the risk assessment is out of date"),
    Reason.OBSTACLES_MISSING: _stop("no obstacle points have come"),
    Reason.OBSTACLES_STALE: _stop("obstacle points are out of date"),
    Reason.ODOMETRY_MISSING: _stop("no odometry has come: speed is unknown"),
    Reason.ODOMETRY_STALE: _stop("odometry is out of date: speed is unknown"),
    Reason.SENSOR_FAILED: _stop("a required sensor has failed"),
    Reason.SENSOR_DEGRADED: _half("a sensor is degraded"),
    Reason.FUTURE_STAMP: _stop("a stamp lies in the future: clocks disagree"),
    Reason.BACKWARDS_STAMP: _stop("time went backwards"),
    Reason.MALFORMED_INPUT: _half("a malformed message was refused"),
    Reason.LATENCY_OVER_BOUND: _half("decisions rest on data older than the latency bound"),
    Reason.PUBLISHER_LOST: _stop("the publisher of an input is gone"),
    Reason.DEADLINE_MISSED: _half("an input missed its deadline"),
    Reason.COMMAND_STALE: FaultRow(Action.PROCEED, 1.0, "no fresh velocity command: velocity out is zero"),
    Reason.GATE_OVERRUN: _half("the gate's beat came late"),
    Reason.LOAD_SHED: _half("perception runs late: the stopping distance grows"),
}

SURROUNDINGS = frozenset(
    {
        Reason.OBJECT_IN_PATH,
        Reason.POINTS_IN_PATH,
        Reason.ZONE,
        Reason.POINTS_IN_FIELD,
        Reason.HOLD,
    }
)
