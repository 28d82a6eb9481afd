"""What stands and moves in the simulated world, as a function of time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.simulation.solids import Bgr, Solids, join


@dataclass(frozen=True)
class TimedPath:
    """A path with times: straight between its points, still before the first and after the last.

    Attributes:
        t_s: (K,) times, growing, s.
        xy_m: (K, 2) positions in the world frame, m.
        yaws_rad: (K,) heading on the way to the next point.
    """

    t_s: Array
    xy_m: Array
    yaws_rad: Array

    @classmethod
    def through(cls, points: Sequence[tuple[float, float, float]], first_yaw_rad: float = 0.0) -> TimedPath:
        """Walk through ``(t_s, x_m, y_m)`` facing the way one goes; two points at one place are a pause.

        Raises:
            ValueError: if there is no point, or the times do not grow.
        """
        table = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        if len(table) == 0 or np.any(np.diff(table[:, 0]) <= 0):
            raise ValueError("a timed path needs points whose times grow")
        yaws = [first_yaw_rad]
        for step in np.diff(table[:, 1:], axis=0):
            yaws.append(float(np.arctan2(step[1], step[0])) if np.hypot(*step) > 1e-9 else yaws[-1])
        return cls(table[:, 0], table[:, 1:], np.array([*yaws[1:], yaws[-1]]))

    @cached_property
    def _times_s(self) -> list[float]:
        return list(self.t_s.tolist())

    @cached_property
    def _legs(self) -> list[tuple[float, ...]]:
        """Of each leg, and of standing at the end: x, y, vx, vy, distance before, speed, yaw.

        As plain numbers: actors are asked for their pose often, one at a time.
        """
        steps, dt_s = np.diff(self.xy_m, axis=0), np.diff(self.t_s)[:, None]
        lengths = np.hypot(*steps.T)
        still = np.zeros((1, 1))
        velocity = np.concatenate([steps / dt_s, np.zeros((1, 2))])
        speed = np.concatenate([lengths[:, None] / dt_s, still])
        before = np.concatenate([[0.0], np.cumsum(lengths)])[:, None]
        table = np.concatenate([self.xy_m, velocity, before, speed, self.yaws_rad[:, None]], axis=1)
        return [tuple(row) for row in table.tolist()]

    def pose(self, t_s: float) -> tuple[float, float, float]:
        """(x, y, yaw) at a time, m and rad."""
        leg, since_s = self._leg(t_s)
        x_m, y_m, vx, vy, _, _, yaw_rad = self._legs[leg]
        return vx * since_s + x_m, vy * since_s + y_m, yaw_rad

    def travelled_m(self, t_s: float) -> float:
        """Distance covered up to a time, m."""
        leg, since_s = self._leg(t_s)
        _, _, _, _, before_m, speed_mps, _ = self._legs[leg]
        return speed_mps * since_s + before_m

    def _leg(self, t_s: float) -> tuple[int, float]:
        """Which leg a time is on, and how long ago that began; the first point's before all legs, with no time gone."""
        leg = bisect_right(self._times_s, t_s) - 1
        return (leg, t_s - self._times_s[leg]) if leg >= 0 else (0, 0.0)


@dataclass(frozen=True)
class Actor:
    """Something that moves.

    Attributes:
        body: its solids in its own frame, given the distance travelled (a walker's legs swing with it).
        path: where it is, when.
    """

    body: Callable[[float], Solids]
    path: TimedPath

    def solids_at(self, t_s: float) -> Solids:
        """Its solids in the world frame."""
        return self.body(self.path.travelled_m(t_s)).placed(*self.path.pose(t_s))


@dataclass(frozen=True)
class Marking:
    """Paint on the floor.

    Attributes:
        outline_m: (K, 2) convex outline in the world frame, m.
        bgr: colour.
    """

    outline_m: Array
    bgr: Bgr

    @classmethod
    def strip(cls, x_m: tuple[float, float], y_m: tuple[float, float], bgr: Bgr) -> Marking:
        """A rectangle along the axes."""
        (x0, x1), (y0, y1) = x_m, y_m
        return cls(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), bgr)


@dataclass(frozen=True)
class World:
    """A flat floor at z = 0 with things on it. Its frame is the odometry frame.

    Attributes:
        standing: what never moves.
        actors: what does.
        markings: paint on the floor.
        floor_reflectivity: share of the lidar's light that the floor throws back.
    """

    standing: Solids
    actors: tuple[Actor, ...] = ()
    markings: tuple[Marking, ...] = ()
    floor_reflectivity: float = 0.25

    def solids_at(self, t_s: float) -> Solids:
        """Everything above the floor, in the world frame; the order is the same at all times."""
        return join([self.standing, *(actor.solids_at(t_s) for actor in self.actors)])
