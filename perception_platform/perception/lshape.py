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
_MERGED_M = 0.1
_SIDE = 150
# Lengths are counted in these units: whole numbers. Edges are sought in bins of a power of two of them, 32 mm, or in so
# many larger ones.
_UNITS_PER_M, _BIN_SHIFT, _MOST_BINS = 1000.0, 5, 128
# What a point on an edge scores. Scores are whole numbers: their sum does not depend on the order of the points.
_ON_EDGE = 4096.0


@compiled(
    "int64(float32[::1], float32[::1], int64, int64, float32[:,::1], int32[::1], int32[::1], int64[::1])"
)
def _merge(
    x: Points, y: Points, begin: int, end: int, mean: Points, count: Cells, slot: Cells, touched: Ints
) -> int:
    """Merge the points of a cluster per cell; returns how many cells.

    Args:
        x: x of the points.
        y: their y.
        begin: where the cluster begins.
        end: where it ends.
        mean: becomes mean x and mean y of each cell, in rows, in units of length, from the cluster's least x and y.
        count: becomes the number of points of each cell.
        slot: scratch space, -1 before and after, one for each cell.
        touched: scratch space, as large.
    """
    x_low, x_high, y_low, y_high = x[begin], x[begin], y[begin], y[begin]
    for i in range(begin, end):
        x_low, x_high = min(x_low, x[i]), max(x_high, x[i])
        y_low, y_high = min(y_low, y[i]), max(y_high, y[i])
    cell_m = max(np.float32(_MERGED_M), max(x_high - x_low, y_high - y_low) / np.float32(_SIDE))
    per_m = np.float32(1.0) / cell_m
    width = np.int32((x_high - x_low) * per_m) + np.int32(1)
    total = 0
    for i in range(begin, end):
        at_x, at_y = x[i] - x_low, y[i] - y_low
        cell = np.uint32(np.int32(at_y * per_m) * width + np.int32(at_x * per_m))
        if slot[cell] < 0:
            slot[cell], touched[total] = total, cell
            mean[0, total], mean[1, total], count[total] = 0.0, 0.0, 0
            total += 1
        j = np.uint32(slot[cell])
        mean[0, j] += at_x
        mean[1, j] += at_y
        count[j] += 1
    for j in range(total):
        mean[0, j] *= np.float32(_UNITS_PER_M) / np.float32(count[j])
        mean[1, j] *= np.float32(_UNITS_PER_M) / np.float32(count[j])
        slot[touched[j]] = -1
    return total


@compiled("UniTuple(int32, 2)(int32[::1], int64, float64, int32, int32)")
def _trimmed_edges(histogram: Cells, shift: int, trimmed: float, low: int, high: int) -> tuple[int, int]:
    """Lower and upper edge of what a histogram counts, without the outermost on each side; clears the histogram."""
    below, first, last_bin = 0, 0, (high - low) >> shift
    while below + histogram[first] <= trimmed:
        below += histogram[first]
        first += 1
    above, last = 0, last_bin
    while above + histogram[last] <= trimmed:
        above += histogram[last]
        last -= 1
    histogram[: last_bin + 1] = 0
    return np.int32(low + (first << shift)), np.int32(min(low + ((last + 1) << shift), np.int64(high)))


@compiled("int64(int64)")
def _shift_of(extent: int) -> int:
    """Bins are so many units large, as a power of two, that an extent fits the histogram."""
    shift = _BIN_SHIFT
    while (extent >> shift) >= _MOST_BINS:
        shift += 1
    return shift


@compiled("int64(float32[:,::1], int32[::1], int64, float64, float64, float64, int32[:,::1], int32[:,::1])")
def _closeness(
    mean: Points,
    count: Cells,
    cells: int,
    trimmed: float,
    cosine: float,
    sine: float,
    uv: Cells,
    histograms: Cells,
) -> int:
    """How close points lie to the edges of their box at an angle.

    Args:
        mean: mean x and mean y of each cell, in rows, in units of length.
        count: points of each cell.
        cells: how many cells.
        trimmed: how many points may lie outside on each side.
        cosine: of the angle.
        sine: of the angle.
        uv: scratch space, two rows as long. Whole numbers, as their least and greatest are found several at once.
        histograms: scratch space of two rows, zero before and after.
    """
    c, s = np.float32(cosine), np.float32(sine)
    x, y, u, v = mean[0], mean[1], uv[0], uv[1]
    for i in range(cells):
        u[i] = np.int32(x[i] * c + y[i] * s)
        v[i] = np.int32(y[i] * c - x[i] * s)
    u_low, u_high, v_low, v_high = u[0], u[0], v[0], v[0]
    for i in range(cells):
        u_low, u_high, v_low, v_high = (
            min(u_low, u[i]),
            max(u_high, u[i]),
            min(v_low, v[i]),
            max(v_high, v[i]),
        )
    if trimmed >= 1.0:
        u_shift, v_shift = _shift_of(u_high - u_low), _shift_of(v_high - v_low)
        for i in range(cells):
            histograms[0, np.uint32(u[i] - u_low) >> u_shift] += count[i]
            histograms[1, np.uint32(v[i] - v_low) >> v_shift] += count[i]
        u_low, u_high = _trimmed_edges(histograms[0], u_shift, trimmed, u_low, u_high)
        v_low, v_high = _trimmed_edges(histograms[1], v_shift, trimmed, v_low, v_high)
    edge = np.int32(_EDGE_M * _UNITS_PER_M)
    on_edge, score = np.float32(_EDGE_M * _UNITS_PER_M * _ON_EDGE), np.int64(0)
    for i in range(cells):
        to_u = min(abs(np.int32(u[i] - u_low)), abs(np.int32(u_high - u[i])))
        to_v = min(abs(np.int32(v[i] - v_low)), abs(np.int32(v_high - v[i])))
        nearest = np.int32(max(min(to_u, to_v), edge))
        score += np.int32(np.float32(count[i]) * on_edge / np.float32(nearest))
    return score


