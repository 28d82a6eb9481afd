"""Obstacles where there are none: sweeps of a way that is known to be free, in fog, rain or dust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage
from perception_platform.core.sensor_data import PointCloud
from perception_platform.evaluation.statistics import binomial_bounds
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar
from perception_platform.sensing.sweep_files import SUFFIXES, load_sweep

# So many points in a zone stop a robot (the default of a robot file's zones).
POINTS_THAT_STOP = 4


def evaluate_phantoms(
    folder: Path, robot: Robot, lidar: Lidar, free_m: float, params: GeometryParams
) -> dict[str, Any]:
    """In how many sweeps something stands on the free way: as wide as the robot, so far ahead of its front.

    Args:
        folder: sweeps of the lidar, one a file, of any kind that a folder source plays.
        robot: the robot that carries it.
        lidar: the lidar.
        free_m: how far ahead of the robot the way is known to be free, straight on.
        params: of the geometric path.

    Raises:
        InputError: if there is no sweep, or one cannot be read.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(folder, f"holds no file that ends in {', '.join(SUFFIXES)}")
    path = GeometricPath(robot, params)
    points = {
        file.name: _on_way(
            path.step(load_sweep(file, 0, lidar.name), lidar, Lineage()).obstacles, robot, free_m
        )
        for file in paths
    }
    phantoms = sum(count >= POINTS_THAT_STOP for count in points.values())
    return {
        "sweeps": len(points),
        "free_m": free_m,
        "with_phantom": phantoms,
        "interval_95": binomial_bounds(phantoms, len(points)),
        "points": sum(points.values()),
        "by_sweep": points,
    }


def _on_way(obstacles: PointCloud, robot: Robot, free_m: float) -> int:
    """Points ahead of the robot, within its width."""
    front_m, (right_m, left_m) = (
        robot.footprint[:, 0].max(),
        (robot.footprint[:, 1].min(), robot.footprint[:, 1].max()),
    )
    x, y = obstacles.xyz_m[:, 0], obstacles.xyz_m[:, 1]
    return int(np.count_nonzero((x > front_m) & (x < front_m + free_m) & (y > right_m) & (y < left_m)))
