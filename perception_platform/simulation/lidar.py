"""Lidars and laser scanners: which rays they cast when, and what noise makes of the ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import PointCloud
from perception_platform.robot.sensors import Lidar, Scan
from perception_platform.simulation.air import Air, Echo, through_dust, through_rain
from perception_platform.simulation.raycast import FLOOR, Fans
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.surfaces import cast_to_echoes

# Beams are spread evenly between the lowest and the highest, which simplifies VLP-32C, HDL-64E and VLS-128. Lidars of
# which nobody says get the span of an Ouster OS1.
OUSTER_SPAN_DEG = (-22.5, 22.5)
GRID_M = 2.0**-7  # points lie on a grid of 8 mm, finer than the noise; recordings pack a third smaller
FAINTEST = 0.06  # faintest echo that is seen, where a white target at the longest range gives 1
SCAN_FIELD_RAD = np.deg2rad(270.0)
SCAN_BEAMS = 541


@dataclass(frozen=True, slots=True)
class LidarNoise:
    """Errors of the ranges.

    Attributes:
        range_sigma_m: standard deviation of each range.
        dropout: share of echoes that are lost.
    """

    range_sigma_m: float = 0.012
    dropout: float = 0.005


@dataclass(frozen=True, slots=True)
class ScanReading:
    """One turn of a 2D scanner, taken at one moment: ranges (N,) by angle, inf where nothing came back."""

    t_ns: int
    sensor: str
    first_angle_rad: float
    angle_step_rad: float
    ranges_m: Array


def beam_elevations_rad(sensor: Lidar) -> Array:
    """(B,) elevations of a lidar's beams, from the lowest."""
    low, high = sensor.beam_span_deg or OUSTER_SPAN_DEG
    return np.deg2rad(np.linspace(low, high, sensor.beams))


def fans_of(
    azimuths_rad: Array, elevations_rad: Array, share: Array, bases: Array, base_from_sensor: Transform
) -> Fans:
    """The rays of a spinning sensor, one fan an azimuth.

    Args:
        azimuths_rad: (C,) counter-clockwise from the sensor's x axis.
        elevations_rad: (B,).
        share: (C,) moment of each fan within the sweep, 0 to 1.
        bases: (C, 3 or more) x, y, yaw of the base frame at those moments.
        base_from_sensor: the sensor's mounting.
    """
    ca, sa, zero = np.cos(azimuths_rad), np.sin(azimuths_rad), np.zeros_like(azimuths_rad)
    rays = sensor_rays(azimuths_rad, elevations_rad)
    c, s = np.cos(bases[:, 2]), np.sin(bases[:, 2])
    turns = np.stack(
        [np.stack([c, -s, zero], -1), np.stack([s, c, zero], -1), np.tile([0.0, 0, 1], (len(c), 1))], 1
    )
    rotations = turns @ base_from_sensor.rotation
    origins = turns @ base_from_sensor.translation_m
    origins[:, :2] += bases[:, :2]
    return Fans(
        origins,
        rays @ rotations.transpose(0, 2, 1),
        np.einsum("cij,cj->ci", rotations, np.column_stack([ca, sa, zero])),
        np.einsum("cij,cj->ci", rotations, np.column_stack([-sa, ca, zero])),
        share,
    )


def sensor_rays(azimuths_rad: Array, elevations_rad: Array) -> Array:
    """(C, B, 3) unit vectors in the sensor frame."""
    flat, up = np.cos(elevations_rad), np.sin(elevations_rad)
    x, y = np.cos(azimuths_rad)[:, None] * flat, np.sin(azimuths_rad)[:, None] * flat
    return np.stack([x, y, np.broadcast_to(up, x.shape)], axis=-1)


