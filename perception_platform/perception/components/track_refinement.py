"""The lidar's objects with clusters parted and pieces joined as the tracks of earlier moments explain them."""

from __future__ import annotations

from typing import ClassVar

from perception_platform.core.objects import Detections, Tracks
from perception_platform.core.sensor_data import Points
from perception_platform.perception.component import (
    SOURCES,
    Component,
    Moment,
    NoParams,
    Port,
    Ports,
    Setup,
    array,
)
from perception_platform.perception.pieces import Pieces
from perception_platform.perception.refinement import refine


class TrackRefinement(Component):
    """Boxes drawn again where tracks say so. If it fails, the objects that it was given go on as they are."""

    inputs: ClassVar[Ports] = {
        "objects": Port(Detections, unit="m", frame="base"),
        "obstacles": array("M", 3, unit="m", frame="base"),
        "heights": array("M", unit="m", frame="base"),
        "tall": array("K", 3, unit="m", frame="base"),
        "tall_heights": array("K", unit="m", frame="base"),
        "pieces": Port(Pieces, unit="m", frame="base"),
        "tracks": SOURCES["tracks"],
    }
    outputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._path = setup.geometry
        self._clusters = setup.params.clusters

    def step(
        self,
        moment: Moment,
        objects: Detections,
        obstacles: Points,
        heights: Points,
        tall: Points,
        tall_heights: Points,
        pieces: Pieces,
        tracks: Tracks,
    ) -> Detections:
        """Objects, nearest first; the given ones where tracks have nothing to say."""
        refined = refine(pieces, obstacles, moment.origin_m, tracks, self._clusters)
        if refined is pieces:
            return objects
        layers = (obstacles, heights, tall, tall_heights)
        return self._path.objects(moment.t_ns, moment.origin_m, layers, refined, moment.lineage)
