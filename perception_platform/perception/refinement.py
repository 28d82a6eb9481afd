"""What the tracks of earlier moments say of how a sweep's points belong together, and of what the objects are called.

A cluster that several tracks explain is parted among them, pieces of one tracked vehicle become one box. No point
leaves a piece here, and obstacle points are made before and elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Detections, Ints, ObjectClass, Tracks
from perception_platform.core.sensor_data import Points
from perception_platform.perception.boxes import FlatBoxes
from perception_platform.perception.clusters import Clusters
from perception_platform.perception.parameters import ClusterParams
from perception_platform.perception.pieces import Pieces, cut_to_boxes

Flags = npt.NDArray[np.bool_]

_PEOPLE = (int(ObjectClass.PERSON), int(ObjectClass.CYCLIST))
_VEHICLES = (int(ObjectClass.CAR), int(ObjectClass.TRUCK), int(ObjectClass.FORKLIFT))
# Points this far outside a predicted box may be its object's: its place and size are not known better.
_MARGIN_M = 0.25
# A class that is less sure names nothing.
_NAMED = 0.6


def refine(
    pieces: Pieces, obstacles_m: Points, origin_m: Array, tracks: Tracks, params: ClusterParams
) -> Pieces:
    """Pieces as the tracks explain them; the very same ones where they have nothing to say.

    Args:
        pieces: K pieces.
        obstacles_m: (N, 3) the points that they are made of, base frame.
        origin_m: (3,) where the lidar is.
        tracks: carried on to this moment, base frame.
        params: fewest points of a piece.
    """
    rows = np.flatnonzero(np.isin(tracks.class_ids, (*_PEOPLE, *_VEHICLES)) & (tracks.class_scores >= _NAMED))
    if len(rows) == 0 or len(pieces.clusters) == 0:
        return pieces
    outside_m = _Distances(tracks)
    groups: list[list[Ints]] = []  # of the points that become pieces of their own
    taken = np.zeros(len(pieces.clusters), dtype=np.bool_)
    near = _near(pieces.boxes, tracks)
    members = np.split(pieces.clusters.order, pieces.clusters.starts[1:-1])
    for k in np.flatnonzero(near.sum(axis=1) >= 2).tolist():
        parts = _parted(obstacles_m[members[k]], np.flatnonzero(near[k]), tracks, outside_m, params)
        if parts is not None:
            groups.append([members[k][part] for part in parts])
            taken[k] = True
    for row in rows[np.isin(tracks.class_ids[rows], _VEHICLES)].tolist():
        held = _held(np.flatnonzero(near[:, row] & ~taken), row, pieces.boxes, outside_m)
        if len(held) >= 2:
            groups.append([np.concatenate([members[k] for k in held])])
            taken[held] = True
    if not groups:
        return pieces
    return _with(pieces, taken, [part for group in groups for part in group], obstacles_m, origin_m, params)


class _Distances:
    """How far points are outside the predicted boxes; negative inside."""

    def __init__(self, tracks: Tracks) -> None:
        self._at_m, self._half_m = tracks.centers_m[:, :2], 0.5 * tracks.sizes_m[:, :2]
        self._axes = np.stack([np.cos(tracks.yaws_rad), np.sin(tracks.yaws_rad)], axis=-1)

    def __call__(self, xy_m: npt.NDArray[np.floating], rows: Ints) -> Array:
        """(N, R) of points (N, 2) from the boxes of some tracks, m."""
        apart = xy_m[:, None].astype(np.float64) - self._at_m[rows]
        c, s = self._axes[rows].T
        along, across = apart[..., 0] * c + apart[..., 1] * s, apart[..., 1] * c - apart[..., 0] * s
        beyond = np.abs(np.stack([along, across], axis=-1)) - self._half_m[rows]
        return np.asarray(beyond.max(axis=-1))


def _near(boxes: FlatBoxes, tracks: Tracks) -> Flags:
    """(K, T) which boxes may touch which tracks' boxes, by the circles around both."""
    reach_m = 0.5 * np.linalg.norm(boxes.extent_m, axis=1)[:, None] + _MARGIN_M
    reach_m = reach_m + 0.5 * np.linalg.norm(tracks.sizes_m[:, :2], axis=1)
    apart_m = np.linalg.norm(boxes.center_m[:, None] - tracks.centers_m[:, :2], axis=2)
    return np.asarray(apart_m <= reach_m)


