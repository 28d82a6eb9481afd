"""What happened in a run, as events: from the true geometry, never from what the stack made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.robot.description import Robot
from perception_platform.scenarios.geometry import Around
from perception_platform.simulation.truth import stopping_gap_m

Flags = npt.NDArray[np.bool_]

MOVING_MPS = 0.05  # slower, the robot stands
SPEED_MPS = 0.1  # a stop is late only while the robot still drives faster
# A stop is no mistake if, so long before or after it, something was where a robot at cruising speed has to brake, or so
# near to that place: it may come towards the robot.
BEFORE_S, AFTER_S, COMING_M = 1.0, 1.5, 1.0
FAULT_AFTER_S = 1.0  # the stack may stand so long after a fault has ended
COMFORT_OVER_S = 0.1  # jerk is that of the acceleration over so long


@dataclass(slots=True)
class _Ticks:
    t_s: list[float] = field(default_factory=list)
    speed_mps: list[float] = field(default_factory=list)
    accel_mps2: list[float] = field(default_factory=list)
    ahead_m: list[float] = field(default_factory=list)
    near_ahead_m: list[float] = field(default_factory=list)


@dataclass(slots=True)
class EventLog:
    """Takes the true state at each tick and tells in the end what happened.

    Args:
        robot: footprint and brakes.
        cruise_mps: what the planner asks for.
        is_actor: (S,) which solids count for the separation.

    Attributes:
        collided: the robot drove into something.
        struck: something ran into the robot, while it stood or from the side or behind.
        impact_mps: speed at the collision.
        separation_m: least distance to an actor so far.
    """

    robot: Robot
    cruise_mps: float
    is_actor: Flags
    collided: bool = False
    struck: bool = False
    impact_mps: float | None = None
    separation_m: float = float("inf")
    _ticks: _Ticks = field(default_factory=_Ticks)

    def tick(self, t_s: float, speed_mps: float, accel_mps2: float, around: Around) -> None:
        """One moment."""
        ticks = self._ticks
        ticks.t_s.append(t_s)
        ticks.speed_mps.append(speed_mps)
        ticks.accel_mps2.append(accel_mps2)
        ticks.ahead_m.append(float(around.ahead_m.min(initial=np.inf)))
        ticks.near_ahead_m.append(float(around.near_ahead_m.min(initial=np.inf)))
        self.separation_m = min(
            self.separation_m, float(around.distance_m.min(initial=np.inf, where=self.is_actor))
        )
        touched = around.distance_m <= 0.0
        if touched.any():
            self.collided = speed_mps > MOVING_MPS and bool((around.ahead_m[touched] <= 0.0).any())
            self.struck = not self.collided
            self.impact_mps = speed_mps if self.collided else None

    @property
    def touched(self) -> bool:
        """Whether the robot and something else touch."""
        return self.collided or self.struck

    def events(self, travelled_m: float, end_s: float, faults_s: list[tuple[float, float]]) -> dict[str, Any]:
        """The events of the run.

        Args:
            travelled_m: way of the robot.
            end_s: end of the run; the robot stands from the last tick on.
            faults_s: spans in which a sensor was at fault: stopping is right then.
        """
        ticks = self._ticks
        t_s, speed, ahead = (np.asarray(a) for a in (ticks.t_s, ticks.speed_mps, ticks.ahead_m))
        stops = _spans(speed < MOVING_MPS)
        needed = np.asarray(ticks.near_ahead_m) < stopping_gap_m(self.robot, self.cruise_mps) + COMING_M
        for from_s, until_s in faults_s:
            needed |= (t_s >= from_s) & (t_s <= until_s + FAULT_AFTER_S)
        false = [s for s in stops if not _near(t_s, needed, float(t_s[s[0]]), float(t_s[s[1]]))]
        late = (speed > SPEED_MPS) & (ahead < 0.5 * self.robot.clearance.ahead_m)
        lost_s = end_s - travelled_m / self.cruise_mps
        return {
            "collision": self.collided,
            "impact_speed_mps": None if self.impact_mps is None else round(self.impact_mps, 3),
            "min_separation_m": round(self.separation_m, 3) if np.isfinite(self.separation_m) else None,
            "late_stop": bool(late.any()) or self.collided,
            "false_stop": bool(false),
            "time_lost_s": round(max(lost_s, 0.0), 3),
            **_comfort(np.asarray(ticks.accel_mps2), t_s),
            "stops": len(stops),
            "struck": self.struck,
        }


def no_events() -> dict[str, Any]:
    """Of a run that did not come to an end: nothing is known."""
    unknown = (
        "collision", "impact_speed_mps", "min_separation_m", "late_stop", "false_stop", "time_lost_s",
        "peak_decel_mps2", "peak_jerk_mps3", "stops", "struck",
    )  # fmt: skip
    return dict.fromkeys(unknown)


def _comfort(accel_mps2: Array, t_s: Array) -> dict[str, float]:
    """Hardest braking and hardest jerk, of the acceleration as passengers and loads feel it: over 0.1 s."""
    if len(t_s) < 2:
        return {"peak_decel_mps2": 0.0, "peak_jerk_mps3": 0.0}
    width = max(1, round(COMFORT_OVER_S / float(np.median(np.diff(t_s)))))
    felt = (
        np.convolve(accel_mps2, np.ones(width) / width, mode="valid")
        if len(accel_mps2) > width
        else accel_mps2
    )
    jerk = np.abs(felt[width:] - felt[:-width]) / COMFORT_OVER_S if len(felt) > width else np.zeros(1)
    return {
        "peak_decel_mps2": round(max(0.0, -float(felt.min())), 3),
        "peak_jerk_mps3": round(float(jerk.max()), 3),
    }


def _spans(flags: Flags) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _near(t_s: Array, needed: Flags, from_s: float, until_s: float) -> bool:
    return bool(needed[(t_s >= from_s - BEFORE_S) & (t_s <= until_s + AFTER_S)].any())
