"""The assessment: every rule that applies now, strictest first, each with its measure and its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage, SourceStamp, merge
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Assessment, Finding, Reason
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.contact import Braking, touched
from perception_platform.risk.inferred import Approaching, Entering, told
from perception_platform.risk.measures import needed_way_m, way_left_m
from perception_platform.risk.moment import EVIDENCE_POINTS, Evidence, Moment, finding, point_evidence
from perception_platform.risk.objects import (
    assess_objects,
    explained_by_moving,
    objects_near,
    track_corners,
    track_velocities,
)
from perception_platform.risk.path import predict_path
from perception_platform.risk.together import first_together
from perception_platform.risk.zones import excluded, zone_findings

_VEHICLES = (int(ObjectClass.CAR), int(ObjectClass.TRUCK))


@dataclass(frozen=True, slots=True)
class Conditions:
    """What else is known of the robot now.

    Attributes:
        latency_s: at least so old is taken to be what the assessment rests on.
        payload_kg: what is loaded; None if nobody says: then the most that may be.
        disabled: names of switchable zones that are switched off.
    """

    latency_s: float = 0.0
    payload_kg: float | None = None
    disabled: frozenset[str] = frozenset()


UNKNOWN = Conditions()


def assess(
    tracks: Tracks,
    obstacles: Sequence[PointCloud],
    ego: EgoState,
    config: RiskConfig,
    *,
    now_ns: int,
    conditions: Conditions = UNKNOWN,
) -> Assessment:
    """Judge tracks and raw obstacle points along the robot's path and in its zones.

    Args:
        tracks: in the odometry frame.
        obstacles: newest obstacle points of each source, in the base frame. Those of a sensor that fell
            silent are left out: they would travel along with the robot. The gate judges the silence.
        ego: newest pose and motion; the pose is brought to the time of the tracks.
        config: the robot.
        now_ns: the time now, by which the data has an age; the largest of that, the declared latency and that of the
            conditions counts.
        conditions: what else is known of the robot.

    Returns:
        Findings sorted strictest first, as of the newest of tracks and obstacles; none means that nothing limits
        the robot.
    """
    newest_ns = max([tracks.t_ns, *(cloud.t_ns for cloud in obstacles)])
    obstacles = [c for c in obstacles if to_s(newest_ns - c.t_ns) <= config.timeout_s(c.sensor)]
    age_s = to_s(now_ns - min([tracks.t_ns, *(cloud.t_ns for cloud in obstacles)]))
    latency_s = max(age_s, conditions.latency_s, config.expected_latency_s)
    moment = _moment(tracks, obstacles, ego.at(tracks.t_ns), config, latency_s, conditions)
    findings = [
        *_object_findings(moment),
        *_point_findings(moment),
        *zone_findings(moment, conditions.disabled),
    ]
    lineage = merge([tracks.lineage, Lineage(tuple(SourceStamp(c.sensor, c.t_ns) for c in obstacles))])
    ordered = tuple(sorted(findings, key=lambda f: f.strictness))
    named = [track_id for finding in findings for track_id in finding.track_ids]
    near = objects_near(moment.tracks, moment.corners_m, moment.velocities_mps, moment.objects, named, config)
    return Assessment(
        newest_ns,
        ordered,
        moment.objects,
        lineage,
        tracks.models,
        disabled_zones=tuple(sorted(conditions.disabled)),
        near=near,
    )


def _moment(
    tracks: Tracks,
    obstacles: Sequence[PointCloud],
    ego: EgoState,
    config: RiskConfig,
    latency_s: float,
    conditions: Conditions,
) -> Moment:
    reaction_s = config.reaction_after_s(latency_s)
    path = predict_path(ego, config.footprint_m, config.beside_m, sideways=config.sideways)
    payload_kg = config.max_payload_kg if conditions.payload_kg is None else conditions.payload_kg
    downhill = -float(ego.odom_from_base.rotation[2, :2] @ np.array(path.travel))
    brakes = config.brakes_under(payload_kg, downhill)
    corners_m, velocities = track_corners(tracks, ego), track_velocities(tracks, ego, config)
    objects = assess_objects(tracks, corners_m, velocities, ego, path, reaction_s, brakes, config)
    seen = (tracks, corners_m, velocities, *objects, obstacles)
    return excluded(Moment(*seen, ego, path, brakes, reaction_s, payload_kg, config), conditions.disabled)


def _object_findings(moment: Moment) -> Iterator[Finding]:
    objects = moment.objects
    rows = np.flatnonzero(objects.in_path & moment.sure)
    hard = _unavoidable(moment, rows)
    for i, brakes_hard in zip(rows.tolist(), hard.tolist(), strict=True):
        track_id = int(objects.track_ids[i])
        name = ObjectClass(int(objects.class_ids[i])).name.lower()
        object_mps = float(moment.surely_mps[i])
        evidence = Evidence(f"{name} {track_id}", track_ids=(track_id,))
        gap_m, doubt_m = float(objects.gap_m[i]), float(moment.doubt_m[i])
        yield from _gap_finding(
            moment, Reason.OBJECT_IN_PATH, gap_m, object_mps, evidence, doubt_m=doubt_m, hard=brakes_hard
        )


def _unavoidable(moment: Moment, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the tracks at ``rows`` (K,) nothing but the emergency brake keeps the robot from.

    They go on as they do. What is no vehicle, if the service brake would touch it. A vehicle, if the service brake
    would touch it although robot and vehicle gave way as one does in ordinary driving; or if after one look more even
    the emergency brake would touch it, robot and vehicle keeping their paths.
    """
    config, path = moment.config, moment.path
    hard = np.zeros(len(rows), dtype=np.bool_)
    if path.speed_mps <= config.creep_mps or not len(rows):
        return hard
    corners_m, velocities = moment.corners_m[rows], moment.velocities_mps[rows]
    service = Braking(path.speed_mps, moment.reaction_s, moment.service_mps2)
    hit = touched(corners_m, velocities, config.footprint_m, path, service)
    vehicle = np.isin(moment.tracks.class_ids[rows], _VEHICLES)
    hard |= hit & ~vehicle
    near = np.flatnonzero(hit & vehicle)
    if len(near):
        hard[near] = _unavoidable_vehicle(moment, rows[near], service)
    return hard


