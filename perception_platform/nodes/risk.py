"""Tracks, obstacle points, scans and odometry in; the assessment out."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any

from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.ros.node import LeftOut, PlatformNode
from perception_platform.ros.ports import Arrival, publish_all
from perception_platform.ros.process import run
from perception_platform.ros.topics import TOPICS


class RiskNode(PlatformNode):
    """Assesses on each new set of tracks and each new scan.

    Scans alone must not keep an assessment fresh whose tracks have stayed away: past the deadline of the tracks
    nothing is published, so that the gate sees the silence and stops.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("risk", **options)

    def set_up(self) -> None:
        """Begin knowing nothing."""
        self._config = RiskConfig.from_robot(self.robot)
        self._ego: EgoState | None = None
        self._tracks: Tracks | None = None
        self._tracks_came_s = 0.0
        self._obstacles: dict[str, PointCloud] = {}
        self._assessment = self.output("assessment")
        self._full = self.output("assessment_full")
        self.subscribe("odometry", partial(setattr, self, "_ego"))
        for lidar in self.robot.lidars:
            self.subscribe("obstacles", partial(self._obstacles.__setitem__, lidar.name), lidar.name)
        scans = [("scan", scan.name) for scan in self.robot.scans]
        self.stage([("tracks", ""), *scans], self._look)

    def _look(self, arrival: Arrival) -> None:
        if arrival.topic.key == "tracks":
            self._tracks, self._tracks_came_s = arrival.value(), time.monotonic()
            self._assess(self._tracks, arrival)
            return
        cloud = self._obstacles[arrival.sensor] = arrival.value()
        if not self.robot.lidars:  # nothing makes tracks then: the scans have to do
            self._assess(Tracks.empty(cloud.t_ns, self.robot.odom_frame), arrival)
        elif self._tracks is not None and self._tracks_are_fresh():
            self._assess(self._tracks, arrival)

    def _tracks_are_fresh(self) -> bool:
        return time.monotonic() - self._tracks_came_s <= TOPICS["tracks"].deadline_s

    def _assess(self, tracks: Tracks, arrival: Arrival) -> None:
        if self._ego is None:
            raise LeftOut("odometry")
        seen = dict(self._obstacles)  # another thread may add to it
        obstacles = [seen[name] for name in sorted(seen)]
        assessment = assess(tracks, obstacles, self._ego, self._config, now_ns=self.now_ns())
        assessment = replace(assessment, lineage=assessment.lineage.then(self.timing(arrival)))
        publish_all((self._assessment, assessment), (self._full, assessment))


def main() -> None:
    """Run the node."""
    sys.exit(run(RiskNode))


if __name__ == "__main__":
    main()
