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


def time_to_collision_accelerating_s(
    gap_m: npt.ArrayLike, closing_mps: npt.ArrayLike, closing_mps2: npt.ArrayLike
) -> Array:
    """First time at which the gap is used up at constant accelerations: ``gap = v t + a t^2 / 2``.

    The modified time to collision of Ozbay et al. 2008; infinite when the two never meet.
    """
    gap, v, a = np.broadcast_arrays(*(np.asarray(x, float) for x in (gap_m, closing_mps, closing_mps2)))
    root = v**2 + 2 * a * np.where(np.isfinite(gap), np.maximum(gap, 0.0), 0.0)
    ends = v + np.sqrt(
        np.maximum(root, 0.0)
    )  # 2 gap / ends is the smaller positive root, and sound for a = 0
    out = np.full(gap.shape, np.inf)
    np.divide(2 * gap, ends, out=out, where=(root >= 0) & (ends > 1e-6) & np.isfinite(gap))
    return np.asarray(np.maximum(out, 0.0))


def time_to_collision_sigma_s(
    ttc_s: npt.ArrayLike, closing_mps: npt.ArrayLike, closing_mps2: npt.ArrayLike, cov: Array
) -> Array:
    """1-sigma of a time to collision, to first order, from the (..., 3, 3) covariance of gap, closing speed and
    closing acceleration: the implicit function ``gap - v t - a t^2 / 2 = 0`` gives
    ``dt = (dgap - t dv - t^2/2 da) / (v + a t)``.
    """
    t, v, a = np.broadcast_arrays(*(np.asarray(x, float) for x in (ttc_s, closing_mps, closing_mps2)))
    finite = np.isfinite(t)
    t = np.where(finite, t, 0.0)
    weights = np.stack([np.ones_like(t), -t, -(t**2) / 2], axis=-1)
    variance = np.einsum("...i,...ij,...j->...", weights, cov, weights)
    speed = v + a * t
    out = np.full(t.shape, np.inf)
    np.divide(np.sqrt(np.maximum(variance, 0.0)), speed, out=out, where=finite & (speed > 1e-6))
    return out


def time_headway_s(gap_m: npt.ArrayLike, speed_mps: npt.ArrayLike) -> Array:
    """Time until the robot is where the object is now, ``gap / speed`` (ISO 15622); infinite at standstill."""
    return time_to_collision_s(gap_m, speed_mps)


def post_encroachment_time_s(robot_s: tuple[Array, Array], object_s: tuple[Array, Array]) -> Array:
    """Time between one leaving the place that both cross and the other arriving (Allen, Shin and Cooper 1978).

    Args:
        robot_s: when it arrives there, and when its end has left.
        object_s: the same of the object.

    Returns:
        Seconds; negative by how long both are there; infinite where one of them never comes.
    """
    with np.errstate(invalid="ignore"):  # infinity less infinity, where one of them never comes
        later = np.maximum(robot_s[0] - object_s[1], object_s[0] - robot_s[1])
    comes = np.isfinite(robot_s[0]) & np.isfinite(object_s[0])
    return np.where(comes, later, np.inf)


def rss_longitudinal_m(
    speed_mps: npt.ArrayLike,
    object_mps: npt.ArrayLike,
    reaction_s: float,
    accel_mps2: float,
    decel_mps2: float,
    object_decel_mps2: float,
) -> Array:
    """Least safe gap of responsibility-sensitive safety (Shalev-Shwartz et al. 2017, lemmas 2 and 3).

    The robot may accelerate with ``accel_mps2`` for the reaction time, then brakes with ``decel_mps2``. An object that
    drives away brakes with ``object_decel_mps2``; one that comes does the same as the robot.
    """
    v, u = np.broadcast_arrays(np.asarray(speed_mps, float), np.asarray(object_mps, float))
    own = _rss_way_m(v, reaction_s, accel_mps2, decel_mps2)
    coming = _rss_way_m(np.maximum(-u, 0.0), reaction_s, accel_mps2, object_decel_mps2)
    away = np.maximum(u, 0.0) ** 2 / (2 * object_decel_mps2)
    return np.asarray(np.maximum(own - away + np.where(u < 0, coming, 0.0), 0.0))


def _rss_way_m(speed: Array, reaction_s: float, accel_mps2: float, decel_mps2: float) -> Array:
    fastest = speed + reaction_s * accel_mps2
    return np.asarray((speed + fastest) / 2 * reaction_s + fastest**2 / (2 * decel_mps2))


def rss_lateral_m(
    speed_mps: npt.ArrayLike,
    object_mps: npt.ArrayLike,
    reaction_s: float,
    accel_mps2: float,
    decel_mps2: float,
    sway_m: float,
) -> Array:
    """Least safe lateral distance (Shalev-Shwartz et al. 2017, definition 6) of two that move towards each other with
    lateral speeds >= 0: each may accelerate for the reaction time, then brakes; ``sway_m`` is added.
    """
    v, u = np.asarray(speed_mps, float), np.asarray(object_mps, float)
    ways = _rss_way_m(v, reaction_s, accel_mps2, decel_mps2) + _rss_way_m(
        u, reaction_s, accel_mps2, decel_mps2
    )
    return np.asarray(sway_m + np.maximum(ways, 0.0))


def reach_m(
    time_s: npt.ArrayLike, speed_mps: npt.ArrayLike, max_speed_mps: float, max_accel_mps2: float
) -> Array:
    """The most that a person gets on in one direction by a time, from ``speed_mps`` in it: speeds up with the
    largest acceleration to the highest speed, then keeps it (bounded motion of Koschi and Althoff, SPOT, 2017).
    """
    t = np.maximum(np.asarray(time_s, float), 0.0)
    v = np.minimum(np.asarray(speed_mps, float), max_speed_mps)
    speeding_s = np.minimum(t, (max_speed_mps - v) / max_accel_mps2)
    return np.asarray(v * speeding_s + max_accel_mps2 * speeding_s**2 / 2 + max_speed_mps * (t - speeding_s))


def separation_distance_m(
    speed_mps: npt.ArrayLike,
    human_mps: npt.ArrayLike,
    reaction_s: float,
    decel_mps2: float,
    intrusion_m: float,
    uncertainty_m: npt.ArrayLike,
) -> Array:
    """Protective separation distance of ISO/TS 15066, 5.5.4.2.3: ``S = S_h + S_r + S_s + C + Z_d + Z_r``.

    S_h is what the person covers until the robot stands, S_r what the robot covers until it brakes, S_s its braking
    way, C the intrusion distance; ``uncertainty_m`` is Z_d + Z_r, of the person's and of the robot's position.
    """
    v, u = np.asarray(speed_mps, float), np.maximum(np.asarray(human_mps, float), 0.0)
    braking_s = v / decel_mps2
    return np.asarray(
        u * (reaction_s + braking_s) + v * reaction_s + v * braking_s / 2 + intrusion_m + uncertainty_m
    )


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
    # Of no number and nought, fmax gives nought: a way that is not known is none.
    return np.asarray(np.sqrt(b**2 + 2 * decel_mps2 * np.fmax(way, 0.0)) - b)
