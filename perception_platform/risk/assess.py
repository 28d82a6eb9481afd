"""The assessment: every rule that applies now, strictest first, each with its measure and its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import points_in_polygon
from perception_platform.core.lineage import Lineage, SourceStamp, merge
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Assessment, Finding, ObjectRisks, Reason
from perception_platform.risk.config import RiskConfig, ZoneRule
from perception_platform.risk.measures import needed_way_m, safe_speed_mps, way_left_m
from perception_platform.risk.objects import assess_objects, explained_by_moving, objects_near, track_corners
from perception_platform.risk.path import Path, outline, predict_path

EVIDENCE_POINTS = 5


@dataclass(frozen=True, slots=True)
class _Scene:
    """One moment as all rules see it."""

    tracks: Tracks
    obstacles: Sequence[PointCloud]
    ego: EgoState
    path: Path
    reaction_s: float
    config: RiskConfig


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a finding is about."""

    text: str
    track_ids: tuple[int, ...] = ()
    points_m: tuple[tuple[float, float, float], ...] = ()
    sensor: str = ""


def assess(
    tracks: Tracks,
    obstacles: Sequence[PointCloud],
    ego: EgoState,
    config: RiskConfig,
    *,
    now_ns: int,
) -> Assessment:
    """Judge tracks and raw obstacle points along the robot's path and in its zones.

    Args:
        tracks: in the odometry frame.
        obstacles: newest obstacle points of each lidar and scan, in the base frame. Those of a sensor that fell
            silent are left out: they would travel along with the robot. The gate judges the silence.
        ego: newest pose and motion; the pose is brought to the time of the tracks.
        config: the robot.
        now_ns: the time now, by which the data has an age; the declared latency counts when that is larger.

    Returns:
        Findings sorted strictest first, as of the newest of tracks and obstacles; none means that nothing limits
        the robot.
    """
    newest_ns = max([tracks.t_ns, *(cloud.t_ns for cloud in obstacles)])
    obstacles = [c for c in obstacles if to_s(newest_ns - c.t_ns) <= config.obstacles_max_age_s]
    latency_s = to_s(now_ns - min([tracks.t_ns, *(cloud.t_ns for cloud in obstacles)]))
    age_s = max(latency_s, config.expected_latency_s) + config.sweep_age_s
    reaction_s = age_s + config.gate_period_s + config.reaction_s
    ego = ego.at(tracks.t_ns)
    path = predict_path(ego, config.footprint_m, config.beside_m)
    scene = _Scene(tracks, obstacles, ego, path, reaction_s, config)
    objects = assess_objects(tracks, ego, path, reaction_s, config)
    findings = [*_object_findings(scene, objects), *_point_findings(scene), *_zone_findings(scene)]
    lineage = merge([tracks.lineage, Lineage(tuple(SourceStamp(c.sensor, c.t_ns) for c in obstacles))])
    ordered = tuple(sorted(findings, key=lambda f: f.strictness))
    named = [track_id for finding in findings for track_id in finding.track_ids]
    near = objects_near(tracks, ego, objects.distance_m, named, config)
    return Assessment(newest_ns, ordered, objects, lineage, tracks.models, near)


def _object_findings(scene: _Scene, objects: ObjectRisks) -> Iterator[Finding]:
    for i in np.flatnonzero(objects.in_path & (scene.tracks.existence >= scene.config.min_existence)):
        track_id = int(objects.track_ids[i])
        name = ObjectClass(int(objects.class_ids[i])).name.lower()
        object_mps = scene.path.speed_mps - float(objects.closing_mps[i])
        evidence = _Evidence(f"{name} {track_id}", track_ids=(track_id,))
        yield from _gap_finding(scene, Reason.OBJECT_IN_PATH, float(objects.gap_m[i]), object_mps, evidence)


def _point_findings(scene: _Scene) -> Iterator[Finding]:
    path, config = scene.path, scene.config
    for cloud in scene.obstacles:
        xyz_m = cloud.xyz_m[path.may_be_in_band(cloud.xyz_m)]
        xyz_m = xyz_m[path.in_band(path.coordinates(xyz_m))]
        xyz_m = xyz_m[~explained_by_moving(xyz_m[:, :2], scene.tracks, scene.ego, path, config)]
        if len(xyz_m) < config.min_points:
            continue
        gaps_m = path.gap_m(path.coordinates(xyz_m))
        nearest = np.argsort(gaps_m, kind="stable")[:EVIDENCE_POINTS]
        gap_m = max(float(gaps_m[nearest[config.min_points - 1]]), 0.0)
        evidence = _Evidence(
            f"points of {cloud.sensor}", points_m=_as_points(xyz_m[nearest]), sensor=cloud.sensor
        )
        yield from _gap_finding(scene, Reason.POINTS_IN_PATH, gap_m, 0.0, evidence)


