"""Detections of made-up worlds, as a sensor on the robot would deliver them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import Detections, ObjectClass, SensorKind
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s

FRAME_NS = from_s(0.1)


@dataclass(frozen=True)
class Box:
    """One visible box in the fixed frame, from so far below 1.6 m above ground up to there."""

    x_m: float
    y_m: float
    length_m: float = 0.5
    width_m: float = 0.5
    yaw_rad: float = 0.0
    object_class: ObjectClass = ObjectClass.UNKNOWN
    score: float = 0.6
    num_points: int = 40
    height_m: float = 1.6


def detections(
    t_ns: int, boxes: Sequence[Box], odom_from_base: Transform, sigma_m: float = 0.05
) -> Detections:
    """The boxes as seen from the robot, in its base frame."""
    n = len(boxes)
    if not n:
        return Detections.empty(t_ns, "base_link")
    centers_m = odom_from_base.inverse().apply(
        np.array([[b.x_m, b.y_m, 1.6 - b.height_m / 2] for b in boxes])
    )
    return Detections(
        t_ns,
        "base_link",
        centers_m=centers_m,
        sizes_m=np.array([[b.length_m, b.width_m, b.height_m] for b in boxes]),
        yaws_rad=np.array([b.yaw_rad for b in boxes]) - odom_from_base.yaw_rad,
        class_ids=np.array([b.object_class for b in boxes], dtype=np.int64),
        scores=np.array([b.score for b in boxes]),
        sensors=np.full(n, int(SensorKind.LIDAR), dtype=np.int64),
        num_points=np.array([b.num_points for b in boxes], dtype=np.int64),
        position_cov_m2=np.tile(np.eye(2) * sigma_m**2, (n, 1, 1)),
        image_boxes_px=np.full((n, 4), np.nan),
    )


def ego(
    t_ns: int, x_m: float = 0.0, y_m: float = 0.0, yaw_rad: float = 0.0, speed_mps: float = 0.0
) -> EgoState:
    """Odometry of a robot that drives straight."""
    return EgoState(t_ns, Transform.planar(x_m, y_m, yaw_rad), (speed_mps, 0.0), 0.0)
