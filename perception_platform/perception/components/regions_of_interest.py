"""Where a camera's model should look closely: at the lidar's objects, and where tracks say that something will be."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np

from perception_platform.core.objects import Detections, Tracks
from perception_platform.perception.component import SOURCES, Component, Moment, NoParams, Port, Ports, Setup
from perception_platform.perception.predicted import as_detections


class RegionsOfInterest(Component):
    """The lidar's objects, then the predicted tracks: somebody whom the lidar lost is looked for at full resolution."""

    inputs: ClassVar[Ports] = {
        "objects": Port(Detections, unit="m", frame="base"),
        "tracks": SOURCES["tracks"],
    }
    outputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        pass

    def step(self, moment: Moment, objects: Detections, tracks: Tracks) -> Detections:
        """Objects to look at, not to report."""
        if len(tracks) == 0:
            return objects
        expected = as_detections(tracks)
        arrays = [f.name for f in fields(Detections) if isinstance(getattr(objects, f.name), np.ndarray)]
        both: dict[str, Any] = {
            name: np.concatenate([getattr(objects, name), getattr(expected, name)]) for name in arrays
        }
        return replace(objects, **both)
