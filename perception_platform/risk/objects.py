"""How critical each track is for the robot's path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, box_corners, points_in_polygon
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.verdicts import NearObjects, ObjectRisks
from perception_platform.risk.brakes import Brakes
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.measures import (
    post_encroachment_time_s,
    reach_m,
    required_decel_mps2,
    rss_lateral_m,
    rss_longitudinal_m,
    separation_distance_m,
    time_headway_s,
    time_to_collision_accelerating_s,
    time_to_collision_s,
    time_to_collision_sigma_s,
    way_left_m,
)
from perception_platform.risk.path import Path, outline

PREDICTION_STEP_S = 0.1
TIME_GAP_S = 0.5  # an object that leaves the path less than this before the robot comes counts as met
WALKING_MPS = 1.6  # ISO 13855
PERSON_MAX_MPS, PERSON_MAX_MPS2 = 2.0, 0.6  # bounds of pedestrians' motion of Koschi and Althoff 2017
SIDEWAYS_MPS2, SIDEWAYS_BRAKE_MPS2 = 0.2, 0.8  # lateral accelerations of Shalev-Shwartz et al. in ad-rss-lib


def track_corners(tracks: Tracks, ego: EgoState) -> Array:
    """Ground-plane corners (N, 4, 2) of the tracks' boxes in the base frame."""
    base_from_odom = ego.odom_from_base.inverse()
    centers_m = base_from_odom.apply(tracks.centers_m)
    return box_corners(centers_m, tracks.sizes_m, tracks.yaws_rad + base_from_odom.yaw_rad)


def track_velocities(tracks: Tracks, ego: EgoState, config: RiskConfig) -> Array:
    """(N, 2) over ground along the axes of the base frame; nought for what counts as standing."""
    velocities = ego.odom_from_base.inverse().rotate(np.pad(tracks.velocities_mps, ((0, 0), (0, 1))))[:, :2]
    velocities[np.hypot(velocities[:, 0], velocities[:, 1]) < config.moving_mps] = 0.0
    return velocities


def assess_objects(
    tracks: Tracks,
    corners_m: Array,
    velocities: Array,
    ego: EgoState,
    path: Path,
    reaction_s: float,
    brakes: Brakes,
    config: RiskConfig,
) -> tuple[ObjectRisks, Array, Array]:
    """The measures of each of N tracks, and what is taken off each gap (N,) and the speed along the path that is sure.

    An object is in the path when its outline is in the swept band now, or will be at a moment at which the
    robot, at its present speed, is there too. Its way is shortened, and its speed away lowered, by so many sigmas of
    what is known of it.
    """
    along = _along_the_path(tracks, corners_m, velocities, ego, path, config)
    gap_m, closing_mps = along.gap_m, along.closing_mps
    sigma_m, sigma_mps = np.sqrt(along.cov[:, 0, 0]), np.sqrt(along.cov[:, 1, 1])
    # A region is judged by the zones of occlusion.
    doubt_m = np.where(tracks.hidden, 0.0, config.sigmas * sigma_m)
    away_mps = np.maximum(along.along_mps - config.sigmas * sigma_mps, 0.0)
    surely_mps = np.where(along.along_mps > 0, away_mps, along.along_mps)
    way_m = way_left_m(gap_m - doubt_m, surely_mps, reaction_s, config.object_decel_mps2)
    approach_mps = np.maximum(-along.along_mps, 0.0)
    accelerating_s = time_to_collision_accelerating_s(gap_m, closing_mps, along.closing_mps2)
    reach, separation_m = _of_people(tracks, velocities, path, reaction_s, brakes, config, doubt_m)
    rss_gap_m, rss_beside_m = _rss(along.moving, path, reaction_s, brakes, config)
    risks = ObjectRisks(
        track_ids=tracks.ids,
        class_ids=tracks.class_ids,
        in_path=along.in_path,
        gap_m=gap_m,
        distance_m=_distance(corners_m, config.footprint_m),
        closing_mps=closing_mps,
        ttc_s=np.minimum(along.met_s, time_to_collision_s(gap_m, closing_mps)),
        required_decel_mps2=required_decel_mps2(path.speed_mps, approach_mps, way_m, reaction_s),
        speed_limit_mps=brakes.safe_speed_mps(way_m - config.ahead_m, approach_mps, reaction_s),
        headway_s=time_headway_s(gap_m, path.speed_mps),
        ttc_accelerating_s=accelerating_s,
        ttc_sigma_s=time_to_collision_sigma_s(accelerating_s, closing_mps, along.closing_mps2, along.cov),
        post_encroachment_s=_post_encroachment_s(corners_m, along.moving, path),
        rss_gap_m=rss_gap_m,
        rss_beside_m=rss_beside_m,
        reach_m=reach,
        separation_m=separation_m,
    )
    return risks, doubt_m, surely_mps


