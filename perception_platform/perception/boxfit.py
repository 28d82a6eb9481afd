"""Oriented boxes around clusters, and clusters cut until a box can describe each piece: the loops.

They call each other and so stand in one file: numba's cache does not notice when a function of another file changes.
Lengths are whole numbers of 0.1 mm: their extremes are found several at once, and sums do not depend on the order of
points.
"""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Cells, Flags, Ints
from perception_platform.runtime.compiled import compiled

UNITS_PER_M = 10_000.0

_COARSE_STEP_RAD = np.deg2rad(3.0)
_FINE_STEP_RAD = np.deg2rad(0.5)
_COARSE_RAD = np.arange(round(np.pi / 2 / _COARSE_STEP_RAD)) * _COARSE_STEP_RAD
COARSE_COS_SIN = np.stack([np.cos(_COARSE_RAD), np.sin(_COARSE_RAD)])
# Of what is smaller than this, angles are tried at twice these steps: its edges turn away less.
_SMALL = 25_000
# Points closer to an edge than this count alike: range noise of spinning lidars, and bumpers that are not straight.
_EDGE = 1000
# Edges leave this share of the points outside on each side: mirrors, tow bars, stray returns.
_TRIMMED = 0.04
# Points are merged in cells of this size; a large thing gets larger cells, so that it fits the grid.
_MERGED, _SIDE = 1000, 150
# Edges are sought in bins of a power of two, 25.6 mm, or in so many larger ones.
_BIN_SHIFT, _MOST_BINS = 8, 128
# What a point on an edge scores.
_ON_EDGE = 1024
# One point in so many, but only so many, may lie outside a box on each side: returns from two edges at once hang in the
# air in front of a face. They stay obstacle points.
_POINTS_PER_STRAY, _MOST_STRAYS = 100, 10
# A corner seen from inside has its points this much farther from the near faces than from the others; bonnets and roofs
# seen from above lie in between.
_SEEN_THROUGH = 1.5
# Rows of scratch space: merged cells with their x, y and number of points; u and v of them or of points.
_SCRATCH_ROWS = 5


@compiled("void(float32[:,::1], int64[::1], int32[::1], int32[::1])")
def gather(xyz_m: Points, order: Ints, x: Cells, y: Cells) -> None:
    """Write x and y of some points, in units."""
    for i in range(len(order)):
        x[i] = np.int32(xyz_m[order[i], 0] * np.float32(UNITS_PER_M))
        y[i] = np.int32(xyz_m[order[i], 1] * np.float32(UNITS_PER_M))


