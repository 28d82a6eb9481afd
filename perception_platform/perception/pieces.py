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
    order = clusters.order.copy()
    x, y = xy_m[order, 0], xy_m[order, 1]
    spans = np.column_stack([clusters.starts[:-1], clusters.starts[1:]])
    done: list[tuple[Ints, FlatBoxes, Flags]] = []
    for cuts in range(params.max_cuts + 1):
        boxes = _boxes(x, y, spans, cuts > 0, params)
        doubtful = cuts > 0 or seen_through(x, y, spans, boxes, origin_m)
        hollow = _too_large(boxes.extent_m, doubtful, params) & (cuts < params.max_cuts)
        fit = ~hollow
        done.append((spans[fit], boxes.chosen(fit), np.full(int(fit.sum()), cuts > 0)))
        if not hollow.any():
            break
        spans = _halved(x, y, order, spans[hollow], boxes.chosen(hollow))
    return _joined(order, done)


def _boxes(x: Points, y: Points, spans: Ints, is_piece: bool, params: ClusterParams) -> FlatBoxes:
    """Boxes, with a fitted angle for all but those that are too large in any case."""
    angle_rad, extent_m = principal_angles(x, y, spans)
    fit_angles(x, y, spans, ~_too_large(extent_m, is_piece, params), angle_rad)
    return boxes_at(x, y, spans, angle_rad)


def _too_large(extent_m: Array, doubtful: bool | Flags, params: ClusterParams) -> Flags:
    """Which boxes hold more than they show: larger than any object, or doubtful, and neither flat nor short."""
    length_m, width_m = extent_m.max(axis=1), extent_m.min(axis=1)
    larger = (length_m > params.object_size_m[0]) | (width_m > params.object_size_m[1])
    return np.asarray((larger | doubtful) & (width_m > params.flat_m) & (length_m > params.piece_m))


@compiled(
    "int64(float32[::1], float32[::1], int64[::1], int64[:,::1], float64[::1], float64[:,::1], int64[:,::1])"
)
def _halve(
    x: Points, y: Points, order: Ints, spans: Ints, axis_rad: Array, center_m: Array, halves: Ints
) -> int:
    """Order the points of each cluster by the side of its centre on which they lie; returns how many halves."""
    largest = 0
    for k in range(len(spans)):
        largest = max(largest, spans[k, 1] - spans[k, 0])
    far_x, far_y = np.empty(largest, dtype=np.float32), np.empty(largest, dtype=np.float32)
    far_order, count = np.empty(largest, dtype=np.int64), 0
    for k in range(len(spans)):
        c, s, (x0, y0) = np.cos(axis_rad[k]), np.sin(axis_rad[k]), center_m[k]
        begin, end = spans[k]
        middle, far = begin, 0
        for i in range(begin, end):
            if (x[i] - x0) * c + (y[i] - y0) * s > 0:
                far_x[far], far_y[far], far_order[far] = x[i], y[i], order[i]
                far += 1
            else:
                x[middle], y[middle], order[middle] = x[i], y[i], order[i]
                middle += 1
        x[middle:end], y[middle:end], order[middle:end] = far_x[:far], far_y[:far], far_order[:far]
        for first, last in ((begin, middle), (middle, end)):
            if last > first:
                halves[count, 0], halves[count, 1] = first, last
                count += 1
    return count


def _halved(x: Points, y: Points, order: Ints, spans: Ints, boxes: FlatBoxes) -> Ints:
    """Spans of clusters, each in two, at the middle of its box's longer side; their points change places."""
    along_second = boxes.extent_m[:, 1] > boxes.extent_m[:, 0]
    axis_rad = boxes.angle_rad + np.where(along_second, np.pi / 2, 0.0)
    halves = np.empty((2 * len(spans), 2), dtype=np.int64)
    return halves[: _halve(x, y, order, spans, axis_rad, boxes.center_m, halves)]


def _joined(order: Ints, parts: list[tuple[Ints, FlatBoxes, Flags]]) -> Pieces:
    """All parts as one, in the order of their points."""
    spans = np.concatenate([part[0] for part in parts])
    n = np.argsort(spans[:, 0])
    boxes = FlatBoxes(
        np.concatenate([part[1].angle_rad for part in parts])[n],
        np.concatenate([part[1].low_m for part in parts])[n],
        np.concatenate([part[1].high_m for part in parts])[n],
    )
    starts = np.append(spans[n, 0], len(order))
    return Pieces(Clusters(order, starts), boxes, np.concatenate([part[2] for part in parts])[n])
