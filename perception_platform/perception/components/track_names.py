"""Objects that have no name of their own, called as the track that they continue."""

from __future__ import annotations

from typing import ClassVar

from perception_platform.core.objects import Detections, Tracks
from perception_platform.perception.component import SOURCES, Component, Moment, NoParams, Port, Ports, Setup
from perception_platform.perception.refinement import steady_names


class TrackNames(Component):
    """Names for applications, which would see them flicker; the tracker is told what was seen, not what it believes."""

    inputs: ClassVar[Ports] = {
        "objects": Port(Detections, unit="m", frame="base"),
        "tracks": SOURCES["tracks"],
    }
    outputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        pass

    def step(self, moment: Moment, objects: Detections, tracks: Tracks) -> Detections:
        """The objects in their order."""
        return steady_names(objects, tracks)
