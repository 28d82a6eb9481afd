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

    @property
    def owner(self) -> Ints:
        """Number of the cluster that each entry of ``order`` belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def columns(self, xy_m: Points) -> tuple[Points, Points]:
        """x and y of the points, cluster by cluster, contiguous."""
        return xy_m[self.order, 0], xy_m[self.order, 1]

    def chosen(self, which: npt.NDArray[np.bool_]) -> Clusters:
        """Some of them."""
        count = np.diff(self.starts)
        starts = np.concatenate([[0], np.cumsum(count[which])]).astype(np.int64)
        return Clusters(self.order[np.repeat(which, count)], starts)


@compiled("int64(int64[::1], int64)")
def _root(parent: Ints, i: int) -> int:
    """The first of the set that i belongs to; shortens the way there."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled("void(int64[::1], int64, int64)")
def _unite(parent: Ints, i: int, j: int) -> None:
    """Make one set of two."""
    a, b = _root(parent, i), _root(parent, j)
    parent[max(a, b)] = min(a, b)


@compiled("void(int32[::1], int32[::1], int64, float64[::1], int64[::1], int64[::1], int64[::1])")
def _join_around(
    occupied: Cells,
    numbers: Cells,
    side: int,
    reach_cells: Array,
    offset_y: Ints,
    offset_x: Ints,
    parent: Ints,
) -> None:
    """Unite each cell with those within its reach; the offsets are ordered by distance."""
    for i in range(len(occupied)):
        y, x = occupied[i] // side, occupied[i] % side
        for k in range(len(offset_y)):
            dy, dx = offset_y[k], offset_x[k]
            if dx * dx + dy * dy > reach_cells[i] ** 2:
                break
            if y + dy < side and x + dx >= 0 and x + dx < side:
                j = numbers[(y + dy) * side + x + dx]
                if j >= 0:
                    _unite(parent, i, j)


@compiled(
    "void(int32[::1], int32[::1], int64, float64[::1], float64[::1], float64[::1], float64[::1], float64, boolean[::1],"
    " int64[::1])"
)
def _join_behind(
    occupied: Cells,
    numbers: Cells,
    side: int,
    x_cells: Array,
    y_cells: Array,
    reach_cells: Array,
    grazing_cells: Array,
    behind_cells: float,
    floats: Flags,
    parent: Ints,
) -> None:
    """Unite each cell with those behind it, as seen from the lidar at the origin of ``x_cells`` and ``y_cells``."""
    for i in range(len(occupied)):
        y, x = occupied[i] // side + 0.5, occupied[i] % side + 0.5
        range_cells = max(np.sqrt(x_cells[i] ** 2 + y_cells[i] ** 2), 1e-9)
        away_x, away_y = x_cells[i] / range_cells, y_cells[i] / range_cells
        beside = int(reach_cells[i] / _STRIDE)
        for step in range(1, int(max(grazing_cells[i], behind_cells) / _STRIDE) + 1):
            for aside in range(-beside, beside + 1):
                at_x = int(x + _STRIDE * (step * away_x - aside * away_y))
                at_y = int(y + _STRIDE * (step * away_y + aside * away_x))
                if at_x >= 0 and at_x < side and at_y >= 0 and at_y < side:
                    j = numbers[at_y * side + at_x]
                    if j >= 0 and (step * _STRIDE <= grazing_cells[i] or floats[j]):
                        _unite(parent, i, j)


def cluster(xy_m: Points, height_m: Points, origin_m: Array, params: ClusterParams) -> Clusters:
    """Group points whose cells lie within reach of each other.

    Args:
        xy_m: (N, 2) points in the base frame.
        height_m: (N,) their heights above the ground.
        origin_m: (3,) where the lidar is, for ranges and lines of sight.
        params: grid and reach.
    """
    if len(xy_m) == 0:
        return Clusters(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
    half_m = float(np.abs(xy_m).max()) + params.cell_m
    side = int(2 * half_m / params.cell_m) + 2
    column_row = ((xy_m + np.float32(half_m)) * np.float32(1 / params.cell_m)).astype(np.int32)
    cell = column_row[:, 1] * np.int32(side) + column_row[:, 0]
    numbers, occupied = _numbered(cell, side)
    x_cells = occupied % side + 0.5 - (half_m + origin_m[0]) / params.cell_m
    y_cells = occupied // side + 0.5 - (half_m + origin_m[1]) / params.cell_m
    # At least to the neighbours at the corners.
    reach_cells = params.reach_m / params.cell_m + params.reach_per_m * np.hypot(x_cells, y_cells)
    reach_cells = np.maximum(reach_cells, np.sqrt(2.0) + 1e-9)
    behind_cells, farthest_cells = params.behind_m / params.cell_m, _GRAZING_TO_M / params.cell_m
    floats = _floating(numbers[cell], len(occupied), height_m, params.floating_m)
    grazing_cells = reach_cells + params.grazing_per_m * np.minimum(
        np.hypot(x_cells, y_cells), farthest_cells
    )
    floats = _floating(numbers[cell], len(occupied), height_m, params.floating_m)
    parent = np.arange(len(occupied))
    dy, dx = _forward_offsets(float(reach_cells.max()))
    _join_around(occupied, numbers, side, reach_cells, dy, dx, parent)
    _join_behind(
        occupied, numbers, side, x_cells, y_cells, reach_cells, grazing_cells, behind_cells, floats, parent
    )
    return _grouped(_labels(parent)[numbers[cell]], params.min_points)


def _labels(parent: Ints) -> Ints:
    """Number of the set of each cell, counted by first cells."""
    root = parent[parent]
    while not np.array_equal(root, parent):
        parent, root = root, root[root]
    first, label = np.unique(root, return_inverse=True)
    return np.asarray(label.reshape(-1) if len(first) else root)


def _numbered(cell: Cells, side: int) -> tuple[Cells, Cells]:
    """(side * side,) number of each occupied cell, -1 for the others; and (M,) the occupied cells, ascending."""
    numbers = np.full(side * side, -1, dtype=np.int32)
    numbers[cell] = 0
    occupied = np.flatnonzero(numbers == 0).astype(np.int32)
    numbers[occupied] = np.arange(len(occupied), dtype=np.int32)
    return numbers, occupied


def _floating(number: Cells, cells: int, height_m: Points, floating_m: float) -> Flags:
    """(cells,) whether a cell's lowest point is so high that something in front hides the rest."""
    low = np.zeros(cells, dtype=np.bool_)
    low[number[height_m < floating_m]] = True
    return ~low


def _forward_offsets(reach_cells: float) -> Ints:
    """(2, M) steps in y and x to the cells that come later in row-major order, nearest first, within reach."""
    most = int(reach_cells)
    dy, dx = np.mgrid[0 : most + 1, -most : most + 1].reshape(2, -1)
    forward = (dy > 0) | (dx > 0)
    steps = np.stack([dy[forward], dx[forward]])
    nearest_first = np.argsort((steps**2).sum(axis=0), kind="stable")
    return np.ascontiguousarray(steps[:, nearest_first], dtype=np.int64)


def _grouped(label: Ints, min_points: int) -> Clusters:
    """Points sorted by label, without the labels that too few points have."""
    count = np.bincount(label)
    large = count >= min_points
    kept = np.flatnonzero(large[label])
    order = kept[np.argsort(label[kept], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(count[large])]).astype(np.int64)
    return Clusters(order, starts)
