"""The few points of a sweep that can matter to the gate, picked once a sweep and not once a beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception_platform.core.sensor_data import PointCloud
from perception_platform.safety.config import GateConfig

SPARE = (
    1.5  # picked this much farther than needed, so that a robot that speeds up needs no new pick each beat
)


class Nearby:
    """Remembers, by sensor, the points around the footprint of the newest cloud."""

    def __init__(self, config: GateConfig) -> None:
        self._low_m = config.footprint_m.min(axis=0)
        self._high_m = config.footprint_m.max(axis=0)
        self._picked: dict[str, tuple[PointCloud, float, PointCloud]] = {}

    def of(self, cloud: PointCloud, ahead_m: float, beside_m: float) -> PointCloud:
        """The cloud without points farther from the footprint than ``ahead_m`` along x or ``beside_m`` along y."""
        picked = self._picked.get(cloud.sensor)
        if picked is None or picked[0] is not cloud or not ahead_m <= picked[1]:
            picked = (cloud, SPARE * ahead_m, self._pick(cloud, (SPARE * ahead_m, beside_m)))
            self._picked[cloud.sensor] = picked
        return picked[2]

    def _pick(self, cloud: PointCloud, reach_m: tuple[float, float]) -> PointCloud:
        xyz_m = cloud.xyz_m
        for axis in (1, 0):  # what is no number is not far: it is for others to judge
            low, high = self._low_m[axis] - reach_m[axis], self._high_m[axis] + reach_m[axis]
            far = (xyz_m[:, axis] < low) | (xyz_m[:, axis] > high)
            xyz_m = xyz_m.take(np.flatnonzero(~far), axis=0)
        # Each beat goes through one coordinate after the other.
        return replace(cloud, xyz_m=np.asfortranarray(xyz_m))
