"""Obstacle points grouped into what a box each can describe."""

from __future__ import annotations

from typing import ClassVar

from perception_platform.core.sensor_data import Points
from perception_platform.perception.component import Component, Moment, NoParams, Port, Ports, Setup, array
from perception_platform.perception.pieces import Pieces as Grouped


class Pieces(Component):
    """Clusters, and the box of each."""

    inputs: ClassVar[Ports] = {
        "obstacles": array("M", 3, unit="m", frame="base"),
        "heights": array("M", unit="m", frame="base"),
    }
    outputs: ClassVar[Ports] = {"pieces": Port(Grouped, unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._path = setup.geometry

    def step(self, moment: Moment, obstacles: Points, heights: Points) -> Grouped:
        """Clusters with their boxes."""
        return self._path.pieces(obstacles, heights, moment.origin_m)
