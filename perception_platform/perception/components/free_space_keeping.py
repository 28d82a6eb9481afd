"""Application: in which direction ahead there is least room."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from perception_platform.core.geometry import Array
from perception_platform.perception.component import Component, Measure, Moment, Port, Ports, Setup, array
from perception_platform.robot.parts import Part


class Params(Part):
    """Directions that count: so far to either side of straight ahead."""

    half_width_deg: Annotated[float, Field(gt=0, le=180)] = 60.0


class FreeSpaceKeeping(Component):
    """The shortest free range ahead, from whatever stands there."""

    params_model: ClassVar[type[Part]] = Params
    inputs: ClassVar[Ports] = {"ranges": array("S", unit="m", frame="base")}
    outputs: ClassVar[Ports] = {"report": Port(Measure)}

    def __init__(self, setup: Setup, params: Params) -> None:
        self._half_width_rad = np.deg2rad(params.half_width_deg)

    def step(self, moment: Moment, ranges: Array) -> Measure:
        """The nearest thing ahead, and how much of the view is blocked nearer than the median range."""
        azimuth_rad = (np.arange(len(ranges)) + 0.5) * (2 * np.pi / len(ranges)) - np.pi
        ahead = np.flatnonzero(np.abs(azimuth_rad) <= self._half_width_rad)
        least = ahead[np.argmin(ranges[ahead])]
        range_m, at_rad = float(ranges[least]), float(azimuth_rad[least])
        point_m = (range_m * float(np.cos(at_rad)), range_m * float(np.sin(at_rad)))
        text = f"free for {range_m:.1f} m at {np.rad2deg(at_rad):+.0f}°, {np.median(ranges[ahead]):.1f} m at the median"
        return Measure("least free range ahead", range_m, "m", point_m, text)
