"""Clusters cut until a box can describe each piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.boxes import FlatBoxes
from perception_platform.perception.boxfit import COARSE_COS_SIN, UNITS_PER_M, cut, gather
from perception_platform.perception.clusters import Clusters, Flags
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


def cut_to_boxes(xyz_m: Points, clusters: Clusters, origin_m: Array, params: ClusterParams) -> Pieces:
    """Fit boxes, and halve what no box can describe until it can: hedges, rows of shelves, corners of rooms.

    A box that holds free space would stop the robot for nothing. A cluster is halved across its longer side while it is
    larger than any object, or seen through (a corner from inside), and neither flat nor short.

    Args:
        xyz_m: (N, 3) contiguous points in the base frame.
        clusters: which of them belong together.
        origin_m: (3,) where the lidar is.
        params: what is too large for one box.
    """
    order, points = clusters.order.copy(), len(clusters.order)
    x, y = np.empty(points, dtype=np.int32), np.empty(points, dtype=np.int32)
    gather(xyz_m, order, x, y)
    starts, angle_rad = np.zeros(points + 1, dtype=np.int64), np.empty(points)
    boxes, is_cut = np.empty((points, 4), dtype=np.int32), np.empty(points, dtype=np.bool_)
    limits = UNITS_PER_M * np.array([*params.object_size_m, params.flat_m, params.piece_m])
    count = 0
    if points > 0:
        x0, y0 = origin_m[:2] * UNITS_PER_M
        count = cut(
            *(x, y, order, clusters.starts, COARSE_COS_SIN, x0, y0, limits, params.max_cuts),
            *(starts[1:], angle_rad, boxes, is_cut),
        )
    low_high_m = boxes[:count] / UNITS_PER_M
    flat = FlatBoxes(angle_rad[:count], low_high_m[:, :2], low_high_m[:, 2:])
    return Pieces(Clusters(order, starts[: count + 1]), flat, is_cut[:count])
