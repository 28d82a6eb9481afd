"""Points near the robot, thinned so far that a dense lidar costs hardly more than a sparse one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.sensor_data import Points
from perception_platform.runtime.compiled import compiled

LOWEST_M, HIGHEST_M = -2.0, 6.0  # of layers; beyond, they are the lowest and the highest
Rows = npt.NDArray[np.int64]


def thinned(xyz_m: Points, reach_m: float, cell_m: float, most: int, enough: int, *, flat: bool) -> Rows:
    """Rows of points (N, 3) in the square around the origin, the first few of each cell.

    Args:
        xyz_m: base frame; what is not finite is left out.
        reach_m: half the square's side.
        cell_m: side of a cell; twice, or four times it, if more than enough points are left.
        most: points that are kept of one, 127 at most.
        enough: so many points.
        flat: whether a cell is a column, or a cube.

    Returns:
        (K,) rows, in their order.
    """
    xyz_m = np.ascontiguousarray(xyz_m, dtype=np.float32)
    rows = _thinned(xyz_m, reach_m, cell_m, most, flat)
    for coarser in (2, 4):
        if len(rows) > enough:
            rows = _thinned(xyz_m, reach_m, coarser * cell_m, most, flat)
    return rows


@compiled("int64[::1](float32[:,::1], float64, float64, int64, boolean)", finite=False)
def _thinned(xyz_m: Points, reach_m: float, cell_m: float, most: int, flat: bool) -> Rows:
    side = int(np.ceil(2 * reach_m / cell_m)) + 1
    layers = 1 if flat else int(np.ceil((HIGHEST_M - LOWEST_M) / cell_m)) + 1
    counts = np.zeros(side * side * layers, dtype=np.int8)
    out = np.empty(len(xyz_m), dtype=np.int64)
    kept = 0
    for i in range(len(xyz_m)):
        x, y, z = float(xyz_m[i, 0]), float(xyz_m[i, 1]), float(xyz_m[i, 2])
        if not (abs(x) < reach_m and abs(y) < reach_m and abs(z) < np.inf):
            continue
        column = int((x + reach_m) / cell_m) * side + int((y + reach_m) / cell_m)
        layer = 0 if flat else int((min(max(z, LOWEST_M), HIGHEST_M) - LOWEST_M) / cell_m)
        cell = column * layers + layer
        if counts[cell] < most:
            counts[cell] += 1
            out[kept] = i
            kept += 1
    return out[:kept].copy()
