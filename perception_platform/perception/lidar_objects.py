"""The geometric path: from a sweep to obstacle points and boxes, without anything learned. It always runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Detections, Ints, ObjectClass, Percept, SensorKind
from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.perception.boxes import FlatBoxes
from perception_platform.perception.clusters import cluster
from perception_platform.perception.ground import height_above_ground
from perception_platform.perception.naming import name_by_shape
from perception_platform.perception.parameters import GeometryParams
from perception_platform.perception.pieces import Pieces, cut_to_boxes
from perception_platform.perception.preprocess import Body, sweep_in_base
from perception_platform.robot.description import Lidar, Robot

# A box is never thinner: a single row of points has no depth.
_THINNEST_M = 0.05
# The lowest part of a thing, up to this height, may have been taken for ground: its box is drawn down to the ground.
_FOOT_M = 0.45
_WIDEST_VEHICLE_M = 2.3
# Standard deviation of a visible box's centre: range noise and calibration; beam spacing; share of its size.
_SIGMA_M, _SIGMA_PER_M, _SIGMA_OF_SIZE = 0.03, 0.004, 0.08


class GeometricPath:
    """Ground, obstacle points, clusters, boxes and names for the lidars of one robot."""

    def __init__(self, robot: Robot, params: GeometryParams) -> None:
        self._base_frame = robot.base_frame
        self._params = params
        self._body = Body.of(robot, params.body_margin_m)
        self._highest_m = float(robot.height_m) + params.headroom_m
        self.model = params.model_ref()

    def step(self, cloud: PointCloud, lidar: Lidar, lineage: Lineage) -> Percept:
        """What stands around the robot.

        Args:
            cloud: a sweep in the lidar's frame.
            lidar: the lidar it's from.
            lineage: goes into the result.
        """
        base_from_sensor = lidar.mounting.transform()
        origin_m = base_from_sensor.translation_m
        xyz_m = sweep_in_base(cloud.xyz_m, lidar, base_from_sensor, self._body)
        height_m = height_above_ground(xyz_m, origin_m, self._params.ground)
        in_way = (height_m > self._params.ground.clear_m) & (height_m <= self._highest_m)
        obstacles_m = xyz_m[in_way]
        pieces = self._pieces(obstacles_m, height_m[in_way], origin_m)
        vertical = self._vertical(xyz_m, height_m, in_way, pieces)
        detections = self._detections(cloud.t_ns, origin_m, pieces, vertical, lineage)
        return Percept(detections, PointCloud(cloud.t_ns, self._base_frame, cloud.sensor, obstacles_m))

    def _pieces(self, obstacles_m: Points, height_m: Points, origin_m: Array) -> Pieces:
        """Obstacle points grouped into what a box each can describe."""
        xy_m = np.ascontiguousarray(obstacles_m[:, :2])
        params = self._params.clusters
        return cut_to_boxes(xy_m, cluster(xy_m, height_m, origin_m, params), origin_m, params)

    def _vertical(
        self,
        xyz_m: Points,
        height_m: Points,
        in_way: npt.NDArray[np.bool_],
        pieces: Pieces,
    ) -> Array:
        """(K, 3) for each piece: height of its lowest point above ground and of its top, and z of the ground there.

        The top is sought among all points over its cells, also above what the robot could touch: people are taller
        than a small robot.
        """
        order, starts = pieces.clusters.order, pieces.clusters.starts[:-1]
        if len(starts) == 0:
            return np.zeros((0, 3))
        own_m, own_height_m = xyz_m[in_way][order], height_m[in_way][order]
        over = (height_m > self._highest_m) & (height_m <= self._params.tall_m)
        over_m = _tops_over(own_m, xyz_m[over], height_m[over], self._params.clusters.cell_m)
        top_m = np.maximum.reduceat(np.maximum(own_height_m, over_m), starts)
        lowest_m = np.minimum.reduceat(own_height_m, starts)
        floor_m = np.minimum.reduceat(own_m[:, 2] - own_height_m, starts)
        return np.stack([lowest_m, top_m, floor_m], axis=-1).astype(np.float64)

    def _detections(
        self, t_ns: int, origin_m: Array, pieces: Pieces, vertical: Array, lineage: Lineage
    ) -> Detections:
        """Boxes as detections, nearest first."""
        lowest_m, top_m, floor_m = vertical.T
        num_points = np.diff(pieces.clusters.starts)
        class_ids, scores = name_by_shape(pieces.boxes.extent_m, top_m, lowest_m, num_points, pieces.cut)
        length_width_m, yaws_rad = _headings(pieces.boxes, class_ids, origin_m)
        bottom_m = np.where(lowest_m < _FOOT_M, 0.0, lowest_m)
        centers_m = np.column_stack([pieces.boxes.center_m, floor_m + 0.5 * (bottom_m + top_m)])
        sizes_m = np.maximum(np.column_stack([length_width_m, top_m - bottom_m]), _THINNEST_M)
        n = np.lexsort((centers_m[:, 1], centers_m[:, 0], np.hypot(centers_m[:, 0], centers_m[:, 1])))
        return Detections(
            t_ns,
            self._base_frame,
            centers_m[n],
            sizes_m[n],
            yaws_rad[n],
            class_ids[n],
            scores[n],
            sensors=np.full(len(n), int(SensorKind.LIDAR), dtype=np.int64),
            num_points=num_points[n],
            position_cov_m2=position_covariance(centers_m[n], sizes_m[n], yaws_rad[n], origin_m),
            image_boxes_px=np.full((len(n), 4), np.nan),
            lineage=lineage,
            models=(self.model,),
        )


def _tops_over(below_m: Points, over_m: Points, height_m: Points, cell_m: float) -> Points:
    """(N,) height of the highest of other points in the grid column of each of N points; -inf where there is none.

    Args:
        below_m: (N, 3) points.
        over_m: (M, 3) the other points.
        height_m: (M,) their heights above the ground.
        cell_m: side of a column.
    """
    if len(over_m) == 0:
        return np.full(len(below_m), -np.inf, dtype=np.float32)
    low_m = np.minimum(over_m[:, :2].min(axis=0), below_m[:, :2].min(axis=0))
    high_m = np.maximum(over_m[:, :2].max(axis=0), below_m[:, :2].max(axis=0))
    columns, rows = ((high_m - low_m) / np.float32(cell_m)).astype(np.int64) + 1
    over, below = (((p[:, :2] - low_m) / np.float32(cell_m)).astype(np.int32) for p in (over_m, below_m))
    tops_m = np.full((rows, columns), -np.inf, dtype=np.float32)
    np.maximum.at(tops_m, (over[:, 1], over[:, 0]), height_m)
    return np.asarray(tops_m[below[:, 1], below[:, 0]])


def _headings(boxes: FlatBoxes, class_ids: Ints, origin_m: Array) -> tuple[Array, Array]:
    """(N, 2) length and width and (N,) headings in [-pi/2, pi/2), which geometry knows modulo pi.

    The heading is along the longer side, except for a vehicle of which no more than its width is visible: that's a
    nose or a tail, and the heading is along the line of sight.
    """
    extent_m = boxes.extent_m
    second = extent_m[:, 1] > extent_m[:, 0]
    vehicle = np.isin(class_ids, (int(ObjectClass.CAR), int(ObjectClass.TRUCK)))
    end_on = vehicle & (extent_m.max(axis=1) <= _WIDEST_VEHICLE_M)
    sight = boxes.center_m - origin_m[:2]
    bearing_rad = np.arctan2(sight[:, 1], sight[:, 0]) - boxes.angle_rad
    second = np.where(end_on, np.abs(np.sin(bearing_rad)) > np.abs(np.cos(bearing_rad)), second)
    length_width_m = np.where(second[:, None], extent_m[:, ::-1], extent_m)
    yaws_rad = boxes.angle_rad + np.where(second, np.pi / 2, 0.0)
    return length_width_m, wrap_angle(2 * yaws_rad) / 2


def position_covariance(centers_m: Array, sizes_m: Array, yaws_rad: Array, origin_m: Array) -> Array:
    """(N, 2, 2) covariance of the centres of visible boxes, m².

    Noise grows with range; the part that is visible changes from sweep to sweep in proportion to the size.
    """
    range_m = np.hypot(centers_m[:, 0] - origin_m[0], centers_m[:, 1] - origin_m[1])
    base = (_SIGMA_M + _SIGMA_PER_M * range_m) ** 2
    along = base + (_SIGMA_OF_SIZE * sizes_m[:, 0]) ** 2
    across = base + (_SIGMA_OF_SIZE * sizes_m[:, 1]) ** 2
    c, s = np.cos(yaws_rad), np.sin(yaws_rad)
    xx, yy, xy = c * c * along + s * s * across, s * s * along + c * c * across, c * s * (along - across)
    return np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2)
