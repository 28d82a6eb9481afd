"""A sweep made ready: in the base frame, finite, in range, without the robot itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, Transform
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


@compiled("float64(float64, float64, float64, float64, float64, float64)")
def _distance_to_edge(x_m: float, y_m: float, x0_m: float, y0_m: float, x1_m: float, y1_m: float) -> float:
    """Distance of a point to the line segment between two others, m."""
    edge_x, edge_y = x1_m - x0_m, y1_m - y0_m
    length_sq = max(edge_x**2 + edge_y**2, 1e-12)
    along = min(max(((x_m - x0_m) * edge_x + (y_m - y0_m) * edge_y) / length_sq, 0.0), 1.0)
    return float(np.hypot(x_m - x0_m - along * edge_x, y_m - y0_m - along * edge_y))


@compiled("boolean(float64, float64, float64[:,::1], float64)")
def _within(x_m: float, y_m: float, polygon_m: Array, margin_m: float) -> bool:
    """Whether a point lies inside a polygon (even-odd rule) or at most a margin away from its outline."""
    inside = False
    x0, y0 = polygon_m[-1]
    for x1, y1 in polygon_m:
        if _distance_to_edge(x_m, y_m, x0, y0, x1, y1) <= margin_m:
            return True
        if (y0 > y_m) != (y1 > y_m) and x_m < (x1 - x0) * (y_m - y0) / (y1 - y0) + x0:
            inside = not inside
        x0, y0 = x1, y1
    return inside


@compiled(
    "int64(float32[:,::1], float64[:,::1], float64[::1], float64, float64, float64[:,::1], float64, float64,"
    " float32[:,::1])",
    finite=False,
)
def _to_base(
    xyz_m: Points,
    rotation: Array,
    translation_m: Array,
    nearest_m: float,
    farthest_m: float,
    footprint_m: Array,
    height_m: float,
    margin_m: float,
    out: Points,
) -> int:
    """Write the points in range and off the body, in the base frame, to ``out``; returns how many.

    NaN fails every comparison.
    """
    x_low, x_high = footprint_m[:, 0].min() - margin_m, footprint_m[:, 0].max() + margin_m
    y_low, y_high = footprint_m[:, 1].min() - margin_m, footprint_m[:, 1].max() + margin_m
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
            x, y = np.float64(out[kept, 0]), np.float64(out[kept, 1])
            beside = x < x_low or x > x_high or y < y_low or y > y_high or out[kept, 2] > height_m + margin_m
            if beside or not _within(x, y, footprint_m, margin_m):
                kept += 1
    return kept


def sweep_in_base(xyz_m: Points, lidar: Lidar, base_from_sensor: Transform, body: Body) -> Points:
    """Points (M, 3) of a sweep (N, 3) that can be of use, in the base frame.

    Left out: not finite, at the origin (no return), outside the lidar's range limits, on the robot's own body.
    """
    out = np.empty((len(xyz_m), 3), dtype=np.float32)
    rotation, translation_m = base_from_sensor.rotation.copy(), base_from_sensor.translation_m.copy()
    outline_m = np.array(body.footprint_m, dtype=np.float64)
    kept = _to_base(
        *(_writable(xyz_m), rotation, translation_m, *lidar.range_m),
        *(outline_m, body.height_m, body.margin_m, out),
    )
    return out[:kept]


def _writable(xyz_m: Points) -> Points:
    """The same values in the one layout the compiled loops take: messages come as read-only or strided views."""
    return np.require(xyz_m, dtype=np.float32, requirements=["C", "W", "A"])