@compiled("int64(int32[::1], int32[::1], int32[:,::1], int32[::1], int64[:,::1])")
def _merge(x: Cells, y: Cells, merged: Cells, slot: Cells, sums: Ints) -> int:
    """Merge the points of a cluster per cell; returns how many cells.

    Args:
        x: x of the points.
        y: their y.
        merged: its first rows become mean x and mean y of each cell, from the cluster's least, and number of points.
        slot: scratch space, -1 before and after, one for each cell.
        sums: scratch space, as long as ``merged``.
    """
    x_low, x_high, y_low, y_high = x[0], x[0], y[0], y[0]
    for i in range(len(x)):
        x_low, x_high, y_low, y_high = (
            min(x_low, x[i]),
            max(x_high, x[i]),
            min(y_low, y[i]),
            max(y_high, y[i]),
        )
    cell_size = max(_MERGED, max(x_high - x_low, y_high - y_low) // _SIDE)
    per_unit, width = np.float32(1.0) / np.float32(cell_size), (x_high - x_low) // cell_size + 2
    mean_x, mean_y, count, total = merged[0], merged[1], merged[2], 0
    for i in range(len(x)):
        at_x, at_y = x[i] - x_low, y[i] - y_low
        row, column = np.int32(np.float32(at_y) * per_unit), np.int32(np.float32(at_x) * per_unit)
        cell = np.uint32(row * width + column)
        j = slot[cell]
        if j < 0:
            j = slot[cell] = total
            mean_x[j], sums[0, j], sums[1, j], count[j] = cell, 0, 0, 0
            total += 1
        sums[0, j] += at_x
        sums[1, j] += at_y
        count[j] += 1
    for j in range(total):
        slot[np.uint32(mean_x[j])] = -1
        mean_x[j], mean_y[j] = sums[0, j] // count[j], sums[1, j] // count[j]
    return total


@compiled("UniTuple(int32, 2)(int32[::1], int64, float64, int32, int32)")
def _trimmed_edges(
    histogram: Cells, shift: int, trimmed: float, low: np.int32, high: np.int32
) -> tuple[np.int32, np.int32]:
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
    return np.int32(low + (first << shift)), min(np.int32(low + ((last + 1) << shift)), high)


@compiled("int64(int64)")
def _shift_of(extent: int) -> int:
    """As powers of two, how large bins are so that an extent fits the histogram."""
    shift = _BIN_SHIFT
    while (extent >> shift) >= _MOST_BINS:
        shift += 1
    return shift


@compiled("UniTuple(int32, 2)(int32[::1])")
def _extremes(values: Cells) -> tuple[np.int32, np.int32]:
    """Least and greatest."""
    low, high = values[0], values[0]
    for i in range(len(values)):
        low, high = min(low, values[i]), max(high, values[i])
    return low, high


@compiled("void(int32[::1], int32[::1], float64, float64, int32[::1], int32[::1])")
def _turn(x: Cells, y: Cells, cosine: float, sine: float, u: Cells, v: Cells) -> None:
    """Coordinates along axes that are turned by an angle."""
    c, s = np.float32(cosine), np.float32(sine)
    for i in range(len(x)):
        u[i] = np.int32(np.float32(x[i]) * c + np.float32(y[i]) * s)
        v[i] = np.int32(np.float32(y[i]) * c - np.float32(x[i]) * s)


@compiled("int64(int32[:,::1], int64, float64, float64, float64, int32[:,::1])")
def _closeness(
    merged: Cells, cells: int, trimmed: float, cosine: float, sine: float, histograms: Cells
) -> int:
    """How close points lie to the edges of their box at an angle.

    Args:
        merged: mean x, mean y and number of points of each cell, and two rows of scratch space.
        cells: how many cells.
        trimmed: how many points may lie outside on each side.
        cosine: of the angle.
        sine: of the angle.
        histograms: scratch space of two rows, zero before and after.
    """
    count, u, v = merged[2, :cells], merged[3, :cells], merged[4, :cells]
    _turn(merged[0, :cells], merged[1, :cells], cosine, sine, u, v)
    u_low, u_high = _extremes(u)
    v_low, v_high = _extremes(v)
    if trimmed >= 1.0:
        u_shift, v_shift = _shift_of(int(u_high - u_low)), _shift_of(int(v_high - v_low))
        of_u, of_v = histograms[0], histograms[1]
        for i in range(cells):
            of_u[np.uint32(u[i] - u_low) >> np.uint32(u_shift)] += count[i]
            of_v[np.uint32(v[i] - v_low) >> np.uint32(v_shift)] += count[i]
        u_low, u_high = _trimmed_edges(of_u, u_shift, trimmed, u_low, u_high)
        v_low, v_high = _trimmed_edges(of_v, v_shift, trimmed, v_low, v_high)
    on_edge, score = np.float32(_EDGE * _ON_EDGE), np.int64(0)
    for i in range(cells):
        to_u = min(abs(np.int32(u[i] - u_low)), abs(np.int32(u_high - u[i])))
        to_v = min(abs(np.int32(v[i] - v_low)), abs(np.int32(v_high - v[i])))
        nearest = np.int32(max(min(to_u, to_v), np.int32(_EDGE)))
        score += np.int32(np.float32(count[i]) * on_edge / np.float32(nearest))
    return int(score)


@compiled(
    "float64(int32[::1], int32[::1], float64[:,::1], int64, int32[:,::1], int32[::1], int64[:,::1], int32[:,::1])"
)
def _best_angle(
    x: Cells,
    y: Cells,
    coarse: Array,
    stride: int,
    merged: Cells,
    slot: Cells,
    sums: Ints,
    histograms: Cells,
) -> float:
    """Angle at which points lie closest to the edges of their box: L-shape fit.

    Zhang, Xu, Dong, Dolan, "Efficient L-shape fitting for vehicle detection using laser scanners", IV 2017, with the
    closeness criterion, on edges that leave a small share of the points outside. Equal scores go to the smaller angle.
    """
    cells, trimmed = _merge(x, y, merged, slot, sums), _TRIMMED * len(x)
    best, best_rad = -1, 0.0
    for a in range(0, coarse.shape[1], stride):
        score = _closeness(merged, cells, trimmed, coarse[0, a], coarse[1, a], histograms)
        if score > best:
            best, best_rad = score, a * _COARSE_STEP_RAD
    middle_rad, fine = best_rad, round(_COARSE_STEP_RAD / _FINE_STEP_RAD)
    for a in range(1 - fine, fine):
        if a == 0:
            continue
        angle_rad = middle_rad + a * stride * _FINE_STEP_RAD
        score = _closeness(merged, cells, trimmed, np.cos(angle_rad), np.sin(angle_rad), histograms)
        if score > best:
            best, best_rad = score, angle_rad
    return best_rad


@compiled("float64(int32[::1], int32[::1])")
def _principal_angle(x: Cells, y: Cells) -> float:
    """Angle of the axis along which points spread most."""
    x0, y0 = x[0], y[0]
    sum_x, sum_y, xx, yy, xy = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(x)):
        dx, dy = np.int64(x[i] - x0), np.int64(y[i] - y0)
        sum_x, sum_y, xx, yy, xy = sum_x + dx, sum_y + dy, xx + dx * dx, yy + dy * dy, xy + dx * dy
    n, mean_x, mean_y = float(len(x)), sum_x / len(x), sum_y / len(x)
    across = 2 * (xy - n * mean_x * mean_y)
    return float(0.5 * np.arctan2(across, (xx - n * mean_x**2) - (yy - n * mean_y**2)))


