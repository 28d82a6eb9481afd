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
Bytes = npt.NDArray[np.uint8]
Eights = npt.NDArray[np.uint64]

# Beyond this range the reach along the line of sight grows no more.
_GRAZING_TO_M = 40.0
# A lattice of this spacing, in cells, has a point in every cell however it is turned.
_STRIDE = 0.7
# Places on it have so many bits behind the point.
_FIXED_BITS = 16
_FIXED = float(1 << _FIXED_BITS)
# What is in a cell: points above what something in front may hide only, or lower ones too.
_FLOATS, _STANDS = np.uint8(1), np.uint8(3)


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


@compiled("void(float32[:,::1], float32, int32[:,::1], int32[::1])")
def _cells(xyz_m: Points, per_m: float, column_row: Cells, limits: Cells) -> None:
    """Column and row of each point, and the least and the greatest of both."""
    for i in range(xyz_m.shape[0]):
        column_row[0, i] = np.int32(np.floor(xyz_m[i, 0] * per_m))
        column_row[1, i] = np.int32(np.floor(xyz_m[i, 1] * per_m))
    for axis in range(2):
        of = column_row[axis]
        low, high = of[0], of[0]
        for i in range(len(of)):
            low, high = min(low, of[i]), max(high, of[i])
        limits[axis], limits[2 + axis] = low, high


@compiled("void(int32[:,::1], int32, int32, int32, float32[::1], float32, int32[::1], uint8[::1])")
def _occupy(
    column_row: Cells,
    corner_x: int,
    corner_y: int,
    columns: int,
    height_m: Points,
    floating_m: float,
    cell: Cells,
    state: Bytes,
) -> None:
    """Write the cell of each point, in row-major order, and what is in each cell."""
    for i in range(len(cell)):
        cell[i] = (column_row[1, i] - corner_y) * columns + column_row[0, i] - corner_x
    for i in range(len(cell)):
        state[np.uint32(cell[i])] |= _STANDS if height_m[i] < floating_m else _FLOATS


@compiled("int64(int32[::1], uint64[::1], uint8[::1], int32[::1], int32[::1])")
def _number(cell: Cells, eights: Eights, state: Bytes, numbers: Cells, occupied: Cells) -> int:
    """Number the cells that have points, in row-major order; make a number of each point's cell; returns how many.

    ``eights`` is ``state``, eight cells at once.
    """
    count = 0
    for e in range(len(eights)):
        if eights[e] != 0:
            for c in range(8 * e, 8 * e + 8):
                if state[c] != 0:
                    numbers[c], occupied[count] = count, c
                    count += 1
    for i in range(len(cell)):
        cell[i] = numbers[np.uint32(cell[i])]
    return count


@compiled("UniTuple(float64, 2)(float64, float64[::1])")
def _reach(range_cells: float, reach: Array) -> tuple[float, float]:
    """How far a cell at a range reaches all around, and along the line of sight, in cells."""
    around = max(
        reach[0] + reach[1] * range_cells, np.sqrt(2.0) + 1e-9
    )  # at least to the neighbours at the corners
    return around, around + reach[2] * min(range_cells, reach[3])


@compiled(
    "void(int32[::1], int32[::1], uint8[::1], int64, float64, float64, float64[::1], int64[::1], int64[::1],"
    " int64[::1])"
)
def _join_around(
    occupied: Cells,
    numbers: Cells,
    state: Bytes,
    columns: int,
    x0: float,
    y0: float,
    reach: Array,
    offset_y: Ints,
    offset_x: Ints,
    parent: Ints,
) -> None:
    """Unite each cell with those within its reach, which is inside the grid; the offsets are ordered by distance."""
    for i in range(len(occupied)):
        root = _root(parent, i)
        x, y = occupied[i] % columns + 0.5 - x0, occupied[i] // columns + 0.5 - y0
        around, _ = _reach(np.sqrt(x * x + y * y), reach)
        for k in range(len(offset_y)):
            dy, dx = offset_y[k], offset_x[k]
            if dx * dx + dy * dy > around * around:
                break
            at = np.uint32(occupied[i] + dy * columns + dx)
            if state[at] != 0 and parent[numbers[at]] != root:
                root = _unite(parent, root, numbers[at])


