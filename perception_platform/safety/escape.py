"""Which motions lead a stopped robot out: those that bring it nowhere nearer than it may be.

The proof is a simulation. The footprint is moved along the commanded motion, for as far as the robot may come before
the next look at its surroundings has stopped it; every 2 cm the separations are measured again:

* to what the stop rests on (points and tracks in a stop zone, and the tracks and points that findings name), point by
  point: it must never shrink from one pose to the next;
* to all raw points, and for ``ahead_m`` further: the least of them must not fall below ``beside_m``, nor, where it is
  less already, below what it is;
* to each other track, where it is and where it will be if it keeps its velocity, as far: neither below ``beside_m`` nor
  below what it would have come to if the robot stood still.

Everything is refused that cannot be measured: a comparison with a NaN is false.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, points_in_polygon
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Finding, NearObjects, Reason
from perception_platform.safety.config import Drive, GateConfig

STEP_M = 0.02  # way of the footprint's fastest point from one pose to the next
ROUNDING_M = 1e-6
LEAST_MPS = 1e-6  # slower is no motion
PREDICTED_S = 2.0  # for how long a track is taken to keep its velocity
OUTLINE_M = 0.05  # between two points on the outline of a track
Motion = tuple[float, float, float]  # vx, vy, yaw rate in the base frame; m/s, rad/s


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an escape has to keep away from, in the base frame as of now.

    Attributes:
        points_m: (P, 2) raw points outside the footprint.
        causes_m: (S, 2) those points, and points on the outlines of tracks, that the stop rests on.
        outlines_m: (T, 2) points on the outlines of tracks.
        velocities_mps: (T, 2) their velocities over ground.
    """

    points_m: Array
    causes_m: Array
    outlines_m: Array
    velocities_mps: Array


def escape_motion(command: Motion, config: GateConfig) -> Motion | None:
    """The commanded motion as the drive can make it, slowed down for an escape; None for one that leads nowhere.

    No point of the footprint is faster than ``escape_mps``; the way stays the same.
    """
    vx, vy, yaw_rate = command
    if config.drive is not Drive.OMNIDIRECTIONAL:
        vy = 0.0
    if config.drive is Drive.ACKERMANN and not vx:
        return None
    fastest_mps = _fastest_mps((vx, vy, yaw_rate), config)
    if not fastest_mps > LEAST_MPS:
        return None
    share = min(1.0, config.escape_mps / fastest_mps)
    return (vx * share, vy * share, yaw_rate * share)


def is_escape(motion: Motion, around: Surroundings, delay_s: float, config: GateConfig) -> bool:
    """Whether a motion keeps every separation, by the rules above.

    Args:
        motion: from ``escape_motion``.
        around: the surroundings.
        delay_s: from the measurement of the surroundings to the beginning of braking.
        config: the robot.
    """
    speed_mps = _fastest_mps(motion, config)
    stopping_m = speed_mps * delay_s + speed_mps**2 / (2 * config.service_decel_mps2)
    steps = math.ceil((stopping_m + config.ahead_m) / STEP_M)
    times_s: Array = STEP_M * np.arange(1.0, steps + 1) / speed_mps
    until_stop_s = times_s[: math.ceil(stopping_m / STEP_M)]
    return (
        _leaves_causes(motion, until_stop_s, around, config)
        and _clears_points(motion, times_s, around, config)
        and _clears_tracks(motion, times_s, around, config)
    )


def escape_reach_m(config: GateConfig) -> float:
    """How far from the footprint points may lie that an escape has to mind, and some more."""
    return config.ahead_m + config.beside_m + 1.0


def is_located(findings: Iterable[Finding], near: NearObjects) -> bool:
    """Whether each stop says where its cause is: by points, or by tracks whose outlines are known."""
    known = set(near.track_ids.tolist())
    return all(
        f.points_m or (f.track_ids and known.issuperset(f.track_ids))
        for f in findings
        if f.action <= Action.STOP and f.reason is not Reason.HOLD
    )


