"""Height above the ground, by a polar grid that is grown outward from the ground the robot stands on.

The lowest points of each cell are followed from the lidar's foot outward, sector by sector: the next cell is ground if
it continues the profile within limits of step and slope (after Himmelsbach et al., "Fast segmentation of 3D point
clouds for ground vehicles", IV 2010, with cells in place of line fits). Sectors then vote with their neighbours.
"""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Cells, Flags, Ints
from perception_platform.perception.parameters import GroundParams
from perception_platform.runtime.compiled import compiled

# Cells grow with the square root of the range: 0.3 m deep at 4 m, 1.3 m at 64 m, as the beams' rings do.
_CELLS_PER_SQRT_M = 12.0
_NEIGHBOURS = 2
# Loops over coordinates that lie side by side take several points at once: blocks that stay in the processor's cache.
_BLOCK = 1024
# A profile is continued with its own slope only this far beyond the last ground seen, and held against those of other
# sectors this far.
_CONTINUED_M, _KNOWN_M = 3.0, 1.0
# Heights are summed in units of 1 µm.
_UNITS_PER_M = 1e6
# What is this close to the profile's straight continuation is ground at any distance.
_STRAIGHT_PER_M = 0.02


@compiled("float32(float32, float32)")
def _azimuth_rad(y: np.float32, x: np.float32) -> np.float32:
    """Angle of a direction within 0.0001 rad, in [-pi, pi].

    A polynomial in the ratio of the smaller to the larger coordinate (Abramowitz and Stegun, 4.4.47): unlike the
    library's function it is computed for several points at once.
    """
    across, along = abs(y), abs(x)
    ratio = min(across, along) / max(max(across, along), np.float32(1e-20))
    square = ratio * ratio
    series = np.float32(0.180141) + square * (np.float32(-0.085133) + square * np.float32(0.0208351))
    series = np.float32(0.9998660) + square * (np.float32(-0.3302995) + square * series)
    angle = ratio * series
    angle = np.float32(np.pi / 2) - angle if across > along else angle
    angle = np.float32(np.pi) - angle if x < 0 else angle
    return -angle if y < 0 else angle


@compiled("int64(float32[:,::1], float32, float32, int64, float32[::1], int32[::1])")
def _polar(xyz_m: Points, x0_m: float, y0_m: float, sectors: int, radial: Points, cell: Cells) -> int:
    """Radial coordinate, in cells, and cell of each point, ring by ring; returns how many rings."""
    per_rad, last = np.float32(sectors / (2 * np.pi)), np.int32(sectors - 1)
    cells_per_sqrt_m, half_turn = np.float32(_CELLS_PER_SQRT_M), np.float32(np.pi)
    x, y, highest = np.empty(_BLOCK, dtype=np.float32), np.empty(_BLOCK, dtype=np.float32), np.int32(0)
    for begin in range(0, len(cell), _BLOCK):
        block_m, size = xyz_m[begin : begin + _BLOCK], min(_BLOCK, len(cell) - begin)
        at, of = radial[begin : begin + size], cell[begin : begin + size]
        for i in range(size):
            x[i], y[i] = block_m[i, 0] - x0_m, block_m[i, 1] - y0_m
        for i in range(size):
            at[i] = np.sqrt(np.sqrt(x[i] * x[i] + y[i] * y[i])) * cells_per_sqrt_m
        for i in range(size):
            sector = np.int32((_azimuth_rad(y[i], x[i]) + half_turn) * per_rad)
            of[i] = np.int32(at[i]) * np.int32(sectors) + min(max(sector, np.int32(0)), last)
        for i in range(size):
            highest = max(highest, of[i])
    return int(highest) // sectors + 1


@compiled("void(float32[:,::1], float32[::1], int32[::1], float32[::1])")
def _lowest(xyz_m: Points, radial: Points, cell: Cells, lowest_m: Points) -> None:
    """Lowest z of each cell."""
    per_cell = np.float32(1.0 / _CELLS_PER_SQRT_M)
    before, low_m = np.int32(-1), np.float32(np.inf)
    for i in range(xyz_m.shape[0]):
        if cell[i] != before:  # a beam's points come side by side: they share a cell for a while
            if before >= 0:
                lowest_m[before] = min(lowest_m[before], low_m)
            before, low_m = cell[i], np.float32(np.inf)
        z, range_m = xyz_m[i, 2], (radial[i] * per_cell) ** 2
        # What lies further below than any ground could is a reflection.
        low_m = min(low_m, z if z > np.float32(-0.3) - np.float32(0.25) * range_m else np.float32(np.inf))
    if before >= 0:
        lowest_m[before] = min(lowest_m[before], low_m)


