"""Returns from the air: fog, rain and spray send back faint single points where nothing stands.

A solid thing stops every beam that meets it. Drops stop few of the beams that pass them, each at a depth of its own. So
what is faint and has far fewer points around it than beams go through there is taken for backscatter (as dynamic radius
outlier removal does, Charron et al., CRV 2018, with the intensity as a second witness: Park et al., "LIOR", Access 2020).
"""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Bytes, Flags
from perception_platform.perception.parameters import BackscatterParams
from perception_platform.perception.preprocess import Rows
from perception_platform.runtime.compiled import compiled

# The beams' density is measured on one point in so many, in cells of so many degrees.
_SAMPLED = 64
_CELL_DEG = 8.0
_MOST = np.uint8(255)
# Points are counted in cells, and around a point in three of them each way.
_WINDOW_CELLS = 3


@compiled("void(float32[:,::1], float64[::1], float64, float64, int64, uint8[:,:,::1])")
def _count(xyz_m: Points, corner_m: Array, reach_m: float, per_m: float, layers: int, counts: Bytes) -> None:
    """Count the points of each cell, up to 255; the outermost cells stay empty."""
    side = np.float64(2 * reach_m)
    for i in range(xyz_m.shape[0]):
        x, y, z = xyz_m[i, 0] - corner_m[0], xyz_m[i, 1] - corner_m[1], xyz_m[i, 2] - corner_m[2]
        if x > 0 and x < side and y > 0 and y < side:
            row, column = int(y * per_m) + 1, int(x * per_m) + 1
            layer = min(max(int(z * per_m) + 1, 1), layers)
            counts[row, column, layer] += np.uint8(1) if counts[row, column, layer] < _MOST else np.uint8(0)


@compiled("boolean(uint8[:,:,::1], int64, int64, int64, float64)")
def _is_alone(counts: Bytes, row: int, column: int, layer: int, fewest: float) -> bool:
    """Whether fewer points than that are in a cell and around it."""
    around = np.int64(counts[row, column, layer])
    for r in range(row - 1, row + 2):
        for c in range(column - 1, column + 2):
            if around >= fewest:
                return False
            for k in range(layer - 1, layer + 2):
                around += counts[r, c, k] if r != row or c != column or k != layer else 0
    return around < fewest


@compiled(
    "int64(float32[:,::1], float32[::1], int32[::1], float64[::1], float64[::1], float64[::1], int64,"
    " uint8[:,:,::1], boolean[::1])"
)
def _mark(
    xyz_m: Points,
    intensity: Points,
    rows: Rows,
    corner_m: Array,
    origin_m: Array,
    limits: Array,
    layers: int,
    counts: Bytes,
    airborne: Flags,
) -> int:
    """Mark the faint points that are alone among the beams around them; returns how many."""
    reach_m, per_m, dimmest, beams_at_1_m, fewest, filled = limits
    marked = 0
    for i in range(xyz_m.shape[0]):
        if intensity[rows[i]] > dimmest:
            continue
        x, y, z = xyz_m[i, 0] - origin_m[0], xyz_m[i, 1] - origin_m[1], xyz_m[i, 2] - origin_m[2]
        beams = beams_at_1_m / max(x * x + y * y + z * z, 1e-6)
        if abs(x) >= reach_m or abs(y) >= reach_m or beams < fewest:
            continue
        row, column = int((xyz_m[i, 1] - corner_m[1]) * per_m) + 1, int((xyz_m[i, 0] - corner_m[0]) * per_m) + 1
        layer = min(max(int((xyz_m[i, 2] - corner_m[2]) * per_m) + 1, 1), layers)
        if _is_alone(counts, row, column, layer, filled * beams):
            airborne[i] = True
            marked += 1
    return marked


def beams_per_rad2(sweep_m: Points, origin_m: Array) -> float:
    """How densely a sweep's returns (N, 3) lie around the lidar, where there are any."""
    some = sweep_m[::_SAMPLED] - origin_m.astype(np.float32)
    if len(some) == 0:
        return 0.0
    azimuth = np.degrees(np.arctan2(some[:, 1], some[:, 0])) + 180.0
    elevation = np.degrees(np.arctan2(some[:, 2], np.hypot(some[:, 0], some[:, 1]))) + 90.0
    across = int(np.ceil(360.0 / _CELL_DEG)) + 1
    cells = (elevation / _CELL_DEG).astype(np.int64) * across + (azimuth / _CELL_DEG).astype(np.int64)
    occupied = np.count_nonzero(np.bincount(cells))
    return float(len(sweep_m) / (occupied * np.radians(_CELL_DEG) ** 2))


def backscatter(
    xyz_m: Points, intensity: Points, rows: Rows, sweep_m: Points, origin_m: Array, params: BackscatterParams
) -> Flags | None:
    """(N,) which obstacle points are no thing but drops in the air; None if none is.

    Args:
        xyz_m: (N, 3) contiguous obstacle points in the base frame.
        intensity: (K,) of the sweep as it came, in [0, 1].
        rows: (N,) which of these belong to the obstacle points.
        sweep_m: (M, 3) all points of the sweep, in the base frame: how dense its beams are.
        origin_m: (3,) where the lidar is.
        params: what counts as faint and as alone.
    """
    beams_at_1_m = beams_per_rad2(sweep_m, origin_m) * params.window_m**2
    # Beyond this, so few beams go through a window that a thing may have missed most of them.
    reach_m = min(params.farthest_m, float(np.sqrt(beams_at_1_m / params.fewest_beams)))
    if len(xyz_m) == 0 or reach_m < params.window_m:
        return None
    per_m, lowest_m = _WINDOW_CELLS / params.window_m, float(xyz_m[:, 2].min())
    side, layers = int(2 * reach_m * per_m) + 4, int((xyz_m[:, 2].max() - lowest_m) * per_m) + 2
    counts = np.zeros((side, side, layers + 2), dtype=np.uint8)
    corner_m = np.array([origin_m[0] - reach_m, origin_m[1] - reach_m, lowest_m])
    _count(xyz_m, corner_m, reach_m, per_m, layers, counts)
    limits = np.array(
        [reach_m, per_m, params.dimmest, beams_at_1_m, params.fewest_beams, params.least_filled]
    )
    airborne = np.zeros(len(xyz_m), dtype=np.bool_)
    found = _mark(xyz_m, intensity, rows, corner_m, origin_m, limits, layers, counts, airborne)
    return airborne if found else None
