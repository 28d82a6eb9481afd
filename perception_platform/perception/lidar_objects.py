"""The geometric path: from a sweep to obstacle points and boxes, without anything learned. It always runs."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array, Transform, wrap_angle
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Detections, Ints, ObjectClass, Percept, SensorKind
from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.perception.backscatter import without_backscatter
from perception_platform.perception.boxes import FlatBoxes
from perception_platform.perception.clusters import Cells, Clusters, cluster
from perception_platform.perception.ground import height_above_ground
from perception_platform.perception.low_parts import low_parts
from perception_platform.perception.naming import name_by_shape
from perception_platform.perception.parameters import GeometryParams
from perception_platform.perception.pieces import Pieces, cut_to_boxes
from perception_platform.perception.preprocess import Body, sweep_in_base
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar
from perception_platform.runtime.compiled import compiled

Layers = tuple[Points, Points, Points, Points]

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
        self._highest_m = float(robot.height_m + robot.clearance.above_m)
        self.model = params.model_ref()

    def step(self, cloud: PointCloud, lidar: Lidar, lineage: Lineage) -> Percept:
        """What stands around the robot, by one step after the other; the graph runs the same steps as components.

        Args:
            cloud: a sweep in the lidar's frame.
            lidar: the lidar it's from.
            lineage: goes into the result.
        """
        base_from_sensor = lidar.mounting.transform()
        origin_m = base_from_sensor.translation_m
        xyz_m, intensity = self.ready(cloud, lidar, base_from_sensor)
        layers = self.layers(xyz_m, self.heights(xyz_m, origin_m), intensity, origin_m)
        obstacles_m, obstacle_heights_m = layers[:2]
        pieces = self.pieces(obstacles_m, obstacle_heights_m, origin_m)
        detections = self.objects(cloud.t_ns, origin_m, layers, pieces, lineage)
        return Percept(detections, PointCloud(cloud.t_ns, self._base_frame, cloud.sensor, obstacles_m))

    def ready(self, cloud: PointCloud, lidar: Lidar, base_from_sensor: Transform) -> tuple[Points, Points]:
        """(N, 3) points of use, in the base frame, and their (N,) intensities."""
        return sweep_in_base(cloud, lidar, base_from_sensor, self._body)

    def heights(self, xyz_m: Points, origin_m: Array) -> Points:
        """(N,) heights of points above the ground, m."""
        return height_above_ground(xyz_m, origin_m, self._params.ground)

    def layers(self, xyz_m: Points, height_m: Points, intensity: Points, origin_m: Array) -> Layers:
        """What the robot could touch: (M, 3) points and (M,) heights; what is above that: (K, 3) and (K,)."""
        params = self._params
        in_way_m, in_way_height_m, which = _between(xyz_m, height_m, params.ground.clear_m, self._highest_m)
        above_m, above_height_m, _ = _between(xyz_m, height_m, self._highest_m, params.tall_m)
        if params.backscatter is not None:
            in_way_m, in_way_height_m = without_backscatter(
                *(in_way_m, in_way_height_m, intensity, which),
                *(xyz_m, origin_m, params.backscatter),
            )
        flat_m, flat_height_m, _ = _between(xyz_m, height_m, params.low_parts.above_m, params.ground.clear_m)
        of_low = low_parts(flat_m, in_way_m, in_way_height_m, origin_m, params.low_parts)
        in_way_m = np.concatenate([in_way_m, flat_m[of_low]])
        in_way_height_m = np.concatenate([in_way_height_m, flat_height_m[of_low]])
        return in_way_m, in_way_height_m, above_m, above_height_m

    def pieces(self, obstacles_m: Points, height_m: Points, origin_m: Array) -> Pieces:
        """Obstacle points grouped into what a box each can describe."""
        params = self._params.clusters
        return cut_to_boxes(obstacles_m, cluster(obstacles_m, height_m, origin_m, params), origin_m, params)

    def objects(
        self, t_ns: int, origin_m: Array, layers: Layers, pieces: Pieces, lineage: Lineage
    ) -> Detections:
        """Pieces as named objects."""
        vertical = _vertical(*layers, pieces.clusters, self._params.clusters.cell_m)
        return self._detections(t_ns, origin_m, pieces, vertical, lineage)

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


@compiled("int64(float32[:,::1], float32[::1], float32, float32, float32[:,::1], float32[::1], int32[::1])")
def _select(
    xyz_m: Points,
    height_m: Points,
    above_m: float,
    to_m: float,
    out_m: Points,
    out_height_m: Points,
    which: Cells,
) -> int:
    """Write the points above one height and up to another, their heights and which they are; returns how many."""
    kept = 0
    for i in range(xyz_m.shape[0]):
        if height_m[i] > above_m and height_m[i] <= to_m:
            out_m[kept, 0], out_m[kept, 1], out_m[kept, 2] = xyz_m[i, 0], xyz_m[i, 1], xyz_m[i, 2]
            out_height_m[kept], which[kept] = height_m[i], i
            kept += 1
    return kept


def _between(xyz_m: Points, height_m: Points, above_m: float, to_m: float) -> tuple[Points, Points, Cells]:
    """(M, 3) points above one height over the ground and up to another, their (M,) heights and rows."""
    out_m, out_height_m = np.empty_like(xyz_m), np.empty_like(height_m)
    which = np.empty(len(xyz_m), dtype=np.int32)
    kept = _select(xyz_m, height_m, above_m, to_m, out_m, out_height_m, which)
    return out_m[:kept], out_height_m[:kept], which[:kept]


@compiled("void(float32[:,::1], int64[::1], float32[:,::1], float32[::1])")
def _corners(own_m: Points, order: Ints, over_m: Points, limits_m: Points) -> None:
    """Least x and y, greatest x and y of the points in ``order`` and of all others."""
    x_low = y_low = np.float32(np.inf)
    x_high = y_high = np.float32(-np.inf)
    for i in order:
        x, y = own_m[i, 0], own_m[i, 1]
        x_low, x_high, y_low, y_high = min(x_low, x), max(x_high, x), min(y_low, y), max(y_high, y)
    for i in range(over_m.shape[0]):
        x, y = over_m[i, 0], over_m[i, 1]
        x_low, x_high, y_low, y_high = min(x_low, x), max(x_high, x), min(y_low, y), max(y_high, y)
    limits_m[0], limits_m[1], limits_m[2], limits_m[3] = x_low, y_low, x_high, y_high


@compiled("void(float32[:,::1], float32[::1], float32, float32, float32, float32[:,::1])")
def _raise_tops(
    over_m: Points, height_m: Points, x0_m: float, y0_m: float, cell_m: float, tops_m: Points
) -> None:
    """Raise each column's top to its highest point."""
    for i in range(over_m.shape[0]):
        row, column = np.int32((over_m[i, 1] - y0_m) / cell_m), np.int32((over_m[i, 0] - x0_m) / cell_m)
        tops_m[row, column] = max(tops_m[row, column], height_m[i])


