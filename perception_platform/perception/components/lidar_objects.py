"""Objects from geometry alone: what every model falls back on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from perception_platform.core.model_status import Assurance, ModelState, ModelStatus
from perception_platform.core.objects import Detections
from perception_platform.core.sensor_data import Points
from perception_platform.perception.component import Component, Moment, NoParams, Port, Ports, Setup, array
from perception_platform.perception.naming import SCORE_ERROR
from perception_platform.perception.pieces import Pieces

_FEWEST_POINTS = 200
_MOST_IN_THE_WAY = 0.98


class LidarObjects(Component):
    """Boxes with names by shape; unknown is the default."""

    inputs: ClassVar[Ports] = {
        "points": array("N", 3, unit="m", frame="base"),
        "obstacles": array("M", 3, unit="m", frame="base"),
        "heights": array("M", unit="m", frame="base"),
        "tall": array("K", 3, unit="m", frame="base"),
        "tall_heights": array("K", unit="m", frame="base"),
        "pieces": Port(Pieces, unit="m", frame="base"),
    }
    outputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base", head=True)}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._path = setup.geometry
        self._runs = 0
        self._trouble = ""

    def step(
        self,
        moment: Moment,
        points: Points,
        obstacles: Points,
        heights: Points,
        tall: Points,
        tall_heights: Points,
        pieces: Pieces,
    ) -> Detections:
        """Objects, nearest first."""
        self._runs += 1
        self._trouble = _unlike_a_sweep(len(points), len(obstacles))
        layers = (obstacles, heights, tall, tall_heights)
        return self._path.objects(moment.t_ns, moment.origin_m, layers, pieces, moment.lineage)

    def model_status(self, t_ns: int) -> Sequence[ModelStatus]:
        """That it runs, and what its scores are worth."""
        assurance = Assurance(
            calibration="shapes",
            calibration_error=SCORE_ERROR,
            uncertainty="covariance of each centre, by range and size",
            out_of_domain=bool(self._trouble),
            reason=self._trouble,
        )
        text = self._trouble or "always runs"
        no_time = np.nan
        return [
            ModelStatus(
                *(t_ns, "lidar_objects", self._path.model, ModelState.ACTIVE, "numba", no_time, no_time),
                *(self._runs, 0, text, assurance),
            )
        ]


def _unlike_a_sweep(points: int, obstacles: int) -> str:
    """Why the ground cannot be told from what stands on it, or nothing."""
    if points < _FEWEST_POINTS:
        return f"{points} points of use in a sweep: too few to find the ground"
    if obstacles > _MOST_IN_THE_WAY * points:
        return f"no ground: {obstacles} of {points} points stand in the way; is the lidar where the robot file says?"
    return ""
