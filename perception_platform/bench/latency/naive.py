"""The chain as one would write it first, for comparison: a process a step, default settings, all work in callbacks.

It takes the same steps and the same messages as the platform's nodes. What it lacks is theirs: shared memory sized
for sweeps and images, mailboxes, threads, hand-over by reference. ``perception-platform bench latency`` measures what
that makes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data

from perception_platform.core.lineage import StageTiming
from perception_platform.core.runtime_status import EdgeCount, RuntimeStatus
from perception_platform.core.sensor_data import Image
from perception_platform.messages.motion import SafeCommand
from perception_platform.perception.graph import IMAGE_MAX_AGE_NS
from perception_platform.perception.load import load_graph
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot
from perception_platform.ros.codecs import decoded, encoded
from perception_platform.ros.make import message_class
from perception_platform.ros.topics import TOPICS, type_on
from perception_platform.runtime.ego_history import EgoHistory
from perception_platform.safety.config import GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import GateInputs, Seen
from perception_platform.sensing.clock import SystemClock
from perception_platform.sensing.reconnect import keep_reading
from perception_platform.sensing.sources import camera_source, lidar_source
from perception_platform.tracking.tracker import Tracker

REPORT_EVERY_S = 1.0


class Naive(Node):
    """What the naive nodes have in common. Parameter ``robot``: path of a robot file."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.robot = load_robot(self.declare_parameter("robot", "").value)
        self.counts: Counter[str] = Counter()
        self._status = self._publisher("runtime_status")
        self.create_timer(REPORT_EVERY_S, self._report)

    def now_ns(self) -> int:
        """System time, ns."""
        return int(self.get_clock().now().nanoseconds)

    def say(self, key: str, sensor: str = "") -> Callable[[Any], None]:
        """A function that publishes values of a row of the table."""
        publisher = self._publisher(key, sensor)
        return lambda value: publisher.publish(encoded(TOPICS[key], value, self.robot))

    def hear(self, key: str, use: Callable[[Any], None], sensor: str = "") -> None:
        """Have ``use`` called with each value of a row of the table."""
        topic = TOPICS[key]

        def receive(message: Any) -> None:
            self.counts[topic.of(sensor)] += 1
            use(decoded(topic, message, sensor, self.robot))

        self.create_subscription(
            message_class(type_on(topic, self.robot)), topic.of(sensor), receive, _qos(key)
        )

    def timing(self, began_ns: int) -> StageTiming:
        """Of this step, done now."""
        now_ns = self.now_ns()
        return StageTiming(self.get_name(), began_ns, began_ns, began_ns, now_ns, now_ns)

    def _publisher(self, key: str, sensor: str = "") -> Any:
        topic = TOPICS[key]
        return self.create_publisher(message_class(type_on(topic, self.robot)), topic.of(sensor), _qos(key))

    def _report(self) -> None:
        edges = tuple(EdgeCount(name, "none", n, n) for name, n in sorted(self.counts.items()))
        status = RuntimeStatus(self.now_ns(), self.get_name(), edges)
        self._status.publish(encoded(TOPICS["runtime_status"], status, self.robot))


def _qos(key: str) -> QoSProfile:
    """As tutorials have it: the sensor profile for sensor data, ten messages deep for the rest."""
    return qos_profile_sensor_data if key in ("image", "points") else QoSProfile(depth=10)


