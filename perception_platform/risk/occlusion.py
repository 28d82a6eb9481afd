"""How fast the robot may pass what it cannot see behind.

Somebody may stand anywhere that no sensor sees. They come into view at the corner that hides them, no nearer to the
path than it is, and walk to the path at once. The robot may be so fast that with the emergency brake it stands before
they are in the path, or stands before it comes to where they step into it; a floor, at which touching somebody does no
harm, keeps it from being held up at every shelf for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, points_in_any, points_in_polygon
from perception_platform.core.objects import ObjectClass
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.risk.config import ZoneRule
from perception_platform.risk.inferred import Inferred
from perception_platform.risk.measures import needed_way_m
from perception_platform.risk.moment import Evidence, Moment, finding
from perception_platform.risk.objects import track_corners
from perception_platform.runtime.compiled import compiled

BINS = 180  # of azimuth: wide enough that a sparse sweep leaves none empty
STOPS_M, ROW_M = (
    0.5,
    1.0,
)  # nobody walks through what is as tall, nor comes round what is as long all of a sudden
LOW_M = 0.25  # so low a thing hides a person who was seen to go behind it
GAP_M = 0.5  # what is narrower lets nobody through
WIDE_M = 0.4  # what is narrower hides nobody
# Nor does a person: who is that near behind somebody comes with them, and the rules for people slow down for both. What
# is larger, or not surely a person, may be a stack of boxes.
PERSON_M, SURELY = 0.9, 0.5
SKIN_M = 0.15  # points of a person lie so far around their box
KEPT = 0.5  # of the clearance, from who steps out: what is left of it when one has to brake hard
STEP_M = 0.25  # between places along the edge of what is seen
BEYOND_M = 2.0  # what is further off than the zone and this is as good as nothing
BESIDE_M = 5.0  # nobody walks to the path from further off before the robot has passed


def occlusion_finding(zone: ZoneRule, area_m: Array, moment: Moment) -> Iterator[Finding]:
    """The strictest bound of all places in the zone at which somebody may come into view."""
    places_m, hidden_ids = _places(area_m, zone.hides_m, moment)
    inside = points_in_polygon(places_m, area_m)
    places_m, hidden_ids = places_m[inside], hidden_ids[inside]
    if not len(places_m):
        return
    limits_mps, ways_m, times_s = _limits(zone, moment, places_m)
    worst = int(np.argmin(limits_mps))
    limit_mps = max(float(limits_mps[worst]), zone.speed_limit_mps)
    if limit_mps >= moment.config.max_speed_mps:
        return
    x_m, y_m = (float(v) for v in places_m[worst])
    track_id = int(hidden_ids[worst])
    who = f"the hidden person {track_id}" if track_id >= 0 else "somebody"
    text = (
        f"{who} may step out at {float(ways_m[worst]):.2f} m in zone {zone.name}, "
        f"in the path {float(times_s[worst]):.2f} s later"
    )
    evidence = Evidence(text, (track_id,) if track_id >= 0 else (), ((x_m, y_m, 0.0),))
    measure = ("speed past the corner", moment.path.speed_mps, limit_mps, "m/s")
    yield finding(Reason.ZONE, Action.LIMIT, limit_mps, measure, text, evidence, zone.name, upper=True)


def _places(area_m: Array, hides_m: float, moment: Moment) -> tuple[Array, npt.NDArray[np.int64]]:
    """(K, 2) where somebody may come into view, and whom (K,): a hidden track, or -1."""
    reach_m = float(np.hypot(area_m[:, 0], area_m[:, 1]).max()) + BEYOND_M
    people_m = _people_m(moment, reach_m)
    now = [cloud.xyz_m for cloud in moment.obstacles if not isinstance(cloud, Inferred)]
    edges = [seen_edges(_without(people_m, xyz_m, hides_m, reach_m), reach_m, hides_m) for xyz_m in now]
    places_m = np.concatenate([np.zeros((0, 2)), *edges])
    hidden = np.flatnonzero(moment.tracks.hidden)
    if not len(hidden):
        return places_m, np.full(len(places_m), -1, dtype=np.int64)
    centers_m, radius_m = moment.corners_m[hidden].mean(axis=1), moment.tracks.region_radius_m[hidden]
    out_m, rows = _ways_out(centers_m, radius_m, now, reach_m)
    whom = np.concatenate([np.full(len(places_m), -1, dtype=np.int64), moment.tracks.ids[hidden][rows]])
    return np.concatenate([places_m, out_m]), whom


def _ways_out(
    centers_m: Array, radius_m: Array, clouds_m: Sequence[npt.NDArray[np.floating]], reach_m: float
) -> tuple[Array, npt.NDArray[np.int64]]:
    """(K, 2) where people may come into view who went out of sight and are within so far (H,) of (H, 2); and who (K,).

    That is where edges of what is seen lie in the region; low things, and people, may hide them, too. On its rim they
    may be where no sensor sees anything at all: elsewhere they would be seen, or would have to come through something.
    """
    edges_m = np.concatenate([np.zeros((0, 2)), *(seen_edges(xyz_m, reach_m, LOW_M) for xyz_m in clouds_m)])
    away_m = np.linalg.norm(edges_m[None] - centers_m[:, None], axis=-1)
    who, where = np.nonzero(away_m <= radius_m[:, None] + STEP_M)
    angles = np.arange(8) * np.pi / 4
    rim_m = centers_m[:, None] + radius_m[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    blank = np.ones(BINS, dtype=np.bool_)
    for xyz_m in clouds_m:
        blank &= ~np.isfinite(
            _nearest(np.ascontiguousarray(xyz_m, dtype=np.float32), LOW_M, LOW_M, np.inf)[0]
        )
    turns = np.arctan2(rim_m[..., 1], rim_m[..., 0]) / (2 * np.pi) + 0.5
    unseen = blank[(turns * BINS).astype(np.int64) % BINS]
    return np.concatenate([edges_m[where], rim_m[unseen]]), np.concatenate([who, np.nonzero(unseen)[0]])


def _without(
    people_m: Array, xyz_m: npt.NDArray[np.floating], hides_m: float, reach_m: float
) -> npt.NDArray[np.floating]:
    """The points (N, 3) without those on people (K, 4, 2); of the others, low and far ones may be left out, too."""
    if not len(people_m):
        return xyz_m
    low_m = min(hides_m, STOPS_M)
    near_m = xyz_m[(xyz_m[:, 2] >= low_m) & (np.abs(xyz_m[:, :2]) <= reach_m).all(axis=1)]
    return np.asarray(near_m[~points_in_any(near_m, people_m)])


def _people_m(moment: Moment, reach_m: float) -> Array:
    """(K, 4, 2) corners around those who surely are people and in view, within reach."""
    tracks = moment.tracks
    people = moment.sure & ~tracks.hidden & (tracks.class_ids == int(ObjectClass.PERSON))
    people &= (tracks.class_scores >= SURELY) & (tracks.sizes_m[:, :2].max(axis=1) <= PERSON_M)
    people &= (np.abs(moment.corners_m).min(axis=1) <= reach_m).all(axis=1)
    grown = replace(tracks, sizes_m=tracks.sizes_m + 2 * SKIN_M)
    corners_m = track_corners(grown, moment.ego) if people.any() else moment.corners_m
    return np.asarray(corners_m[people])


def _limits(zone: ZoneRule, moment: Moment, places_m: Array) -> tuple[Array, Array, Array]:
    """Speeds (K,) that are safe for places (K, 2), the way (K,) to each and the time (K,) until somebody is in the way.

    Standing within the time T until they are in the path takes ``v = a (T - t)`` with the emergency brake, which is
    for whoever the service brake would touch. The robot may be faster as long as it can still come down to that with
    the service brake, where the emergency brake just makes it stand before the place. Being past before they come
    would do as well, but would let a faster robot go faster still.
    """
    path, config = moment.path, moment.config
    sd = path.coordinates(places_m)
    beside_m = np.maximum(np.maximum(sd[:, 1] - path.left_m, path.right_m - sd[:, 1]), 0.0)
    gap_m = path.gap_m(sd)
    times_s = beside_m / zone.walking_mps
    hard_mps2 = config.emergency_over_service * moment.service_mps2
    hard_after_s = moment.reaction_s - config.jerk_s
    in_time = np.maximum(hard_mps2 * (times_s - hard_after_s), zone.speed_limit_mps)
    # Of all speeds at the place that will do, the lowest or the highest lets the robot be fastest on the way to it.
    there_mps = np.stack([np.full(len(places_m), zone.speed_limit_mps), in_time])
    there_m = KEPT * config.ahead_m + needed_way_m(there_mps, 0.0, hard_after_s, hard_mps2)
    way_m = gap_m - there_m + there_mps**2 / (2 * moment.service_mps2)
    in_way = np.where(gap_m > there_m, moment.brakes.safe_speed_mps(way_m, 0.0, moment.reaction_s), 0.0)
    length_m = float(path.front_s_m.max()) - path.rear_m
    passed = np.where(times_s > 0, (gap_m + length_m) / np.maximum(times_s, 1e-9), np.inf)
    passed = np.where(
        passed <= path.speed_mps, path.speed_mps, 0.0
    )  # who is faster than needed anyway has passed
    ahead = (gap_m > 0) & (beside_m < BESIDE_M)
    limits = np.maximum(np.maximum(in_time, in_way.max(axis=0)), np.where(passed > 0, np.inf, 0.0))
    return np.where(ahead, limits, np.inf), gap_m, times_s


def seen_edges(xyz_m: npt.NDArray[np.floating], far_m: float, hides_m: float) -> Array:
    """(K, 2) places along the edges of what is seen: where, from one azimuth to the next, the nearest thing is suddenly
    further off, a line leads outward from the nearer one, if it is tall enough to hide somebody, to the further one, if
    that would stop them: what is only filled below, between tall things or for a while, is no way out. Whoever comes
    round it is seen over it first.
    """
    xyz_m = np.ascontiguousarray(xyz_m, dtype=np.float32)
    low_m, hiding_m = _nearest(xyz_m, min(hides_m, STOPS_M), hides_m, far_m)
    near_m = open_m = np.minimum(_wide(hiding_m, GAP_M, WIDE_M), far_m)
    if hides_m > STOPS_M:
        foot = hiding_m <= low_m + GAP_M  # of the tall thing itself
        open_m = np.where(foot & (near_m < far_m), low_m, near_m)
        low_m[foot] = np.inf
        open_m = np.minimum(open_m, _closed(low_m, hiding_m, GAP_M, ROW_M))
    bins = np.arange(BINS)
    ends = [
        (bins[room_m - near_m > GAP_M], room_m[room_m - near_m > GAP_M])
        for room_m in (np.roll(open_m, -1), np.roll(open_m, 1))
    ]
    closer, high_m = (np.concatenate(parts) for parts in zip(*ends, strict=True))
    from_m = near_m[closer]
    counts = np.minimum(np.ceil((high_m - from_m) / STEP_M).astype(np.int64), 8)
    which = np.repeat(np.arange(len(closer)), counts)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    reach_m = from_m[which] + STEP_M * nth
    azimuth = ((bins + 0.5) * 2 * np.pi / BINS - np.pi)[closer[which]]
    return np.asarray(reach_m[:, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1))


@compiled("f8[:,::1](f4[:,::1], f8, f8, f8)")
def _nearest(xyz_m: npt.NDArray[np.float32], low_m: float, tall_m: float, far_m: float) -> Array:
    """(2, BINS) distance of the second-nearest point in each sector of those so high, and so high; infinite without."""
    first, second = np.full((2, BINS), np.inf), np.full((2, BINS), np.inf)
    for i in range(len(xyz_m)):
        x, y, z = float(xyz_m[i, 0]), float(xyz_m[i, 1]), float(xyz_m[i, 2])
        if z < low_m or x * x + y * y > far_m * far_m:
            continue
        sector = min(int((np.arctan2(y, x) + np.pi) / (2 * np.pi) * BINS), BINS - 1)
        distance = np.sqrt(x * x + y * y)
        for k in range(2 if z >= tall_m else 1):
            if distance < first[k, sector]:
                second[k, sector], first[k, sector] = first[k, sector], distance
            elif distance < second[k, sector]:
                second[k, sector] = distance
    return second


@compiled("f8[::1](f8[::1], f8, f8)", finite=False)
def _wide(near_m: Array, gap_m: float, wide_m: float) -> Array:
    """The same without what is too narrow to hide a person, together with all beside it that is no further off."""
    bins = len(near_m)
    out = np.full(bins, np.inf)
    for i in range(bins):
        most = near_m[i] + gap_m
        if not np.isfinite(most):
            continue
        count = 1
        for step in (1, -1):
            j = (i + step) % bins
            while near_m[j] <= most and count < bins:
                count += 1
                j = (j + step) % bins
        if count * near_m[i] * 2 * np.pi / bins >= wide_m:
            out[i] = near_m[i]
    return out


@compiled("f8[::1](f8[::1], f8[::1], f8, f8)", finite=False)
def _closed(low_m: Array, tall_m: Array, gap_m: float, long_m: float) -> Array:
    """The low rows without those that end in the open and are shorter than that from first to last sector."""
    bins = len(low_m)
    out = np.full(bins, np.inf)
    for first in range(bins):
        if not np.isfinite(low_m[first]) or abs(low_m[first - 1] - low_m[first]) <= gap_m:
            continue
        last, count = first, 1
        while abs(low_m[(last + 1) % bins] - low_m[last]) <= gap_m and count < bins:
            last, count = (last + 1) % bins, count + 1
        begin_m, end_m = low_m[first], low_m[last]
        between = (
            abs(tall_m[first - 1] - begin_m) <= gap_m and abs(tall_m[(last + 1) % bins] - end_m) <= gap_m
        )
        turn = 2 * np.pi / bins * (count - 1)
        if between or begin_m**2 + end_m**2 - 2 * begin_m * end_m * np.cos(turn) >= long_m**2:
            for k in range(count):
                out[(first + k) % bins] = low_m[(first + k) % bins]
    return out
