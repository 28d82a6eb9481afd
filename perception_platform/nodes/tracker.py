"""Detections and odometry in; tracks in the fixed frame out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perception_platform.ros.node import LeftOut, PlatformNode
from perception_platform.ros.ports import Arrival
from perception_platform.ros.process import run
from perception_platform.runtime.ego_history import EgoHistory
from perception_platform.tracking.tracker import Tracker


class TrackerNode(PlatformNode):
    """Steps the tracker with the odometry closest to each set of detections; without odometry it waits."""

    def __init__(self, **options: Any) -> None:
        super().__init__("tracker", **options)

    def set_up(self) -> None:
        """Begin without tracks."""
        self._tracker = Tracker(frame_id=self.robot.odom_frame)
        self._egos = EgoHistory()
        self._tracks = self.output("tracks")
        self.subscribe("odometry", self._egos.add)
        self.stage([("detections", "")], self._track)

    def diagnostics(self) -> Mapping[str, str]:
        """What the tracker left out."""
        return {f"rejected {what}": str(count) for what, count in self._tracker.rejected.items()}

    def _track(self, arrival: Arrival) -> None:
        detections = arrival.value()
        ego = self._egos.nearest(detections.t_ns)
        if ego is None:
            raise LeftOut("odometry")
        tracks = self._tracker.step(detections.t_ns, detections, ego)
        self._tracks.publish(replace(tracks, lineage=tracks.lineage.then(self.timing(arrival))))


def main() -> None:
    """Run the node."""
    sys.exit(run(TrackerNode))


if __name__ == "__main__":
    main()
