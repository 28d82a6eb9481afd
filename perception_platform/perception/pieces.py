"""Clusters cut until a box can describe each piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.boxes import FlatBoxes, boxes_at
from perception_platform.perception.clusters import Clusters, Flags
from perception_platform.perception.lshape import fit_angles, principal_angles
from perception_platform.perception.parameters import ClusterParams


@dataclass(frozen=True, slots=True)
class Pieces:
    """Clusters that a box describes, with their boxes.

    Attributes:
        clusters: K clusters.
        boxes: the box of each.
        cut: (K,) whether it is a piece of something larger.
    """

    clusters: Clusters
    boxes: FlatBoxes
    cut: Flags


def cut_to_boxes(xy_m: Points, clusters: Clusters, origin_m: Array, params: ClusterParams) -> Pieces:
    """Fit boxes, and halve what no box can describe until it can: hedges, rows of shelves, corners of rooms.

    A box that holds free space would stop the robot for nothing. A cluster is halved across its longer side while it is
    larger than any object, or seen through, and neither flat nor short.
    """
    done: list[Pieces] = []
    for cuts in range(params.max_cuts + 1):
        boxes = _boxes(xy_m, clusters, origin_m, cuts > 0, params)
        hollow = _too_large(boxes.extent_m, cuts > 0 or boxes.see_through, params) & (cuts < params.max_cuts)
        fit = ~hollow
        done.append(Pieces(clusters.chosen(fit), boxes.chosen(fit), np.full(int(fit.sum()), cuts > 0)))
        if not hollow.any():
            break
        clusters = _halved(xy_m, clusters.chosen(hollow), boxes.chosen(hollow))
    return _joined(done)


def _boxes(
    xy_m: Points, clusters: Clusters, origin_m: Array, is_piece: bool, params: ClusterParams
) -> FlatBoxes:
    """Boxes, with a fitted angle for all but those that are too large in any case."""
    angle_rad, extent_m = principal_angles(xy_m, clusters)
    objects = ~_too_large(extent_m, is_piece, params)
    angle_rad[objects] = fit_angles(xy_m, clusters.chosen(objects))
    return boxes_at(xy_m, clusters, angle_rad, origin_m)


def _too_large(extent_m: Array, doubtful: bool | Flags, params: ClusterParams) -> Flags:
    """Which boxes hold more than they show: larger than any object, or doubtful, and neither flat nor short."""
    length_m, width_m = extent_m.max(axis=1), extent_m.min(axis=1)
    larger = (length_m > params.object_size_m[0]) | (width_m > params.object_size_m[1])
    return np.asarray((larger | doubtful) & (width_m > params.flat_m) & (length_m > params.piece_m))


def _halved(xy_m: Points, clusters: Clusters, boxes: FlatBoxes) -> Clusters:
    """Each cluster in two, at the middle of its box's longer side."""
    owner = clusters.owner
    along_second = boxes.extent_m[:, 1] > boxes.extent_m[:, 0]
    axis_rad = boxes.angle_rad + np.where(along_second, np.pi / 2, 0.0)
    offset = xy_m[clusters.order] - boxes.center_m[owner]
    along = offset[:, 0] * np.cos(axis_rad)[owner] + offset[:, 1] * np.sin(axis_rad)[owner]
    half = 2 * owner + (along > 0)
    count = np.bincount(half)
    starts = np.concatenate([[0], np.cumsum(count[count > 0])]).astype(np.int64)
    return Clusters(clusters.order[np.argsort(half, kind="stable")], starts)


def _joined(parts: list[Pieces]) -> Pieces:
    """All parts as one."""
    counts = np.concatenate([np.diff(p.clusters.starts) for p in parts])
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    boxes = FlatBoxes(
        np.concatenate([p.boxes.angle_rad for p in parts]),
        np.concatenate([p.boxes.low_m for p in parts]),
        np.concatenate([p.boxes.high_m for p in parts]),
        np.concatenate([p.boxes.see_through for p in parts]),
    )
    order = np.concatenate([p.clusters.order for p in parts])
    return Pieces(Clusters(order, starts), boxes, np.concatenate([p.cut for p in parts]))
