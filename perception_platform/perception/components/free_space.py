"""How far it is free in each direction: to the nearest point that stands in the way, whatever it is."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.component import Component, Moment, Ports, Setup, array
from perception_platform.robot.parts import Part, Positive


class Params(Part):
    """Directions, and how far it is looked."""

    sectors: int = Field(180, ge=8, le=3600)
    reach_m: Positive = 30.0


class FreeSpace(Component):
    """Free range by azimuth about the base frame's origin; sector 0 begins at -pi, its number grows to the left."""

    params_model: ClassVar[type[Part]] = Params
    inputs: ClassVar[Ports] = {"obstacles": array("M", 3, unit="m", frame="base")}
    outputs: ClassVar[Ports] = {"ranges": array("S", unit="m", frame="base")}

    def __init__(self, setup: Setup, params: Params) -> None:
        self._params = params

    def step(self, moment: Moment, obstacles: Points) -> Array:
        """(S,) ranges, m; the reach where nothing stands nearer."""
        sectors, reach_m = self._params.sectors, self._params.reach_m
        x_m, y_m = obstacles[:, 0], obstacles[:, 1]
        turn = (np.arctan2(y_m, x_m) / (2 * np.pi) + 0.5) * sectors
        ranges_m = np.full(sectors, reach_m)
        np.minimum.at(ranges_m, turn.astype(np.int64) % sectors, np.hypot(x_m, y_m).astype(np.float64))
        return ranges_m