@dataclass(frozen=True, slots=True)
class _Along:
    """N tracks as seen along the path.

    Attributes:
        in_path: (N,) whether they are in the swept band, or will be when the robot is there.
        gap_m: (N,) free way to them; infinite for what is not in the path.
        met_s: (N,) when a crossing object will be met; infinite for the others.
        moving: (N, 2) speeds along and across the path, m/s.
        along_mps: (N,) speeds along the path, nought for what only crosses it.
        closing_mps: (N,) by which the gap shrinks; nought for what is not in the path.
        closing_mps2: (N,) how fast that grows, the robot keeping its speed.
        cov: (N, 3, 3) of gap, closing speed and closing acceleration.
    """

    in_path: npt.NDArray[np.bool_]
    gap_m: Array
    met_s: Array
    moving: Array
    along_mps: Array
    closing_mps: Array
    closing_mps2: Array
    cov: Array


def _along_the_path(
    tracks: Tracks, corners_m: Array, velocities: Array, ego: EgoState, path: Path, config: RiskConfig
) -> _Along:
    gap_m, met_s = np.full(len(tracks), np.inf), np.full(len(tracks), np.inf)
    center_m, radius_m = _circles(corners_m)
    now = np.flatnonzero(_may_touch_band(center_m, radius_m, path))
    gap_m[now] = _gap_now(outline(corners_m[now]), path)
    _add_crossings(gap_m, met_s, corners_m, velocities, path, config.horizon_s)
    in_path = np.isfinite(gap_m)
    center_sd = path.coordinates(center_m)
    moving = path.along(center_sd, velocities)
    along_mps = np.where(np.isfinite(met_s), 0.0, moving[:, 0])
    return _Along(
        in_path,
        gap_m,
        met_s,
        moving,
        along_mps,
        closing_mps=np.where(in_path, path.speed_mps - along_mps, 0.0),
        closing_mps2=-_acceleration_along(tracks, ego, path, center_sd[:, 0]),
        cov=_cov_along(tracks, ego, path, center_sd[:, 0], config),
    )


def _rss(
    moving: Array, path: Path, reaction_s: float, brakes: Brakes, config: RiskConfig
) -> tuple[Array, Array]:
    """Least safe gaps (N,) along the path and beside it."""
    ahead_m = rss_longitudinal_m(
        path.speed_mps, moving[:, 0], reaction_s, 0.0, brakes.at(path.speed_mps), config.object_decel_mps2
    )
    beside_m = rss_lateral_m(
        0.0, np.abs(moving[:, 1]), reaction_s, SIDEWAYS_MPS2, SIDEWAYS_BRAKE_MPS2, config.beside_m
    )
    return ahead_m, beside_m


def _of_people(
    tracks: Tracks,
    velocities: Array,
    path: Path,
    reaction_s: float,
    brakes: Brakes,
    config: RiskConfig,
    doubt_m: Array,
) -> tuple[Array, Array]:
    """How far (N,) a person gets until the robot stands, infinite for the rest; and the protective separation (N,)."""
    decel_mps2 = brakes.at(path.speed_mps)
    person = tracks.class_ids == ObjectClass.PERSON
    speed = np.hypot(velocities[:, 0], velocities[:, 1])
    stops_s = reaction_s + path.speed_mps / decel_mps2
    reach = np.where(person, reach_m(stops_s, speed, PERSON_MAX_MPS, PERSON_MAX_MPS2), np.inf)
    walking = np.where(person, np.maximum(speed, WALKING_MPS), speed)
    separation_m = separation_distance_m(
        path.speed_mps, walking, reaction_s, decel_mps2, config.ahead_m, doubt_m
    )
    return reach, separation_m


