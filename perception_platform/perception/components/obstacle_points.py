"""All points that stand in the way, named or not, and those above them that tell how tall a thing is."""

from __future__ import annotations

from typing import ClassVar

from perception_platform.core.sensor_data import Points
from perception_platform.perception.component import Component, Moment, NoParams, Ports, Setup, array
from perception_platform.perception.lidar_objects import Layers


class ObstaclePoints(Component):
    """Points by height above the ground, without drops in the air."""

    inputs: ClassVar[Ports] = {
        "points": array("N", 3, unit="m", frame="base"),
        "heights": array("N", unit="m", frame="base"),
        "intensity": array("N"),
    }
    outputs: ClassVar[Ports] = {
        "obstacles": array("M", 3, unit="m", frame="base"),
        "heights": array("M", unit="m", frame="base"),
        "tall": array("K", 3, unit="m", frame="base"),
        "tall_heights": array("K", unit="m", frame="base"),
    }

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._path = setup.geometry

    def step(self, moment: Moment, points: Points, heights: Points, intensity: Points) -> Layers:
        """(M, 3) what the robot could touch and (M,) heights of it; (K, 3) what is above, and (K,) heights."""
        return self._path.layers(points, heights, intensity, moment.origin_m)
