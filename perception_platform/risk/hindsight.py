"""What earlier looks say beside the newest: what fell out of sight, and what comes."""

from __future__ import annotations

from collections.abc import Sequence

from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.entering import EdgeWatch
from perception_platform.risk.unseen import Unseen


class Hindsight:
    """Looks once before each assessment, for the node, replay and the benchmark alike."""

    def __init__(self, config: RiskConfig) -> None:
        self._unseen, self._edges = Unseen(config), EdgeWatch(config)

    def look(self, obstacles: Sequence[PointCloud], tracks: Tracks, ego: EgoState) -> list[PointCloud]:
        """The newest obstacle points of each source, and after them those that are inferred; see ``inferred``."""
        more = [*self._unseen.look(obstacles, tracks, ego), *self._edges.look(obstacles, tracks, ego)]
        return [*obstacles, *more]