def _directions(ego: EgoState, path: Path, s_m: Array) -> Array:
    """(N, 2) unit vectors of the fixed frame along the arc at s."""
    angle = (
        ego.odom_from_base.yaw_rad + np.arctan2(path.travel[1], path.travel[0]) + path.curvature_per_m * s_m
    )
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _cov_along(tracks: Tracks, ego: EgoState, path: Path, s_m: Array, config: RiskConfig) -> Array:
    """(N, 3, 3) covariance of gap, closing speed and closing acceleration, the robot's own speed taken to be known."""
    along = _directions(ego, path, s_m)
    blocks = tracks.state_cov.reshape(
        -1, 2, 2, 2, 2
    )  # which of position and speed, which axis, and the same again
    state = np.einsum("ni,naibj,nj->nab", along, blocks, along)
    cov = np.zeros((len(tracks), 3, 3))
    cov[:, :2, :2] = state * np.array([[1.0, -1.0], [-1.0, 1.0]])
    cov[:, 0, 0] += config.position_sigma_m**2
    cov[:, 2, 2] = np.einsum("ni,nij,nj->n", along, tracks.acceleration_cov, along)
    return cov


def _acceleration_along(tracks: Tracks, ego: EgoState, path: Path, s_m: Array) -> Array:
    """(N,) accelerations along the arc."""
    return np.asarray((tracks.accelerations_mps2 * _directions(ego, path, s_m)).sum(axis=1))


def _post_encroachment_s(corners_m: Array, moving: Array, path: Path) -> Array:
    """(N,) of objects that cross the band at their present velocity, the band taken to be straight where they do."""
    sd = path.coordinates(corners_m)
    (s_min, d_min), (s_max, d_max) = sd.min(axis=1).T, sd.max(axis=1).T
    across = np.where(np.abs(moving[:, 1]) > 1e-3, moving[:, 1], np.nan)
    enters = np.where(across > 0, path.right_m - d_max, path.left_m - d_min) / across
    leaves = np.where(across > 0, path.left_m - d_min, path.right_m - d_max) / across
    crosses = (leaves >= 0) & (s_max > path.rear_m)
    object_s = (np.where(crosses, np.maximum(enters, 0.0), np.inf), np.where(crosses, leaves, np.inf))
    speed = max(path.speed_mps, 1e-9)
    arrives = np.maximum(s_min - path.front_s_m.max(), 0.0) / speed
    robot_s = (np.where(path.speed_mps > 0, arrives, np.inf), (s_max - path.rear_m) / speed)
    return post_encroachment_time_s(robot_s, object_s)


def objects_near(
    tracks: Tracks,
    corners_m: Array,
    velocities_mps: Array,
    objects: ObjectRisks,
    named: list[int],
    config: RiskConfig,
) -> NearObjects:
    """Outlines, in the base frame, of the tracks that certainly enough exist within ``near_m`` of the footprint.

    Args:
        tracks: N tracks.
        corners_m: (N, 4, 2) of their boxes in the base frame.
        velocities_mps: (N, 2) along its axes.
        objects: their measures.
        named: ids of tracks that findings name: they are given wherever they are.
        config: the robot.
    """
    near = (objects.distance_m <= config.near_m) & (tracks.existence >= config.min_existence)
    rows = np.flatnonzero(near | np.isin(tracks.ids, named))
    return NearObjects(tracks.ids[rows], corners_m[rows], velocities_mps[rows])


def _circles(corners_m: Array) -> tuple[Array, Array]:
    """Centres (N, 2) and radii (N,) of the circles around boxes."""
    center_m = corners_m.mean(axis=1)
    return center_m, np.asarray(np.linalg.norm(corners_m[:, 0] - center_m, axis=1))


def _may_touch_band(center_m: Array, radius_m: Array, path: Path) -> npt.NDArray[np.bool_]:
    """Which circles of centres (..., 2) may touch the band: cheap, and never wrong about a no."""
    across_m = path.coordinates(center_m)[..., 1]
    return np.asarray((across_m - radius_m < path.left_m) & (across_m + radius_m > path.right_m))


def _gap_now(edges_m: Array, path: Path) -> Array:
    """Free distance (N,) to what is in the band now; infinite for the rest."""
    sd = path.coordinates(edges_m)
    gap_m = np.where(path.in_band(sd), path.gap_m(sd), np.inf)
    return np.asarray(np.maximum(gap_m.min(axis=1, initial=np.inf), 0.0))