@compiled("int32(int32[::1], int64, int32[::1])")
def _least_but_strays(values: Cells, strays: int, least: Cells) -> np.int32:
    """Least of some values but for so many; ``least`` is scratch space."""
    if strays == 0:
        return _extremes(values)[0]
    least[: strays + 1] = np.int32(2**31 - 1)
    bound = least[strays]
    for i in range(len(values)):
        if values[i] < bound:
            k = strays
            while k > 0 and least[k - 1] > values[i]:
                least[k] = least[k - 1]
                k -= 1
            least[k] = values[i]
            bound = least[strays]
    return np.int32(bound)


@compiled("void(int32[::1], int32[::1], float64, int32[:,::1], int32[::1], int32[::1])")
def _bounds(x: Cells, y: Cells, angle_rad: float, scratch: Cells, least: Cells, box: Cells) -> None:
    """Write least u and v, greatest u and v along axes turned by an angle, without strays, to ``box``.

    The last two rows of the scratch space become minus u and minus v of the points.
    """
    u, v = scratch[3, : len(x)], scratch[4, : len(x)]
    _turn(x, y, np.cos(angle_rad), np.sin(angle_rad), u, v)
    strays = min(len(x) // _POINTS_PER_STRAY, _MOST_STRAYS)
    box[0], box[1] = _least_but_strays(u, strays, least), _least_but_strays(v, strays, least)
    for i in range(len(x)):
        u[i], v[i] = -u[i], -v[i]
    box[2], box[3] = -_least_but_strays(u, strays, least), -_least_but_strays(v, strays, least)


@compiled("boolean(int32[:,::1], int64, int32[::1], float64, float64)")
def _seen_through(scratch: Cells, points: int, box: Cells, u0: float, v0: float) -> bool:
    """Whether points lie clearly nearer to the faces turned away from the lidar, at u0 and v0, than to the others.

    The points are where ``_bounds`` leaves them.
    """
    if u0 > box[0] and u0 < box[2] and v0 > box[1] and v0 < box[3]:
        return True
    to_near, to_far = 0.0, 0.0
    for i in range(points):
        near, far = np.inf, np.inf
        for axis, origin in ((0, u0), (1, v0)):
            from_low, from_high = -scratch[3 + axis, i] - box[axis], box[2 + axis] + scratch[3 + axis, i]
            if origin <= box[axis]:
                near, far = min(near, from_low), min(far, from_high)
            elif origin >= box[2 + axis]:
                near, far = min(near, from_high), min(far, from_low)
            else:
                far = min(far, min(from_low, from_high))
        to_near += near
        to_far += far
    return to_near > _SEEN_THROUGH * to_far


@compiled("int64(int32[::1], int32[::1], int64[::1], float64, float64, int32[:,::1])")
def _halve(x: Cells, y: Cells, order: Ints, angle_rad: float, middle: float, scratch: Cells) -> int:
    """Order points by the side of a line across an axis on which they lie; returns how many are on the first."""
    c, s, first, second = np.cos(angle_rad), np.sin(angle_rad), 0, 0
    far_x, far_y, far_order = scratch[0], scratch[1], scratch[2]
    for i in range(len(x)):
        if x[i] * c + y[i] * s > middle:
            far_x[second], far_y[second], far_order[second] = x[i], y[i], order[i]
            second += 1
        else:
            x[first], y[first], order[first] = x[i], y[i], order[i]
            first += 1
    x[first:], y[first:], order[first:] = far_x[:second], far_y[:second], far_order[:second]
    return first


@compiled("boolean(float64, float64, boolean, float64[::1])")
def _too_large(extent_u: float, extent_v: float, doubtful: bool, limits: Array) -> bool:
    """Whether a box holds more than it shows: larger than any object, or doubtful, and neither flat nor short."""
    length, width = max(extent_u, extent_v), min(extent_u, extent_v)
    larger = length > limits[0] or width > limits[1]
    return (larger or doubtful) and width > limits[2] and length > limits[3]


@compiled(
    "float64(int32[::1], int32[::1], boolean, float64[:,::1], float64[::1], int32[:,::1], int64[:,::1], int32[::1],"
    " int32[:,::1], int32[::1], int32[::1])"
)
def _fit_box(
    x: Cells,
    y: Cells,
    is_piece: bool,
    coarse: Array,
    limits: Array,
    scratch: Cells,
    sums: Ints,
    slot: Cells,
    histograms: Cells,
    least: Cells,
    box: Cells,
) -> float:
    """Write the box around some points; returns its angle, a fitted one but for what is too large in any case."""
    angle_rad = _principal_angle(x, y)
    u, v = scratch[3, : len(x)], scratch[4, : len(x)]
    _turn(x, y, np.cos(angle_rad), np.sin(angle_rad), u, v)
    (u_low, u_high), (v_low, v_high) = _extremes(u), _extremes(v)
    if not _too_large(float(u_high - u_low), float(v_high - v_low), is_piece, limits):
        stride = 2 if max(u_high - u_low, v_high - v_low) < _SMALL else 1
        angle_rad = _best_angle(x, y, coarse, stride, scratch, slot, sums, histograms)
    _bounds(x, y, angle_rad, scratch, least, box)
    return angle_rad


@compiled("boolean(int32[:,::1], int64, int32[::1], float64, float64, float64, boolean, float64[::1])")
def _is_hollow(
    scratch: Cells,
    points: int,
    box: Cells,
    angle_rad: float,
    x0: float,
    y0: float,
    is_piece: bool,
    limits: Array,
) -> bool:
    """Whether a box holds more than it shows: too large, or seen through, as pieces of something are taken to be."""
    extent_u, extent_v = float(box[2] - box[0]), float(box[3] - box[1])
    if not _too_large(extent_u, extent_v, True, limits):
        return False
    if is_piece or _too_large(extent_u, extent_v, False, limits):
        return True
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return _seen_through(scratch, points, box, x0 * c + y0 * s, y0 * c - x0 * s)


@compiled(
    "int64(int32[::1], int32[::1], int64[::1], int64[::1], float64[:,::1], float64, float64, float64[::1], int64,"
    " int64[::1], float64[::1], int32[:,::1], boolean[::1])"
)
def cut(
    x: Cells,
    y: Cells,
    order: Ints,
    starts: Ints,
    coarse: Array,
    x0: float,
    y0: float,
    limits: Array,
    max_cuts: int,
    ends: Ints,
    angle_rad: Array,
    boxes: Cells,
    is_cut: Flags,
) -> int:
    """Fit boxes to clusters, halving what none can describe; returns how many pieces.

    Args:
        x: x of the points, cluster by cluster, in units; they change places.
        y: their y.
        order: their indices.
        starts: (K + 1,) where each cluster begins, and the end.
        coarse: cosine and sine of the coarse angles.
        x0: where the lidar is, in units.
        y0: where the lidar is.
        limits: length and width of the largest object, depth of what is flat, length of what is short, in units.
        max_cuts: how often a cluster is halved at most.
        ends: becomes where each piece ends.
        angle_rad: becomes its angle.
        boxes: becomes its least u and v and greatest u and v along axes turned by that angle.
        is_cut: becomes whether it is a part of a cluster.
    """
    largest = max(np.diff(starts).max(), 1)
    scratch, sums = np.empty((_SCRATCH_ROWS, largest), dtype=np.int32), np.empty((2, largest), dtype=np.int64)
    slot = np.full((_SIDE + 3) ** 2, -1, dtype=np.int32)
    histograms, least = np.zeros((2, _MOST_BINS), dtype=np.int32), np.empty(_MOST_STRAYS + 1, dtype=np.int32)
    waiting, pieces = (
        np.empty((max_cuts + 2, 2), dtype=np.int64),
        0,
    )  # ends and numbers of cuts, the next one last
    for k in range(len(starts) - 1):
        begin, depth = starts[k], 1
        waiting[0, 0], waiting[0, 1] = starts[k + 1], 0
        while depth > 0:
            end, cuts = waiting[depth - 1]
            px, py, box = x[begin:end], y[begin:end], boxes[pieces]
            angle = _fit_box(px, py, cuts > 0, coarse, limits, scratch, sums, slot, histograms, least, box)
            if cuts < max_cuts and _is_hollow(scratch, end - begin, box, angle, x0, y0, cuts > 0, limits):
                along = 1 if box[3] - box[1] > box[2] - box[0] else 0
                middle = 0.5 * (box[along] + box[2 + along])
                first = _halve(px, py, order[begin:end], angle + along * 0.5 * np.pi, middle, scratch)
                waiting[depth - 1, 1] = cuts + 1
                if 0 < first < end - begin:
                    waiting[depth, 0], waiting[depth, 1] = begin + first, cuts + 1
                    depth += 1
                continue
            ends[pieces], angle_rad[pieces], is_cut[pieces] = end, angle, cuts > 0
            pieces, depth, begin = pieces + 1, depth - 1, end
    return pieces
