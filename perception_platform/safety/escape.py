"""Which motions lead a stopped robot out: those that bring it nowhere nearer than it may be.

The proof is a simulation. The footprint is moved along the commanded motion, for as far as the robot may come before
the next look at its surroundings has stopped it; every 2 cm the separations are measured again:

* to what the stop rests on (points and tracks in a stop zone, and the tracks and points that findings name), point by
  point: it must never shrink from one pose to the next;
* to all raw points, and for ``ahead_m`` further: the least of them must not fall below ``beside_m``, nor, where it is
  less already, below what it is;
* to each other track, where it is and where it will be if it keeps its velocity, as far: neither below ``beside_m`` nor
  below what it would have come to if the robot stood still.

Everything is refused that cannot be measured: what is no finite number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, points_in_polygon
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Finding, NearObjects, Reason
from perception_platform.safety.config import Drive, GateConfig
from perception_platform.safety.footprint import (
    CELL_RADIUS_M,
    ROUNDING_M,
    Motion,
    cells,
    distance_m,
    fastest_mps,
    least_distance_m,
    seen_from,
    within_edges,
)

STEP_M = 0.02  # way of the footprint's fastest point from one pose to the next
SURE_M = ROUNDING_M / 2  # the rest of what is allowed for rounding is left to the lines along edges
BLOCK = 512  # points measured together; the first block in which one comes too near ends it
LEAST_MPS = 1e-6  # slower is no motion
MOST_LOOKS = 100_000  # at points of tracks that pass close by; more would take longer than a beat has
PREDICTED_S = 2.0  # for how long a track is taken to keep its velocity
OUTLINE_M = 0.05  # between two points on the outline of a track


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
    speed_mps = fastest_mps((vx, vy, yaw_rate), config.footprint_m)
    if not speed_mps > LEAST_MPS:
        return None
    share = min(1.0, config.escape_mps / speed_mps)
    return (vx * share, vy * share, yaw_rate * share)


def is_escape(motion: Motion, around: Surroundings, delay_s: float, config: GateConfig) -> bool:
    """Whether a motion keeps every separation, by the rules above.

    Args:
        motion: from ``escape_motion``.
        around: the surroundings.
        delay_s: from the measurement of the surroundings to the beginning of braking.
        config: the robot.
    """
    measured = (around.points_m, around.causes_m, around.outlines_m, around.velocities_mps)
    if not all(np.isfinite(values).all() for values in measured):
        return False
    speed_mps = fastest_mps(motion, config.footprint_m)
    stopping_m = speed_mps * delay_s + speed_mps**2 / (2 * config.least_service_mps2)
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
    outlines_m, owners = _outlines(near.corners_m)
    everything_m = np.concatenate([points_m, outlines_m])
    in_zone = np.zeros(len(everything_m), dtype=np.bool_)
    for zone_m in config.stop_zones_m:
        in_zone |= points_in_polygon(everything_m, zone_m)
    causes_m = np.concatenate([everything_m[in_zone], outlines_m[blamed[owners]], named])
    return Surroundings(points_m, causes_m, outlines_m, near.velocities_mps[owners])


def escape_finding(motion: Motion, around: Surroundings, config: GateConfig) -> Finding:
    """What lets a stopped robot move, with the least separation that it is based on."""
    everything_m = np.concatenate([around.points_m, around.outlines_m])
    least_m = least_distance_m(everything_m, config.footprint_m)
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


def _leaves_causes(motion: Motion, times_s: Array, around: Surroundings, config: GateConfig) -> bool:
    """Away from all that the stop rests on, at every pose."""
    since_s = np.concatenate([[0.0], times_s])

    def gains_m(points_m: Array) -> Array:
        return np.diff(distance_m(seen_from(points_m, motion, since_s), config.footprint_m), axis=0)

    middles_m, cell = cells(around.causes_m)
    doubtful = np.asarray((gains_m(middles_m) < 2 * CELL_RADIUS_M).any(axis=0))
    return _each_block(around.causes_m[doubtful[cell]], lambda block_m: gains_m(block_m) >= -ROUNDING_M)


def _clears_points(motion: Motion, times_s: Array, around: Surroundings, config: GateConfig) -> bool:
    """What is nearest keeps its distance."""
    corners_m = config.footprint_m
    least_m = min(least_distance_m(around.points_m, corners_m), config.beside_m)

    def within(points_m: Array, bound_m: float) -> npt.NDArray[np.bool_]:
        still_mps, bounds_m = np.zeros_like(points_m), np.full(len(points_m), bound_m)
        return within_edges(points_m, still_mps, bounds_m, motion, (times_s, times_s), corners_m)

    middles_m, cell = cells(around.points_m)
    near_m = around.points_m[within(middles_m, least_m + CELL_RADIUS_M)[cell]]
    near_m = near_m[within(near_m, least_m - SURE_M)]
    return _each_block(
        near_m,
        lambda block_m: distance_m(seen_from(block_m, motion, times_s), corners_m) >= least_m - ROUNDING_M,
    )


def _clears_tracks(motion: Motion, times_s: Array, around: Surroundings, config: GateConfig) -> bool:
    """Tracks are kept away from where they are, and where they will be.

    One that moves is looked at each 2 cm of its way and the robot's together. More than can be looked at is refused.
    """
    corners_m, outlines_m, step_s = config.footprint_m, around.outlines_m, float(times_s[0])
    speeds_mps = np.hypot(*around.velocities_mps.T)
    first_m = np.minimum(distance_m(outlines_m, corners_m), config.beside_m)
    for velocities_mps, bounds_m in (
        (np.zeros_like(around.velocities_mps), first_m),
        (around.velocities_mps, config.beside_m + speeds_mps * step_s),  # so far it comes between two looks
    ):
        lasting_s = (times_s, np.minimum(times_s, PREDICTED_S))
        left = within_edges(outlines_m, velocities_mps, bounds_m - SURE_M, motion, lasting_s, corners_m)
        apart_mps = np.hypot(*velocities_mps[left].T).max(initial=0.0)
        finer = 1 + math.ceil(apart_mps * step_s / STEP_M)
        if finer * len(times_s) * np.count_nonzero(left) > MOST_LOOKS:
            return False
        looks_s = np.arange(1, finer * len(times_s) + 1) * (step_s / finer)
        then_m = outlines_m[left] + velocities_mps[left] * np.minimum(looks_s, PREDICTED_S)[:, None, None]
        standing_m = np.minimum.accumulate(distance_m(then_m, corners_m), axis=0)
        moving_m = distance_m(seen_from(then_m, motion, looks_s), corners_m)
        if not (moving_m >= np.minimum(standing_m, config.beside_m) - ROUNDING_M).all():
            return False
    return True


def _each_block(points_m: Array, holds: Callable[[Array], npt.NDArray[np.bool_]]) -> bool:
    """Whether something holds for all points (N, 2); it ends with the first block of which one fails."""
    return all(holds(points_m[i : i + BLOCK]).all() for i in range(0, len(points_m), BLOCK))


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


def _outlines(corners_m: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """Points (N, 2) along the edges of boxes (T, 4, 2), and which box each belongs to."""
    edges_m = (np.roll(corners_m, -1, axis=1) - corners_m).reshape(-1, 2)
    length_m = np.hypot(*edges_m.T)
    finite_m = np.where(np.isfinite(length_m), length_m, 0.0)
    counts = np.ceil(np.maximum(finite_m, OUTLINE_M) / OUTLINE_M).astype(np.intp)
    edge = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    return corners_m.reshape(-1, 2)[edge] + edges_m[edge] * (nth / counts[edge])[:, None], edge // 4
