"""The low parts of low things: the legs of somebody who lies there, the edge of a pallet, forks before a load.

What is little higher than the ground is no obstacle by itself, or every bump would be one. Beside something that surely
stands there, and is low itself, it belongs to that.
"""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Bytes, Flags
from perception_platform.perception.parameters import LowPartParams
from perception_platform.runtime.compiled import compiled

# The grid's cells around the lidar, as far as a low thing shows more than a point or two.
_CELL_M, _SIDE = 0.25, 96
# What is this near to something tall is a part of it: a bumper is no low thing.
_PART_OF_TALL_M = 0.5
_LOW, _TALL = 1, 2


@compiled("int64(float32, float32, float64, float64)")
def _cell(x: float, y: float, x0_m: float, y0_m: float) -> int:
    """Row-major cell of a place, or -1 outside the grid, whose corner is at x0 and y0."""
    column, row = int(np.floor((x - x0_m) / _CELL_M)), int(np.floor((y - y0_m) / _CELL_M))
    return row * _SIDE + column if 0 <= row < _SIDE and 0 <= column < _SIDE else -1


@compiled("void(float32[:,::1], float32[::1], float64, float64, float64, uint8[::1])")
def _mark(xyz_m: Points, height_m: Points, x0_m: float, y0_m: float, tall_m: float, state: Bytes) -> None:
    """Write what stands in each cell, something low or something tall."""
    for i in range(len(height_m)):
        at = _cell(xyz_m[i, 0], xyz_m[i, 1], x0_m, y0_m)
        if at >= 0:
            state[at] = max(state[at], _TALL if height_m[i] > tall_m else _LOW)


@compiled("void(uint8[:,::1], int64, float64, boolean[:,::1])")
def _around(state: Bytes, which: int, within_m: float, near: Flags) -> None:
    """Mark the cells whose middles are so near to that of a cell of this kind."""
    most = int(within_m / _CELL_M)
    for row in range(_SIDE):
        for column in range(_SIDE):
            if state[row, column] != which:
                continue
            for y in range(max(row - most, 0), min(row + most + 1, _SIDE)):
                for x in range(max(column - most, 0), min(column + most + 1, _SIDE)):
                    near[y, x] |= (y - row) ** 2 + (x - column) ** 2 <= (within_m / _CELL_M) ** 2


@compiled("void(float32[:,::1], float64, float64, boolean[::1], boolean[::1])")
def _look_up(xyz_m: Points, x0_m: float, y0_m: float, near: Flags, chosen: Flags) -> None:
    """Mark the points whose cell is near a low thing."""
    for i in range(len(chosen)):
        at = _cell(xyz_m[i, 0], xyz_m[i, 1], x0_m, y0_m)
        chosen[i] = at >= 0 and near[at]


def low_parts(
    flat_m: Points, obstacles_m: Points, height_m: Points, origin_m: Array, params: LowPartParams
) -> Flags:
    """(N,) which points that are no obstacle by themselves are a part of one that is low.

    Args:
        flat_m: (N, 3) points little above the ground, in the base frame.
        obstacles_m: (M, 3) points that are obstacles by themselves.
        height_m: (M,) their heights above the ground.
        origin_m: (3,) where the lidar is.
        params: how low, and how near.
    """
    x0_m, y0_m = origin_m[:2] - 0.5 * _SIDE * _CELL_M
    state = np.zeros((_SIDE, _SIDE), dtype=np.uint8)
    _mark(obstacles_m, height_m, x0_m, y0_m, params.tall_m, state.reshape(-1))
    of_tall, near = np.zeros((2, _SIDE, _SIDE), dtype=np.bool_)
    chosen = np.zeros(len(flat_m), dtype=np.bool_)
    _around(state, _TALL, _PART_OF_TALL_M, of_tall)
    state[of_tall] = _TALL
    _around(state, _LOW, params.within_m, near)
    _look_up(flat_m, x0_m, y0_m, near.reshape(-1), chosen)
    return chosen
