"""Which sectors of a lidar have gone blind: without returns, though they normally have them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.core.time import from_s

SECTORS = 36
# A sector counts as blind after this long without a return…
BLIND_NS = from_s(1.0)
# …if before it had returns in this share of the sweeps, over about this many of them.
USUAL_SHARE = 0.9
BASELINE_SWEEPS = 300
# Every sector begins as if it had been empty in this many sweeps: a few say nothing of what is usual.
ASSUMED_EMPTY_SWEEPS = 2


class SectorWatch:
    """Keeps, for each sector of azimuth, how usual returns are and when the last one was.

    Sweeps without a return count against a sector only once it sees again, and then no more of them than it takes to
    be blind: blindness must not become the usual thing. A sector that never had returns (open sky, the robot's own
    mast) is never called blind.

    Args:
        range_m: nearest and farthest range at which a return counts; a cover on the lens is nearer.
    """

    def __init__(self, range_m: tuple[float, float]) -> None:
        self._range_m = range_m
        self._usual = np.zeros(SECTORS)
        self._missed = np.zeros(SECTORS)
        self._last_ns = np.full(SECTORS, -1, dtype=np.int64)
        self._sweeps = 0
        self._newest_ns = 0

    def observe(self, cloud: PointCloud) -> None:
        """Take the next sweep."""
        seen = self._has_returns(cloud)
        self._sweeps += 1
        self._newest_ns = cloud.t_ns
        self._missed += ~seen & (cloud.t_ns - self._last_ns < BLIND_NS)
        weight = max(1.0 / (self._sweeps + ASSUMED_EMPTY_SWEEPS), 1.0 / BASELINE_SWEEPS)
        usual = self._usual[seen] * (1.0 - weight) ** self._missed[seen]
        self._usual[seen] = usual + weight * (1.0 - usual)
        self._missed[seen] = 0
        self._last_ns[seen] = cloud.t_ns

    def blind(self) -> tuple[tuple[float, float], ...]:
        """(start, end) azimuth of the blind sectors, neighbours joined, rad in [-pi, pi], sensor frame."""
        silent = self._newest_ns - self._last_ns >= BLIND_NS
        return joined(silent & (self._usual >= USUAL_SHARE))

    def _has_returns(self, cloud: PointCloud) -> npt.NDArray[np.bool_]:
        range_m = np.linalg.norm(cloud.xyz_m, axis=1)
        counts = (range_m >= self._range_m[0]) & (range_m <= self._range_m[1])
        return returns_by_sector(cloud.xyz_m[counts]) > 0


def returns_by_sector(xyz_m: Points) -> npt.NDArray[np.int64]:
    """(SECTORS,) how many of the points (N, 3) lie in each sector of azimuth, from -pi on."""
    turns = (np.arctan2(xyz_m[:, 1], xyz_m[:, 0]) + np.pi) / (2 * np.pi)
    sector = np.minimum((turns * SECTORS).astype(np.int64), SECTORS - 1)
    return np.bincount(sector, minlength=SECTORS)


def joined(sectors: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """(start, end) azimuth of the marked sectors (SECTORS,), neighbours joined, rad in [-pi, pi]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sectors, [False]]).astype(int)))
    azimuth = np.linspace(-np.pi, np.pi, SECTORS + 1)
    return tuple((float(azimuth[start]), float(azimuth[end])) for start, end in edges.reshape(-1, 2))