class NaiveDriver(Naive):
    """Reads the sensor in a thread and publishes."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key}_driver")
        sensor = (self.robot.cameras if key == "image" else self.robot.lidars)[0]
        clock = SystemClock()
        source: Any = (camera_source if key == "image" else lidar_source)(sensor, clock)
        publish = self.say(key, sensor.name)

        def read() -> None:
            for reading in keep_reading(source, clock, lambda _: None):
                if reading.data is not None:
                    self.counts[TOPICS[key].of(sensor.name)] += 1
                    publish(reading.data)

        Thread(target=read, daemon=True).start()


class NaivePerception(Naive):
    """Works in the callback of the sweep."""

    def __init__(self) -> None:
        super().__init__("perception")
        self._graph = load_graph(self.robot)
        self._image: Image | None = None
        lidar = self.robot.lidars[0].name
        self._detections, self._obstacles = self.say("detections"), self.say("obstacles", lidar)
        for name in self._graph.cameras:
            self.hear("image", lambda image: setattr(self, "_image", image), name)
        self.hear("points", self._perceive, lidar)

    def _perceive(self, cloud: Any) -> None:
        began_ns = self.now_ns()
        image, self._image = self._image, None
        fresh = [image] if image is not None and abs(cloud.t_ns - image.t_ns) <= IMAGE_MAX_AGE_NS else []
        percept = self._graph.step(cloud, fresh)
        self._obstacles(percept.obstacles)
        lineage = percept.detections.lineage.then(self.timing(began_ns))
        self._detections(replace(percept.detections, lineage=lineage))


class NaiveTracker(Naive):
    """Works in the callback of the detections."""

    def __init__(self) -> None:
        super().__init__("tracker")
        self._tracker = Tracker(frame_id=self.robot.odom_frame)
        self._egos = EgoHistory()
        self._tracks = self.say("tracks")
        self.hear("odometry", self._egos.add)
        self.hear("detections", self._track)

    def _track(self, detections: Any) -> None:
        began_ns = self.now_ns()
        ego = self._egos.nearest(detections.t_ns)
        if ego is not None:
            tracks = self._tracker.step(detections.t_ns, detections, ego)
            self._tracks(replace(tracks, lineage=tracks.lineage.then(self.timing(began_ns))))


class NaiveRisk(Naive):
    """Works in the callback of the tracks."""

    def __init__(self) -> None:
        super().__init__("risk")
        self._config = RiskConfig.from_robot(self.robot)
        self._ego: Any = None
        self._obstacles: Any = None
        self._assessment = self.say("assessment_full")
        self.hear("odometry", lambda ego: setattr(self, "_ego", ego))
        self.hear("obstacles", lambda cloud: setattr(self, "_obstacles", cloud), self.robot.lidars[0].name)
        self.hear("tracks", self._assess)

    def _assess(self, tracks: Any) -> None:
        began_ns = self.now_ns()
        if self._ego is not None and self._obstacles is not None:
            verdict = assess(tracks, [self._obstacles], self._ego, self._config, now_ns=began_ns)
            self._assessment(replace(verdict, lineage=verdict.lineage.then(self.timing(began_ns))))


class NaiveGate(Naive):
    """Decides at its beat alone."""

    def __init__(self) -> None:
        super().__init__("safety_gate")
        self._gate = SafetyGate(GateConfig.from_robot(self.robot))
        self._seen: dict[str, tuple[Any, float]] = {}
        self._health: dict[str, tuple[Any, float]] = {}
        self._decision, self._command = self.say("decision"), self.say("command_safe")
        for key in ("odometry", "command", "assessment_full"):
            self.hear(key, lambda value, key=key: self._keep(key, value))
        self.hear("obstacles", lambda value: self._keep("obstacles", value), self.robot.lidars[0].name)
        self.create_timer(1.0 / self.robot.gate.rate_hz, self._beat)

    def _keep(self, key: str, value: Any) -> None:
        self._seen[key] = (value, time.monotonic())

    def _beat(self) -> None:
        began_ns, now_s = self.now_ns(), time.monotonic()
        seen = {key: Seen(value, now_s - came_s) for key, (value, came_s) in self._seen.items()}
        lidar = self.robot.lidars[0].name
        inputs = GateInputs(
            assessment=seen.get("assessment_full"),
            ego=seen.get("odometry"),
            obstacles={lidar: seen["obstacles"]} if "obstacles" in seen else {},
            command=seen.get("command"),
        )
        decision = self._gate.step(began_ns, inputs)
        decision = replace(decision, lineage=decision.lineage.then(self.timing(began_ns)))
        self._command(SafeCommand(decision.t_ns, decision.output_mps))
        self._decision(decision)


ROLES: dict[str, Callable[[], Naive]] = {
    "image_driver": lambda: NaiveDriver("image"),
    "points_driver": lambda: NaiveDriver("points"),
    "perception": NaivePerception,
    "tracker": NaiveTracker,
    "risk": NaiveRisk,
    "safety_gate": NaiveGate,
}


def main() -> None:
    """Run one of them: its name is the first argument, ROS arguments follow."""
    rclpy.init()
    node = ROLES[sys.argv[1]]()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
