"""Sweeps of ground that is not flat: a height field met by the beams of lidars of 16 to 128 beams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import PointCloud
from test.unit.perception.sweeps import Solid, _hit

HeightField = Callable[[Array, Array], Array]
BEAMS_RAD = {
    16: np.deg2rad(np.linspace(-15, 15, 16)),
    32: np.deg2rad(np.linspace(-30.67, 10.67, 32)),
    64: np.deg2rad(np.linspace(-24.9, 2.0, 64)),
    128: np.deg2rad(np.linspace(-22.5, 22.5, 128)),
}
_STEPS = np.geomspace(0.5, 60.0, 240)


@dataclass(frozen=True)
class Seen:
    """A sweep in the lidar's frame, and which of its points are ground and which of a solid."""

    cloud: PointCloud
    ground: np.ndarray
    solid: np.ndarray


def look(
    field: HeightField,
    base_from_lidar: Transform,
    sensor: str,
    beams: int,
    solids: list[Solid] | None = None,
    azimuths: int = 240,
    noise_m: float = 0.015,
    seed: int = 0,
) -> Seen:
    """Cast all beams; the ground is where a ray first comes below the height field, found by a secant."""
    azimuth, elevation = np.meshgrid(np.arange(azimuths) * 2 * np.pi / azimuths, BEAMS_RAD[beams])
    flat = np.cos(elevation)
    rays = np.stack([np.cos(azimuth) * flat, np.sin(azimuth) * flat, np.sin(elevation)], -1).reshape(-1, 3)
    rays = base_from_lidar.rotate(rays)
    origin = base_from_lidar.translation_m
    above = _above(field, origin, rays, _STEPS)
    below = above < 0
    k = np.where(below.any(axis=1), below.argmax(axis=1), -1)
    met = k > 0
    rows, at = np.flatnonzero(met), k[met]
    first, second = above[rows, at - 1], above[rows, at]
    ground_m = np.full(len(rays), np.inf)
    ground_m[rows] = _STEPS[at - 1] + (_STEPS[at] - _STEPS[at - 1]) * first / (first - second)
    solid_m = np.full(len(rays), np.inf)
    for solid in solids or []:
        solid_m = np.minimum(solid_m, _hit(solid, origin, rays))
    range_m = np.minimum(ground_m, solid_m)
    seen = np.isfinite(range_m)
    noisy_m = range_m[seen] + np.random.default_rng(seed).normal(0, noise_m, int(seen.sum()))
    local = base_from_lidar.inverse().rotate(rays[seen] * noisy_m[:, None])
    solid = solid_m[seen] < ground_m[seen]
    return Seen(PointCloud(0, sensor, sensor, local.astype(np.float32)), ~solid, solid)


def _above(field: HeightField, origin: Array, rays: Array, range_m: Array) -> Array:
    """(N, K) how high each ray is above the field at each range."""
    x, y = (origin[i] + rays[:, i : i + 1] * range_m for i in (0, 1))
    return np.asarray(origin[2] + rays[:, 2:] * range_m - field(x, y))
