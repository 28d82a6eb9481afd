"""Lidar sweeps, images, scans, tracks and odometry in; detections, obstacles, applications and model states out."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any

from perception_platform.core.objects import Tracks
from perception_platform.core.runtime_status import RuntimeStatus
from perception_platform.core.sensor_data import Image, PointCloud
from perception_platform.core.time import to_s
from perception_platform.perception.graph import IMAGE_MAX_AGE_NS
from perception_platform.perception.load import load_graph
from perception_platform.perception.predicted import predicted
from perception_platform.perception.scan_people import ScanPeople
from perception_platform.ros.node import LeftOut, PlatformNode
from perception_platform.ros.ports import Arrival, publish_all
from perception_platform.ros.process import run
from perception_platform.runtime.ego_history import EgoHistory
from perception_platform.runtime.shedding import Ladder, LadderConfig

SHED_EVERY_S = 0.1


class PerceptionNode(PlatformNode):
    """Works on one sweep at a time in a thread of its own; sheds load by the robot's ladder when it runs late."""

    def __init__(self, **options: Any) -> None:
        super().__init__("perception", **options)

    def set_up(self) -> None:
        """Load the graph and its models, then listen to lidars, scanners, and the cameras that a model looks at."""
        self._graph = load_graph(self.robot, keep_going=True, clock_ns=time.perf_counter_ns)
        self._graph.warm_up()
        for status in self._graph.model_status(self.now_ns()):
            self.get_logger().info(f"{status.head}: {status.backend or 'no model'}, {status.text}")
        ladder = LadderConfig.from_robot(self.robot, self._graph.sheds)
        self._ladder = Ladder(ladder, time.monotonic_ns())
        self._shedding = self._ladder.step(time.monotonic_ns())
        self._lost = self._sweep_number = 0
        self._detections = self.output("detections")
        self._obstacles = {s.name: self.output("obstacles", s.name) for s in self.robot.lidars}
        self._model_status = self.output("model_status")
        self._applications = self.output("applications")
        self._images = self.mailbox([("image", name) for name in self._graph.cameras], to_s(IMAGE_MAX_AGE_NS))
        self._scans: dict[str, PointCloud] = {}
        self._scan_people = ScanPeople(self.robot)
        # Without a lidar the first scanner sets the pace; the others' scans are looked at with its own.
        leads = "" if self.robot.lidars else self._scan_people.leading
        for scan in self.robot.scans:
            if scan.name != leads:
                self.subscribe("scan", partial(self._scans.__setitem__, scan.name), scan.name)
        self._tracks: Tracks | None = None
        self._egos = EgoHistory()
        if self._graph.looks_back:  # else they would be taken in for nobody
            self.subscribe("tracks", self._take_tracks)
        self.subscribe("odometry", self._egos.add)
        if leads:
            self._sweeps = self.stage([("scan", leads)], self._find_people)
        else:
            self._sweeps = self.stage([("points", lidar.name) for lidar in self.robot.lidars], self._perceive)
        self.every(1.0, self._report_models)
        self.every(SHED_EVERY_S, self._shed)

    def runtime_status(self) -> RuntimeStatus:
        """How perception keeps up, and what it sheds."""
        status = super().runtime_status()
        if not self.is_set_up:
            return status
        shed = self._shedding
        return replace(
            status,
            shed_level=shed.level,
            shed_step=shed.name,
            shed_reason=shed.reason,
            deadline_risk=shed.risk,
            speed_factor=shed.speed_factor,
            components=self._graph.component_counts(),
        )

    def diagnostics(self) -> dict[str, str]:
        """Components that fail, and why."""
        problems = self._graph.problems() if self.is_set_up else {}
        return {f"component {name}": problem for name, problem in problems.items()}

    def _perceive(self, arrival: Arrival) -> None:
        if self._shedding.drops(self.now_ns() - arrival.t_ns):
            self._ladder.lost(time.monotonic_ns())
            raise LeftOut("time to be done before its deadline")
        cloud = arrival.value()
        percept = self._graph.step(
            cloud,
            self._fresh_images(cloud.t_ns),
            self._shedding.in_force,
            self._newest_scans(),
            self._tracks_at(cloud.t_ns),
        )
        timing = self.timing(arrival)
        self._ladder.finished(time.monotonic_ns(), timing.finished_ns - cloud.t_ns)
        publish_all(
            (self._obstacles[arrival.sensor], percept.obstacles),
            (
                self._detections,
                replace(percept.detections, lineage=percept.detections.lineage.then(timing)),
            ),
        )

        self._serve_applications()

    def _find_people(self, arrival: Arrival) -> None:
        """Without a lidar there is no graph to run: people by their legs are all that can be followed."""
        found = self._scan_people.step(arrival.value(), self._newest_scans())
        timing = self.timing(arrival)
        self._ladder.finished(time.monotonic_ns(), timing.finished_ns - found.t_ns)
        self._detections.publish(replace(found, lineage=found.lineage.then(timing)))

    def _newest_scans(self) -> list[PointCloud]:
        scans = dict(self._scans)  # another thread may add to it
        return [scans[name] for name in sorted(scans)]

    def _take_tracks(self, tracks: Tracks) -> None:
        self._tracks = tracks

    def _tracks_at(self, t_ns: int) -> Tracks | None:
        """The newest tracks, carried on to a sweep; none come for a graph that takes none."""
        tracks, ego = self._tracks, self._egos.nearest(t_ns)
        if tracks is None or ego is None:
            return None
        return predicted(tracks, ego, t_ns, self.robot.base_frame)

    def _serve_applications(self) -> None:
        """Publish what applications say, after what decisions wait for, and count who was served late."""
        for report in self._graph.serve():
            aged = replace(report, age_s=to_s(max(0, self.now_ns() - report.t_ns)))
            if aged.late:
                self.tally.add(report.application, "served late")
            self._applications.publish(aged)

    def _fresh_images(self, t_ns: int) -> list[Image]:
        """The newest image of each camera that is to be looked at now, taken close to ``t_ns``; each is used once."""
        images: list[Image] = []
        for _, arrival in self._images.take_waiting(t_ns):
            self.settle(arrival, self._images, partial(self._use_image, arrival, t_ns, images))
        self._sweep_number += 1
        return images

    def _use_image(self, arrival: Arrival, t_ns: int, images: list[Image]) -> None:
        required = self.robot.sensor(arrival.sensor).required
        if not self._shedding.allows_camera(self._sweep_number):
            raise LeftOut("time for cameras")
        if not required and not self._shedding.optional_heads:
            raise LeftOut("time for optional heads")
        if arrival.t_ns - t_ns > IMAGE_MAX_AGE_NS:
            raise LeftOut("a sweep of its time")
        images.append(arrival.value())

    def _shed(self) -> None:
        """Tell the ladder what was lost, and everybody when it moves."""
        now_ns = time.monotonic_ns()
        lost = sum(edge.superseded + edge.expired for edge in self._sweeps.counts())
        for _ in range(lost - self._lost):
            self._ladder.lost(now_ns)
        self._lost = lost
        before, self._shedding = self._shedding, self._ladder.step(now_ns)
        if self._shedding.level != before.level:
            self.get_logger().warning(f"sheds {self._shedding.name}: {self._shedding.reason}")
            self.tell(self.runtime_status())

    def _report_models(self) -> None:
        for status in self._graph.model_status(self.now_ns()):
            self._model_status.publish(status)


def main() -> None:
    """Run the node."""
    sys.exit(run(PerceptionNode))


if __name__ == "__main__":
    main()
