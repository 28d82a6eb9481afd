"""What stands and moves in the simulated world, as a function of time."""

from __future__ import annotations

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
    def _distance_m(self) -> Array:
        steps = np.hypot(*np.diff(self.xy_m, axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def pose(self, t_s: float) -> tuple[float, float, float]:
        """(x, y, yaw) at a time, m and rad."""
        leg = int(np.clip(np.searchsorted(self.t_s, t_s, side="right") - 1, 0, len(self.t_s) - 1))
        x, y = (float(np.interp(t_s, self.t_s, self.xy_m[:, axis])) for axis in (0, 1))
        return x, y, float(self.yaws_rad[leg])

    def travelled_m(self, t_s: float) -> float:
        """Distance covered up to a time, m."""
        return float(np.interp(t_s, self.t_s, self._distance_m))


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
