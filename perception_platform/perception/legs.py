"""People in a 2D laser scan, by their legs.

A scan is cut where its range jumps; a piece as wide as a leg that stands out from what is beside it may be one, and two
of them close together are a person (features of Arras, Mozos, Burgard, "Using boosted features for the detection of
people in 2D range data", ICRA 2007, as plain rules). Legs of chairs and tables look the same to one scan: the scores
say so, and motion tells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage, SourceStamp, merge
from perception_platform.core.objects import Detections, Ints, ObjectClass, SensorKind
from perception_platform.core.sensor_data import PointCloud

Flags = npt.NDArray[np.bool_]

# What a box is given that only a scan saw: how deep and high people are; the scan shows one height of them.
_PERSON_M = (0.35, 1.7)
# Share of what looked like one leg, or like two, that was labelled a person in the recordings of docs/lidar.md.
_SCORES = np.array([0.05, 0.15])
_SIGMA_M = 0.08  # between the middle of the visible legs and that of the person

# An object of a lidar may be a person if its longer side and its top are such; legs are this far from it at most.
_PERSON_SIDE_M, _TALL_M, _UNDER_M = (0.25, 1.15), 1.1, 0.2


@dataclass(frozen=True, slots=True)
class LegParams:
    """What may be a leg.

    Attributes:
        jump_m: a step in range that parts two things ...
        jump_per_m: ... plus this much per metre of range.
        gap_rad: so much of a turn without a return parts them too.
        width_m: least and greatest width; legs close together are one thing.
        fewest: points in it at least.
        stands_out_m: it is so much nearer than what is beside it, on one side at least.
        hollow: mean depth behind the line between its ends, by its width; legs are round.
        farthest_m: range up to which legs are looked for.
        stride_m: distance of two legs of a person at most.
    """

    jump_m: float = 0.08
    jump_per_m: float = 0.01
    gap_rad: float = 0.02
    width_m: tuple[float, float] = (0.03, 0.38)
    fewest: int = 3
    stands_out_m: float = 0.1
    hollow: float = 0.1
    farthest_m: float = 6.0
    stride_m: float = 0.65


def confirm_people(objects: Detections, people: Detections) -> Detections:
    """The lidar's objects with what a scan says of them: which stand on legs, and which are people for that.

    Legs alone name nothing: most are of furniture, over which a lidar sees no body. An object as large as a person with
    two legs below it is one, also where the lidar sees no more than its upper half.

    Args:
        objects: N objects in the base frame, from a lidar.
        people: what ``find_people`` made of a scan of about the same time, in that frame.
    """
    if len(objects) == 0 or len(people) == 0:
        return objects
    side_m, known = objects.sizes_m[:, :2].max(axis=1), objects.class_ids == int(ObjectClass.PERSON)
    as_people = (
        (objects.class_ids == int(ObjectClass.UNKNOWN))
        & (side_m >= _PERSON_SIDE_M[0])
        & (side_m <= _PERSON_SIDE_M[1])
        & (objects.centers_m[:, 2] + 0.5 * objects.sizes_m[:, 2] >= _TALL_M)
    )
    apart_m = np.linalg.norm(objects.centers_m[:, None, :2] - people.centers_m[None, :, :2], axis=2)
    under = apart_m <= 0.5 * side_m[:, None] + _UNDER_M
    in_pairs = people.scores >= _SCORES[1]
    stand = (known & under.any(axis=1)) | (as_people & (under & in_pairs).any(axis=1))
    if not stand.any():
        return objects
    legs = np.where(under, people.scores, 0.0).max(axis=1)
    class_ids, scores, sensors = objects.class_ids.copy(), objects.scores.copy(), objects.sensors.copy()
    class_ids[stand] = int(ObjectClass.PERSON)
    scores[stand] = 1.0 - (1.0 - scores[stand]) * (1.0 - legs[stand])
    sensors[stand] |= int(SensorKind.SCAN)
    lineage = merge([objects.lineage, people.lineage])
    return replace(objects, class_ids=class_ids, scores=scores, sensors=sensors, lineage=lineage)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """K parts of a scan, in order of azimuth: where each begins, and what is seen of it."""

    starts: Ints
    centers_m: Array
    widths_m: Array
    ranges_m: Array
    counts: Ints


def find_people(scan: PointCloud, origin_m: Array, params: LegParams | None = None) -> Detections:
    """People whose legs a scan may show, as detections in the frame of its points.

    Args:
        scan: (N, 3) points, in any order.
        origin_m: (3,) where the scanner is in that frame.
        params: what may be a leg.
    """
    params = params or LegParams()
    lineage = Lineage((SourceStamp(scan.sensor, scan.t_ns),))
    at_m = scan.xyz_m[:, :2].astype(np.float64) - origin_m[:2]
    at_m = at_m[np.isfinite(at_m).all(axis=1)]
    if len(at_m) == 0:
        return Detections.empty(scan.t_ns, scan.frame_id, lineage)
    azimuth_rad = np.arctan2(at_m[:, 1], at_m[:, 0])
    order = np.lexsort((at_m[:, 1], at_m[:, 0], azimuth_rad))
    at_m, azimuth_rad = _from_a_cut(at_m[order], azimuth_rad[order], params)
    pieces = _cut(at_m, azimuth_rad, params)
    legs = _may_be_legs(at_m, azimuth_rad, pieces, params)
    centers_m, spans_m, legs_each, points = _people(pieces, np.flatnonzero(legs), params)
    return _detections(scan, origin_m, centers_m, spans_m, legs_each, points, lineage)


def _cuts(at_m: Array, azimuth_rad: Array, params: LegParams) -> Flags:
    """(N - 1,) where one thing ends and the next begins: at jumps of the range and gaps in azimuth."""
    range_m = np.hypot(at_m[:, 0], at_m[:, 1])
    apart_m = np.linalg.norm(np.diff(at_m, axis=0), axis=1)
    limit_m = params.jump_m + params.jump_per_m * np.minimum(range_m[1:], range_m[:-1])
    return np.asarray((apart_m > limit_m) | (np.diff(azimuth_rad) > params.gap_rad))


def _from_a_cut(at_m: Array, azimuth_rad: Array, params: LegParams) -> tuple[Array, Array]:
    """The same points from the first cut on, so that what lies behind a scanner that sees all around is not parted."""
    cuts = _cuts(at_m, azimuth_rad, params)
    first = int(cuts.argmax()) + 1 if cuts.any() else 0
    turned_rad = np.concatenate([azimuth_rad[first:], azimuth_rad[:first] + 2 * np.pi])
    return np.roll(at_m, -first, axis=0), turned_rad


def _cut(at_m: Array, azimuth_rad: Array, params: LegParams) -> _Pieces:
    """Parts of a scan."""
    starts = np.concatenate([[0], np.flatnonzero(_cuts(at_m, azimuth_rad, params)) + 1])
    counts = np.diff(np.append(starts, len(at_m)))
    centers_m = np.add.reduceat(at_m, starts) / counts[:, None]
    widths_m = np.linalg.norm(at_m[starts + counts - 1] - at_m[starts], axis=1)
    return _Pieces(starts, centers_m, widths_m, np.hypot(*centers_m.T), counts)


def _may_be_legs(at_m: Array, azimuth_rad: Array, pieces: _Pieces, params: LegParams) -> Flags:
    """(K,) which pieces are as wide as a leg, stand out and are not hollow."""
    first, last = pieces.starts, pieces.starts + pieces.counts - 1
    fits = (
        (pieces.counts >= params.fewest)
        & (pieces.widths_m >= params.width_m[0])
        & (pieces.widths_m <= params.width_m[1])
        & (pieces.ranges_m <= params.farthest_m)
    )
    return fits & _stand_out(at_m, azimuth_rad, first, last, params) & ~_hollow(at_m, pieces, params)


def _stand_out(at_m: Array, azimuth_rad: Array, first: Ints, last: Ints, params: LegParams) -> Flags:
    """(K,) which pieces are nearer than what is beside them, on one side at least; nothing there is far away."""
    step_m = np.diff(np.hypot(at_m[:, 0], at_m[:, 1]))
    nothing = np.diff(azimuth_rad) > params.gap_rad
    after_m = np.append(np.where(nothing, np.inf, step_m), np.inf)[last]
    before_m = np.append(np.inf, np.where(nothing, np.inf, -step_m))[first]
    return np.asarray(np.maximum(after_m, before_m) > params.stands_out_m)


def _hollow(at_m: Array, pieces: _Pieces, params: LegParams) -> Flags:
    """(K,) which pieces lie clearly behind the line between their ends, as an inside corner does."""
    first, last = at_m[pieces.starts], at_m[pieces.starts + pieces.counts - 1]
    chord_m = np.maximum(pieces.widths_m, 1e-6)
    normal = np.column_stack([-(last - first)[:, 1], (last - first)[:, 0]]) / chord_m[:, None]
    outward = np.sign(np.einsum("ij,ij->i", normal, pieces.centers_m))
    behind_m = outward * np.einsum("ij,ij->i", pieces.centers_m - first, normal)
    return np.asarray(behind_m > params.hollow * chord_m)


def _people(pieces: _Pieces, legs: Ints, params: LegParams) -> tuple[Array, Array, Ints, Ints]:
    """Legs that are each other's nearest, within a stride, are one person; the others are one each.

    Returns:
        (M, 2) middles, (M,) widths, (M,) one or two legs, (M,) points.
    """
    centers_m, widths_m, counts = pieces.centers_m[legs], pieces.widths_m[legs], pieces.counts[legs]
    apart_m = np.linalg.norm(centers_m[:, None] - centers_m[None], axis=2)
    np.fill_diagonal(apart_m, np.inf)
    nearest = apart_m.argmin(axis=1) if len(legs) > 1 else np.zeros(len(legs), dtype=np.int64)
    own = np.arange(len(legs))
    paired = (nearest[nearest] == own) & (nearest != own)
    paired[paired] = apart_m[own[paired], nearest[paired]] <= params.stride_m
    first = paired & (own < nearest)
    alone = ~paired
    other = nearest[first]
    middles_m = np.vstack([0.5 * (centers_m[first] + centers_m[other]), centers_m[alone]])
    spans_m = np.concatenate(
        [apart_m[own[first], other] + 0.5 * (widths_m[first] + widths_m[other]), widths_m[alone]]
    )
    legs_each = np.concatenate([np.full(first.sum(), 2), np.full(alone.sum(), 1)])
    return middles_m, spans_m, legs_each, np.concatenate([counts[first] + counts[other], counts[alone]])


def _detections(
    scan: PointCloud,
    origin_m: Array,
    centers_m: Array,
    spans_m: Array,
    legs_each: Ints,
    points: Ints,
    lineage: Lineage,
) -> Detections:
    """People as detections, nearest first; they stand on z = 0 of the base frame."""
    order = np.lexsort((centers_m[:, 1], centers_m[:, 0], np.hypot(*centers_m.T)))
    count, (depth_m, height_m) = len(order), _PERSON_M
    at_m = np.column_stack([centers_m[order] + origin_m[:2], np.full(count, 0.5 * height_m)])
    across_m = np.maximum(spans_m[order], depth_m)
    return Detections(
        scan.t_ns,
        scan.frame_id,
        centers_m=at_m,
        sizes_m=np.column_stack([np.full(count, depth_m), across_m, np.full(count, height_m)]),
        yaws_rad=np.zeros(count),
        class_ids=np.full(count, int(ObjectClass.PERSON), dtype=np.int64),
        scores=_SCORES[legs_each[order] - 1],
        sensors=np.full(count, int(SensorKind.SCAN), dtype=np.int64),
        num_points=points[order].astype(np.int64),
        position_cov_m2=np.tile(_SIGMA_M**2 * np.eye(2), (count, 1, 1)),
        image_boxes_px=np.full((count, 4), np.nan),
        lineage=lineage,
    )
