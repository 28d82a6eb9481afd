"""A sweep made ready: in the base frame, finite, in range, without the robot itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform, points_in_polygon
from perception_platform.core.sensor_data import Points
from perception_platform.robot.description import Lidar, Robot
from perception_platform.runtime.compiled import compiled


@dataclass(frozen=True, slots=True)
class Body:
    """The robot's own volume in the base frame.

    Attributes:
        footprint_m: (M, 2) corners.
        height_m: height above the ground.
        margin_m: how far around it returns are taken for its own.
    """

    footprint_m: Array
    height_m: float
    margin_m: float

    @classmethod
    def of(cls, robot: Robot, margin_m: float) -> Body:
        """From a robot file."""
        return cls(robot.footprint, float(robot.height_m), margin_m)

    def contains(self, xyz_m: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Which of the (N, 3) points lie inside it or within its margin."""
        low, high = self.footprint_m.min(axis=0) - self.margin_m, self.footprint_m.max(axis=0) + self.margin_m
        near = np.flatnonzero(
            (xyz_m[:, 0] >= low[0])
            & (xyz_m[:, 0] <= high[0])
            & (xyz_m[:, 1] >= low[1])
            & (xyz_m[:, 1] <= high[1])
            & (xyz_m[:, 2] <= self.height_m + self.margin_m)
        )
        xy = xyz_m[near, :2].astype(np.float64)
        inside = np.zeros(len(xyz_m), dtype=np.bool_)
        inside[near] = points_in_polygon(xy, self.footprint_m) | (
            _distance_to_outline(xy, self.footprint_m) <= self.margin_m
        )
        return inside


def _distance_to_outline(xy_m: Array, polygon_m: Array) -> Array:
    """Distance (N,) of points to the nearest edge of a polygon, m."""
    start = polygon_m[None]
    edge = np.roll(polygon_m, -1, axis=0)[None] - start
    to_point = xy_m[:, None] - start
    length_sq = np.maximum((edge**2).sum(axis=-1), 1e-12)
    along = np.clip((to_point * edge).sum(axis=-1) / length_sq, 0.0, 1.0)
    return np.asarray(np.linalg.norm(to_point - along[..., None] * edge, axis=-1).min(axis=1))


@compiled(
    "int64(float32[:,::1], float64[:,::1], float64[::1], float64, float64, float32[:,::1])", finite=False
)
def _to_base(
    xyz_m: Points, rotation: Array, translation_m: Array, nearest_m: float, farthest_m: float, out: Points
) -> int:
    """Write the points in range, in the base frame, to ``out``; returns how many. NaN fails every comparison."""
    kept = 0
    for i in range(xyz_m.shape[0]):
        x, y, z = np.float64(xyz_m[i, 0]), np.float64(xyz_m[i, 1]), np.float64(xyz_m[i, 2])
        range_sq = x * x + y * y + z * z
        if nearest_m * nearest_m < range_sq and range_sq < farthest_m * farthest_m:
            for row in range(3):
                value = (
                    rotation[row, 0] * x + rotation[row, 1] * y + rotation[row, 2] * z + translation_m[row]
                )
                out[kept, row] = np.float32(value)
            kept += 1
    return kept


def sweep_in_base(xyz_m: Points, lidar: Lidar, base_from_sensor: Transform, body: Body) -> Points:
    """Points (M, 3) of a sweep (N, 3) that can be of use, in the base frame.

    Left out: not finite, at the origin (no return), outside the lidar's range limits, on the robot's own body.
    """
    nearest_m, farthest_m = lidar.range_m
    out = np.empty((len(xyz_m), 3), dtype=np.float32)
    rotation, translation_m = base_from_sensor.rotation.copy(), base_from_sensor.translation_m.copy()
    kept = _to_base(_writable(xyz_m), rotation, translation_m, nearest_m, farthest_m, out)
    points = out[:kept]
    return np.ascontiguousarray(points[~body.contains(points)])


def _writable(xyz_m: Points) -> Points:
    """The same values in the one layout the compiled loops take: messages come as read-only or strided views."""
    return np.require(xyz_m, dtype=np.float32, requirements=["C", "W", "A"])
