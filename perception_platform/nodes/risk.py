"""Tracks, obstacle points, scans and odometry in; the assessment out."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.messages.motion import ego_from_odometry
from perception_platform.messages.objects import tracks_from_msg
from perception_platform.messages.verdicts import assessment_to_msg
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.ros.inputs import obstacles_in_base, scan_in_base
from perception_platform.ros.make import make
from perception_platform.ros.node import PlatformNode, run
from perception_platform.ros.topics import TOPICS


class RiskNode(PlatformNode):
    """Assesses on each new set of tracks and each new scan.

    Scans alone must not keep an assessment fresh whose tracks have stayed away: past the deadline of the tracks
    nothing is published, so that the gate sees the silence and stops.
    """

    def __init__(self) -> None:
        super().__init__("risk")

    def set_up(self) -> None:
        """Begin knowing nothing."""
        self._config = RiskConfig.from_robot(self.robot)
        self._ego: EgoState | None = None
        self._tracks: Tracks | None = None
        self._tracks_came_s = 0.0
        self._obstacles: dict[str, PointCloud] = {}
        self._assessment = self.publisher("assessment")
        self.subscribe("odometry", self._keep_ego)
        for lidar in self.robot.lidars:
            self.subscribe("obstacles", self._keeper_of_obstacles(lidar.name), lidar.name)
        for scan in self.robot.scans:
            self.subscribe("scan", self._scan_listener(scan.name), scan.name)
        self.subscribe("tracks", self._on_tracks)

    def _keep_ego(self, message: Any) -> None:
        self._ego = ego_from_odometry(message)

    def _keeper_of_obstacles(self, sensor: str) -> Any:
        def keep(message: Any) -> None:
            self._obstacles[sensor] = obstacles_in_base(message, sensor, self.robot)

        return keep

    def _scan_listener(self, sensor: str) -> Any:
        def on_scan(message: Any) -> None:
            queued_ns = self.now_ns()
            cloud = self._obstacles[sensor] = scan_in_base(message, sensor, self.robot)
            if not self.robot.lidars:  # nothing makes tracks then: the scans have to do
                self._assess(Tracks.empty(cloud.t_ns, self.robot.odom_frame), queued_ns)
            elif self._tracks is not None and self._tracks_are_fresh():
                self._assess(self._tracks, queued_ns)

        return on_scan

    def _tracks_are_fresh(self) -> bool:
        return time.monotonic() - self._tracks_came_s <= TOPICS["tracks"].deadline_s

    def _on_tracks(self, message: Any) -> None:
        queued_ns = self.now_ns()
        self._tracks, self._tracks_came_s = tracks_from_msg(message), time.monotonic()
        self._assess(self._tracks, queued_ns)

    def _assess(self, tracks: Tracks, queued_ns: int) -> None:
        if self._ego is None:
            self.tally.add(TOPICS["assessment"].name, "left out without odometry")
            return
        obstacles = [self._obstacles[name] for name in sorted(self._obstacles)]
        assessment = assess(tracks, obstacles, self._ego, self._config, now_ns=self.now_ns())
        lineage = assessment.lineage.then(self.timing(queued_ns, queued_ns))
        assessment = replace(assessment, lineage=lineage)
        self._assessment.publish(assessment_to_msg(assessment, self.robot.base_frame, make))


def main() -> None:
    """Run the node."""
    sys.exit(run(RiskNode))


if __name__ == "__main__":
    main()
