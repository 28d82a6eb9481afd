"""Whether robot and objects touch if the robot brakes: both moved through time, footprint against boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, points_in_polygon
from perception_platform.risk.path import Path, outline

STEP_S = 0.1
MOST_STEPS = 80  # what is further off than this is no matter of braking now
BOX_SAMPLES = 12  # points on each edge of a box

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Braking:
    """A speed that is kept for ``reaction_s`` and then falls by ``decel_mps2``; arrays are over K steps of time."""

    speed_mps: float
    reaction_s: float
    decel_mps2: float

    @property
    def times_s(self) -> Array:
        """(K,) from now to standstill."""
        until_s = self.reaction_s + self.speed_mps / self.decel_mps2
        return np.asarray(np.arange(min(int(np.ceil(until_s / STEP_S)), MOST_STEPS) + 1) * STEP_S, np.float64)

    def way_m(self, times_s: Array) -> Array:
        """Way covered by then."""
        braked_s = np.clip(times_s - self.reaction_s, 0.0, self.speed_mps / self.decel_mps2)
        kept_s = np.minimum(times_s, self.reaction_s)
        return np.asarray(self.speed_mps * (kept_s + braked_s) - 0.5 * self.decel_mps2 * braked_s**2)


def touched(
    corners_m: Array,
    velocities_mps: Array,
    footprint_m: Array,
    path: Path,
    braking: Braking,
    turn_per_m: float = 0.0,
    slowing_mps2: Array | float = 0.0,
    narrower_m: Array | float = 0.0,
) -> Mask:
    """Which objects (N,) the braking robot touches before it stands.

    Args:
        corners_m: (N, 4, 2) of their boxes in the base frame.
        velocities_mps: (N, 2) over ground along the axes of the base frame now.
        footprint_m: (M, 2) corners of the robot.
        path: the arc that it keeps.
        braking: how its speed falls.
        turn_per_m: curvature that is added to the path's.
        slowing_mps2: (N,) deceleration of the objects; 0 for those that keep their speed.
        narrower_m: (N,) taken off each side of the robot.
    """
    times_s = braking.times_s
    x_m, y_m, heading_rad = path.poses(braking.way_m(times_s), turn_per_m)
    speeds_mps = np.hypot(velocities_mps[:, 0], velocities_mps[:, 1])
    slowing = np.maximum(np.broadcast_to(slowing_mps2, len(corners_m))[:, None], 1e-6)
    until_s = np.minimum(times_s[None], speeds_mps[:, None] / slowing)
    moves_s = until_s - slowing * until_s**2 / (2 * np.maximum(speeds_mps[:, None], 1e-9))
    there_m = outline(corners_m, BOX_SAMPLES)[:, None] + (
        velocities_mps[:, None, None, :]
        * np.broadcast_to(moves_s, (len(corners_m), len(times_s)))[..., None, None]
    )
    offset_m = there_m - np.stack([x_m, y_m], axis=-1)[:, None]
    c, s = np.cos(heading_rad)[:, None], np.sin(heading_rad)[:, None]
    left_m = c * offset_m[..., 1] - s * offset_m[..., 0]
    left_m += np.copysign(np.broadcast_to(narrower_m, len(corners_m))[:, None, None], left_m)
    seen_m = np.stack([c * offset_m[..., 0] + s * offset_m[..., 1], left_m], axis=-1)
    inside = points_in_polygon(seen_m.reshape(-1, 2), footprint_m)
    return np.asarray(inside.reshape(len(corners_m), -1).any(axis=1))
