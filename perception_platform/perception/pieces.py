"""Clusters cut until a box can describe each piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.boxes import FlatBoxes, boxes_at, seen_through
from perception_platform.perception.clusters import Clusters, Flags, Ints
from perception_platform.perception.lshape import fit_angles, principal_angles
from perception_platform.perception.parameters import ClusterParams
from perception_platform.runtime.compiled import compiled


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
        x, y = clusters.columns(xy_m)
        boxes = _boxes(x, y, clusters.starts, cuts > 0, params)
        doubtful = cuts > 0 or seen_through(x, y, clusters.starts, boxes, origin_m)
        hollow = _too_large(boxes.extent_m, doubtful, params) & (cuts < params.max_cuts)
        fit = ~hollow
        done.append(Pieces(clusters.chosen(fit), boxes.chosen(fit), np.full(int(fit.sum()), cuts > 0)))
        if not hollow.any():
            break
        clusters = _halved(x, y, clusters, boxes, hollow)
    return _joined(done)


def _boxes(x: Points, y: Points, starts: Ints, is_piece: bool, params: ClusterParams) -> FlatBoxes:
    """Boxes, with a fitted angle for all but those that are too large in any case."""
    angle_rad, extent_m = principal_angles(x, y, starts)
    fit_angles(x, y, starts, ~_too_large(extent_m, is_piece, params), angle_rad)
    return boxes_at(x, y, starts, angle_rad)


def _too_large(extent_m: Array, doubtful: bool | Flags, params: ClusterParams) -> Flags:
    """Which boxes hold more than they show: larger than any object, or doubtful, and neither flat nor short."""
    length_m, width_m = extent_m.max(axis=1), extent_m.min(axis=1)
    larger = (length_m > params.object_size_m[0]) | (width_m > params.object_size_m[1])
    return np.asarray((larger | doubtful) & (width_m > params.flat_m) & (length_m > params.piece_m))


@compiled(
    "int64(float32[::1], float32[::1], int64[::1], int64[::1], boolean[::1], float64[::1], float64[:,::1], int64[::1],"
    " int64[::1])"
)
def _halve(
    x: Points,
    y: Points,
    order: Ints,
    starts: Ints,
    which: Flags,
    axis_rad: Array,
    center_m: Array,
    new_order: Ints,
    new_starts: Ints,
) -> int:
    """Write the points of some clusters by the side of their centre on which they lie; returns how many halves."""
    halves, placed = 0, 0
    for k in range(len(starts) - 1):
        if not which[k]:
            continue
        c, s, (x0, y0) = np.cos(axis_rad[k]), np.sin(axis_rad[k]), center_m[k]
        for beyond in (False, True):
            for i in range(starts[k], starts[k + 1]):
                if ((x[i] - x0) * c + (y[i] - y0) * s > 0) == beyond:
                    new_order[placed] = order[i]
                    placed += 1
            if placed > new_starts[halves]:
                halves += 1
                new_starts[halves] = placed
    return halves


def _halved(x: Points, y: Points, clusters: Clusters, boxes: FlatBoxes, which: Flags) -> Clusters:
    """Some clusters, each in two, at the middle of its box's longer side."""
    along_second = boxes.extent_m[:, 1] > boxes.extent_m[:, 0]
    axis_rad = boxes.angle_rad + np.where(along_second, np.pi / 2, 0.0)
    order, starts = np.empty_like(clusters.order), np.zeros(2 * len(clusters) + 1, dtype=np.int64)
    halves = _halve(x, y, clusters.order, clusters.starts, which, axis_rad, boxes.center_m, order, starts)
    return Clusters(order[: starts[halves]], starts[: halves + 1])


def _joined(parts: list[Pieces]) -> Pieces:
    """All parts as one."""
    counts = np.concatenate([np.diff(p.clusters.starts) for p in parts])
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    boxes = FlatBoxes(
        np.concatenate([p.boxes.angle_rad for p in parts]),
        np.concatenate([p.boxes.low_m for p in parts]),
        np.concatenate([p.boxes.high_m for p in parts]),
    )
    order = np.concatenate([p.clusters.order for p in parts])
    return Pieces(Clusters(order, starts), boxes, np.concatenate([p.cut for p in parts]))