def look_around(
    clouds: Iterable[PointCloud],
    near: NearObjects,
    findings: Sequence[Finding],
    ego: EgoState,
    config: GateConfig,
    *,
    now_ns: int,
) -> Surroundings:
    """What is near enough to matter, brought to where the robot is now.

    Args:
        clouds: fresh obstacle points in the base frame.
        near: outlines of the tracks near the robot.
        findings: of the beat; those that ask for a stop name what the robot must not come nearer to.
        ego: fresh odometry.
        config: the robot.
        now_ns: time, ns.
    """
    points_m = np.concatenate(
        [_where_now(_outside(cloud, config), ego, cloud.t_ns, now_ns) for cloud in clouds]
        + [np.zeros((0, 2))]
    )
    stops = [f for f in findings if f.action <= Action.STOP]
    named = np.array([p[:2] for f in stops for p in f.points_m], dtype=np.float64).reshape(-1, 2)
    blamed = np.isin(near.track_ids, [i for f in stops for i in f.track_ids])
    outlines = [_outline(corners_m) for corners_m in near.corners_m]
    owners = np.repeat(np.arange(len(near)), [len(outline_m) for outline_m in outlines])
    outlines_m = np.concatenate([*outlines, np.zeros((0, 2))])
    everything_m = np.concatenate([points_m, outlines_m])
    in_zone = np.zeros(len(everything_m), dtype=np.bool_)
    for zone_m in config.stop_zones_m:
        in_zone |= points_in_polygon(everything_m, zone_m)
    causes_m = np.concatenate([everything_m[in_zone], outlines_m[blamed[owners]], named])
    return Surroundings(points_m, causes_m, outlines_m, near.velocities_mps[owners])


def escape_finding(motion: Motion, around: Surroundings, config: GateConfig) -> Finding:
    """What lets a stopped robot move, with the least separation that it is based on."""
    everything_m = np.concatenate([around.points_m, around.outlines_m])
    least_m = float(_distance_m(everything_m, config).min(initial=math.inf))
    vx, vy, yaw_rate = motion
    return Finding(
        Reason.ESCAPE,
        Action.LIMIT,
        config.escape_mps,
        quantity="least separation",
        value=least_m,
        threshold=config.beside_m,
        unit="m",
        text=f"moving by {vx:.2f}, {vy:.2f} m/s, {yaw_rate:.2f} rad/s leads away from everything: "
        f"at most {config.escape_mps:.2f} m/s",
    )


def seen_from(points_m: Array, motion: Motion, times_s: Array) -> Array:
    """Points (..., N, 2) of the base frame as they lie in it after a motion of constant speed and turn rate.

    Args:
        points_m: (N, 2), or (K, N, 2) where they differ from time to time.
        motion: of the robot.
        times_s: (K,) how long it has lasted.

    Returns:
        (K, N, 2).
    """
    vx, vy, yaw_rate = motion
    half = yaw_rate * times_s / 2
    chord_s = times_s * np.sinc(half / np.pi)  # along the direction half-way through the turn
    c, s = np.cos(half), np.sin(half)
    moved_m = np.stack([(vx * c - vy * s) * chord_s, (vx * s + vy * c) * chord_s], axis=-1)
    c, s = np.cos(2 * half), np.sin(2 * half)
    back = np.stack([np.stack([c, -s], axis=-1), np.stack([s, c], axis=-1)], axis=-2)
    return np.asarray((points_m - moved_m[:, None]) @ back)


def _leaves_causes(motion: Motion, times_s: Array, around: Surroundings, config: GateConfig) -> bool:
    """Away from all that the stop rests on, at every pose."""
    causes_m = around.causes_m
    first_m = _distance_m(causes_m, config)
    if not (_distance_m(seen_from(causes_m, motion, times_s[:1]), config) >= first_m - ROUNDING_M).all():
        return False  # what is told to drive on towards an obstacle is refused at little cost
    distances_m = _distance_m(seen_from(causes_m, motion, times_s), config)
    return bool((np.diff(distances_m, axis=0) >= -ROUNDING_M).all())


