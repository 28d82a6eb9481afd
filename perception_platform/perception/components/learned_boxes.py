"""Objects that a learned model sees in a lidar's sweeps from above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from perception_platform.core.model_status import ModelStatus
from perception_platform.core.objects import ModelRef
from perception_platform.core.sensor_data import Points
from perception_platform.core.time import to_s
from perception_platform.perception import bird_view
from perception_platform.perception.bird_view import BirdView, Heights
from perception_platform.perception.component import Component, Moment, NoParams, Port, Ports, Setup, array

# What lies farther back than this is not the sweep before, but another time.
_OLDEST_S = 0.25


class LearnedBoxes(Component):
    """The boxes, and the model that gave them; none where the robot file names no model, or none can answer."""

    inputs: ClassVar[Ports] = {
        "points": array("N", 3, unit="m", frame="base"),
        "heights": array("N", unit="m", frame="base"),
    }
    outputs: ClassVar[Ports] = {"boxes": Port(tuple, unit="m", frame="base", head=True)}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._chains = setup.lidars
        self._before: dict[str, tuple[int, Heights]] = {}

    def step(
        self, moment: Moment, points: Points, heights: Points
    ) -> tuple[tuple[bird_view.LearnedBoxes, ModelRef], ...]:
        """At most one answer."""
        name = moment.lidar.name
        chain = self._chains.get(name)
        if chain is None:
            return ()
        sweep = Heights(points, heights)
        t_ns, earlier = self._before.get(name, (moment.t_ns, sweep))
        since_s = to_s(moment.t_ns - t_ns)
        self._before[name] = moment.t_ns, sweep
        known = 0.0 < since_s <= _OLDEST_S
        bits = bird_view.raster(sweep, earlier if known else sweep)  # nothing moved that is not known to have
        answer = chain.run(moment.t_ns, BirdView(bits, since_s if known else bird_view.PERIOD_S))
        served = chain.status(moment.t_ns).model
        return () if answer is None or served is None else ((answer, served),)

    def model_status(self, t_ns: int) -> Sequence[ModelStatus]:
        """Of each lidar's chain."""
        return [chain.status(t_ns) for chain in self._chains.values()]
