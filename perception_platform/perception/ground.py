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
# A profile is continued with its own slope only this far beyond the last ground seen.
_CONTINUED_M = 3.0


@compiled("float64(float32[:,::1], float64, float64, int64, float32[::1], int32[::1])")
def _polar(xyz_m: Points, x0_m: float, y0_m: float, sectors: int, radial: Points, sector: Cells) -> float:
    """Radial coordinate, in cells, and sector of each point; returns the greatest radial coordinate."""
    per_rad = sectors / (2 * np.pi)
    farthest = 0.0
    for i in range(xyz_m.shape[0]):
        x, y = xyz_m[i, 0] - x0_m, xyz_m[i, 1] - y0_m
        radial[i] = np.sqrt(np.sqrt(x * x + y * y)) * _CELLS_PER_SQRT_M
        farthest = max(farthest, float(radial[i]))
        sector[i] = min(max(int((np.arctan2(y, x) + np.pi) * per_rad), 0), sectors - 1)
    return farthest


@compiled("void(float32[:,::1], float32[::1], int32[::1], float32[:,::1])")
def _lowest(xyz_m: Points, radial: Points, sector: Cells, lowest_m: Points) -> None:
    """Lowest z of each cell."""
    for i in range(xyz_m.shape[0]):
        s, k, z = sector[i], int(radial[i]), xyz_m[i, 2]
        range_m = (radial[i] / _CELLS_PER_SQRT_M) ** 2
        # What lies further below than any ground could is a reflection.
        if z < lowest_m[s, k] and z > -0.3 - 0.25 * range_m:
            lowest_m[s, k] = z


@compiled(
    "void(float32[:,::1], float32[::1], int32[::1], float32[:,::1], float64, float64[:,::1], int64[:,::1])"
)
def _ground_layer(
    xyz_m: Points,
    radial: Points,
    sector: Cells,
    lowest_m: Points,
    thickness_m: float,
    sum_m: Array,
    count: Ints,
) -> None:
    """Sum and number of the heights in each cell's lowest layer."""
    for i in range(xyz_m.shape[0]):
        s, k = sector[i], int(radial[i])
        rise_m = xyz_m[i, 2] - lowest_m[s, k]
        if rise_m >= 0.0 and rise_m <= thickness_m:
            sum_m[s, k] += xyz_m[i, 2]
            count[s, k] += 1


@compiled("void(float64[:,::1], int64[:,::1], float64[::1], float64[::1], float64[:,::1], boolean[:,::1])")
def _grow(layer_m: Array, count: Ints, range_m: Array, limits: Array, profile_m: Array, seen: Flags) -> None:
    """Walk each sector outward; write the ground's height and whether it was seen there."""
    step_up, step_down, slope_up, slope_down, step_limit, slope_limit = limits
    for s in range(layer_m.shape[0]):
        last_range, last_z, slope, last_k = 0.0, 0.0, 0.0, -1
        for k in range(layer_m.shape[1]):
            run = range_m[k] - last_range
            expected = last_z + slope * min(run, _CONTINUED_M)
            profile_m[s, k] = expected
            if count[s, k] == 0:
                continue
            z = layer_m[s, k]
            rise = z - expected
            too_steep = abs(z - last_z) > slope_limit * run + step_up
            if (
                rise > min(step_up + slope_up * run, step_limit)
                or -rise > step_down + slope_down * run
                or too_steep
            ):
                continue
            for j in range(last_k + 1, k):  # between two sightings the ground is straight
                profile_m[s, j] = last_z + (z - last_z) * (range_m[j] - last_range) / run
            # Slopes over short runs are noise: they are let in slowly.
            weight = run / (run + 2.0)
            slope = (1 - weight) * slope + weight * (z - last_z) / max(run, 0.3)
            slope = min(max(slope, -slope_limit), slope_limit)
            profile_m[s, k] = z
            seen[s, k] = True
            last_range, last_z, last_k = range_m[k], z, k


@compiled("void(float64[:,::1], boolean[:,::1], float64[:,::1])")
def _vote(profile_m: Array, seen: Flags, ground_m: Array) -> None:
    """Median over neighbouring sectors, of those that saw the ground if any did."""
    sectors = profile_m.shape[0]
    votes = np.empty(2 * _NEIGHBOURS + 1)
    for s in range(sectors):
        for k in range(profile_m.shape[1]):
            sightings = 0
            for d in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
                if seen[(s + d) % sectors, k]:
                    votes[sightings] = profile_m[(s + d) % sectors, k]
                    sightings += 1
            if sightings == 0:
                for d in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
                    votes[sightings] = profile_m[(s + d) % sectors, k]
                    sightings += 1
            for i in range(1, sightings):  # insertion sort: five values at most
                j = i
                while j > 0 and votes[j - 1] > votes[j]:
                    votes[j - 1], votes[j] = votes[j], votes[j - 1]
                    j -= 1
            ground_m[s, k] = 0.5 * (votes[(sightings - 1) // 2] + votes[sightings // 2])


@compiled("void(float32[:,::1], float32[::1], int32[::1], float64[:,::1], float32[::1])")
def _heights(xyz_m: Points, radial: Points, sector: Cells, ground_m: Array, height_m: Points) -> None:
    """Height of each point above the profile, interpolated along the range."""
    rings = ground_m.shape[1]
    for i in range(xyz_m.shape[0]):
        s = sector[i]
        at = min(max(radial[i] - 0.5, 0.0), rings - 1.0)
        k = min(int(at), rings - 2)
        part = at - k
        height_m[i] = xyz_m[i, 2] - (ground_m[s, k] * (1.0 - part) + ground_m[s, k + 1] * part)


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
    radial, sector = np.empty(len(xyz_m), dtype=np.float32), np.empty(len(xyz_m), dtype=np.int32)
    farthest = _polar(xyz_m, float(origin_m[0]), float(origin_m[1]), params.sectors, radial, sector)
    shape = (params.sectors, max(int(farthest) + 1, 2))
    lowest_m = np.full(shape, np.inf, dtype=np.float32)
    _lowest(xyz_m, radial, sector, lowest_m)
    sum_m, count = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    _ground_layer(xyz_m, radial, sector, lowest_m, params.thickness_m, sum_m, count)
    ground_m = _ground_profile(sum_m / np.maximum(count, 1.0), count, params)
    _heights(xyz_m, radial, sector, ground_m, height_m)
    return height_m


def _ground_profile(layer_m: Array, count: Ints, params: GroundParams) -> Array:
    """Height of the ground (sectors, rings), m, from each cell's lowest layer."""
    range_m = np.square((np.arange(layer_m.shape[1], dtype=np.float64) + 0.5) / _CELLS_PER_SQRT_M)
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
    ground_m = np.empty_like(profile_m)
    _vote(profile_m, seen, ground_m)
    return ground_m
