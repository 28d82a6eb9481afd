"""How high each point is above the ground."""

from __future__ import annotations

from typing import ClassVar

from perception_platform.core.sensor_data import Points
from perception_platform.perception.component import Component, Moment, NoParams, Ports, Setup, array


class Ground(Component):
    """Ground for slopes, kerbs and several planes."""

    inputs: ClassVar[Ports] = {"points": array("N", 3, unit="m", frame="base")}
    outputs: ClassVar[Ports] = {"heights": array("N", unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._path = setup.geometry

    def step(self, moment: Moment, points: Points) -> Points:
        """(N,) heights above the ground, m."""
        return self._path.heights(points, moment.origin_m)