@compiled("void(int32[::1], int32[::1], uint8[::1], int64, float64, float64, float64[::1], int64[::1])")
def _join_behind(
    occupied: Cells,
    numbers: Cells,
    state: Bytes,
    columns: int,
    x0: float,
    y0: float,
    reach: Array,
    parent: Ints,
) -> None:
    """Unite each cell with the first behind it in each column of a lattice along its line of sight.

    The lidar is at x0 and y0, in cells. As around it, no cell reaches out of the grid.
    """
    width = np.int32(columns)
    for i in range(len(occupied)):
        root, own = _root(parent, i), occupied[i]
        x, y = own % columns + 0.5, own // columns + 0.5
        range_cells = max(np.sqrt((x - x0) ** 2 + (y - y0) ** 2), 1e-9)
        around, grazing = _reach(range_cells, reach)
        stride_x, stride_y = _STRIDE * (x - x0) / range_cells, _STRIDE * (y - y0) / range_cells
        step_x, step_y = np.int32(stride_x * _FIXED), np.int32(stride_y * _FIXED)
        grazing_steps, beside = int(grazing / _STRIDE), int(around / _STRIDE)
        steps = int(max(grazing, reach[4]) / _STRIDE)
        for column in range(-beside, beside + 1):
            at_x, at_y = (
                np.int32((x - column * stride_y) * _FIXED),
                np.int32((y + column * stride_x) * _FIXED),
            )
            for step in range(1, steps + 1):
                at_x, at_y = np.int32(at_x + step_x), np.int32(at_y + step_y)
                at = np.int32((at_y >> _FIXED_BITS) * width + (at_x >> _FIXED_BITS))
                found = state[np.uint32(at)]
                if found != 0 and at != own and (step <= grazing_steps or found == _FLOATS):
                    j = numbers[np.uint32(at)]
                    if parent[j] != root:
                        root = _unite(parent, root, j)
                    break  # what lies further behind is within that one's reach


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


def cluster(xyz_m: Points, height_m: Points, origin_m: Array, params: ClusterParams) -> Clusters:
    """Group points in the ground plane.

    Cells within reach of each other are one cluster; the reach is longer along the line of sight, where a side that is
    seen at a small angle shows points far behind each other, and where things above hide what is below.

    Args:
        xyz_m: (N, 3) contiguous points in the base frame.
        height_m: (N,) their heights above the ground.
        origin_m: (3,) where the lidar is, for ranges and lines of sight.
        params: grid and reach.
    """
    if len(xyz_m) == 0:
        return Clusters(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
    column_row, limits = np.empty((2, len(xyz_m)), dtype=np.int32), np.empty(4, dtype=np.int32)
    _cells(xyz_m, 1 / params.cell_m, column_row, limits)
    reach, around, margin = _reaches(limits, origin_m, params)
    corner_x, corner_y = limits[:2] - np.int32(margin)
    columns, rows = (limits[2:] - limits[:2] + 1 + 2 * margin).tolist()
    eights = np.zeros(rows * columns // 8 + 1, dtype=np.uint64)
    state, numbers = eights.view(np.uint8), np.empty(8 * len(eights), dtype=np.int32)
    cell, occupied = np.empty(len(xyz_m), dtype=np.int32), np.empty(len(xyz_m), dtype=np.int32)
    _occupy(
        *(column_row, corner_x, corner_y, columns, height_m, params.floating_m),
        *(cell, state),
    )
    occupied = occupied[: _number(cell, eights, state, numbers, occupied)]
    x0, y0 = origin_m[0] / params.cell_m - corner_x, origin_m[1] / params.cell_m - corner_y
    parent = np.arange(len(occupied), dtype=np.int64)
    offset_y, offset_x = _forward_offsets(around)
    _join_around(occupied, numbers, state, columns, x0, y0, reach, offset_y, offset_x, parent)
    _join_behind(occupied, numbers, state, columns, x0, y0, reach, parent)
    order, starts = np.empty(len(xyz_m), dtype=np.int64), np.zeros(len(occupied) + 1, dtype=np.int64)
    starts = starts[: _group(parent, cell, params.min_points, order, starts) + 1]
    return Clusters(order[: starts[-1]], starts)


def _reaches(limits: Cells, origin_m: Array, params: ClusterParams) -> tuple[Array, float, int]:
    """What reaches follow from, in cells, and how far any cell inside the limits reaches: around, and in all.

    Args:
        limits: least column and row, greatest column and row.
        origin_m: (3,) where the lidar is.
        params: grid and reach.

    Returns:
        (5,) reach at no range; growth with range; growth along the line of sight; range up to which that grows; how
        far something is joined to what floats behind it. And the two reaches.
    """
    reach = np.array(
        [
            params.reach_m / params.cell_m,
            params.reach_per_m,
            params.grazing_per_m,
            _GRAZING_TO_M / params.cell_m,
            params.behind_m / params.cell_m,
        ]
    )
    corner_cells = np.abs(limits.reshape(2, 2) - origin_m[:2] / params.cell_m).max(axis=0) + 1
    around, grazing = _reach(float(np.hypot(*corner_cells)), reach)
    return reach, around, int(max(grazing, reach[4]) + around) + 2


def _forward_offsets(reach_cells: float) -> Ints:
    """(2, M) steps in y and x to the cells that come later in row-major order, nearest first, within reach."""
    most = int(reach_cells)
    dy, dx = np.mgrid[0 : most + 1, -most : most + 1].reshape(2, -1)
    forward = (dy > 0) | (dx > 0)
    steps = np.stack([dy[forward], dx[forward]])
    nearest_first = np.argsort((steps**2).sum(axis=0), kind="stable")
    return np.ascontiguousarray(steps[:, nearest_first], dtype=np.int64)