@compiled("float64(float32[:,::1], int32[::1], int64, float64, float64[:,::1], int32[:,::1], int32[:,::1])")
def _best_angle(
    mean: Points,
    count: Cells,
    cells: int,
    trimmed: float,
    coarse: Array,
    uv: Cells,
    histograms: Cells,
) -> float:
    """Best angle of a merged cluster, coarse then fine; equal scores go to the smaller angle."""
    best, best_rad = np.int64(-1), 0.0
    for a in range(coarse.shape[1]):
        score = _closeness(mean, count, cells, trimmed, coarse[0, a], coarse[1, a], uv, histograms)
        if score > best:
            best, best_rad = score, a * _COARSE_STEP_RAD
    middle_rad, fine = best_rad, round(_COARSE_STEP_RAD / _FINE_STEP_RAD)
    for a in range(1 - fine, fine):
        angle_rad = middle_rad + a * _FINE_STEP_RAD
        c, s = np.cos(angle_rad), np.sin(angle_rad)
        score = _closeness(mean, count, cells, trimmed, c, s, uv, histograms)
        if score > best:
            best, best_rad = score, angle_rad
    return best_rad


@compiled("void(float32[::1], float32[::1], int64[:,::1], boolean[::1], float64[:,::1], float64[::1])")
def _fit(x: Points, y: Points, spans: Ints, which: Flags, coarse: Array, angle_rad: Array) -> None:
    """Best angle of some clusters."""
    largest = 0
    for k in range(len(spans)):
        largest = max(largest, spans[k, 1] - spans[k, 0])
    mean, uv = np.empty((2, largest), dtype=np.float32), np.empty((2, largest), dtype=np.int32)
    count, touched = np.empty(largest, dtype=np.int32), np.empty(largest, dtype=np.int64)
    slot = np.full((_SIDE + 2) ** 2, -1, dtype=np.int32)
    histograms = np.zeros((2, _MOST_BINS), dtype=np.int32)
    for k in range(len(spans)):
        if which[k]:
            begin, end = spans[k]
            cells = _merge(x, y, begin, end, mean, count, slot, touched)
            trimmed = _TRIMMED * (end - begin)
            angle_rad[k] = _best_angle(mean, count, cells, trimmed, coarse, uv, histograms)


def fit_angles(x: Points, y: Points, spans: Ints, which: Flags, angle_rad: Array) -> None:
    """Write the angles in which points of clusters lie closest to the edges of their boxes: L-shape fit.

    Zhang, Xu, Dong, Dolan, "Efficient L-shape fitting for vehicle detection using laser scanners", IV 2017, with the
    closeness criterion, on edges that leave a small share of the points outside.

    Args:
        x: x of the points in the base frame, cluster by cluster.
        y: their y.
        spans: (K, 2) where each cluster begins and ends.
        which: (K,) the clusters to fit.
        angle_rad: (K,) angles; those of the others stay as they are.
    """
    if which.any():
        coarse_rad = np.arange(round(np.pi / 2 / _COARSE_STEP_RAD)) * _COARSE_STEP_RAD
        _fit(x, y, spans, which, np.stack([np.cos(coarse_rad), np.sin(coarse_rad)]), angle_rad)


@compiled("void(float32[::1], float32[::1], int64[:,::1], float64[::1], float64[:,::1])")
def _principal(x: Points, y: Points, spans: Ints, angle_rad: Array, extent_m: Array) -> None:
    """Angle of the axis along which each cluster spreads most, and its extent along and across it."""
    for k in range(len(spans)):
        begin, end = spans[k]
        x0, y0 = x[begin], y[begin]
        sum_x = sum_y = xx = yy = xy = 0.0
        for i in range(begin, end):
            dx, dy = np.float64(x[i] - x0), np.float64(y[i] - y0)
            sum_x, sum_y = sum_x + dx, sum_y + dy
            xx, yy, xy = xx + dx * dx, yy + dy * dy, xy + dx * dy
        n = end - begin
        xx, yy, xy = xx - sum_x * sum_x / n, yy - sum_y * sum_y / n, xy - sum_x * sum_y / n
        angle_rad[k] = 0.5 * np.arctan2(2 * xy, xx - yy)
        c, s = np.float32(np.cos(angle_rad[k])), np.float32(np.sin(angle_rad[k]))
        u_low = v_low = np.float32(np.inf)
        u_high = v_high = np.float32(-np.inf)
        for i in range(begin, end):
            dx, dy = x[i] - x0, y[i] - y0
            u, v = dx * c + dy * s, dy * c - dx * s
            u_low, u_high, v_low, v_high = min(u_low, u), max(u_high, u), min(v_low, v), max(v_high, v)
        extent_m[k, 0], extent_m[k, 1] = u_high - u_low, v_high - v_low


def principal_angles(x: Points, y: Points, spans: Ints) -> tuple[Array, Array]:
    """(K,) angles of the axis along which each cluster spreads most, and (K, 2) its extent along and across it.

    Cheap, for what is too large for an object.

    Args:
        x: x of the points in the base frame, cluster by cluster.
        y: their y.
        spans: (K, 2) where each cluster begins and ends.
    """
    angle_rad, extent_m = np.empty(len(spans)), np.empty((len(spans), 2))
    _principal(x, y, spans, angle_rad, extent_m)
    return angle_rad, extent_m
