"""What the gate looks at in one beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from perception_platform.core.model_status import ModelStatus
from perception_platform.core.sensor_data import EgoState, PointCloud, SensorHealth
from perception_platform.core.verdicts import Assessment, Reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """The newest value of an input and how long nothing has come since.

    Attributes:
        value: the newest value.
        silence_s: time since it was received, by a steady clock: a stopped or stepped
            clock that stamps messages cannot hide that a publisher fell silent.
    """

    value: T
    silence_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that went wrong with an input since the last beat, e.g. a malformed message."""

    reason: Reason
    detail: str
    sensor: str = ""


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Everything the gate looks at; what has never come is None or absent.

    Attributes:
        assessment: the risk stage's verdict.
        ego: odometry.
        obstacles: newest obstacle points of each lidar and scan, in the base frame, by sensor name.
        health: newest report of each sensor, by sensor name.
        command: commanded (vx, vy, yaw rate), m/s and rad/s.
        events: faults noticed by whoever received the inputs.
        models: newest report about the model of each perception head, by head.
        speed_factor: share of the highest speed that stages ask for because they run late, 0 to 1.
    """

    assessment: Seen[Assessment] | None = None
    ego: Seen[EgoState] | None = None
    obstacles: Mapping[str, Seen[PointCloud]] = field(default_factory=dict)
    health: Mapping[str, Seen[SensorHealth]] = field(default_factory=dict)
    command: Seen[tuple[float, float, float]] | None = None
    events: tuple[Event, ...] = ()
    speed_factor: float = 1.0
    models: Mapping[str, ModelStatus] = field(default_factory=dict)
