"""Lidar sweeps and the newest images in; detections, obstacle points and the state of the models out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image
from perception_platform.messages.clouds import cloud_from_msg, cloud_to_msg
from perception_platform.messages.fields import time_ns
from perception_platform.messages.objects import detections_to_msg
from perception_platform.messages.verdicts import model_status_to_msg
from perception_platform.perception.graph import IMAGE_MAX_AGE_NS
from perception_platform.perception.load import load_graph
from perception_platform.ros.diagnostics import PROCESSED
from perception_platform.ros.images import decode_image
from perception_platform.ros.make import make
from perception_platform.ros.node import PlatformNode, run
from perception_platform.ros.topics import TOPICS
from perception_platform.runtime.mailbox import LatestMailbox


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came, and when."""

    message: Any
    queued_ns: int


class PerceptionNode(PlatformNode):
    """Works on one sweep at a time in a thread of its own; a newer sweep supersedes one that still waits."""

    def __init__(self) -> None:
        super().__init__("perception")
        self._mailbox: LatestMailbox[Arrived] | None = None

    def set_up(self) -> None:
        """Load the graph and its models, then listen to every lidar and camera."""
        self._graph = load_graph(self.robot, keep_going=True, clock_ns=time.perf_counter_ns)
        self._images: dict[str, Any] = {}
        self._images_lock = Lock()
        self._detections = self.publisher("detections")
        self._obstacles = {s.name: self.publisher("obstacles", s.name) for s in self.robot.lidars}
        self._model_status = self.publisher("model_status")
        self._mailbox = mailbox = LatestMailbox[Arrived]()
        for camera in self.robot.cameras:
            self.subscribe("image", self._keeper(camera.name), camera.name)
        for lidar in self.robot.lidars:
            self.subscribe("points", self._poster(lidar.name, mailbox), lidar.name)
        self.every(1.0, self._report_models)
        self.work("perception", lambda: self._work(mailbox))

    def tear_down(self) -> None:
        """Let the thread end."""
        if self._mailbox is not None:
            self._mailbox.close()
            self._mailbox = None

    def _keeper(self, sensor: str) -> Any:
        def keep(message: Any) -> None:
            with self._images_lock:
                self._images[sensor] = message

        return keep

    def _poster(self, sensor: str, mailbox: LatestMailbox[Arrived]) -> Any:
        def post(message: Any) -> None:
            if mailbox.put(sensor, Arrived(message, self.now_ns())):
                self.tally.add(TOPICS["points"].of(sensor), "superseded")

        return post

    def _work(self, mailbox: LatestMailbox[Arrived]) -> None:
        while (taken := mailbox.take()) is not None:
            sensor, sweep = taken
            try:
                self._perceive(sensor, sweep)
                self.tally.add(TOPICS["points"].of(sensor), PROCESSED)
            except InputError as error:
                self.trouble("malformed", TOPICS["points"], sensor, str(error))

    def _perceive(self, sensor: str, sweep: Arrived) -> None:
        started_ns = self.now_ns()
        cloud = cloud_from_msg(sweep.message, sensor)
        percept = self._graph.step(cloud, self._fresh_images(cloud.t_ns))
        lineage = percept.detections.lineage.then(self.timing(sweep.queued_ns, started_ns))
        self._obstacles[sensor].publish(cloud_to_msg(percept.obstacles, make))
        self._detections.publish(detections_to_msg(replace(percept.detections, lineage=lineage), make))

    def _fresh_images(self, t_ns: int) -> list[Image]:
        """The newest image of each camera, taken close to ``t_ns``; each is used once."""
        with self._images_lock:
            waiting, self._images = self._images, {}
        images = []
        for sensor, message in sorted(waiting.items()):
            try:
                if abs(t_ns - time_ns(message.header.stamp, sensor)) <= IMAGE_MAX_AGE_NS:
                    images.append(decode_image(message, sensor))
                else:
                    self.tally.add(TOPICS["image"].of(sensor), "expired")
            except InputError as error:
                self.trouble("malformed", TOPICS["image"], sensor, str(error))
        return images

    def _report_models(self) -> None:
        for status in self._graph.model_status(self.now_ns()):
            self._model_status.publish(model_status_to_msg(status, make))


def main() -> None:
    """Run the node."""
    sys.exit(run(PerceptionNode))


if __name__ == "__main__":
    main()
