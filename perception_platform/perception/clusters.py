"""Which obstacle points belong together: connected cells of a bird's-eye grid, with a reach that grows with range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.parameters import ClusterParams
from perception_platform.runtime.compiled import compiled

Ints = npt.NDArray[np.int64]
Cells = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

# Beyond this range the reach along the line of sight grows no more.
_GRAZING_TO_M = 40.0
# A lattice of this spacing, in cells, has a point in every cell however it is turned.
_STRIDE = 0.7


@dataclass(frozen=True, slots=True)
class Clusters:
    """Points grouped by what they belong to.

    Attributes:
        order: (N,) indices of the points, cluster by cluster; points of too small clusters are left out.
        starts: (K + 1,) where each cluster begins in ``order``, and the end.
    """

    order: Ints
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1


@compiled("int64(int64[::1], int64)")
def _root(parent: Ints, i: int) -> int:
    """The first of the set that i belongs to; shortens the way there."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled("int64(int64[::1], int64, int64)")
def _unite(parent: Ints, i: int, j: int) -> int:
    """Make one set of two, the first given by its root; returns the root of both."""
    a = _root(parent, j)
    parent[max(a, i)] = min(a, i)
    return min(a, i)


@compiled("void(int32[::1], int32[::1], int64, float64[::1], int64[::1], int64[::1], int64[::1])")
def _join_around(
    occupied: Cells,
    numbers: Cells,
    columns: int,
    reach_cells: Array,
    offset_y: Ints,
    offset_x: Ints,
    parent: Ints,
) -> None:
    """Unite each cell with those within its reach, which is inside the grid; the offsets are ordered by distance."""
    for i in range(len(occupied)):
        root = _root(parent, i)
        for k in range(len(offset_y)):
            dy, dx = offset_y[k], offset_x[k]
            if dx * dx + dy * dy > reach_cells[i] ** 2:
                break
            j = numbers[occupied[i] + dy * columns + dx]
            if j >= 0 and parent[j] != root:
                root = _unite(parent, root, j)


@compiled(
    "void(int32[::1], int32[::1], int64, float64[::1], float64[::1], float64[::1], float64[::1], float64, boolean[::1],"
    " int64[::1])"
)
def _join_behind(
    occupied: Cells,
    numbers: Cells,
    columns: int,
    x_cells: Array,
    y_cells: Array,
    reach_cells: Array,
    grazing_cells: Array,
    behind_cells: float,
    floats: Flags,
    parent: Ints,
) -> None:
    """Unite each cell with those behind it, as seen from the lidar at the origin of ``x_cells`` and ``y_cells``.

    As around it, no cell reaches out of the grid.
    """
    for i in range(len(occupied)):
        root = _root(parent, i)
        y, x = occupied[i] // columns + 0.5, occupied[i] % columns + 0.5
        range_cells = max(np.sqrt(x_cells[i] ** 2 + y_cells[i] ** 2), 1e-9)
        stride_x, stride_y = _STRIDE * x_cells[i] / range_cells, _STRIDE * y_cells[i] / range_cells
        steps = int(max(grazing_cells[i], behind_cells) / _STRIDE)
        grazing_steps = int(grazing_cells[i] / _STRIDE)
        beside = int(reach_cells[i] / _STRIDE)
        for column in range(-beside, beside + 1):
            at_x, at_y = x - column * stride_y, y + column * stride_x
            for step in range(1, steps + 1):
                at_x, at_y = at_x + stride_x, at_y + stride_y
                j = numbers[np.uint32(np.int32(at_y) * np.int32(columns) + np.int32(at_x))]
                if j >= 0 and j != i and (step <= grazing_steps or floats[j]):
                    if parent[j] != root:
                        root = _unite(parent, root, j)
                    break  # what lies further behind is within that one's reach


@compiled("void(float32[:,::1], float32, float32, int32[:,::1], int32[::1])")
def _cells(xy_m: Points, half_m: float, per_m: float, column_row: Cells, limits: Cells) -> None:
    """Column and row of each point, and the least and the greatest of both."""
    x_low = y_low = np.int32(2**31 - 1)
    x_high = y_high = np.int32(0)
    for i in range(xy_m.shape[0]):
        x, y = np.int32((xy_m[i, 0] + half_m) * per_m), np.int32((xy_m[i, 1] + half_m) * per_m)
        column_row[i, 0], column_row[i, 1] = x, y
        x_low, x_high, y_low, y_high = min(x_low, x), max(x_high, x), min(y_low, y), max(y_high, y)
    limits[0], limits[1], limits[2], limits[3] = x_low, y_low, x_high, y_high


@compiled("int64(int32[::1], int32[::1], int32[::1])")
def _number(cell: Cells, numbers: Cells, occupied: Cells) -> int:
    """Number the cells that have points, in row-major order; make a number of each point's cell; returns how many."""
    for i in range(len(cell)):
        numbers[cell[i]] = 0
    count = 0
    for c in range(len(numbers)):
        if numbers[c] == 0:
            numbers[c], occupied[count] = count, c
            count += 1
    for i in range(len(cell)):
        cell[i] = numbers[cell[i]]
    return count


@compiled("void(int32[::1], float32[::1], float64, boolean[::1])")
def _floating(number: Cells, height_m: Points, floating_m: float, floats: Flags) -> None:
    """Clear the flag of each cell whose lowest point is not so high that something in front hides the rest."""
    for i in range(len(number)):
        if height_m[i] < floating_m:
            floats[number[i]] = False