@compiled(
    "void(float32[:,::1], float32[::1], int64[::1], int64[::1], float32, float32, float32, float32[:,::1],"
    " float64[:,::1])"
)
def _spans(
    own_m: Points,
    height_m: Points,
    order: Ints,
    starts: Ints,
    x0_m: float,
    y0_m: float,
    cell_m: float,
    tops_m: Points,
    span_m: Array,
) -> None:
    """Lowest point, top and ground of each piece; its top may be that of a column it has a point in."""
    for k in range(len(starts) - 1):
        lowest_m, top_m, floor_m = np.float32(np.inf), np.float32(-np.inf), np.float32(np.inf)
        for i in order[starts[k] : starts[k + 1]]:
            row, column = np.int32((own_m[i, 1] - y0_m) / cell_m), np.int32((own_m[i, 0] - x0_m) / cell_m)
            lowest_m = min(lowest_m, height_m[i])
            top_m = max(top_m, max(height_m[i], tops_m[row, column]))
            floor_m = min(floor_m, own_m[i, 2] - height_m[i])
        span_m[k, 0], span_m[k, 1], span_m[k, 2] = lowest_m, top_m, floor_m


def _vertical(
    own_m: Points, own_height_m: Points, over_m: Points, height_m: Points, clusters: Clusters, cell_m: float
) -> Array:
    """(K, 3) for each piece: height of its lowest point above ground and of its top, and z of the ground there.

    The top is sought among all points over its cells, also above what the robot could touch: people are taller
    than a small robot.

    Args:
        own_m: (N, 3) points that the pieces are made of.
        own_height_m: (N,) their heights above the ground.
        over_m: (M, 3) higher points.
        height_m: (M,) their heights.
        clusters: the pieces.
        cell_m: side of the grid's columns.
    """
    span_m = np.zeros((len(clusters), 3))
    if len(clusters) == 0:
        return span_m
    limits_m = np.empty(4, dtype=np.float32)
    _corners(own_m, clusters.order, over_m, limits_m)
    columns, rows = ((limits_m[2:] - limits_m[:2]) / np.float32(cell_m)).astype(np.int64) + 1
    x0_m, y0_m = float(limits_m[0]), float(limits_m[1])
    tops_m = np.full((rows, columns), -np.inf, dtype=np.float32)
    _raise_tops(over_m, height_m, x0_m, y0_m, cell_m, tops_m)
    _spans(own_m, own_height_m, clusters.order, clusters.starts, x0_m, y0_m, cell_m, tops_m, span_m)
    return span_m


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
