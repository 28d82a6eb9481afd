"""What the risk stage finds and what the gate decides, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Ints, ModelRef


class Action(IntEnum):
    """What the robot has to do; the smaller, the stricter, so an empty message is a stop."""

    EMERGENCY_STOP = 0
    STOP = 1
    LIMIT = 2
    PROCEED = 3


class Reason(IntEnum):
    """Why (``Finding.msg`` has the same numbers): what the surroundings ask for, then faults."""

    OBJECT_IN_PATH = 1
    POINTS_IN_PATH = 2
    ZONE = 3
    POINTS_IN_FIELD = 4
    HOLD = 5
    ESCAPE = 10
    OPINIONS_DIFFER = 11
    STARTING = 20
    ASSESSMENT_MISSING = 21
    ASSESSMENT_STALE = 22
    OBSTACLES_MISSING = 23
    OBSTACLES_STALE = 24
    ODOMETRY_MISSING = 25
    ODOMETRY_STALE = 26
    SENSOR_FAILED = 27
    SENSOR_DEGRADED = 28
    FUTURE_STAMP = 29
    BACKWARDS_STAMP = 30
    MALFORMED_INPUT = 31
    LATENCY_OVER_BOUND = 32
    PUBLISHER_LOST = 33
    DEADLINE_MISSED = 34
    COMMAND_STALE = 35
    GATE_OVERRUN = 36
    LOAD_SHED = 37
    SENSOR_BLOCKED = 50
    TRANSFORM_LOST = 51
    DEADLINES_MISSED = 52
    MODEL_FALLBACK = 53
    CONFIG_CHANGED = 54
    OVERRIDE = 55


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that applies, the measure behind it and the evidence.

    Attributes:
        reason: which rule.
        action: what it asks for.
        speed_limit_mps: the highest speed it allows, m/s.
        quantity: what was measured, e.g. ``gap``.
        value: the measured value.
        threshold: the value at which the rule would ask for something else.
        unit: unit of value and threshold.
        zone: name of the zone, for zone rules.
        track_ids: tracks it is about.
        points_m: up to a few obstacle points it is about, in the base frame, m.
        sensor: sensor it is about or whose data it rests on.
        text: one line for people.
        upper: whether the value has to stay below the threshold; otherwise above it.
    """

    reason: Reason
    action: Action
    speed_limit_mps: float
    quantity: str
    value: float
    threshold: float
    unit: str
    zone: str = ""
    track_ids: tuple[int, ...] = ()
    points_m: tuple[tuple[float, float, float], ...] = ()
    sensor: str = ""
    text: str = ""
    upper: bool = False

    @property
    def margin(self) -> float:
        """How far the value is from the threshold; negative when it is violated."""
        return self.threshold - self.value if self.upper else self.value - self.threshold

    @property
    def strictness(self) -> tuple[int, float]:
        """Sort key: the strictest first."""
        return (self.action, self.speed_limit_mps)


@dataclass(frozen=True, slots=True)
class ObjectRisks:
    """Criticality of N objects for the robot's predicted path, as arrays.

    Attributes:
        track_ids: (N,) the tracks.
        class_ids: (N,) values of ObjectClass.
        in_path: (N,) whether the object is, or is predicted to be, in the robot's swept path.
        gap_m: (N,) free distance along the path from footprint to object; inf when not in the path.
        distance_m: (N,) shortest distance from footprint to object in the ground plane.
        closing_mps: (N,) speed at which the gap shrinks.
        ttc_s: (N,) time to collision; inf when not closing.
        required_decel_mps2: (N,) deceleration that just avoids contact, after the reaction time.
        speed_limit_mps: (N,) highest speed from which the robot still stops in time; inf when not in the path.
        headway_s: (N,) time until the robot is where the object is; inf when not in the path.
        ttc_accelerating_s: (N,) time to collision when the object keeps its acceleration; inf when they never meet.
        ttc_sigma_s: (N,) 1-sigma of that, from the track's covariance; inf where that is inf.
        post_encroachment_s: (N,) between one leaving the place that both cross and the other coming, negative when both
            are there; inf when they do not cross.
        rss_gap_m: (N,) least safe gap of responsibility-sensitive safety.
        rss_beside_m: (N,) its least safe lateral distance.
        reach_m: (N,) how far a person may get until the robot stands; inf for what is no person.
        separation_m: (N,) protective separation distance in the manner of ISO/TS 15066.
    """

    track_ids: Ints
    class_ids: Ints
    in_path: npt.NDArray[np.bool_]
    gap_m: Array
    distance_m: Array
    closing_mps: Array
    ttc_s: Array
    required_decel_mps2: Array
    speed_limit_mps: Array
    headway_s: Array = field(default_factory=lambda: np.zeros(0))
    ttc_accelerating_s: Array = field(default_factory=lambda: np.zeros(0))
    ttc_sigma_s: Array = field(default_factory=lambda: np.zeros(0))
    post_encroachment_s: Array = field(default_factory=lambda: np.zeros(0))
    rss_gap_m: Array = field(default_factory=lambda: np.zeros(0))
    rss_beside_m: Array = field(default_factory=lambda: np.zeros(0))
    reach_m: Array = field(default_factory=lambda: np.zeros(0))
    separation_m: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        for one in fields(self)[9:]:  # nothing is said of them
            if len(getattr(self, one.name)) != len(self.track_ids):
                object.__setattr__(self, one.name, np.full(len(self.track_ids), np.inf))

    def __len__(self) -> int:
        return len(self.track_ids)


