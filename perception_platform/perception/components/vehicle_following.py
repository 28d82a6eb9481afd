"""Application: how far ahead the next thing in the robot's lane is, a vehicle or not."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from perception_platform.core.geometry import box_corners
from perception_platform.core.objects import Detections, ObjectClass
from perception_platform.core.sensor_data import Points
from perception_platform.perception.component import (
    Component,
    Measure,
    Moment,
    Port,
    Ports,
    Setup,
    array,
)
from perception_platform.robot.parts import NonNegative, Part, Positive

_VEHICLES = (int(ObjectClass.CAR), int(ObjectClass.TRUCK), int(ObjectClass.FORKLIFT))


class Params(Part):
    """The lane: straight ahead, as wide as the robot and so much more on each side, and so long."""

    beside_m: NonNegative = 0.2
    reach_m: Positive = 40.0


class VehicleFollowing(Component):
    """Gap from the front to the nearest vehicle in the lane; what has no name and is nearer takes its place."""

    params_model: ClassVar[type[Part]] = Params
    inputs: ClassVar[Ports] = {
        "objects": Port(Detections, unit="m", frame="base"),
        "obstacles": array("M", 3, unit="m", frame="base"),
    }
    outputs: ClassVar[Ports] = {"report": Port(Measure)}

    def __init__(self, setup: Setup, params: Params) -> None:
        footprint_m = setup.robot.footprint
        self._front_m = float(footprint_m[:, 0].max())
        self._right_m = float(footprint_m[:, 1].min()) - params.beside_m
        self._left_m = float(footprint_m[:, 1].max()) + params.beside_m
        self._reach_m = self._front_m + params.reach_m

    def step(self, moment: Moment, objects: Detections, obstacles: Points) -> Measure:
        """The gap."""
        x_m, y_m = obstacles[:, 0], obstacles[:, 1]
        inside = (x_m > self._front_m) & (x_m < self._reach_m) & (y_m > self._right_m) & (y_m < self._left_m)
        ahead = np.flatnonzero(inside)
        if not len(ahead):
            return Measure("gap ahead", np.inf, "m", None, "the lane is free")
        nearest = ahead[np.argmin(x_m[ahead])]
        at_m = (float(x_m[nearest]), float(y_m[nearest]))
        what = "a vehicle" if self._on_vehicle(objects, at_m) else "something that is no vehicle"
        gap_m = at_m[0] - self._front_m
        return Measure("gap ahead", gap_m, "m", at_m, f"{what} {gap_m:.1f} m ahead")

    def _on_vehicle(self, objects: Detections, at_m: tuple[float, float]) -> bool:
        """Whether a point lies in the bounds of a vehicle's box."""
        vehicles = np.isin(objects.class_ids, _VEHICLES)
        corners_m = box_corners(
            objects.centers_m[vehicles], objects.sizes_m[vehicles], objects.yaws_rad[vehicles]
        )
        low_m, high_m = corners_m.min(axis=1) - 0.2, corners_m.max(axis=1) + 0.2
        return bool(((low_m <= at_m) & (at_m <= high_m)).all(axis=1).any())
