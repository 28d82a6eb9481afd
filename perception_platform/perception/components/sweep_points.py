"""The sweep made ready: in the base frame, finite, in range, without the robot itself."""

from __future__ import annotations

from typing import ClassVar

from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.perception.component import SOURCES, Component, Moment, NoParams, Ports, Setup, array


class SweepPoints(Component):
    """Points of use."""

    inputs: ClassVar[Ports] = {"sweep": SOURCES["sweep"]}
    outputs: ClassVar[Ports] = {
        "points": array("N", 3, unit="m", frame="base"),
        "intensity": array("N"),
    }

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._path = setup.geometry

    def step(self, moment: Moment, sweep: PointCloud) -> tuple[Points, Points]:
        """(N, 3) points, base frame, m, and their (N,) intensities, 1 where the lidar says none."""
        return self._path.ready(sweep, moment.lidar, moment.base_from_lidar)