@dataclass(frozen=True, slots=True)
class NearObjects:
    """Outlines of K tracks near the robot, in its base frame: what an escape must not come closer to.

    Attributes:
        track_ids: (K,) the tracks.
        corners_m: (K, 4, 2) corners of their boxes.
        velocities_mps: (K, 2) velocities over ground.
    """

    track_ids: Ints
    corners_m: Array
    velocities_mps: Array

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def none(cls) -> NearObjects:
        """No track at all."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4, 2)), np.zeros((0, 2)))


@dataclass(frozen=True, slots=True)
class Assessment:
    """The risk stage's verdict for one moment.

    Attributes:
        t_ns: time it is valid for: capture time of the newest input, ns.
        findings: every rule that applies, strictest first; empty means free to proceed.
        objects: criticality of each track.
        lineage: where it came from.
        models: models that took part.
        disabled_zones: names of zones that a service has switched off.
        near: outlines of the tracks near the robot.
    """

    t_ns: int
    findings: tuple[Finding, ...]
    objects: ObjectRisks
    lineage: Lineage = field(default_factory=Lineage)
    models: tuple[ModelRef, ...] = ()
    disabled_zones: tuple[str, ...] = ()
    near: NearObjects = field(default_factory=NearObjects.none)


class GateState(IntEnum):
    """State of the safety gate (``SafetyDecision.msg`` has the same numbers)."""

    STARTING = 0
    FAULT = 1
    STOPPED = 2
    STOPPING = 3
    LIMITED = 4
    NORMAL = 5
    ESCAPING = 6


@dataclass(frozen=True, slots=True)
class Without:
    """What would have been decided if what binds a decision were not there.

    Attributes:
        action: what the robot would have to do.
        speed_limit_mps: highest speed it would be allowed, m/s.
        reason: which rule would bind then; None if none would.
    """

    action: Action
    speed_limit_mps: float
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Decision:
    """One beat of the safety gate.

    Attributes:
        t_ns: time of the decision, ns.
        sequence: counts up by one a beat: it is a heartbeat.
        action: what the robot has to do.
        state: state of the gate.
        speed_limit_mps: highest allowed speed over ground, m/s.
        deceleration_mps2: deceleration to brake with, m/s².
        findings: every rule that applies, strictest first; the first one binds.
        latched: whether the stop stays until it is reset by hand.
        latency_ns: age of the oldest sensor data the decision rests on, ns; -1 without any.
        command_mps: (vx, vy, yaw rate) as commanded; None without a fresh command.
        output_mps: (vx, vy, yaw rate) as let through, m/s and rad/s.
        lineage: where it came from.
        models: models that took part.
        previous_state: state of the beat before.
        transition: why the state changed at this beat, one line for people; empty if it did not.
        profile_mps: speed let through at most now, m/s: the limit, or what is still above it on the way down.
        without: the same decision without the object or fault that binds; None if nothing binds.
    """

    t_ns: int
    sequence: int
    action: Action
    state: GateState
    speed_limit_mps: float
    deceleration_mps2: float
    findings: tuple[Finding, ...]
    latched: bool
    latency_ns: int
    command_mps: tuple[float, float, float] | None
    output_mps: tuple[float, float, float]
    lineage: Lineage = field(default_factory=Lineage)
    models: tuple[ModelRef, ...] = ()
    previous_state: GateState = GateState.STARTING
    transition: str = ""
    without: Without | None = None
    profile_mps: float = 0.0

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Reason of each finding, strictest first, without repeats."""
        return tuple(dict.fromkeys(f.reason for f in self.findings))