def _gap_finding(
    scene: _Scene, reason: Reason, gap_m: float, object_mps: float, evidence: _Evidence
) -> Iterator[Finding]:
    """The rule of gaps: limit by braking distance, stop when braking has to begin now, hard when that is late.

    A hard stop is asked for when the service brake would touch an object that brakes no harder itself. The
    threshold is the gap at which, at the present speed, a limit turns into a stop.
    """
    config, speed_mps = scene.config, scene.path.speed_mps
    service = config.service_decel_mps2
    approach_mps = max(-object_mps, 0.0)
    way_m = float(way_left_m(gap_m, object_mps, scene.reaction_s, config.object_decel_mps2))
    limit_mps = float(safe_speed_mps(way_m - config.ahead_m, approach_mps, scene.reaction_s, service))
    if limit_mps >= config.max_speed_mps:
        return
    firm = config.stop_over_service * service
    stop_gap_m = gap_m - way_m + config.ahead_m
    stop_gap_m += float(needed_way_m(max(speed_mps, config.creep_mps), approach_mps, scene.reaction_s, firm))
    way_alike_m = float(way_left_m(gap_m, object_mps, scene.reaction_s, service))
    touches = way_alike_m < float(needed_way_m(speed_mps, approach_mps, scene.reaction_s, service))
    if touches and speed_mps > config.creep_mps:
        action = Action.EMERGENCY_STOP
    else:
        action = Action.STOP if gap_m < stop_gap_m else Action.LIMIT
    speed_limit_mps = limit_mps if action is Action.LIMIT else 0.0
    text = f"{evidence.text} in the path at {gap_m:.2f} m, {speed_mps:.2f} m/s"
    yield _finding(reason, action, speed_limit_mps, ("gap", gap_m, stop_gap_m, "m"), text, evidence)


def _zone_findings(scene: _Scene) -> Iterator[Finding]:
    for zone in scene.config.zones:
        ids = _tracks_inside(zone, scene)
        if ids:
            evidence = _Evidence(f"track {', '.join(map(str, ids))}", track_ids=ids)
            yield _zone_finding(zone, evidence, ("tracks in zone", float(len(ids)), 1.0, "1"))
        if zone.class_ids:
            continue
        for cloud in scene.obstacles:
            inside = np.flatnonzero(points_in_polygon(cloud.xyz_m[:, :2], zone.polygon_m))
            if len(inside) >= zone.min_points:
                points_m = _as_points(cloud.xyz_m[inside[:EVIDENCE_POINTS]])
                what = f"{len(inside)} points of {cloud.sensor}"
                evidence = _Evidence(what, points_m=points_m, sensor=cloud.sensor)
                measure = ("points in zone", float(len(inside)), float(zone.min_points), "1")
                yield _zone_finding(zone, evidence, measure)


def _tracks_inside(zone: ZoneRule, scene: _Scene) -> tuple[int, ...]:
    tracks = scene.tracks
    counts = tracks.existence >= scene.config.min_existence
    if zone.class_ids:
        counts &= np.isin(tracks.class_ids, zone.class_ids)
    corners_m = track_corners(tracks, scene.ego)
    apart = (corners_m.max(axis=1) < zone.polygon_m.min(axis=0)) | (
        corners_m.min(axis=1) > zone.polygon_m.max(axis=0)
    )
    rows = np.flatnonzero(counts & ~apart.any(axis=1))
    edges = outline(corners_m[rows])
    inside = points_in_polygon(edges.reshape(-1, 2), zone.polygon_m).reshape(edges.shape[:2]).any(axis=1)
    return tuple(int(i) for i in tracks.ids[rows[inside]])


def _zone_finding(zone: ZoneRule, evidence: _Evidence, measure: tuple[str, float, float, str]) -> Finding:
    action = Action.LIMIT if zone.speed_limit_mps > 0 else Action.STOP
    text = f"{evidence.text} in zone {zone.name}"
    return _finding(Reason.ZONE, action, zone.speed_limit_mps, measure, text, evidence, zone.name)


def _finding(
    reason: Reason,
    action: Action,
    speed_limit_mps: float,
    measure: tuple[str, float, float, str],
    text: str,
    evidence: _Evidence,
    zone: str = "",
) -> Finding:
    upper = reason is Reason.ZONE
    asks = (
        f"at most {speed_limit_mps:.2f} m/s"
        if action is Action.LIMIT
        else action.name.lower().replace("_", " ")
    )
    quantity, value, threshold, unit = measure
    return Finding(
        reason,
        action,
        speed_limit_mps,
        quantity,
        value,
        threshold,
        unit,
        upper=upper,
        zone=zone,
        track_ids=evidence.track_ids,
        points_m=evidence.points_m,
        sensor=evidence.sensor,
        text=f"{text}: {asks}",
    )


def _as_points(xyz_m: npt.NDArray[np.floating]) -> tuple[tuple[float, float, float], ...]:
    return tuple((float(x), float(y), float(z)) for x, y, z in xyz_m)
