"""The lidar's objects with what 2D scanners say of them: who stands on legs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from perception_platform.core.objects import Detections
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.component import SOURCES, Component, Moment, NoParams, Port, Ports, Setup
from perception_platform.perception.legs import confirm_people, find_people


class Legs(Component):
    """Names from legs; nothing is added or taken away."""

    inputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base"), "scans": SOURCES["scans"]}
    outputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._origins_m = {s.name: s.mounting.transform().translation_m for s in setup.robot.scans}

    def step(self, moment: Moment, objects: Detections, scans: Sequence[PointCloud]) -> Detections:
        """The objects in their order, as each scan in turn confirms them."""
        for scan in scans:
            objects = confirm_people(objects, find_people(scan, self._origins_m[scan.sensor]))
        return objects