@compiled("int64(int64[::1], int32[::1], int64, int64[::1], int64[::1])")
def _group(parent: Ints, number: Cells, min_points: int, order: Ints, starts: Ints) -> int:
    """Write the points set by set, without sets of too few; returns how many sets. No parent follows its child."""
    count, place = np.zeros_like(parent), np.full_like(parent, -1)
    for c in range(len(parent)):
        parent[c] = parent[parent[c]]
    for i in range(len(number)):
        count[parent[number[i]]] += 1
    sets = 0
    for c in range(len(parent)):
        if count[c] >= max(min_points, 1):
            place[c] = starts[sets]
            starts[sets + 1] = starts[sets] + count[c]
            sets += 1
    for i in range(len(number)):
        c = parent[number[i]]
        if place[c] >= 0:
            order[place[c]] = i
            place[c] += 1
    return sets


def cluster(xy_m: Points, height_m: Points, origin_m: Array, params: ClusterParams) -> Clusters:
    """Group points whose cells lie within reach of each other.

    Args:
        xy_m: (N, 2) points in the base frame, contiguous.
        height_m: (N,) their heights above the ground.
        origin_m: (3,) where the lidar is, for ranges and lines of sight.
        params: grid and reach.
    """
    if len(xy_m) == 0:
        return Clusters(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
    half_m = max(float(xy_m.max()), -float(xy_m.min())) + params.cell_m
    cell, columns, rows, corner = _gridded(xy_m, half_m, origin_m, params)
    numbers, occupied = np.full(rows * columns, -1, dtype=np.int32), np.empty(len(xy_m), dtype=np.int32)
    occupied = occupied[: _number(cell, numbers, occupied)]
    x_cells = occupied % columns + corner[0] + 0.5 - (half_m + origin_m[0]) / params.cell_m
    y_cells = occupied // columns + corner[1] + 0.5 - (half_m + origin_m[1]) / params.cell_m
    reach_cells, grazing_cells = _reaches(np.hypot(x_cells, y_cells), params)
    floats, parent = np.ones(len(occupied), dtype=np.bool_), np.arange(len(occupied))
    _floating(cell, height_m, params.floating_m, floats)
    dy, dx = _forward_offsets(float(reach_cells.max()))
    _join_around(occupied, numbers, columns, reach_cells, dy, dx, parent)
    _join_behind(
        *(occupied, numbers, columns, x_cells, y_cells, reach_cells, grazing_cells),
        *(params.behind_m / params.cell_m, floats, parent),
    )
    order, starts = np.empty(len(xy_m), dtype=np.int64), np.zeros(len(occupied) + 1, dtype=np.int64)
    starts = starts[: _group(parent, cell, params.min_points, order, starts) + 1]
    return Clusters(order[: starts[-1]], starts)


def _gridded(
    xy_m: Points, half_m: float, origin_m: Array, params: ClusterParams
) -> tuple[Cells, int, int, tuple[int, int]]:
    """Cell of each point in a grid just large enough for what any cell reaches, so that no step leaves it.

    Returns:
        (N,) cells in row-major order, the numbers of columns and of rows, and where the grid's corner lies in a grid
        that begins at minus ``half_m``.
    """
    column_row, limits = np.empty((len(xy_m), 2), dtype=np.int32), np.empty(4, dtype=np.int32)
    _cells(xy_m, half_m, 1 / params.cell_m, column_row, limits)
    x_low, y_low, x_high, y_high = map(int, limits)
    farthest_m = np.linalg.norm(half_m + np.abs(origin_m[:2]))
    reach_cells, grazing_cells = _reaches(np.array([farthest_m / params.cell_m]), params)
    margin = int(max(grazing_cells[0], params.behind_m / params.cell_m) + reach_cells[0]) + 2
    columns, rows = x_high - x_low + 1 + 2 * margin, y_high - y_low + 1 + 2 * margin
    corner = x_low - margin, y_low - margin
    cell = (column_row[:, 1] - np.int32(corner[1])) * np.int32(columns)
    cell += column_row[:, 0] - np.int32(corner[0])
    return cell, columns, rows, corner


def _reaches(range_cells: Array, params: ClusterParams) -> tuple[Array, Array]:
    """How far cells at a range reach all around, and along the line of sight, in cells."""
    reach_cells = params.reach_m / params.cell_m + params.reach_per_m * range_cells
    # At least to the neighbours at the corners.
    reach_cells = np.maximum(reach_cells, np.sqrt(2.0) + 1e-9)
    farthest_cells = _GRAZING_TO_M / params.cell_m
    return reach_cells, reach_cells + params.grazing_per_m * np.minimum(range_cells, farthest_cells)


def _forward_offsets(reach_cells: float) -> Ints:
    """(2, M) steps in y and x to the cells that come later in row-major order, nearest first, within reach."""
    most = int(reach_cells)
    dy, dx = np.mgrid[0 : most + 1, -most : most + 1].reshape(2, -1)
    forward = (dy > 0) | (dx > 0)
    steps = np.stack([dy[forward], dx[forward]])
    nearest_first = np.argsort((steps**2).sum(axis=0), kind="stable")
    return np.ascontiguousarray(steps[:, nearest_first], dtype=np.int64)
