"""What a learned lidar model found joined with the lidar's objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from perception_platform.core.objects import Detections, ModelRef
from perception_platform.core.sensor_data import Points
from perception_platform.perception.bird_view import LearnedBoxes
from perception_platform.perception.component import Component, Moment, NoParams, Port, Ports, Setup, array
from perception_platform.perception.learned import name_and_add


class LearnedFusion(Component):
    """Names for what had none, and objects that no box was drawn for; nothing is taken away, moved or made smaller."""

    inputs: ClassVar[Ports] = {
        "objects": Port(Detections, unit="m", frame="base"),
        "boxes": Port(tuple, unit="m", frame="base"),
        "obstacles": array("M", 3, unit="m", frame="base"),
    }
    outputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        pass

    def step(
        self,
        moment: Moment,
        objects: Detections,
        boxes: Sequence[tuple[LearnedBoxes, ModelRef]],
        obstacles: Points,
    ) -> Detections:
        """The objects in their order, then those that were added."""
        for found, model in boxes:
            objects = name_and_add(objects, found, obstacles, moment.origin_m)
            objects = replace(objects, models=tuple(dict.fromkeys((*objects.models, model))))
        return objects
