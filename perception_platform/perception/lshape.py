"""The angle of the box around a cluster: L-shape fit."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Cells, Flags, Ints
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


@compiled(
    "int64(float32[::1], float32[::1], int64, int64, float64[:,::1], int64[::1], int32[::1], int64[::1])"
)
def _merge(
    x: Points, y: Points, begin: int, end: int, mean_m: Array, count: Ints, slot: Cells, touched: Ints
) -> int:
    """Merge the points of a cluster per cell; returns how many cells.

    Args:
        x: x of the points.
        y: their y.
        begin: where the cluster begins.
        end: where it ends.
        mean_m: becomes mean x and mean y of each cell, in rows.
        count: becomes the number of points of each cell.
        slot: scratch space, -1 before and after, one for each cell.
        touched: scratch space, as large.
    """
    x_low = y_low = np.inf
    x_high = y_high = -np.inf
    for i in range(begin, end):
        x_low, x_high = min(x_low, x[i]), max(x_high, x[i])
        y_low, y_high = min(y_low, y[i]), max(y_high, y[i])
    cell_m = max(_MERGED_M, max(x_high - x_low, y_high - y_low) / _SIDE)
    width = int((x_high - x_low) / cell_m) + 1
    total = 0
    for i in range(begin, end):
        cell = int((y[i] - y_low) / cell_m) * width + int((x[i] - x_low) / cell_m)
        if slot[cell] < 0:
            slot[cell], touched[total] = total, cell
            mean_m[0, total], mean_m[1, total], count[total] = 0.0, 0.0, 0
            total += 1
        j = slot[cell]
        mean_m[0, j], mean_m[1, j], count[j] = mean_m[0, j] + x[i], mean_m[1, j] + y[i], count[j] + 1
    for j in range(total):
        mean_m[0, j] /= count[j]
        mean_m[1, j] /= count[j]
        slot[touched[j]] = -1
    return total


@compiled("UniTuple(float64, 2)(int64[::1], float64, float64, float64)")
def _trimmed_edges(histogram: Ints, trimmed: float, low: float, step: float) -> tuple[float, float]:
    """Lower and upper edge of what a histogram counts, without the outermost on each side; clears the histogram."""
    below, first = 0, 0
    while below + histogram[first] <= trimmed:
        below += histogram[first]
        first += 1
    above, last = 0, _BINS - 1
    while above + histogram[last] <= trimmed:
        above += histogram[last]
        last -= 1
    histogram[:] = 0
    return low + first * step, low + (last + 1) * step


@compiled("float64(float64[:,::1], int64[::1], int64, float64, float64, float64[:,::1], int64[:,::1])")
def _closeness(
    mean_m: Array, count: Ints, cells: int, trimmed: float, angle_rad: float, uv: Array, histograms: Ints
) -> float:
    """How close points lie to the edges of their box at an angle, 1/m.

    Args:
        mean_m: mean x and mean y of each cell, in rows.
        count: points of each cell.
        cells: how many cells.
        trimmed: how many points may lie outside on each side.
        angle_rad: the angle.
        uv: scratch space, two rows as long.
        histograms: scratch space of two rows, zero before and after.
    """
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    u_low = v_low = np.inf
    u_high = v_high = -np.inf
    for i in range(cells):
        u, v = mean_m[0, i] * c + mean_m[1, i] * s, mean_m[1, i] * c - mean_m[0, i] * s
        uv[0, i], uv[1, i] = u, v
        u_low, u_high, v_low, v_high = min(u_low, u), max(u_high, u), min(v_low, v), max(v_high, v)
    # All in one place makes one bin, of any size.
    u_step, v_step = max((u_high - u_low) / _BINS, 1e-12), max((v_high - v_low) / _BINS, 1e-12)
    u_per, v_per = 1.0 / u_step, 1.0 / v_step
    for i in range(cells):
        histograms[0, np.uint32(min((uv[0, i] - u_low) * u_per, _BINS - 1.0))] += count[i]
        histograms[1, np.uint32(min((uv[1, i] - v_low) * v_per, _BINS - 1.0))] += count[i]
    u_low, u_high = _trimmed_edges(histograms[0], trimmed, u_low, u_step)
    v_low, v_high = _trimmed_edges(histograms[1], trimmed, v_low, v_step)
    score = 0.0
    for i in range(cells):
        to_u = min(abs(uv[0, i] - u_low), abs(u_high - uv[0, i]))
        to_v = min(abs(uv[1, i] - v_low), abs(v_high - uv[1, i]))
        score += count[i] / max(min(to_u, to_v), _EDGE_M)
    return score


@compiled("void(float32[::1], float32[::1], int64[::1], boolean[::1], float64[::1])")
def _fit(x: Points, y: Points, starts: Ints, which: Flags, angle_rad: Array) -> None:
    """Best angle of some clusters, coarse then fine; equal scores go to the smaller angle."""
    largest = np.diff(starts).max()
    mean_m, count, uv = np.empty((2, largest)), np.empty(largest, dtype=np.int64), np.empty((2, largest))
    slot, touched = np.full((_SIDE + 2) ** 2, -1, dtype=np.int32), np.empty(largest, dtype=np.int64)
    histograms = np.zeros((2, _BINS), dtype=np.int64)
    coarse, fine = round(np.pi / 2 / _COARSE_STEP_RAD), round(_COARSE_STEP_RAD / _FINE_STEP_RAD)
    for k in range(len(starts) - 1):
        if not which[k]:
            continue
        cells = _merge(x, y, starts[k], starts[k + 1], mean_m, count, slot, touched)
        trimmed = _TRIMMED * (starts[k + 1] - starts[k])
        best = -1.0
        for a in range(coarse):
            angle = a * _COARSE_STEP_RAD
            score = _closeness(mean_m, count, cells, trimmed, angle, uv, histograms)
            if score > best * (1 + 1e-6):
                best, angle_rad[k] = score, angle
        middle = angle_rad[k]
        for a in range(1 - fine, fine):
            angle = middle + a * _FINE_STEP_RAD
            score = _closeness(mean_m, count, cells, trimmed, angle, uv, histograms)
            if score > best * (1 + 1e-6):
                best, angle_rad[k] = score, angle


def fit_angles(x: Points, y: Points, starts: Ints, which: Flags, angle_rad: Array) -> None:
    """Write the angles in which points of clusters lie closest to the edges of their boxes: L-shape fit.

    Zhang, Xu, Dong, Dolan, "Efficient L-shape fitting for vehicle detection using laser scanners", IV 2017, with the
    closeness criterion, on edges that leave a small share of the points outside.

    Args:
        x: x of the points in the base frame, cluster by cluster.
        y: their y.
        starts: (K + 1,) where each cluster begins, and the end.
        which: (K,) the clusters to fit.
        angle_rad: (K,) angles; those of the others stay as they are.
    """
    if which.any():
        _fit(x, y, starts, which, angle_rad)


@compiled("void(float32[::1], float32[::1], int64[::1], float64[::1], float64[:,::1])")
def _principal(x: Points, y: Points, starts: Ints, angle_rad: Array, extent_m: Array) -> None:
    """Angle of the axis along which each cluster spreads most, and its extent along and across it."""
    for k in range(len(starts) - 1):
        begin, end = starts[k], starts[k + 1]
        sum_x = sum_y = xx = yy = xy = 0.0
        for i in range(begin, end):
            sum_x, sum_y = sum_x + x[i], sum_y + y[i]
        x0, y0 = sum_x / (end - begin), sum_y / (end - begin)
        for i in range(begin, end):
            dx, dy = x[i] - x0, y[i] - y0
            xx, yy, xy = xx + dx * dx, yy + dy * dy, xy + dx * dy
        angle_rad[k] = 0.5 * np.arctan2(2 * xy, xx - yy)
        c, s = np.cos(angle_rad[k]), np.sin(angle_rad[k])
        u_low = v_low = np.inf
        u_high = v_high = -np.inf
        for i in range(begin, end):
            dx, dy = x[i] - x0, y[i] - y0
            u, v = dx * c + dy * s, dy * c - dx * s
            u_low, u_high, v_low, v_high = min(u_low, u), max(u_high, u), min(v_low, v), max(v_high, v)
        extent_m[k, 0], extent_m[k, 1] = u_high - u_low, v_high - v_low


def principal_angles(x: Points, y: Points, starts: Ints) -> tuple[Array, Array]:
    """(K,) angles of the axis along which each cluster spreads most, and (K, 2) its extent along and across it.

    Cheap, for what is too large for an object.

    Args:
        x: x of the points in the base frame, cluster by cluster.
        y: their y.
        starts: (K + 1,) where each cluster begins, and the end.
    """
    angle_rad, extent_m = np.empty(len(starts) - 1), np.empty((len(starts) - 1, 2))
    _principal(x, y, starts, angle_rad, extent_m)
    return angle_rad, extent_m