@compiled("void(float32[:,::1], int32[::1], float32[::1], float32, int64[::1], int64[::1])")
def _ground_layer(
    xyz_m: Points, cell: Cells, lowest_m: Points, thickness_m: float, sum_units: Ints, count: Ints
) -> None:
    """Sum and number of the rises above the lowest point in each cell's lowest layer.

    In whole units, so that the order of points changes no sum.
    """
    units_per_m = np.float32(_UNITS_PER_M)
    for i in range(xyz_m.shape[0]):
        c = np.uint32(cell[i])
        rise_m = xyz_m[i, 2] - lowest_m[c]
        if rise_m >= 0 and rise_m <= thickness_m:
            sum_units[c] += np.int64(rise_m * units_per_m)
            count[c] += 1


@compiled("void(float64[:,::1], int64[:,::1], float64[::1], float64[::1], float64[:,::1], boolean[:,::1])")
def _grow(layer_m: Array, count: Ints, range_m: Array, limits: Array, profile_m: Array, seen: Flags) -> None:
    """Walk each sector outward; write the ground's height and whether it was seen there."""
    step_up, step_down, slope_up, slope_down, step_limit, slope_limit = limits
    for s in range(layer_m.shape[1]):
        last_range, last_z, slope, last_k = 0.0, 0.0, 0.0, -1
        for k in range(layer_m.shape[0]):
            run = range_m[k] - last_range
            expected = last_z + slope * min(run, _CONTINUED_M)
            profile_m[k, s] = expected
            if count[k, s] == 0:
                continue
            z = layer_m[k, s]
            rise = z - expected
            too_steep = abs(z - last_z) > slope_limit * run + step_up
            fits = rise <= min(step_up + slope_up * run, step_limit) and -rise <= step_down + slope_down * run
            # Far rings lie far apart: a ramp whose slope is known may go on all the way.
            straight = abs(z - last_z - slope * run) <= step_up + _STRAIGHT_PER_M * run
            if too_steep or not (fits or straight):
                continue
            for j in range(last_k + 1, k):  # between two sightings the ground is straight
                profile_m[j, s] = last_z + (z - last_z) * (range_m[j] - last_range) / run
            # Slopes over short runs are noise: they are let in slowly.
            weight = run / (run + 2.0)
            slope = (1 - weight) * slope + weight * (z - last_z) / max(run, 0.3)
            slope = min(max(slope, -slope_limit), slope_limit)
            if last_z - z > slope_limit * run:
                slope = 0.0  # an edge, and what lies below it goes on level
            profile_m[k, s] = z
            seen[k, s] = True
            last_range, last_z, last_k = range_m[k], z, k


@compiled("int64(float64[::1], int64, float64)")
def _insert(ordered: Array, count: int, value: float) -> int:
    """Insert a value among so many in order; returns how many there are now."""
    at = count
    while at > 0 and ordered[at - 1] > value:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = value
    return count + 1


