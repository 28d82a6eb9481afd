"""Sweeps made by casting a spinning lidar's beams on a ground plane and on boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Detections
from perception_platform.core.sensor_data import PointCloud

VLP16_RAD = np.deg2rad(np.linspace(-15, 15, 16))
HDL64_RAD = np.deg2rad(np.linspace(-24.8, 2.0, 64))


@dataclass(frozen=True)
class Solid:
    """A box on the ground: centre, (length, width, height) and heading, in the base frame."""

    x_m: float
    y_m: float
    size_m: tuple[float, float, float]
    yaw_rad: float = 0.0
    bottom_m: float = 0.0


PERSON_SIZE_M = (0.4, 0.5, 1.75)
CAR_SIZE_M = (4.2, 1.8, 1.5)


def sweep(
    solids: list[Solid],
    base_from_lidar: Transform,
    sensor: str,
    beams_rad: Array = VLP16_RAD,
    azimuths: int = 600,
    slope: float = 0.0,
    noise_m: float = 0.01,
    seed: int = 0,
) -> PointCloud:
    """A sweep in the lidar's frame; the ground rises by ``slope`` along x from 3 m ahead on."""
    azimuth, elevation = np.meshgrid(np.arange(azimuths) * 2 * np.pi / azimuths, beams_rad)
    rays = np.stack(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], axis=-1
    ).reshape(-1, 3)
    origin = base_from_lidar.translation_m
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = np.where(rays[:, 2] < 0, -origin[2] / rays[:, 2], np.inf)
        rise = (origin[2] - slope * (origin[0] - 3.0)) / (slope * rays[:, 0] - rays[:, 2])
    x_flat, x_rise = (np.nan_to_num(origin[0] + rays[:, 0] * r, posinf=1e9) for r in (flat, rise))
    flat = np.where((x_flat <= 3.0) | (slope == 0), flat, np.inf)
    range_m = np.where((x_rise > 3.0) & (rise > 0) & (slope != 0), np.minimum(flat, rise), flat)
    for solid in solids:
        range_m = np.minimum(range_m, _hit(solid, origin, rays))
    hit = range_m < 70
    noisy = range_m[hit] + np.random.default_rng(seed).normal(0.0, noise_m, int(hit.sum()))
    return PointCloud(0, sensor, sensor, (rays[hit] * noisy[:, None]).astype(np.float32))


def _hit(solid: Solid, origin: Array, rays: Array) -> Array:
    """Range at which each ray meets a solid, infinite where it misses (slab method)."""
    solid_from_base = Transform.planar(solid.x_m, solid.y_m, solid.yaw_rad).inverse()
    start, direction = solid_from_base.apply(origin[None]), solid_from_base.rotate(rays)
    half = 0.5 * np.array(solid.size_m)
    middle = np.array([0.0, 0.0, solid.bottom_m + half[2]])
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (middle - half - start) / direction, (middle + half - start) / direction
    enter, leave = np.minimum(first, second).max(axis=1), np.maximum(first, second).min(axis=1)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)


def nearest_to(detections: Detections, x_m: float, y_m: float) -> int:
    """Which detection's centre is nearest to a place."""
    return int(np.hypot(detections.centers_m[:, 0] - x_m, detections.centers_m[:, 1] - y_m).argmin())


def is_valid(detections: Detections) -> bool:
    """Whether every number is finite and every covariance positive."""
    numbers = (detections.centers_m, detections.sizes_m, detections.yaws_rad, detections.scores)
    finite = all(np.isfinite(n).all() for n in (*numbers, detections.position_cov_m2))
    return finite and bool((np.linalg.eigvalsh(detections.position_cov_m2) > 0).all())
