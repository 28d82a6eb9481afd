"""Which sectors of a lidar have gone blind: without returns, though they normally have them."""

from __future__ import annotations

import numpy as np

from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_s

SECTORS = 36
# A sector counts as blind after this long without a return…
BLIND_NS = from_s(1.0)
# …if before it had returns in this share of the sweeps, over a window of about this many sweeps.
USUAL_SHARE = 0.9
BASELINE_SWEEPS = 300
# Too few sweeps say nothing of what is usual.
FIRST_SWEEPS = 10


class SectorWatch:
    """Keeps, for each sector of azimuth, how usual returns are and when the last one was.

    The baseline stands still while a sector is empty: blindness must not become the usual thing. A sector that never
    had returns (open sky, the robot's own mast) is never called blind.

    Args:
        range_m: nearest and farthest range at which a return counts; a cover on the lens is nearer.
    """

    def __init__(self, range_m: tuple[float, float]) -> None:
        self._range_m = range_m
        self._usual = np.zeros(SECTORS)
        self._last_ns = np.full(SECTORS, -1, dtype=np.int64)
        self._sweeps = 0
        self._newest_ns = 0

    def observe(self, cloud: PointCloud) -> None:
        """Take the next sweep."""
        seen = self._has_returns(cloud)
        self._sweeps += 1
        self._newest_ns = cloud.t_ns
        self._last_ns[seen] = cloud.t_ns
        weight = max(1.0 / self._sweeps, 1.0 / BASELINE_SWEEPS)
        moving = seen | (cloud.t_ns - self._last_ns < BLIND_NS) | (self._last_ns < 0)
        self._usual[moving] += weight * (seen[moving] - self._usual[moving])

    def blind(self) -> tuple[tuple[float, float], ...]:
        """(start, end) azimuth of the blind sectors, neighbours joined, rad in [-pi, pi], sensor frame."""
        silent = self._newest_ns - self._last_ns >= BLIND_NS
        blind = silent & (self._usual >= USUAL_SHARE) & (self._sweeps >= FIRST_SWEEPS)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], blind, [False]]).astype(int)))
        azimuth = np.linspace(-np.pi, np.pi, SECTORS + 1)
        return tuple((float(azimuth[start]), float(azimuth[end])) for start, end in edges.reshape(-1, 2))

    def _has_returns(self, cloud: PointCloud) -> np.ndarray:
        x, y = cloud.xyz_m[:, 0], cloud.xyz_m[:, 1]
        range_m = np.linalg.norm(cloud.xyz_m, axis=1)
        counts = (range_m >= self._range_m[0]) & (range_m <= self._range_m[1])
        turns = (np.arctan2(y[counts], x[counts]) + np.pi) / (2 * np.pi)
        sector = np.minimum((turns * SECTORS).astype(np.int64), SECTORS - 1)
        return np.bincount(sector, minlength=SECTORS) > 0
