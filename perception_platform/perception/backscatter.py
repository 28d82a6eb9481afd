"""Returns from the air: fog, rain and spray send back faint single points where nothing stands.

A solid thing stops every beam that meets it. Drops stop few of the beams that pass them, each at a depth of its own. So
what is faint, stands above the ground and has far fewer of its like around it than beams go through there is taken for
backscatter (as dynamic radius outlier removal does, Charron et al., CRV 2018, with the intensity as a second witness:
Park et al., "LIOR", Access 2020).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Bytes, Cells
from perception_platform.perception.parameters import BackscatterParams
from perception_platform.runtime.compiled import compiled

# The beams' density is measured on one point in 64, in cells of so many degrees: on those whose bits, mixed well, begin
# with six zeros, so that the order of points changes nothing.
_SAMPLED_BITS = 6
_BLOCK = 1024
_CELL_DEG = 8.0
# Points are counted in cells, and around a point in three of them each way; as high as drops could be in the way.
_WINDOW_CELLS = 3
_BELOW_M, _ABOVE_M = 3.0, 2.0
_MOST = np.uint8(255)


@compiled("void(float32[:,::1], float64[::1], float64[::1], uint8[:,:,::1])")
def _count(xyz_m: Points, corner_m: Array, limits: Array, counts: Bytes) -> None:
    """Count the points of each cell, up to 255; the outermost cells stay empty."""
    per_m = np.float32(limits[1])
    x0, y0, z0 = np.float32(corner_m[0]), np.float32(corner_m[1]), np.float32(corner_m[2])
    rows, columns, layers = counts.shape
    for i in range(xyz_m.shape[0]):
        x, y, z = (xyz_m[i, 0] - x0) * per_m, (xyz_m[i, 1] - y0) * per_m, (xyz_m[i, 2] - z0) * per_m
        if x > 1 and x < columns - 1 and y > 1 and y < rows - 1 and z > 1 and z < layers - 1:
            row, column, layer = np.int32(y), np.int32(x), np.int32(z)
            if counts[row, column, layer] < _MOST:
                counts[row, column, layer] += np.uint8(1)


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
    return bool(around < fewest)


@compiled(
    "int64(float32[:,::1], float32[::1], float32[::1], int32[::1], float64[::1], float64[::1], float64[::1],"
    " uint8[:,:,::1])"
)
def _keep(
    xyz_m: Points,
    height_m: Points,
    intensity: Points,
    which: Cells,
    corner_m: Array,
    origin_m: Array,
    limits: Array,
    counts: Bytes,
) -> int:
    """Move the points that are not faint and alone among the beams around them to the front; returns how many."""
    dimmest, per_m, beams_at_1_m, fewest, filled = limits
    rows, columns, layers = counts.shape
    kept = 0
    for i in range(xyz_m.shape[0]):
        px, py, pz = xyz_m[i, 0], xyz_m[i, 1], xyz_m[i, 2]
        xyz_m[kept, 0], xyz_m[kept, 1], xyz_m[kept, 2], height_m[kept] = px, py, pz, height_m[i]
        kept += 1
        if intensity[which[i]] > dimmest:
            continue
        x, y, z = px - origin_m[0], py - origin_m[1], pz - origin_m[2]
        beams = beams_at_1_m / max(x * x + y * y + z * z, 1e-6)
        at_x, at_y, at_z = (px - corner_m[0]) * per_m, (py - corner_m[1]) * per_m, (pz - corner_m[2]) * per_m
        inside = at_x > 1 and at_x < columns - 1 and at_y > 1 and at_y < rows - 1
        if beams < fewest or not inside or at_z <= 1 or at_z >= layers - 1:
            continue
        if _is_alone(counts, int(at_y), int(at_x), int(at_z), filled * beams):
            kept -= 1
    return kept


@compiled("int64(uint32[:,::1], int32[::1])")
def _sample(bits: npt.NDArray[np.uint32], rows: Cells) -> int:
    """Write which points are taken, by the bits of x and y; returns how many."""
    count, shift = 0, np.uint32(32 - _SAMPLED_BITS)
    mixed = np.empty(_BLOCK, dtype=np.uint32)
    for begin in range(0, bits.shape[0], _BLOCK):
        block, size = bits[begin : begin + _BLOCK], min(_BLOCK, bits.shape[0] - begin)
        for i in range(size):  # several at once
            one = np.uint32(block[i, 0] * np.uint32(0x9E3779B1)) ^ np.uint32(
                block[i, 1] * np.uint32(0x85EBCA6B)
            )
            mixed[i] = np.uint32((one ^ (one >> np.uint32(15))) * np.uint32(0xC2B2AE35)) >> shift
        for i in range(size):
            rows[count] = begin + i
            count += mixed[i] == 0
    return count


def beams_per_rad2(sweep_m: Points, origin_m: Array) -> float:
    """How densely a sweep's returns (N, 3) lie around the lidar, where there are any."""
    rows = np.empty(len(sweep_m) + 1, dtype=np.int32)  # one more is written than is taken
    rows = rows[: _sample(np.ascontiguousarray(sweep_m).view(np.uint32), rows)]
    some = sweep_m[rows] - origin_m.astype(np.float32)
    if len(some) == 0:
        return 0.0
    azimuth = np.degrees(np.arctan2(some[:, 1], some[:, 0])) + 180.0
    elevation = np.degrees(np.arctan2(some[:, 2], np.hypot(some[:, 0], some[:, 1]))) + 90.0
    across = int(np.ceil(360.0 / _CELL_DEG)) + 1
    cells = (elevation / _CELL_DEG).astype(np.int64) * across + (azimuth / _CELL_DEG).astype(np.int64)
    occupied = np.count_nonzero(np.bincount(cells))
    return float(len(sweep_m) / (occupied * np.radians(_CELL_DEG) ** 2))


def without_backscatter(
    xyz_m: Points,
    height_m: Points,
    intensity: Points,
    which: Cells,
    sweep_m: Points,
    origin_m: Array,
    params: BackscatterParams,
) -> tuple[Points, Points]:
    """The obstacle points (M, 3) that are no drops in the air, and their (M,) heights: the front of what was given.

    Args:
        xyz_m: (N, 3) contiguous obstacle points in the base frame; they move.
        height_m: (N,) their heights above the ground; they move, too.
        intensity: (K,) of all points of the sweep, in [0, 1].
        which: (N,) which of them the obstacle points are.
        sweep_m: (K, 3) all points of the sweep in the base frame: how dense its beams are.
        origin_m: (3,) where the lidar is.
        params: what counts as faint and as alone.
    """
    beams_at_1_m = beams_per_rad2(sweep_m, origin_m) * params.window_m**2
    # Beyond this, so few beams go through a window that a thing may have missed most of them.
    reach_m = min(params.farthest_m, float(np.sqrt(beams_at_1_m / params.fewest_beams)))
    if reach_m < params.window_m:
        return xyz_m, height_m
    per_m = _WINDOW_CELLS / params.window_m
    side, layers = int(2 * reach_m * per_m) + 2, int((_BELOW_M + _ABOVE_M) * per_m) + 2
    counts = np.zeros((side, side, layers), dtype=np.uint8)
    corner_m = origin_m - np.array([reach_m, reach_m, _BELOW_M]) - 1.0 / per_m
    limits = np.array([params.dimmest, per_m, beams_at_1_m, params.fewest_beams, params.least_filled])
    _count(xyz_m, corner_m, limits, counts)
    kept = _keep(xyz_m, height_m, intensity, which, corner_m, origin_m, limits, counts)
    return xyz_m[:kept], height_m[:kept]
