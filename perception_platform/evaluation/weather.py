"""Drops in the air, added to sweeps that were taken in clear weather: there the labels still hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception_platform.core.sensor_data import PointCloud

# Drops are seen from here on; how far, falls off exponentially with this length (most clutter of real fog lies within
# ten metres of the lidar: Bijelic et al., "A benchmark for lidar sensors in fog", IV 2018).
_NEAREST_M, _LENGTH_M = 2.0, 4.0
_BRIGHTEST = 0.03


def with_backscatter(cloud: PointCloud, share: float, seed: int) -> tuple[PointCloud, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """A sweep in which some beams come back from drops instead of from what they hit.

    Args:
        cloud: in the lidar's frame, with intensities.
        share: of the beams that a drop stops; those whose thing is nearer than the drop still see it.
        seed: of which, and how far.

    Returns:
        The sweep, and (N,) which points are drops.
    """
    rng = np.random.default_rng(seed)
    range_m = np.linalg.norm(cloud.xyz_m, axis=1)
    depth_m = _NEAREST_M + rng.exponential(_LENGTH_M, len(cloud))
    drops = (rng.random(len(cloud)) < share) & (depth_m < range_m)
    scale = np.where(drops, depth_m / np.maximum(range_m, 1e-6), 1.0)
    xyz_m = (cloud.xyz_m * scale[:, None]).astype(np.float32)
    clear = np.ones(len(cloud), dtype=np.float32) if cloud.intensity is None else cloud.intensity
    faint = rng.uniform(0.0, _BRIGHTEST, len(cloud)).astype(np.float32)
    return replace(cloud, xyz_m=xyz_m, intensity=np.where(drops, faint, clear)), drops
