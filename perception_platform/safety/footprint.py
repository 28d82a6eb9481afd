"""The footprint among points: how far they are from it, and from where a motion brings it.

Two things keep a proof over thousands of points cheap and change none of its answers. Points of a small square
(``cells``) are judged by its middle where that leaves no doubt, since no distance differs by more than its radius. And
a body lies on one side of the line along each of its edges, so what is d beyond one of these lines is at least d away
from it (``within_edges``): for a given line that is linear in the point, for all poses at once one product of matrices.
The distance itself is worked out for the few points that are left.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, points_in_polygon

Motion = tuple[float, float, float]  # vx, vy, yaw rate in the base frame; m/s, rad/s
ROUNDING_M = 1e-6
CELL_M = 0.01
CELL_RADIUS_M = CELL_M * 0.75  # no point of a cell is farther from its middle, rounding included


def fastest_mps(motion: Motion, corners_m: Array) -> float:
    """Speed of the fastest point of a body that moves so: one of its corners (M, 2)."""
    vx, vy, yaw_rate = motion
    x_m, y_m = corners_m.T
    return float(np.hypot(vx - yaw_rate * y_m, vy + yaw_rate * x_m).max())


def seen_from(points_m: Array, motion: Motion, times_s: Array) -> Array:
    """Points (..., N, 2) of the base frame as they lie in it after a motion of constant speed and turn rate.

    Args:
        points_m: (N, 2), or (K, N, 2) where they differ from time to time.
        motion: of the robot.
        times_s: (K,) how long it has lasted.

    Returns:
        (K, N, 2).
    """
    moved_m, back = _poses(motion, times_s)
    return np.asarray((points_m - moved_m[:, None]) @ back)


def distance_m(points_m: Array, corners_m: Array) -> Array:
    """Signed distances (...,) of points (..., 2) to a polygon of corners (M, 2); negative inside it."""
    x_m, y_m = points_m[..., 0], points_m[..., 1]
    apart = np.full(x_m.shape, np.inf)
    edges_m = np.roll(corners_m, -1, axis=0) - corners_m
    for (corner_x, corner_y), (edge_x, edge_y) in zip(corners_m, edges_m, strict=True):
        from_x, from_y = x_m - corner_x, y_m - corner_y
        share = (from_x * edge_x + from_y * edge_y) / (edge_x**2 + edge_y**2)
        share = np.minimum(np.maximum(share, 0.0), 1.0)
        apart = np.minimum(apart, (from_x - share * edge_x) ** 2 + (from_y - share * edge_y) ** 2)
    apart = np.sqrt(apart)
    inside = points_in_polygon(points_m.reshape(-1, 2), corners_m).reshape(apart.shape)
    return np.asarray(np.where(inside, -apart, apart))


def least_distance_m(points_m: Array, corners_m: Array) -> float:
    """The least of the signed distances of points (N, 2), all finite; infinite without points."""
    if not len(points_m):
        return np.inf
    normals = _normals(corners_m)
    beyond_m = (normals @ points_m.T - _reaches_m(normals, corners_m)[:, None]).max(axis=0)
    nearest_m = distance_m(points_m[np.argmin(beyond_m)], corners_m)
    return float(distance_m(points_m[beyond_m <= nearest_m + ROUNDING_M], corners_m).min())


def cells(points_m: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """Squares of a grid that hold points (N, 2), all finite: middles (C, 2), and which of them each is in (N,)."""
    if not len(points_m):
        return points_m, np.zeros(0, dtype=np.intp)
    low_m = points_m.min(axis=0)
    column, row = np.floor((points_m - low_m) / CELL_M).T
    rows = row.max() + 1
    taken, of_point = np.unique(column * rows + row, return_inverse=True)
    return low_m + (np.stack(np.divmod(taken, rows), axis=1) + 0.5) * CELL_M, of_point


def within_edges(
    points_m: Array,
    velocities_mps: Array,
    bounds_m: Array,
    motion: Motion,
    times_s: tuple[Array, Array],
    corners_m: Array,
) -> npt.NDArray[np.bool_]:
    """Which points no line along one edge shows to keep their distance all the time; of the others that is proven.

    Args:
        points_m: (N, 2) in the base frame.
        velocities_mps: (N, 2) over ground, in the base frame.
        bounds_m: (N,) the least distance allowed to each.
        motion: of the robot.
        times_s: (K,) twice: how long the robot has moved, and how long the points have.
        corners_m: (M, 2) of the body.
    """
    moved_m, back = _poses(motion, times_s[0])
    left = np.arange(len(points_m))
    known = np.concatenate([points_m.T, velocities_mps.T, np.ones((1, len(points_m)))])
    for normal in _normals(corners_m):
        turned = back @ normal  # (K, 2): the edge's normal at each pose
        line_m = (moved_m * turned).sum(axis=1) + _reaches_m(normal, corners_m)
        beyond_m = np.column_stack([turned, turned * times_s[1][:, None], -line_m]) @ known[:, left]
        left = left[beyond_m.min(axis=0) < bounds_m[left]]
    within = np.zeros(len(points_m), dtype=np.bool_)
    within[left] = True
    return within


def _poses(motion: Motion, times_s: Array) -> tuple[Array, Array]:
    """Where the base frame is after each time (K, 2), and the matrices (K, 2, 2) that turn row vectors back into it."""
    vx, vy, yaw_rate = motion
    half = yaw_rate * times_s / 2
    chord_s = times_s * np.sinc(half / np.pi)  # along the direction half-way through the turn
    c, s = np.cos(half), np.sin(half)
    moved_m = np.stack([(vx * c - vy * s) * chord_s, (vx * s + vy * c) * chord_s], axis=-1)
    c, s = np.cos(2 * half), np.sin(2 * half)
    return moved_m, np.stack([np.stack([c, -s], axis=-1), np.stack([s, c], axis=-1)], axis=-2)


def _normals(corners_m: Array) -> Array:
    """Unit normals (M, 2) of the edges, outwards, whichever way round the corners are listed."""
    after_m = np.roll(corners_m, -1, axis=0)
    edges_m = after_m - corners_m
    twice_area = (corners_m[:, 0] * after_m[:, 1] - corners_m[:, 1] * after_m[:, 0]).sum()
    outwards = np.stack([edges_m[:, 1], -edges_m[:, 0]], axis=1) * np.sign(twice_area)
    return np.asarray(outwards / np.hypot(*edges_m.T)[:, None])


def _reaches_m(normals: Array, corners_m: Array) -> Array:
    """How far the body reaches along normals (..., 2): the lines beyond which none of it lies."""
    return np.asarray((normals @ corners_m.T).max(axis=-1))
