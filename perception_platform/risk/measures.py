"""Criticality measures in closed form. All lengths in m, speeds in m/s, times in s, along the robot's path.

Speeds are those of two bodies on one line: the robot moves with ``speed_mps`` >= 0 towards an object that
moves with ``object_mps`` in the same direction (negative: towards the robot). Arguments are numbers or arrays
that broadcast; infinite gaps are allowed and mean that nothing is in the path.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array


def time_to_collision_s(gap_m: npt.ArrayLike, closing_mps: npt.ArrayLike) -> Array:
    """``gap / closing speed`` at constant speeds (Hayward 1972); infinite when the gap does not shrink."""
    gap, closing = np.broadcast_arrays(np.asarray(gap_m, float), np.asarray(closing_mps, float))
    out = np.full(gap.shape, np.inf)
    np.divide(gap, closing, out=out, where=closing > 1e-6)
    return np.asarray(np.maximum(out, 0.0))


def way_left_m(
    gap_m: npt.ArrayLike, object_mps: npt.ArrayLike, reaction_s: float, object_decel_mps2: float
) -> Array:
    """Way the robot may use until it stands: the gap, plus what an object that drives away still covers if it
    brakes hard at once (Shalev-Shwartz et al. 2017, eq. 1), less what one that approaches covers in the reaction time.
    """
    gap = np.asarray(gap_m, dtype=np.float64)
    v_object = np.asarray(object_mps, dtype=np.float64)
    away = np.maximum(v_object, 0.0) ** 2 / (2 * object_decel_mps2)
    return gap + away + np.minimum(v_object, 0.0) * reaction_s


def needed_way_m(
    speed_mps: npt.ArrayLike, approach_mps: npt.ArrayLike, reaction_s: float, decel_mps2: float
) -> Array:
    """Way from now to standstill when an object approaches while the robot brakes: ``v (t + u/a) + v^2 / 2a``.

    ``approach_mps`` is u >= 0; with 0 it is the plain stopping distance.
    """
    v, u = np.asarray(speed_mps, dtype=np.float64), np.asarray(approach_mps, dtype=np.float64)
    return v * (reaction_s + u / decel_mps2) + v**2 / (2 * decel_mps2)


def required_decel_mps2(
    speed_mps: npt.ArrayLike, approach_mps: npt.ArrayLike, way_m: npt.ArrayLike, reaction_s: float
) -> Array:
    """Deceleration for which ``needed_way_m`` is just ``way_m``: ``(v^2 / 2 + v u) / (way - v t)``.

    Zero at standstill; infinite when the way is used up before braking begins.
    """
    v, u, way = np.broadcast_arrays(*(np.asarray(x, float) for x in (speed_mps, approach_mps, way_m)))
    braking_way = way - v * reaction_s
    out = np.full(v.shape, np.inf)
    np.divide(v**2 / 2 + v * u, braking_way, out=out, where=braking_way > 0)
    return np.where(v > 0, out, 0.0)


def safe_speed_mps(
    way_m: npt.ArrayLike, approach_mps: npt.ArrayLike, reaction_s: float, decel_mps2: float
) -> Array:
    """Highest speed whose ``needed_way_m`` is no more than ``way_m``; zero when no way is left."""
    way, approach = np.broadcast_arrays(np.asarray(way_m, float), np.asarray(approach_mps, float))
    b = decel_mps2 * reaction_s + approach
    finite = np.where(np.isfinite(way), np.maximum(way, 0.0), 0.0)
    speed = np.sqrt(b**2 + 2 * decel_mps2 * finite) - b
    return np.asarray(np.where(np.isfinite(way), speed, np.where(way > 0, np.inf, 0.0)))
