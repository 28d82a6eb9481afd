"""A sweep made ready: in the base frame, finite, in range, without the robot itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar
from perception_platform.runtime.compiled import compiled

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Body:
    """The robot's own volume in the base frame: R upright prisms, the footprint and the own regions.

    Attributes:
        corners_m: (M, 2) corners of their outlines, one outline after the other.
        starts: (R + 1,) where each outline begins in ``corners_m``, and the end.
        bounds_m: (R, 6) least and greatest x, y and z at which a point may be inside, margin included.
        margin_m: how far around an outline returns are taken for the robot's own.
    """

    corners_m: Array
    starts: Ints
    bounds_m: Array
    margin_m: float

    @classmethod
    def of(cls, robot: Robot, margin_m: float) -> Body:
        """From a robot file."""
        outlines = [robot.footprint, *(np.array(r.polygon_m, dtype=np.float64) for r in robot.own_regions)]
        heights_m = [(-np.inf, float(robot.height_m)), *(r.z_m for r in robot.own_regions)]
        bounds_m = [
            (xy[:, 0].min(), xy[:, 0].max(), xy[:, 1].min(), xy[:, 1].max(), *z_m)
            for xy, z_m in zip(outlines, heights_m, strict=True)
        ]
        around_m = margin_m * np.array([-1.0, 1.0] * 3)
        starts = np.cumsum([0, *(len(outline) for outline in outlines)], dtype=np.int64)
        return cls(np.vstack(outlines), starts, np.array(bounds_m, dtype=np.float64) + around_m, margin_m)


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


@compiled("boolean(float64, float64, float64, float64[:,::1], int64[::1], float64[:,::1], float64)")
def _on_body(
    x_m: float, y_m: float, z_m: float, corners_m: Array, starts: Ints, bounds_m: Array, margin_m: float
) -> bool:
    """Whether a point lies in one of the prisms."""
    for k in range(bounds_m.shape[0]):
        beside = x_m < bounds_m[k, 0] or x_m > bounds_m[k, 1] or y_m < bounds_m[k, 2] or y_m > bounds_m[k, 3]
        if beside or z_m < bounds_m[k, 4] or z_m > bounds_m[k, 5]:
            continue
        if _within(x_m, y_m, corners_m[starts[k] : starts[k + 1]], margin_m):
            return True
    return False


@compiled(
    "int64(float32[:,::1], float32[::1], float64[:,::1], float64[::1], float64, float64, float64[:,::1],"
    " int64[::1], float64[:,::1], float64, float32[:,::1], float32[::1])",
    finite=False,
)
def _to_base(
    xyz_m: Points,
    intensity: Points,
    rotation: Array,
    translation_m: Array,
    nearest_m: float,
    farthest_m: float,
    corners_m: Array,
    starts: Ints,
    bounds_m: Array,
    margin_m: float,
    out: Points,
    out_intensity: Points,
) -> int:
    """Write the points in range and off the body, in the base frame, and their intensities; returns how many.

    NaN fails every comparison.
    """
    kept = 0
    low_x, high_x = bounds_m[:, 0].min(), bounds_m[:, 1].max()
    low_y, high_y, high_z = bounds_m[:, 2].min(), bounds_m[:, 3].max(), bounds_m[:, 5].max()
    for i in range(xyz_m.shape[0]):
        x, y, z = np.float64(xyz_m[i, 0]), np.float64(xyz_m[i, 1]), np.float64(xyz_m[i, 2])
        range_sq = x * x + y * y + z * z
        if nearest_m * nearest_m < range_sq and range_sq < farthest_m * farthest_m:
            for row in range(3):
                value = (
                    rotation[row, 0] * x + rotation[row, 1] * y + rotation[row, 2] * z + translation_m[row]
                )
                out[kept, row] = np.float32(value)
            out_intensity[kept] = intensity[i]
            x, y, z = np.float64(out[kept, 0]), np.float64(out[kept, 1]), np.float64(out[kept, 2])
            beside = x < low_x or x > high_x or y < low_y or y > high_y or z > high_z
            if beside or not _on_body(x, y, z, corners_m, starts, bounds_m, margin_m):
                kept += 1
    return kept


def sweep_in_base(
    cloud: PointCloud, lidar: Lidar, base_from_sensor: Transform, body: Body
) -> tuple[Points, Points]:
    """Points (M, 3) of a sweep that can be of use, in the base frame, and their (M,) intensities; 1 where none are.

    Left out: not finite, at the origin (no return), outside the lidar's range limits, on the robot's own body.
    """
    xyz_m, count = _writable(cloud.xyz_m), len(cloud)
    bright = np.ones(count, dtype=np.float32) if cloud.intensity is None else _writable(cloud.intensity)
    out, out_intensity = np.empty((count, 3), dtype=np.float32), np.empty(count, dtype=np.float32)
    rotation, translation_m = base_from_sensor.rotation.copy(), base_from_sensor.translation_m.copy()
    kept = _to_base(
        *(xyz_m, bright, rotation, translation_m, *lidar.range_m),
        *(body.corners_m, body.starts, body.bounds_m, body.margin_m, out, out_intensity),
    )
    return out[:kept], out_intensity[:kept]


def _writable(values: Points) -> Points:
    """The same values in the one layout the compiled loops take: messages come as read-only or strided views."""
    return np.require(values, dtype=np.float32, requirements=["C", "W", "A"])
