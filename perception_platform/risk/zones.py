"""What the zones of a robot ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, points_in_polygon
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.risk.config import FieldRule, ZoneRule
from perception_platform.risk.inferred import Approaching, Entering, told
from perception_platform.risk.moment import EVIDENCE_POINTS, Evidence, Moment, finding, point_evidence
from perception_platform.risk.occlusion import occlusion_finding
from perception_platform.risk.path import outline

Mask = npt.NDArray[np.bool_]


def zone_findings(moment: Moment, disabled: Collection[str]) -> Iterator[Finding]:
    """Of every zone that is not switched off."""
    for zone in moment.config.zones:
        if zone.name in disabled or zone.action == "exclude":
            continue
        if zone.action == "occlusion":
            yield from occlusion_finding(zone, area_m(zone, moment), moment)
            continue
        yield from _track_finding(zone, moment)
        if not zone.class_ids:
            yield from _point_findings(zone, moment)


def excluded(moment: Moment, disabled: Collection[str]) -> Moment:
    """The moment without the points, and the tracks whose middle is, in zones that are left out of account."""
    for zone in moment.config.zones:
        if zone.action != "exclude" or zone.name in disabled:
            continue
        polygon_m = area_m(zone, moment)
        clouds = [_kept(cloud, polygon_m) for cloud in moment.obstacles]
        out = points_in_polygon(moment.corners_m.mean(axis=1), polygon_m)
        tracks = replace(moment.tracks, existence=np.where(out, 0.0, moment.tracks.existence))
        moment = replace(moment, obstacles=clouds, tracks=tracks)
    return moment


def _kept(cloud: PointCloud, polygon_m: Array) -> PointCloud:
    """The points of a cloud that are not in a polygon."""
    xyz_m = cloud.xyz_m[~points_in_polygon(cloud.xyz_m[:, :2], polygon_m)]
    return replace(cloud, xyz_m=xyz_m, intensity=None, ring=None, offset_s=None)


def area_m(zone: ZoneRule, moment: Moment) -> Array:
    """The polygon (M, 2) that counts now."""
    return fitting_field(zone, moment.ego, moment.payload_kg).polygon_m


def fitting_field(zone: ZoneRule, ego: EgoState, payload_kg: float) -> FieldRule:
    """The first field of a zone that fits the motion and the load, else the last."""
    speed_mps, yaw_rate_radps = ego.velocity_mps[0], ego.yaw_rate_radps
    fitting = (f for f in zone.fields if f.fits(speed_mps, yaw_rate_radps, payload_kg))
    return next(fitting, zone.fields[-1])


def _inside(zone: ZoneRule, moment: Moment, points_m: npt.NDArray[np.floating]) -> Mask:
    """Which points (N, 2 or more) are in a zone."""
    if zone.fields:
        return points_in_polygon(points_m[:, :2], area_m(zone, moment))
    inside = moment.path.may_be_in_band(points_m)
    sd = moment.path.coordinates(points_m[inside])
    reach_m = zone.stopping_ways * moment.stopping_m + moment.config.ahead_m
    inside[inside] = moment.path.in_band(sd) & (moment.path.gap_m(sd) < reach_m)
    return inside


def _tracks_inside(zone: ZoneRule, moment: Moment) -> npt.NDArray[np.int64]:
    """Rows (K,) of tracks with any part of their outline in a zone."""
    counts = moment.sure
    if zone.class_ids:
        counts = counts & np.isin(moment.tracks.class_ids, zone.class_ids)
    if zone.fields:
        polygon_m, corners_m = area_m(zone, moment), moment.corners_m
        counts = counts & ~(
            (corners_m.max(axis=1) < polygon_m.min(axis=0)) | (corners_m.min(axis=1) > polygon_m.max(axis=0))
        ).any(axis=1)
    rows = np.flatnonzero(counts)
    edges_m = outline(moment.corners_m[rows])
    inside = _inside(zone, moment, edges_m.reshape(-1, 2)).reshape(edges_m.shape[:2]).any(axis=1)
    return rows[inside]


def _track_finding(zone: ZoneRule, moment: Moment) -> Iterator[Finding]:
    rows = _tracks_inside(zone, moment)
    if not len(rows):
        return
    ids = tuple(int(i) for i in moment.tracks.ids[rows])
    evidence = Evidence(f"track {', '.join(map(str, ids))}", track_ids=ids)
    if zone.action == "approach":
        gaps_m, closing = moment.objects.gap_m[rows], moment.objects.closing_mps[rows]
        near = int(np.argmin(gaps_m))
        comes_mps = max(float(closing[near]) - moment.path.speed_mps, 0.0)
        yield from _approach(zone, moment, float(gaps_m[near]), comes_mps, evidence)
        return
    yield _entered(zone, evidence, ("tracks in zone", float(len(ids)), 1.0, "1"))


def _point_findings(zone: ZoneRule, moment: Moment) -> Iterator[Finding]:
    for cloud in moment.obstacles:
        if isinstance(cloud, Entering | Approaching):  # not there yet, or told by the cloud itself
            continue
        inside = np.flatnonzero(_inside(zone, moment, cloud.xyz_m))
        if len(inside) < zone.min_points:
            continue
        if zone.action == "approach":
            yield from _approach_points(zone, moment, cloud, inside)
            continue
        text = f"{len(inside)} {told(cloud)}"
        evidence = point_evidence(text, cloud.xyz_m[inside[:EVIDENCE_POINTS]], cloud.sensor)
        yield _entered(zone, evidence, ("points in zone", float(len(inside)), float(zone.min_points), "1"))


def _approach_points(
    zone: ZoneRule, moment: Moment, cloud: PointCloud, inside: npt.NDArray[np.int64]
) -> Iterator[Finding]:
    xyz_m = cloud.xyz_m[inside]
    sd = moment.path.coordinates(xyz_m)
    ahead = np.flatnonzero(moment.path.in_band(sd))
    if len(ahead) < zone.min_points:
        return
    gaps_m = moment.path.gap_m(sd[ahead])
    nearest = np.argsort(gaps_m, kind="stable")[: max(zone.min_points, EVIDENCE_POINTS)]
    evidence = point_evidence(told(cloud), xyz_m[ahead[nearest]], cloud.sensor)
    yield from _approach(zone, moment, float(gaps_m[nearest[zone.min_points - 1]]), 0.0, evidence)


def _approach(
    zone: ZoneRule, moment: Moment, gap_m: float, comes_mps: float, evidence: Evidence
) -> Iterator[Finding]:
    """So slowly that the time to what is in the path is the zone's: ``v = gap / t - u``."""
    limit_mps = max(gap_m, 0.0) / zone.least_time_s - comes_mps
    if limit_mps >= moment.config.max_speed_mps:
        return
    action = Action.LIMIT if limit_mps > moment.config.creep_mps else Action.STOP
    speed_mps = moment.path.speed_mps + comes_mps
    time_s = max(gap_m, 0.0) / speed_mps if speed_mps > 0 else np.inf
    text = f"{evidence.text} in zone {zone.name}, {time_s:.2f} s away"
    measure = ("time to collision", time_s, zone.least_time_s, "s")
    limit_mps = limit_mps if action is Action.LIMIT else 0.0
    yield finding(Reason.ZONE, action, limit_mps, measure, text, evidence, zone.name)


def _entered(zone: ZoneRule, evidence: Evidence, measure: tuple[str, float, float, str]) -> Finding:
    action = Action.LIMIT if zone.action == "limit" else Action.STOP
    text = f"{evidence.text} in zone {zone.name}"
    return finding(Reason.ZONE, action, zone.speed_limit_mps, measure, text, evidence, zone.name, upper=True)
