"""Detections and odometry in; tracks in the fixed frame out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perception_platform.messages.motion import ego_from_odometry
from perception_platform.messages.objects import detections_from_msg, tracks_to_msg
from perception_platform.ros.make import make
from perception_platform.ros.node import PlatformNode, run
from perception_platform.ros.topics import TOPICS
from perception_platform.runtime.ego_history import EgoHistory
from perception_platform.tracking.tracker import Tracker


class TrackerNode(PlatformNode):
    """Steps the tracker with the odometry closest to each set of detections; without odometry it waits."""

    def __init__(self) -> None:
        super().__init__("tracker")

    def set_up(self) -> None:
        """Begin without tracks."""
        self._tracker = Tracker(frame_id=self.robot.odom_frame)
        self._egos = EgoHistory()
        self._tracks = self.publisher("tracks")
        self.subscribe("odometry", lambda message: self._egos.add(ego_from_odometry(message)))
        self.subscribe("detections", self._track)

    def diagnostics(self) -> Mapping[str, str]:
        """What the tracker left out."""
        return {f"rejected {what}": str(count) for what, count in self._tracker.rejected.items()}

    def _track(self, message: Any) -> None:
        queued_ns = self.now_ns()
        detections = detections_from_msg(message)
        ego = self._egos.nearest(detections.t_ns)
        if ego is None:
            self.tally.add(TOPICS["detections"].name, "left out without odometry")
            return
        tracks = self._tracker.step(detections.t_ns, detections, ego)
        lineage = tracks.lineage.then(self.timing(queued_ns, queued_ns))
        self._tracks.publish(tracks_to_msg(replace(tracks, lineage=lineage), make))


def main() -> None:
    """Run the node."""
    sys.exit(run(TrackerNode))


if __name__ == "__main__":
    main()
