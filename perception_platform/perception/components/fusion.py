"""What heads found in images joined with the lidar's objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from perception_platform.core.lineage import Lineage, SourceStamp, merge
from perception_platform.core.objects import Detections
from perception_platform.perception.component import Component, Moment, NoParams, Port, Ports, Setup
from perception_platform.perception.fusion import ImageObjects, fuse


class Fusion(Component):
    """Names for what the lidar saw, and objects that only a camera saw; nothing is taken away."""

    inputs: ClassVar[Ports] = {
        "objects": Port(Detections, unit="m", frame="base"),
        "image_objects": Port(tuple, unit="px", frame="image"),
    }
    outputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._robot = setup.robot

    def step(self, moment: Moment, objects: Detections, image_objects: Sequence[ImageObjects]) -> Detections:
        """The lidar's objects in their order, then those of cameras alone."""
        if not image_objects:
            return objects
        fused = objects
        for found in image_objects:
            fused = fuse(fused, found, self._robot)
        sources = Lineage(tuple(SourceStamp(found.sensor, found.t_ns) for found in image_objects))
        models = (*objects.models, *(found.model for found in image_objects))
        return replace(fused, lineage=merge([objects.lineage, sources]), models=tuple(dict.fromkeys(models)))
