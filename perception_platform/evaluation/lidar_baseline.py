"""What one would write first: one plane by RANSAC, DBSCAN on the rest, a box along each cluster's principal axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, one_a_voxel
from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.evaluation.lidar_measures import Boxes
from perception_platform.perception.parameters import GeometryParams
from perception_platform.perception.preprocess import Body, sweep_in_base
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar

_PLANE_M = 0.15
_TRIALS = 100
# Points are thinned to one in a voxel, without which DBSCAN holds all pairs of a near wall in memory.
_VOXEL_M = 0.1
_NEIGHBOURS_M, _FEWEST = 0.5, 8


def baseline_finder(robot: Robot, lidar: Lidar, seed: int) -> Callable[[PointCloud], tuple[Boxes, Array]]:
    """Plane RANSAC (Fischler and Bolles, 1981) and DBSCAN (Ester et al., 1996) of scikit-learn.

    Args:
        robot: whose body is left out, and up to whose height obstacles count.
        lidar: the lidar that sweeps are from.
        seed: of the plane's tries.

    Raises:
        InputError: if scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import DBSCAN
        from sklearn.linear_model import RANSACRegressor
    except ModuleNotFoundError as error:
        raise InputError("scikit-learn", "is not installed: the baseline needs the extra [test]") from error
    params = GeometryParams()
    body, highest_m = Body.of(robot, params.body_margin_m), robot.height_m + robot.clearance.above_m
    base_from_lidar = lidar.mounting.transform()
    lidar_from_base = base_from_lidar.inverse()

    def find(cloud: PointCloud) -> tuple[Boxes, Array]:
        xyz_m, _ = sweep_in_base(cloud, lidar, base_from_lidar, body)
        plane = RANSACRegressor(residual_threshold=_PLANE_M, max_trials=_TRIALS, random_state=seed)
        plane.fit(xyz_m[:, :2], xyz_m[:, 2])
        above_m = xyz_m[:, 2] - plane.predict(xyz_m[:, :2])
        obstacles_m = xyz_m[(above_m > _PLANE_M) & (above_m < highest_m)]
        thin_m = obstacles_m[one_a_voxel(obstacles_m, _VOXEL_M)]
        labels = DBSCAN(eps=_NEIGHBOURS_M, min_samples=_FEWEST).fit_predict(thin_m) if len(thin_m) else []
        boxes = _boxes(thin_m, np.asarray(labels))
        centers_m = lidar_from_base.apply(boxes.centers_m)
        yaws_rad = boxes.yaws_rad + lidar_from_base.yaw_rad
        return Boxes(centers_m, boxes.sizes_m, yaws_rad), lidar_from_base.apply(obstacles_m)

    return find


def _boxes(points_m: Points, labels: np.ndarray[Any, Any]) -> Boxes:
    """A box along the principal axes of each cluster."""
    rows = [_box(points_m[labels == k].astype(np.float64)) for k in range(labels.max(initial=-1) + 1)]
    table = np.array(rows).reshape(-1, 7)
    return Boxes(table[:, :3], table[:, 3:6], table[:, 6])


def _box(points_m: Array) -> list[float]:
    """Centre, length, width, height and heading."""
    flat = points_m[:, :2] - points_m[:, :2].mean(axis=0)
    xx, xy, yy = flat[:, 0] @ flat[:, 0], flat[:, 0] @ flat[:, 1], flat[:, 1] @ flat[:, 1]
    yaw_rad = 0.5 * np.arctan2(2 * xy, xx - yy)
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    along = np.column_stack([points_m[:, :2] @ (c, s), points_m[:, :2] @ (-s, c), points_m[:, 2]])
    low, high = along.min(axis=0), along.max(axis=0)
    u, v, z = 0.5 * (low + high)
    return [u * c - v * s, u * s + v * c, z, *(high - low), yaw_rad]
