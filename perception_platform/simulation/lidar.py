"""Lidars and laser scanners: which rays they cast when, and what noise makes of the ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import PointCloud
from perception_platform.robot.sensors import Lidar, Scan
from perception_platform.runtime.compiled import compiled
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
    c, s = np.cos(bases[:, 2]), np.sin(bases[:, 2])
    ca, sa, still = np.cos(azimuths_rad), np.sin(azimuths_rad), base_from_sensor.rotation
    # Rows of each fan's own world_from_sensor, and what they make of a ray (ca f, sa f, u).
    rows = (
        c[:, None] * still[0] - s[:, None] * still[1],
        s[:, None] * still[0] + c[:, None] * still[1],
        still[2:],
    )
    flat, up = np.cos(elevations_rad), np.sin(elevations_rad)
    ahead = np.stack([row[:, 0] * ca + row[:, 1] * sa for row in rows], axis=1)
    normals = np.stack([row[:, 1] * ca - row[:, 0] * sa for row in rows], axis=1)
    directions = np.empty((len(ca), len(flat), 3))
    for axis, row in enumerate(rows):
        directions[:, :, axis] = ahead[:, axis, None] * flat + row[:, 2, None] * up
    x_m, y_m, z_m = base_from_sensor.translation_m
    origins = np.column_stack(
        [x_m * c - y_m * s + bases[:, 0], x_m * s + y_m * c + bases[:, 1], np.full_like(c, z_m)]
    )
    return Fans(origins, directions, ahead, normals, share)


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
    returned = _Returns.empty(int(np.isfinite(ranges).sum()))
    _fill(
        ranges, intensity, np.cos(azimuths), np.sin(azimuths), np.cos(elevations), np.sin(elevations),
        returned.xyz_m, returned.intensity, returned.ring, returned.column,
    )  # fmt: skip
    return PointCloud(
        scene.stamp_ns(t_s),
        frame_id=sensor.name,
        sensor=sensor.name,
        xyz_m=returned.xyz_m,
        intensity=returned.intensity,
        ring=returned.ring,
        offset_s=(period_s * (share[returned.column] - 1)).astype(np.float32),
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
    ranges, lost = rng.standard_normal(shape), rng.random(shape)
    brightness = rng.standard_normal(shape)
    _measure(
        echoes.range_m, echoes.reflectivity, echoes.kept, lost, *limits_m, noise.range_sigma_m, noise.dropout,
        ranges, brightness,
    )  # fmt: skip
    return ranges, brightness


@compiled(
    "void(float64[:,::1], float64[:,::1], float64[:,::1], float64[:,::1], float64, float64, float64, float64,"
    " float64[:,::1], float64[:,::1])",
    finite=False,
)
def _measure(
    range_m: Array,
    reflectivity: Array,
    kept: Array,
    lost: Array,
    nearest_m: float,
    farthest_m: float,
    sigma_m: float,
    dropout: float,
    ranges: Array,
    brightness: Array,
) -> None:
    """Turn normal noise into measured ``ranges`` and ``brightness``; ``lost`` is drawn evenly from 0 to 1."""
    for c in range(range_m.shape[0]):
        for b in range(range_m.shape[1]):
            measured = range_m[c, b] + sigma_m * ranges[c, b]
            fading = farthest_m / max(range_m[c, b], 0.1)
            power = reflectivity[c, b] * kept[c, b] * (fading * fading)
            seen = nearest_m <= measured <= farthest_m and power >= FAINTEST and lost[c, b] >= dropout
            ranges[c, b] = measured if seen else np.inf
            light = min(max(reflectivity[c, b] + 0.02 * brightness[c, b], 0.0), 1.0)
            brightness[c, b] = np.rint(light * 16) / 16


@dataclass(frozen=True, slots=True)
class _Returns:
    """What came back, N points: position in the sensor frame, intensity, beam and column."""

    xyz_m: npt.NDArray[np.float32]
    intensity: npt.NDArray[np.float32]
    ring: npt.NDArray[np.uint16]
    column: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, count: int) -> _Returns:
        row = np.empty(count, np.float32)
        return cls(
            np.empty((count, 3), np.float32), row, np.empty(count, np.uint16), np.empty(count, np.int64)
        )


@compiled(
    "void(float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64[::1], float64[::1], float32[:,::1],"
    " float32[::1], uint16[::1], int64[::1])",
    finite=False,
)
def _fill(
    ranges: Array,
    brightness: Array,
    cos_azimuth: Array,
    sin_azimuth: Array,
    cos_elevation: Array,
    sin_elevation: Array,
    xyz_m: npt.NDArray[np.float32],
    intensity: npt.NDArray[np.float32],
    ring: npt.NDArray[np.uint16],
    column: npt.NDArray[np.int64],
) -> None:
    """Fill in the N points of the finite ``ranges`` (C, B), column by column."""
    n = 0
    for c in range(ranges.shape[0]):
        for b in range(ranges.shape[1]):
            r = ranges[c, b]
            if r < np.inf:
                xyz_m[n, 0] = np.rint(cos_azimuth[c] * cos_elevation[b] * r / GRID_M) * GRID_M
                xyz_m[n, 1] = np.rint(sin_azimuth[c] * cos_elevation[b] * r / GRID_M) * GRID_M
                xyz_m[n, 2] = np.rint(sin_elevation[b] * r / GRID_M) * GRID_M
                intensity[n], ring[n], column[n] = brightness[c, b], b, c
                n += 1