@compiled("void(float64[:,::1], boolean[:,::1], float32[:,::1])")
def _vote(profile_m: Array, seen: Flags, ground_m: Points) -> None:
    """Median over neighbouring sectors, of those that saw the ground if any did."""
    rings, sectors = profile_m.shape
    votes = np.empty(2 * _NEIGHBOURS + 1)
    for k in range(rings):
        for s in range(sectors):
            sightings = 0
            for d in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
                at = s + d
                at = at + sectors if at < 0 else at - sectors if at >= sectors else at
                if seen[k, at]:
                    sightings = _insert(votes, sightings, profile_m[k, at])
            if sightings == 0:
                for d in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
                    sightings = _insert(votes, sightings, profile_m[k, (s + d) % sectors])
            ground_m[k, s] = 0.5 * (votes[(sightings - 1) // 2] + votes[sightings // 2])


@compiled("void(float32[::1], float32[::1], int64, float32[::1])")
def _open(height_m: Points, fall_m: Points, half: int, opened_m: Points) -> None:
    """Morphological opening of a closed ring by a window of 2 ``half`` + 1 that falls off from its middle."""
    sectors = len(height_m)
    lowest_m = np.full(sectors, np.inf, dtype=np.float32)
    opened_m[:] = np.float32(-np.inf)
    around_m = np.concatenate((height_m[sectors - half :], height_m, height_m[:half]))
    for d in range(2 * half + 1):
        for s in range(sectors):
            lowest_m[s] = min(lowest_m[s], around_m[s + d] + fall_m[d])
    around_m = np.concatenate((lowest_m[sectors - half :], lowest_m, lowest_m[:half]))
    for d in range(2 * half + 1):
        for s in range(sectors):
            opened_m[s] = max(opened_m[s], around_m[s + d] - fall_m[d])


@compiled("void(float32[:,::1], float64[::1], float64[::1], float64[::1])")
def _level(ground_m: Points, range_m: Array, seen_to_m: Array, limits: Array) -> None:
    """Lower to what is beside it any ground that is narrow and rises by more than a step: that stands on the ground.

    Opened ring by ring, slopes, ramps, kerbs and camber stay as they are. A sector that has long seen no ground has no
    say.
    """
    narrow_m, step_m, slope = limits
    rings, sectors = ground_m.shape
    known_m, opened_m = np.empty(sectors, dtype=np.float32), np.empty(sectors, dtype=np.float32)
    for k in range(rings):
        spacing_m = 2.0 * np.pi * range_m[k] / sectors
        half = min(int(0.5 * narrow_m / spacing_m + 0.5), sectors // 4)
        if half <= _NEIGHBOURS:
            break  # the vote has done it, here and farther out
        least_m, most_m = np.float32(np.inf), np.float32(-np.inf)
        for s in range(sectors):
            known = range_m[k] <= seen_to_m[s] + _KNOWN_M
            known_m[s] = ground_m[k, s] if known else np.float32(np.inf)
            least_m, most_m = min(least_m, known_m[s]), max(most_m, ground_m[k, s])
        if most_m - least_m <= step_m:
            continue
        fall_m = (slope * spacing_m * np.abs(np.arange(-half, half + 1))).astype(np.float32)
        _open(known_m, fall_m, half, opened_m)
        for s in range(sectors):
            if ground_m[k, s] - opened_m[s] > step_m:
                ground_m[k, s] = opened_m[s]


@compiled("void(float32[:,::1], float32[::1], int32[::1], float32[:,::1], float32[::1])")
def _heights(xyz_m: Points, radial: Points, cell: Cells, ground_m: Points, height_m: Points) -> None:
    """Height of each point above the profile, interpolated along the range."""
    rings, sectors = ground_m.shape
    half, one, last = np.float32(0.5), np.float32(1.0), np.float32(rings - 1)
    for i in range(xyz_m.shape[0]):
        s = np.uint32(cell[i]) % np.uint32(sectors)
        at = min(max(radial[i] - half, np.float32(0.0)), last)
        k = min(np.int32(at), np.int32(rings - 2))
        part = at - np.float32(k)
        height_m[i] = xyz_m[i, 2] - (ground_m[k, s] * (one - part) + ground_m[k + 1, s] * part)


def height_above_ground(xyz_m: Points, origin_m: Array, params: GroundParams) -> Points:
    """Height (N,) of points above the local ground, m; below about ``clear_m`` they are ground themselves.

    Args:
        xyz_m: (N, 3) contiguous points in the base frame, finite.
        origin_m: (3,) where the lidar is: beams spread from there, and the ground below it is at z = 0.
        params: limits of step and slope.
    """
    height_m = np.empty(len(xyz_m), dtype=np.float32)
    if len(xyz_m) == 0:
        return height_m
    radial, cell = np.empty(len(xyz_m), dtype=np.float32), np.empty(len(xyz_m), dtype=np.int32)
    farthest = _polar(xyz_m, float(origin_m[0]), float(origin_m[1]), params.sectors, radial, cell)
    rings = max(int(farthest) + 1, 2)
    lowest_m = np.full(rings * params.sectors, np.inf, dtype=np.float32)
    _lowest(xyz_m, radial, cell, lowest_m)
    sum_units, count = np.zeros((2, len(lowest_m)), dtype=np.int64)
    _ground_layer(xyz_m, cell, lowest_m, params.thickness_m, sum_units, count)
    shape = rings, params.sectors
    layer_m = lowest_m + sum_units / (_UNITS_PER_M * np.maximum(count, 1))
    ground_m = _ground_profile(np.where(count > 0, layer_m, 0.0).reshape(shape), count.reshape(shape), params)
    _heights(xyz_m, radial, cell, ground_m, height_m)
    return height_m


def _ground_profile(layer_m: Array, count: Ints, params: GroundParams) -> Points:
    """Height of the ground (rings, sectors), m, from each cell's lowest layer."""
    range_m = np.square((np.arange(layer_m.shape[0], dtype=np.float64) + 0.5) / _CELLS_PER_SQRT_M)
    limits = np.array(
        [
            params.step_up_m,
            params.step_down_m,
            params.slope_up,
            params.slope_down,
            params.step_limit_m,
            params.slope_limit,
        ]
    )
    profile_m, seen = np.zeros_like(layer_m), np.zeros(layer_m.shape, dtype=np.bool_)
    _grow(layer_m, count, range_m, limits, profile_m, seen)
    ground_m = np.empty(layer_m.shape, dtype=np.float32)
    _vote(profile_m, seen, ground_m)
    seen_to_m = np.where(seen, range_m[:, None], 0.0).max(axis=0)
    _level(ground_m, range_m, seen_to_m, np.array([params.narrow_m, params.step_up_m, params.slope_up]))
    return ground_m