def _add_crossings(
    gap_m: Array, ttc_s: Array, corners_m: Array, velocities: Array, path: Path, horizon_s: float
) -> None:
    """Predict moving objects that are not in the band yet; where they will meet the robot, fill in gap and time.

    Changes ``gap_m`` and ``ttc_s`` in place. Objects keep their velocity, the robot keeps its speed.
    """
    moving = np.flatnonzero(np.isinf(gap_m) & (np.abs(velocities).sum(axis=1) > 0))
    if not len(moving) or path.speed_mps == 0.0:
        return
    times_s = np.arange(1, round(horizon_s / PREDICTION_STEP_S) + 1) * PREDICTION_STEP_S
    center_m, radius_m = _circles(corners_m[moving])
    center_m = center_m[:, None] + velocities[moving, None] * times_s[:, None]
    moving = moving[_may_touch_band(center_m, radius_m[:, None], path).any(axis=1)]
    shift = velocities[moving, None, None, :] * times_s[None, :, None, None]
    sd = path.coordinates(outline(corners_m[moving])[:, None] + shift)
    gap_then_m, travelled = path.gap_m(sd), (path.speed_mps * times_s)[None, :, None]
    time_gap_m = path.speed_mps * TIME_GAP_S
    met = (
        (sd[..., 1] > path.right_m)
        & (sd[..., 1] < path.left_m)
        & (gap_then_m < travelled + time_gap_m)
        & (sd[..., 0] > path.rear_m + travelled)
    )
    hit = met.any(axis=(1, 2))
    first = met.any(axis=2).argmax(axis=1)
    gap_at_first_m = np.where(met, gap_then_m, np.inf)[np.arange(len(moving)), first].min(axis=1)
    gap_m[moving[hit]] = np.maximum(gap_at_first_m[hit], 0.0)
    ttc_s[moving[hit]] = times_s[first[hit]]


def _distance(corners_m: Array, footprint_m: Array) -> Array:
    """Shortest ground-plane distance (N,) between boxes and the footprint; 0 where they overlap.

    Between polygons that are apart, the shortest way begins or ends at a corner; so a box that comes closer
    than its own size is looked at along its whole outline.
    """
    to_footprint = _to_edges(corners_m.reshape(-1, 2), footprint_m[None]).reshape(corners_m.shape[:2])
    to_boxes = _to_edges(footprint_m, corners_m)
    distance: Array = np.minimum(
        to_footprint.min(axis=1, initial=np.inf), to_boxes.min(axis=1, initial=np.inf)
    )
    size_m = np.linalg.norm(corners_m[:, 0] - corners_m[:, 2], axis=1)
    close = np.flatnonzero(distance < size_m)
    edges_m = outline(corners_m[close])
    inside = points_in_polygon(edges_m.reshape(-1, 2), footprint_m).reshape(edges_m.shape[:2])
    distance[close[inside.any(axis=1)]] = 0.0
    return distance


def _to_edges(points_m: Array, polygons_m: Array) -> Array:
    """Distance (K, P) of P points to the nearest edge of each of K polygons of shape (K, M, 2)."""
    edge = np.roll(polygons_m, -1, axis=1) - polygons_m
    length2 = np.maximum(_dot(edge, edge), 1e-12)
    offset = points_m[None, :, None] - polygons_m[:, None]
    share = np.clip(_dot(offset, edge[:, None]) / length2[:, None], 0.0, 1.0)
    apart = offset - share[..., None] * edge[:, None]
    return np.asarray(np.hypot(apart[..., 0], apart[..., 1]).min(axis=-1))


def _dot(a: Array, b: Array) -> Array:
    """Products of vectors (..., 2); a sum over an axis of two takes several times as long."""
    return np.asarray(a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1])


def explained_by_moving(
    points_m: npt.NDArray[np.floating],
    tracks: Tracks,
    corners_m: Array,
    ego: EgoState,
    path: Path,
    config: RiskConfig,
) -> npt.NDArray[np.bool_]:
    """Which (N, 2) points of the band lie on a track that certainly exists and drives on ahead of the robot.

    Those are judged as the moving object they belong to; all others as standing obstacles.
    """
    explained = np.zeros(len(points_m), dtype=bool)
    forward = ego.odom_from_base.rotation[:2, :2] @ np.array(path.travel)
    leading = (tracks.existence > 0.9) & (tracks.velocities_mps @ forward > config.moving_mps)
    corners_m = corners_m[leading]
    center_m = corners_m.mean(axis=1, keepdims=True)
    corners_m = center_m + (corners_m - center_m) * 1.15
    for corners in corners_m[_may_touch_band(*_circles(corners_m), path)]:
        explained |= points_in_polygon(points_m, corners)
    return explained