def _clears_points(motion: Motion, times_s: Array, around: Surroundings, config: GateConfig) -> bool:
    """What is nearest keeps its distance."""
    points_m = around.points_m
    least_m = min(float(_distance_m(points_m, config).min(initial=np.inf)), config.beside_m)
    return bool((_distance_m(seen_from(points_m, motion, times_s), config) >= least_m - ROUNDING_M).all())


def _clears_tracks(motion: Motion, times_s: Array, around: Surroundings, config: GateConfig) -> bool:
    """Tracks are kept away from where they are, and where they will be."""
    lasting_s = np.minimum(times_s, PREDICTED_S)[:, None, None]
    still_m = np.broadcast_to(around.outlines_m, (len(times_s), *around.outlines_m.shape))
    for then_m in (still_m, still_m + around.velocities_mps * lasting_s):
        standing_m = np.minimum.accumulate(_distance_m(then_m, config), axis=0)
        moving_m = _distance_m(seen_from(then_m, motion, times_s), config)
        if not (moving_m >= np.minimum(standing_m, config.beside_m) - ROUNDING_M).all():
            return False
    return True


def _distance_m(points_m: Array, config: GateConfig) -> Array:
    """Signed distances (...,) of points (..., 2) to the footprint; negative inside it."""
    corners_m = config.footprint_m
    edge = np.roll(corners_m, -1, axis=0) - corners_m
    offset = points_m[..., None, :] - corners_m
    along = offset[..., 0] * edge[:, 0] + offset[..., 1] * edge[:, 1]
    share = np.clip(along / (edge[:, 0] ** 2 + edge[:, 1] ** 2), 0.0, 1.0)
    apart = np.hypot(offset[..., 0] - share * edge[:, 0], offset[..., 1] - share * edge[:, 1]).min(axis=-1)
    inside = points_in_polygon(points_m.reshape(-1, 2), corners_m).reshape(apart.shape)
    return np.asarray(np.where(inside, -apart, apart))


def _fastest_mps(motion: Motion, config: GateConfig) -> float:
    """Speed of the fastest corner of the footprint."""
    vx, vy, yaw_rate = motion
    x_m, y_m = config.footprint_m.T
    return float(np.hypot(vx - yaw_rate * y_m, vy + yaw_rate * x_m).max())


def _outside(cloud: PointCloud, config: GateConfig) -> Array:
    """Points (N, 2) near the footprint, without those within it, which are the robot's own."""
    reach_m = escape_reach_m(config)
    low_m, high_m = config.footprint_m.min(axis=0) - reach_m, config.footprint_m.max(axis=0) + reach_m
    xy_m = cloud.xyz_m[:, :2]
    far = (xy_m < low_m) | (xy_m > high_m)  # a NaN is not far
    near_m = xy_m[~far.any(axis=1)].astype(np.float64)
    return np.asarray(near_m[~points_in_polygon(near_m, config.footprint_m)])


def _where_now(points_m: Array, ego: EgoState, t_ns: int, now_ns: int) -> Array:
    """Points measured some time ago, as they lie now that the robot has moved on."""
    motion = (*ego.velocity_mps, ego.yaw_rate_radps)
    return np.asarray(seen_from(points_m, motion, np.array([to_s(now_ns - t_ns)]))[0])


def _outline(corners_m: Array) -> Array:
    """Points (N, 2) along the edges of a box (4, 2)."""
    edges = np.roll(corners_m, -1, axis=0) - corners_m
    sides = zip(corners_m, edges, strict=True)
    return np.concatenate([a + edge * _shares(float(np.hypot(*edge)))[:, None] for a, edge in sides])


def _shares(length_m: float) -> Array:
    count = math.ceil(max(length_m, OUTLINE_M) / OUTLINE_M) if math.isfinite(length_m) else 1
    return np.arange(count) / count