def _unavoidable_vehicle(
    moment: Moment, rows: npt.NDArray[np.int64], service: Braking
) -> npt.NDArray[np.bool_]:
    config, path = moment.config, moment.path
    cov_m2 = moment.tracks.state_cov[rows][:, [0, 1], [0, 1]].max(axis=1)
    doubt_m = config.sigmas * np.sqrt(cov_m2 + config.position_sigma_m**2)
    boxes = (moment.corners_m[rows], moment.velocities_mps[rows], config.footprint_m, path)
    last = Braking(
        path.speed_mps,
        moment.reaction_s - config.jerk_s + config.look_period_s,
        moment.service_mps2 * config.emergency_over_service,
    )
    hard = touched(*boxes, last, 0.0, _slowing_mps2(moment.tracks, rows, config.object_decel_mps2), doubt_m)
    swerve_per_m = config.swerve_mps2 / path.speed_mps**2
    gives_way = [(-swerve_per_m, 0.0), (0.0, 0.0), (swerve_per_m, 0.0), (0.0, config.yield_mps2)]
    ways = [touched(*boxes, service, *way, doubt_m) for way in gives_way]
    return np.asarray(hard | np.all(ways, axis=0))


def _slowing_mps2(tracks: Tracks, rows: npt.NDArray[np.int64], most_mps2: float) -> Array:
    """(K,) how hard the tracks at ``rows`` brake, as far as that is known."""
    velocities, accelerations = tracks.velocities_mps[rows], tracks.accelerations_mps2[rows]
    speeds = np.maximum(np.hypot(velocities[:, 0], velocities[:, 1]), 1e-9)
    return np.asarray(np.clip(-(velocities * accelerations).sum(axis=1) / speeds, 0.0, most_mps2))


def _point_findings(moment: Moment) -> Iterator[Finding]:
    entering: list[Finding] = []
    for cloud in moment.obstacles:
        if isinstance(cloud, Entering):
            entering += _cloud_findings(moment, cloud)
        else:
            yield from _cloud_findings(moment, cloud)
    # Several pairs of looks may show the same edge: of each sensor the strictest is said.
    yield from {f.sensor: f for f in sorted(entering, key=lambda f: f.strictness, reverse=True)}.values()


