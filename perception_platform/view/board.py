"""The newest of everything the stack says, with rates, ages and latencies: what the terminal shows."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, Image, PointCloud, SensorHealth
from perception_platform.core.time import NS_PER_MS, NS_PER_S, to_s
from perception_platform.core.verdicts import Action, Assessment, Decision
from perception_platform.robot.description import Robot

_RATE_WINDOW_NS = 2 * NS_PER_S


@dataclass(slots=True)
class Flow:
    """Arrivals of one sensor's data.

    Attributes:
        count: how many came since the start.
        arrivals_ns: when the newest of them came, by a steady clock.
    """

    count: int = 0
    arrivals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=128))

    def see(self, received_ns: int) -> None:
        """One more came."""
        self.count += 1
        self.arrivals_ns.append(received_ns)

    def rate_hz(self, now_ns: int) -> float:
        """Arrivals per second over the last two seconds; 0 with fewer than two of them."""
        recent = [t for t in self.arrivals_ns if now_ns - t <= _RATE_WINDOW_NS]
        span_ns = recent[-1] - recent[0] if recent else 0
        return (len(recent) - 1) * NS_PER_S / span_ns if span_ns > 0 else 0.0

    def age_s(self, now_ns: int) -> float:
        """Time since the newest came; infinite before the first."""
        return to_s(now_ns - self.arrivals_ns[-1]) if self.arrivals_ns else math.inf


@dataclass(frozen=True, slots=True)
class Change:
    """The gate changed its mind: when, to what and why."""

    t_ns: int
    action: Action
    text: str


class Board:
    """Collects what a listener hands it. Times are given, never read.

    Args:
        robot: whose stack it is.
        start_ns: time of the run's first data, ns of the clock that stamps the sensors.
        end_ns: time of its last.
    """

    def __init__(self, robot: Robot, start_ns: int, end_ns: int) -> None:
        self.robot = robot
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.now_ns = start_ns
        self.flows = {s.name: Flow() for s in robot.sensors}
        self.health: dict[str, SensorHealth] = {}
        self.ego: EgoState | None = None
        self.tracks: Tracks | None = None
        self.assessment: Assessment | None = None
        self.decision: Decision | None = None
        self.applications: dict[str, ApplicationReport] = {}
        self.changes: list[Change] = []
        self.actions: Counter[Action] = Counter()
        self.track_ids: set[int] = set()
        self._latencies_ms: list[float] = []

    def see(self, value: object, sensor: str, received_ns: int) -> None:
        """Take a value in.

        Args:
            value: a core value; kinds the board has no place for are passed over.
            sensor: the sensor it is from, or an empty string.
            received_ns: when it came, by a steady clock.
        """
        match value:
            case PointCloud() | Image():
                self.flows[sensor].see(received_ns)
            case SensorHealth():
                self.health[value.sensor] = value
            case EgoState():
                self.ego = value
            case Tracks():
                self.tracks = value
                self.track_ids.update(int(i) for i in value.ids)
            case Assessment():
                self.assessment = value
            case ApplicationReport():
                self.applications[value.application] = value
            case Decision():
                self._see_decision(value)

    @property
    def progress(self) -> float:
        """How much of the run has passed, 0 to 1."""
        whole_ns = max(1, self.end_ns - self.start_ns)
        return min(1.0, max(0.0, (self.now_ns - self.start_ns) / whole_ns))

    def latency_ms(self, *percentiles: float) -> list[float]:
        """Percentiles of the sensor-to-decision latency so far, ms; NaN before the first."""
        if not self._latencies_ms:
            return [math.nan] * len(percentiles)
        return [float(v) for v in np.percentile(self._latencies_ms, percentiles)]

    def _see_decision(self, decision: Decision) -> None:
        self.decision = decision
        self.now_ns = max(self.now_ns, decision.t_ns)
        self.actions[decision.action] += 1
        if decision.latency_ns >= 0:
            self._latencies_ms.append(decision.latency_ns / NS_PER_MS)
        if not self.changes or self.changes[-1].action != decision.action:
            text = decision.findings[0].text if decision.findings else "free to proceed"
            self.changes.append(Change(decision.t_ns, decision.action, text))
