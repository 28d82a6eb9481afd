"""The angle of the box around a cluster: L-shape fit."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Clusters, Ints
from perception_platform.runtime.compiled import compiled

_COARSE_STEP_RAD = np.deg2rad(3.0)
_FINE_STEP_RAD = np.deg2rad(0.5)
# Points closer to an edge than this count alike: range noise of spinning lidars, and bumpers that are not straight.
_EDGE_M = 0.1
# Edges leave this share of the points outside on each side: mirrors, tow bars, stray returns.
_TRIMMED = 0.04
# Points are merged in cells of this size; a large thing gets larger cells, so that it fits the grid.
_MERGED_M = 0.05
_SIDE = 250
_BINS = 128


@compiled("void(float32[::1], float32[::1], int64[::1], float64[:,::1], int64[::1])")
def _merge(x: Points, y: Points, starts: Ints, merged: Array, merged_starts: Ints) -> None:
    """Points of each cluster, merged per cell: rows of mean x, mean y and number of points."""
    slot = np.full((_SIDE + 2) ** 2, -1, dtype=np.int64)
    touched = np.empty((_SIDE + 2) ** 2, dtype=np.int64)
    total = 0
    for k in range(len(starts) - 1):
        first = total
        merged_starts[k] = first
        x_low = y_low = np.inf
        x_high = y_high = -np.inf
        for i in range(starts[k], starts[k + 1]):
            x_low, x_high, y_low, y_high = (
                min(x_low, x[i]),
                max(x_high, x[i]),
                min(y_low, y[i]),
                max(y_high, y[i]),
            )
        cell_m = max(_MERGED_M, max(x_high - x_low, y_high - y_low) / 250.0)
        width = int((x_high - x_low) / cell_m) + 1
        for i in range(starts[k], starts[k + 1]):
            cell = int((y[i] - y_low) / cell_m) * width + int((x[i] - x_low) / cell_m)
            if slot[cell] < 0:
                slot[cell] = total
                touched[total - first] = cell
                merged[total] = 0.0
                total += 1
            row = merged[slot[cell]]
            row[0], row[1], row[2] = row[0] + x[i], row[1] + y[i], row[2] + 1.0
        for j in range(first, total):
            merged[j, 0] /= merged[j, 2]
            merged[j, 1] /= merged[j, 2]
            slot[touched[j - first]] = -1
    merged_starts[len(starts) - 1] = total


@compiled("void(float64[::1], float64[:,::1], int64, int64, float64[::1], float64[::1])")
def _trimmed_edges(along: Array, merged: Array, begin: int, end: int, histogram: Array, edges: Array) -> None:
    """Lower and upper edge of weighted coordinates, without the outermost share of them."""
    low, high, total = np.inf, -np.inf, 0.0
    for i in range(begin, end):
        low, high, total = min(low, along[i - begin]), max(high, along[i - begin]), total + merged[i, 2]
    edges[0], edges[1] = low, high
    step = (high - low) / _BINS
    if step <= 0.0:
        return
    histogram[:] = 0.0
    for i in range(begin, end):
        histogram[min(int((along[i - begin] - low) / step), _BINS - 1)] += merged[i, 2]
    below, first = 0.0, 0
    while below + histogram[first] <= _TRIMMED * total:
        below += histogram[first]
        first += 1
    above, last = 0.0, _BINS - 1
    while above + histogram[last] <= _TRIMMED * total:
        above += histogram[last]
        last -= 1
    edges[0], edges[1] = low + first * step, low + (last + 1) * step


@compiled("float64(float64[:,::1], int64, int64, float64, float64[:,::1], float64[::1])")
def _closeness(merged: Array, begin: int, end: int, angle_rad: float, uv: Array, histogram: Array) -> float:
    """How close points lie to the edges of their box at an angle, 1/m; ``uv`` and ``histogram`` are scratch space."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    for i in range(begin, end):
        uv[0, i - begin] = merged[i, 0] * c + merged[i, 1] * s
        uv[1, i - begin] = merged[i, 1] * c - merged[i, 0] * s
    edges = np.empty((2, 2))
    _trimmed_edges(uv[0], merged, begin, end, histogram, edges[0])
    _trimmed_edges(uv[1], merged, begin, end, histogram, edges[1])
    score = 0.0
    for i in range(end - begin):
        to_u = min(abs(uv[0, i] - edges[0, 0]), abs(edges[0, 1] - uv[0, i]))
        to_v = min(abs(uv[1, i] - edges[1, 0]), abs(edges[1, 1] - uv[1, i]))
        score += merged[begin + i, 2] / max(min(to_u, to_v), _EDGE_M)
    return score


@compiled("void(float64[:,::1], int64[::1], float64[::1])")
def _fit_angles(merged: Array, starts: Ints, angle_rad: Array) -> None:
    """Best angle of each cluster, coarse then fine; equal scores go to the smaller angle."""
    uv, histogram = np.empty((2, len(merged))), np.empty(_BINS)
    coarse, fine = (
        int(np.round(np.pi / 2 / _COARSE_STEP_RAD)),
        int(np.round(_COARSE_STEP_RAD / _FINE_STEP_RAD)),
    )
    for k in range(len(starts) - 1):
        best = -1.0
        for a in range(coarse):
            score = _closeness(merged, starts[k], starts[k + 1], a * _COARSE_STEP_RAD, uv, histogram)
            if score > best * (1 + 1e-6):
                best, angle_rad[k] = score, a * _COARSE_STEP_RAD
        middle = angle_rad[k]
        for a in range(1 - fine, fine):
            score = _closeness(merged, starts[k], starts[k + 1], middle + a * _FINE_STEP_RAD, uv, histogram)
            if score > best * (1 + 1e-6):
                best, angle_rad[k] = score, middle + a * _FINE_STEP_RAD


def fit_angles(xy_m: Points, clusters: Clusters) -> Array:
    """(K,) angles in which the points of K clusters lie closest to the edges of their boxes: L-shape fit.

    Zhang, Xu, Dong, Dolan, "Efficient L-shape fitting for vehicle detection using laser scanners", IV 2017, with the
    closeness criterion, on edges that leave a small share of the points outside.
    """
    x, y = clusters.columns(xy_m)
    merged, merged_starts = np.empty((len(x), 3)), np.empty_like(clusters.starts)
    _merge(x, y, clusters.starts, merged, merged_starts)
    angle_rad = np.zeros(len(clusters))
    _fit_angles(merged, merged_starts, angle_rad)
    return angle_rad


def principal_angles(xy_m: Points, clusters: Clusters) -> tuple[Array, Array]:
    """(K,) angles of the axis along which each cluster spreads most, and (K, 2) its extent along and across it.

    Cheap, for what is too large for an object.
    """
    x, y = (column.astype(np.float64) for column in clusters.columns(xy_m))
    if len(x) == 0:
        return np.zeros(0), np.zeros((0, 2))
    owner, count = clusters.owner, np.diff(clusters.starts)
    x -= (np.bincount(owner, x, len(clusters)) / count)[owner]
    y -= (np.bincount(owner, y, len(clusters)) / count)[owner]
    xx, yy, xy = (np.bincount(owner, product, len(clusters)) for product in (x * x, y * y, x * y))
    angle_rad = 0.5 * np.arctan2(2 * xy, xx - yy)
    c, s = np.cos(angle_rad)[owner], np.sin(angle_rad)[owner]
    first = clusters.starts[:-1]
    extent_m = [
        np.maximum.reduceat(along, first) - np.minimum.reduceat(along, first)
        for along in (x * c + y * s, y * c - x * s)
    ]
    return angle_rad, np.stack(extent_m, axis=-1)