def _cloud_findings(moment: Moment, cloud: PointCloud) -> Iterator[Finding]:
    path, config = moment.path, moment.config
    xyz_m = cloud.xyz_m[path.may_be_in_band(cloud.xyz_m)]
    sd = path.coordinates(xyz_m)
    inside = path.in_band(sd)
    xyz_m, sd = xyz_m[inside], sd[inside]
    apart = ~explained_by_moving(xyz_m[:, :2], moment.tracks, moment.corners_m, moment.ego, path, config)
    xyz_m, gaps_m = xyz_m[apart], path.gap_m(sd[apart])
    eye_m = config.eyes_m.get(cloud.sensor, (0.0, 0.0))
    reach_m = config.together_m + config.together_per_m * np.hypot(*(xyz_m[:, :2] - eye_m).T)
    nearest = first_together(xyz_m, gaps_m, reach_m, config.min_points, EVIDENCE_POINTS)
    if not len(nearest):
        return
    gap_m = max(float(gaps_m[nearest[config.min_points - 1]]), 0.0)
    if isinstance(cloud, Entering) and _can_wait(moment, gap_m, cloud.enters_s):
        return
    evidence = point_evidence(told(cloud), xyz_m[nearest], cloud.sensor)
    comes_mps = cloud.approach_mps if isinstance(cloud, Approaching) else 0.0
    yield from _gap_finding(moment, Reason.POINTS_IN_PATH, gap_m, -comes_mps, evidence)


def _stop_way_m(moment: Moment, approach_mps: float) -> float:
    """The way, clearance included, below which a limit turns into a stop.

    Where it leaves no speed worth the name, or worth setting out for; or where, from the present speed, the service
    brake would leave less than a share of the clearance and one that is harder by a share would not leave all of it. A
    robot that follows its limit as it falls is a little late.
    """
    config, brakes = moment.config, moment.brakes
    least_mps = config.creep_mps if moment.path.speed_mps > config.creep_mps else config.start_mps

    def way_m(speed_mps: float, share: float) -> float:
        decel_mps2 = share * brakes.at(speed_mps)
        return float(needed_way_m(speed_mps, approach_mps, moment.reaction_s, decel_mps2))

    harder_m = config.ahead_m + way_m(moment.path.speed_mps, config.stop_over_service)
    nearer_m = config.stop_within * config.ahead_m + way_m(moment.path.speed_mps, 1.0)
    return max(config.ahead_m + way_m(least_mps, 1.0), min(harder_m, nearer_m))


def _can_wait(moment: Moment, gap_m: float, enters_s: float) -> bool:
    """Whether there is time until something is in the path: the robot will be past it, or can still stop."""
    path, config = moment.path, moment.config
    if gap_m + float(path.front_s_m.max()) - path.rear_m < path.speed_mps * enters_s:
        return True
    way_m = path.speed_mps * (enters_s + config.look_period_s)
    return gap_m - way_m >= moment.stopping_m + config.ahead_m


def _gap_finding(
    moment: Moment,
    reason: Reason,
    gap_m: float,
    object_mps: float,
    evidence: Evidence,
    doubt_m: float = 0.0,
    hard: bool | None = None,
) -> Iterator[Finding]:
    """The rule of gaps: limit by braking distance, stop when braking has to begin now, hard when that is late.

    Points are braked for hard when the service brake would touch what stands there. The threshold is the gap at which,
    at the present speed, a limit turns into a stop.
    """
    config, speed_mps, reaction_s = moment.config, moment.path.speed_mps, moment.reaction_s
    approach_mps = max(-object_mps, 0.0)
    way_m = float(way_left_m(gap_m - doubt_m, object_mps, reaction_s, config.object_decel_mps2))
    limit_mps = float(moment.brakes.safe_speed_mps(way_m - config.ahead_m, approach_mps, reaction_s))
    if limit_mps >= config.max_speed_mps and not hard:
        return
    stop_gap_m = gap_m - way_m + _stop_way_m(moment, approach_mps)
    if hard is None:
        hard = speed_mps > config.creep_mps and way_m < float(
            needed_way_m(speed_mps, approach_mps, reaction_s, moment.service_mps2)
        )
    if hard:
        action = Action.EMERGENCY_STOP
    else:
        action = Action.STOP if gap_m < stop_gap_m else Action.LIMIT
    speed_limit_mps = limit_mps if action is Action.LIMIT else 0.0
    text = f"{evidence.text} in the path at {gap_m:.2f} m, {speed_mps:.2f} m/s"
    yield finding(reason, action, speed_limit_mps, ("gap", gap_m, stop_gap_m, "m"), text, evidence)
