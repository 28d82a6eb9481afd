"""Where the window of a lidar is dirty: fewer of the beams that meet the ground anyway come back.

Beams that point clearly downward return from the ground or from what stands on it, wherever the robot is. Mud, snow or
a smear takes some of them for as long as it is there, always in the same sectors of the sensor's own frame.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from perception_platform.core.sensor_data import PointCloud
from perception_platform.sensing.sectors import SECTORS, joined, returns_by_sector

# Beams count that point further down than this.
_DOWN = math.tan(math.radians(8.0))
# One point in so many is looked at. No whole number, nor near a simple fraction: points come column by column, and of
# columns of twice or three times that many returns the same beams would be looked at in each.
_SAMPLED = 3.0 + math.sqrt(5.0)
# A sector is judged that usually has so many returns, of those looked at.
_FEWEST = 8.0
# It is dirty while less than this share of the usual comes back over about a second, and clean again above the other.
_DIRTY, _CLEAN = 0.65, 0.8
_OVER_S = 1.0
# What is usual is learned over so long, rises at once, and is forgotten over hours: dirt settles slowly.
_LEARN_S = 2.0
_FORGOTTEN_PER_S = 2e-5


class WindowWatch:
    """Keeps, for each sector of azimuth, how many downward beams return now and how many usually do.

    A lidar without such beams, or that begins dirty, is never called dirty.

    Args:
        range_m: nearest and farthest range at which a return counts; dirt itself is nearer.
        rate_hz: sweeps a second.
    """

    def __init__(self, range_m: tuple[float, float], rate_hz: float) -> None:
        self._range_m = range_m
        self._weight = min(1.0, 1.0 / (_OVER_S * rate_hz))
        self._to_learn = math.ceil(_LEARN_S * rate_hz)
        self._kept = 1.0 - _FORGOTTEN_PER_S / rate_hz
        self._now = np.zeros(SECTORS)
        self._usual = np.zeros(SECTORS)
        self._dirty = np.zeros(SECTORS, dtype=np.bool_)
        self._sweeps = 0

    def observe(self, cloud: PointCloud) -> None:
        """Take the next sweep."""
        counts = self._downward(cloud)
        self._sweeps += 1
        weight = max(self._weight, 1.0 / self._sweeps)
        self._now += weight * (counts - self._now)
        if self._sweeps < self._to_learn:
            return
        self._usual = np.maximum(self._usual * self._kept, self._now)
        judged = self._usual >= _FEWEST
        share = self._now / np.maximum(self._usual, 1e-9)
        # What befalls most sectors at once is the place: a wet road, a ramp down.
        elsewhere = np.percentile(share[judged], 75) if judged.any() else 1.0
        self._dirty = judged & (share < min(elsewhere, 1.0) * np.where(self._dirty, _CLEAN, _DIRTY))

    def dirty(self) -> tuple[tuple[float, float], ...]:
        """(start, end) azimuth of the dirty sectors, neighbours joined, degrees, sensor frame."""
        return tuple((math.degrees(start), math.degrees(end)) for start, end in joined(self._dirty))

    def _downward(self, cloud: PointCloud) -> npt.NDArray[np.int64]:
        """Returns of downward beams by sector."""
        some = cloud.xyz_m[(np.arange(math.ceil(len(cloud) / _SAMPLED)) * _SAMPLED).astype(np.int64)]
        across_m = np.hypot(some[:, 0], some[:, 1])
        range_m = np.hypot(across_m, some[:, 2])
        counts = (range_m >= self._range_m[0]) & (range_m <= self._range_m[1])
        return returns_by_sector(some[counts & (some[:, 2] < -_DOWN * across_m)])
