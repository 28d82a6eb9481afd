"""Range and PolygonStamped as obstacle points: what measures no cloud is judged by the same rules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import PointCloud
from perception_platform.messages.fields import finite, time_ns

SPACING_M = 0.05  # of points along an edge
FEWEST = 7  # points of a narrow beam: enough for every rule that asks for several
MOST = 2000  # points of one message


def range_to_cloud(msg: Any, sensor: str) -> PointCloud:
    """A Range as points on the arc of its field of view, x ahead: the thing may be anywhere on it.

    Infinity and what is outside [min_range, max_range] mean that nothing was measured, except that what is nearer than
    min_range is taken to be there: REP 117 gives that as minus infinity, and so does a sensor with a fixed range
    (min_range equal to max_range).

    Raises:
        InputError: names sensor and field if a number is NaN, or the field of view impossible.
    """
    if math.isnan(msg.range):
        raise InputError(sensor, "not a number", "range")
    least_m, most_m = finite(msg.min_range, sensor, "min_range"), finite(msg.max_range, sensor, "max_range")
    view_rad = finite(msg.field_of_view, sensor, "field_of_view")
    if not 0 <= view_rad <= 2 * math.pi or not 0 <= least_m <= most_m:
        raise InputError(sensor, f"impossible: {view_rad} rad, {least_m} to {most_m} m", "field_of_view")
    distance_m = max(float(msg.range), least_m)
    count = 0 if distance_m > most_m else int(np.clip(view_rad * distance_m / SPACING_M, FEWEST, MOST))
    if (
        least_m == most_m and not msg.range < 0
    ):  # a fixed range: minus infinity is a detection, anything else none
        count = 0
    angles = np.linspace(-view_rad / 2, view_rad / 2, count)
    xyz_m = distance_m * np.stack([np.cos(angles), np.sin(angles), np.zeros(count)], axis=1)
    return PointCloud(
        time_ns(msg.header.stamp, sensor), msg.header.frame_id, sensor, xyz_m.astype(np.float32)
    )


def polygon_to_cloud(msg: Any, sensor: str) -> PointCloud:
    """A PolygonStamped as points along its edges; an empty one says that there is nothing.

    Raises:
        InputError: names sensor and field if a coordinate is not finite, or it has more edges than can be judged.
    """
    corners = [
        [finite(getattr(p, axis), sensor, f"polygon.points.{axis}") for axis in "xyz"]
        for p in msg.polygon.points
    ]
    xyz_m = _along_edges(np.array(corners, dtype=np.float64).reshape(-1, 3))
    if len(xyz_m) > MOST:
        raise InputError(sensor, f"its edges are longer than {MOST * SPACING_M:g} m", "polygon.points")
    return PointCloud(
        time_ns(msg.header.stamp, sensor), msg.header.frame_id, sensor, xyz_m.astype(np.float32)
    )


def _along_edges(corners_m: Array) -> Array:
    edges_m = np.roll(corners_m, -1, axis=0) - corners_m
    counts = np.ceil(np.minimum(np.linalg.norm(edges_m, axis=1) / SPACING_M, MOST + 1)).astype(np.int64) + 1
    parts = [
        corner + edge * (np.arange(count) / count)[:, None]
        for corner, edge, count in zip(corners_m, edges_m, counts.tolist(), strict=True)
    ]
    return np.concatenate([np.zeros((0, 3)), *parts])