def _parted(
    xyz_m: Points, rows: Ints, tracks: Tracks, outside_m: _Distances, params: ClusterParams
) -> list[Ints] | None:
    """Which points of a cluster go to which of several tracks; None if not several explain it.

    One of them at least has to be a person's, or all those of vehicles: parts of unknown things are split by chance.
    """
    away_m = outside_m(xyz_m[:, :2], rows)
    claimed = (away_m <= _MARGIN_M).sum(axis=0)
    within = outside_m(tracks.centers_m[rows, :2], rows) <= 0.0
    echoes = within | within.T  # one whose middle is inside another's box is no other object
    chosen: list[int] = []
    for column in np.lexsort((rows, -claimed)).tolist():
        if claimed[column] >= max(params.min_points, 1) and not echoes[column, chosen].any():
            chosen.append(column)
    owners = rows[chosen]
    named = tracks.class_scores[owners] >= _NAMED
    people = (np.isin(tracks.class_ids[owners], _PEOPLE) & named).any()
    vehicles = (np.isin(tracks.class_ids[owners], _VEHICLES) & named).all()
    if len(chosen) < 2 or not (people or vehicles):
        return None
    nearest = away_m[:, chosen].argmin(axis=1)
    parts = [np.flatnonzero(nearest == i) for i in range(len(chosen))]
    return parts if min(map(len, parts)) >= max(params.min_points, 1) else None


def _held(candidates: Ints, row: int, boxes: FlatBoxes, outside_m: _Distances) -> Ints:
    """Those of the boxes that lie inside a track's, with all four corners."""
    if len(candidates) < 2:
        return candidates
    low_m, high_m, angle_rad = (values[candidates] for values in (boxes.low_m, boxes.high_m, boxes.angle_rad))
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    inside = np.ones(len(candidates), dtype=np.bool_)
    for u in (low_m[:, 0], high_m[:, 0]):
        for v in (low_m[:, 1], high_m[:, 1]):
            corner_m = np.stack([u * c - v * s, u * s + v * c], axis=-1)
            inside &= outside_m(corner_m, np.array([row]))[:, 0] <= _MARGIN_M
    return candidates[inside]


def _with(
    pieces: Pieces,
    taken: Flags,
    parts: list[Ints],
    obstacles_m: Points,
    origin_m: Array,
    params: ClusterParams,
) -> Pieces:
    """The pieces that were not taken, and behind them one for each part."""
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    made = cut_to_boxes(
        obstacles_m, Clusters(np.concatenate(parts), starts), origin_m, replace(params, max_cuts=0)
    )
    kept = ~taken
    counts = np.diff(pieces.clusters.starts)
    order = np.concatenate([pieces.clusters.order[np.repeat(kept, counts)], made.clusters.order])
    ends = np.cumsum(np.concatenate([[0], counts[kept], np.diff(made.clusters.starts)]))
    boxes = FlatBoxes(
        *(
            np.concatenate([getattr(pieces.boxes, name)[kept], getattr(made.boxes, name)])
            for name in ("angle_rad", "low_m", "high_m")
        )
    )
    return Pieces(Clusters(order, ends), boxes, np.concatenate([pieces.cut[kept], made.cut]))


def steady_names(objects: Detections, tracks: Tracks) -> Detections:
    """Objects without a name of their own called as the track that they continue; no name that one has is taken away.

    For applications, not for the tracker: it would take its own belief for a second witness.

    Args:
        objects: N objects, base frame.
        tracks: carried on to this moment, base frame.
    """
    rows = np.flatnonzero(np.isin(tracks.class_ids, (*_PEOPLE, *_VEHICLES)) & (tracks.class_scores >= _NAMED))
    if len(rows) == 0 or len(objects) == 0:
        return objects
    apart_m = np.linalg.norm(objects.centers_m[:, None, :2] - tracks.centers_m[rows, :2], axis=2)
    within = _Distances(tracks)(objects.centers_m[:, :2], rows) <= _MARGIN_M
    longest_m = tracks.sizes_m[rows, :2].max(axis=1) + 2 * _MARGIN_M
    within &= objects.sizes_m[:, :2].max(axis=1)[:, None] <= longest_m
    apart_m = np.where(within, apart_m, np.inf)
    nearest_object, nearest_track = apart_m.argmin(axis=0), apart_m.argmin(axis=1)
    columns = np.flatnonzero(
        (nearest_track[nearest_object] == np.arange(len(rows)))
        & np.isfinite(apart_m[nearest_object, np.arange(len(rows))])
    )
    chosen, by = nearest_object[columns], rows[columns]
    own, told = objects.class_ids[chosen], tracks.class_ids[by]
    nameless, same = own == int(ObjectClass.UNKNOWN), own == told
    class_ids, scores = objects.class_ids.copy(), objects.scores.copy()
    class_ids[chosen[nameless]] = told[nameless]
    believed = tracks.class_scores[by]
    scores[chosen[nameless]] = believed[nameless]
    scores[chosen[same]] = np.maximum(scores[chosen[same]], believed[same])
    return replace(objects, class_ids=class_ids, scores=scores)
