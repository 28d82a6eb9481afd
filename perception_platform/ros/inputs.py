"""Obstacle points of all sources as risk stage and gate take them: in the base frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import FrameError
from perception_platform.core.geometry import points_in_polygon
from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.messages.clouds import cloud_from_msg, scan_to_cloud
from perception_platform.messages.obstacles import polygon_to_cloud, range_to_cloud
from perception_platform.robot.description import Robot
from perception_platform.ros.topics import TOPICS


def obstacles_in_base(message: Any, sensor: str, robot: Robot) -> PointCloud:
    """A PointCloud2 of obstacle points.

    Raises:
        FrameError: if it is in another frame: a shifted obstacle is worse than none.
        InputError: if it is malformed.
    """
    cloud = cloud_from_msg(message, sensor)
    if cloud.frame_id != robot.base_frame:
        topic = TOPICS["obstacles"].of(sensor)
        raise FrameError(topic, f"{cloud.frame_id!r} instead of {robot.base_frame!r}", "header.frame_id")
    return cloud


def _on_own_parts(xyz_m: Points, robot: Robot) -> npt.NDArray[np.bool_]:
    """(N,) which points lie inside the parts of the robot beyond its footprint."""
    own = np.zeros(len(xyz_m), dtype=np.bool_)
    for region in robot.own_regions:
        low_m, high_m = region.z_m
        within = (xyz_m[:, 2] >= low_m) & (xyz_m[:, 2] <= high_m)
        own |= within & points_in_polygon(xyz_m[:, :2].astype(np.float64), np.array(region.polygon_m))
    return own


def _mounted(convert: Callable[[Any, str], PointCloud]) -> Callable[[Any, str, Robot], PointCloud]:
    """A conversion to points of the sensor's frame, then by its mounting to the base, without the robot's own parts.

    It raises FrameError if the message is in another frame, InputError if it is malformed.
    """

    def in_base(message: Any, sensor: str, robot: Robot) -> PointCloud:
        cloud, source = convert(message, sensor), robot.source(sensor)
        if cloud.frame_id != source.frame:
            topic = TOPICS[source.kind].of(sensor)
            raise FrameError(topic, f"{cloud.frame_id!r} instead of {source.frame!r}", "header.frame_id")
        xyz_m = source.mounting.transform().apply(cloud.xyz_m).astype(np.float32)
        seen = ~_on_own_parts(xyz_m, robot)
        others = {name: getattr(cloud, name) for name in ("intensity", "ring", "offset_s")}
        kept: dict[str, Any] = {
            name: None if values is None else values[seen] for name, values in others.items()
        }
        return replace(cloud, frame_id=robot.base_frame, xyz_m=xyz_m[seen], **kept)

    return in_base


# Points in the base frame of a message of each kind of source; InputError if it is malformed.
SOURCES: dict[str, Callable[[Any, str, Robot], PointCloud]] = {
    "scan": _mounted(scan_to_cloud),
    "range": _mounted(range_to_cloud),
    "cloud": _mounted(cloud_from_msg),
    "polygon": _mounted(polygon_to_cloud),
}