def sweep(
    scene: Scene,
    sensor: Lidar,
    t_s: float,
    *,
    columns: int = 600,
    noise: LidarNoise | None = None,
    air: Air | None = None,
) -> PointCloud:
    """One turn of a 3D lidar that ends at ``t_s``, in the sensor frame at each point's own time.

    Args:
        scene: world and drive.
        sensor: the lidar, as the robot file has it.
        t_s: end of the sweep, seconds from the scene's start.
        columns: firings a turn; a field of view below 360 degrees takes part of them.
        noise: errors of the ranges.
        air: rain and dust.
    """
    period_s = 1.0 / sensor.rate_hz
    turn = np.arange(columns) / columns * 360.0 - 180.0
    seen = np.flatnonzero((turn >= sensor.field_of_view_deg[0]) & (turn <= sensor.field_of_view_deg[1]))
    azimuths, elevations = np.deg2rad(turn[seen]), beam_elevations_rad(sensor)
    share = (seen + 1) / columns
    bases = scene.trajectory.states_at(t_s - period_s * (1 - share))
    fans = fans_of(azimuths, elevations, share, bases, sensor.mounting.transform())
    rng = scene.noise(sensor.name, t_s)
    echoes = _echoes(scene, fans, (t_s - period_s, t_s), air, rng)
    ranges, intensity = _measured(echoes, sensor.range_m, noise or LidarNoise(), rng)
    column, ring = np.nonzero(np.isfinite(ranges))
    points = sensor_rays(azimuths, elevations)[column, ring] * ranges[column, ring, None]
    return PointCloud(
        scene.stamp_ns(t_s),
        frame_id=sensor.name,
        sensor=sensor.name,
        xyz_m=(np.round(points / GRID_M) * GRID_M).astype(np.float32),
        intensity=intensity[column, ring].astype(np.float32),
        ring=ring.astype(np.uint16),
        offset_s=(period_s * (share[column] - 1)).astype(np.float32),
    )


def scan(
    scene: Scene, sensor: Scan, t_s: float, *, noise: LidarNoise | None = None, air: Air | None = None
) -> ScanReading:
    """One turn of a 2D scanner: 270 degrees in steps of half a degree, all at ``t_s``."""
    angles = np.linspace(-SCAN_FIELD_RAD / 2, SCAN_FIELD_RAD / 2, SCAN_BEAMS)
    bases = np.repeat(scene.trajectory.states_at(np.array([t_s])), SCAN_BEAMS, axis=0)
    fans = fans_of(angles, np.zeros(1), np.ones(SCAN_BEAMS), bases, sensor.mounting.transform())
    rng = scene.noise(sensor.name, t_s)
    echoes = _echoes(scene, fans, (t_s, t_s), air, rng)
    ranges, _ = _measured(echoes, sensor.range_m, noise or LidarNoise(), rng)
    step = float(angles[1] - angles[0])
    on_grid = np.round(ranges[:, 0] / GRID_M) * GRID_M
    return ScanReading(scene.stamp_ns(t_s), sensor.name, float(angles[0]), step, on_grid)


@dataclass(frozen=True, slots=True)
class _Echoes:
    """Of each ray (C, B): range, inf without a hit; reflectivity of what it hit; share of light kept on the way."""

    range_m: Array
    reflectivity: Array
    kept: Array


def _echoes(
    scene: Scene, fans: Fans, span_s: tuple[float, float], air: Air | None, rng: np.random.Generator
) -> _Echoes:
    """Cast a sweep's rays. Floor echoes fade with the sine of the grazing angle; solids face the ray."""
    world = scene.world
    end = world.solids_at(span_s[1])
    start = end if span_s[0] == span_s[1] else world.solids_at(span_s[0])
    hits = cast_to_echoes(fans, start, end)
    # NOTHING and FLOOR are negative: they pick the last two rows.
    reflectivity = np.append(end.reflectivity, [0.0, world.floor_reflectivity])[hits.index]
    kept = np.where(hits.index == FLOOR, -fans.directions[..., 2], 1.0)
    if air is None or air.is_clear:
        return _Echoes(hits.range_m, reflectivity, kept)
    echo = _through_air(Echo(hits.range_m, reflectivity * kept), fans, air, span_s[1], rng)
    return _Echoes(echo.range_m, np.clip(echo.strength, 0.0, 1.0), np.ones_like(kept))


def _through_air(echo: Echo, fans: Fans, air: Air, t_s: float, rng: np.random.Generator) -> Echo:
    for cloud in air.dust:
        if cloud.from_s <= t_s < cloud.until_s:
            echo = through_dust(echo, fans.origins_m, fans.directions, cloud, rng)
    return through_rain(echo, air.rain_mm_h, rng) if air.rain_mm_h > 0 else echo


def _measured(
    echoes: _Echoes, limits_m: tuple[float, float], noise: LidarNoise, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Ranges (C, B), inf where nothing is seen, and intensities in steps of 1/16."""
    shape = echoes.range_m.shape
    ranges = echoes.range_m + noise.range_sigma_m * rng.standard_normal(shape)
    power = echoes.reflectivity * echoes.kept * (limits_m[1] / np.maximum(echoes.range_m, 0.1)) ** 2
    seen = (ranges >= limits_m[0]) & (ranges <= limits_m[1]) & (power >= FAINTEST)
    seen &= rng.random(shape) >= noise.dropout
    brightness = np.clip(echoes.reflectivity + 0.02 * rng.standard_normal(shape), 0.0, 1.0)
    return np.where(seen, ranges, np.inf), np.round(brightness * 16) / 16
