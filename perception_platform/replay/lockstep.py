"""Replay without a clock: the times of a recording, or of a simulation, drive the same pure steps as the nodes run.

Each stage takes the time that the robot file declares, so the run does not depend on the machine. What
the steps really took is measured beside it and never enters a decision.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.errors import FrameError, InputError
from perception_platform.core.lineage import StageTiming
from perception_platform.core.objects import Detections, Percept, Tracks
from perception_platform.core.sensor_data import EgoState, Image, PointCloud, SensorHealth
from perception_platform.core.time import from_ms, from_s, to_s
from perception_platform.core.verdicts import Assessment, Decision, ObjectRisks, Reason
from perception_platform.explain.counterfactual import Case
from perception_platform.messages.motion import ego_from_odometry, velocity_from_command
from perception_platform.messages.sensors import cloud_from_msg
from perception_platform.messages.verdicts import health_from_msg
from perception_platform.perception.graph import IMAGE_MAX_AGE_NS, PerceptionGraph
from perception_platform.perception.predicted import predicted
from perception_platform.perception.scan_people import ScanPeople
from perception_platform.replay.records import FrameCounts
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.hindsight import Hindsight
from perception_platform.risk.stage import RiskStage
from perception_platform.robot.description import Robot
from perception_platform.ros.images import decode_image
from perception_platform.ros.inputs import SOURCES
from perception_platform.ros.topics import TOPICS
from perception_platform.runtime.ego_history import EgoHistory
from perception_platform.safety.config import GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen
from perception_platform.tracking.tracker import Tracker


@dataclass(order=True, slots=True)
class _Due:
    """Something that happens at a time; the order of entry decides between equals."""

    t_ns: int
    entry: int
    act: Callable[[int], None] = field(compare=False)


@dataclass(slots=True)
class _Received:
    """The newest value of one input, when it came, and, of an assessment, what it was made from."""

    value: Any
    t_ns: int
    made_from: Any = None

    def seen(self, now_ns: int) -> Seen[Any]:
        return Seen(self.value, to_s(now_ns - self.t_ns))


class Witness(Protocol):
    """Hears of decisions together with what they were made from."""

    def wants(self, t_ns: int) -> bool:
        """Whether it may ask for the decision of that time."""

    def hear(self, decision: Decision, case: Case | None) -> None:
        """A decision, in order; with its case if that was wanted and there is one."""


def declared_timing(stage: str, now_ns: int, done_ns: int) -> StageTiming:
    """Of a stage that begins as soon as its input is there and hands its result on as soon as it is done."""
    return StageTiming(stage, now_ns, now_ns, now_ns, done_ns, done_ns)


class Sink(Protocol):
    """Takes what the stages make, each at the time at which it is there."""

    start_ns: int | None

    def detections(self, detections: Detections, obstacles: PointCloud) -> None:
        """One sweep's objects and obstacle points."""

    def application(self, report: ApplicationReport) -> None:
        """What one application says of a sweep."""

    def tracks(self, tracks: Tracks, risks: ObjectRisks, ego: EgoState) -> None:
        """The tracks of one moment with their criticality."""

    def decision(self, decision: Decision, ego: EgoState | None) -> None:
        """One decision of the gate."""


class Judge(Protocol):
    """Decides once a beat, as the safety gate does."""

    def step(self, now_ns: int, inputs: GateInputs) -> Decision:
        """One beat."""


class Lockstep:
    """One robot's chain, driven by the messages of a recording or by values as they come.

    Attributes:
        frames: the ledger of sensor frames.
        durations_s: measured run time of each step by stage, s.
    """

    def __init__(
        self,
        robot: Robot,
        graph: PerceptionGraph,
        tracker: Tracker | None,
        records: Sink,
        judge: Judge | None = None,
        witness: Witness | None = None,
    ) -> None:
        """Set up the chain.

        Args:
            robot: the robot.
            graph: its perception.
            tracker: its tracker; None ends the chain after perception, for a judge that asks for no more.
            records: told what the stages make.
            judge: in place of the robot's safety gate.
            witness: hears of what the safety gate's decisions are made from.
        """
        self.frames = FrameCounts()
        self.durations_s: dict[str, list[float]] = {}
        self._robot = robot
        self._graph = graph
        self._tracker = tracker
        self._records = records
        self._risk = RiskStage(RiskConfig.from_robot(robot))
        self._hindsight = Hindsight(self._risk.config)
        self._gate_config = GateConfig.from_robot(robot)
        gate = SafetyGate(self._gate_config)
        gate.reset()  # a recording is a cut out of a running drive
        self._gate: Judge = judge or gate
        self._witness = witness
        self._agenda: list[_Due] = []
        self._entries = 0
        self._scan_people = ScanPeople(robot)
        self._handlers = self._routes()
        self._ego: _Received | None = None
        self._egos = EgoHistory()
        self._command: _Received | None = None
        self._assessment: _Received | None = None
        self._tracks: _Received | None = None
        self._obstacles: dict[str, _Received] = {}
        self._health: dict[str, _Received] = {}
        self._images: dict[str, Image] = {}
        self._waiting: dict[str, PointCloud] = {}
        self._busy = False
        self._beating = False
        self._events: list[Event] = []

    def topics(self) -> list[str]:
        """Topics of a recording that are read."""
        return list(self._handlers)

    def run(self, messages: Iterable[Any], on_time: Callable[[int], None] = lambda t_ns: None) -> None:
        """Play (topic, log time, message) records in order of time, to the end.

        Args:
            messages: what ``read_messages`` yields.
            on_time: told the time of each message, for a progress bar.

        Raises:
            InputError: if the recording has none of the topics that the robot's chain needs.
        """
        end_ns = None
        for record in messages:
            if end_ns is None:
                self.begin(record.log_ns)
            end_ns = record.log_ns
            self.happen_until(record.log_ns)
            self._handlers[record.topic](record.message, record.log_ns)
            on_time(record.log_ns)
        if end_ns is None:
            raise InputError("recording", f"has none of the topics {', '.join(self._handlers)}")
        self.happen_until(end_ns)
        waiting = self._waiting if self._robot.lidars else ()  # scans were obstacles when they came
        for sensor in (*waiting, *self._images):
            self.frames.dropped[sensor, "end_of_recording"] += 1

    def begin(self, t_ns: int) -> None:
        """The time of the first input; the gate is first asked when a healthy chain has spoken."""
        self._records.start_ns = t_ns
        self._at(t_ns + from_s(self._gate_config.input_timeout_s), self._beat)

    def _at(self, t_ns: int, act: Callable[[int], None]) -> None:
        heapq.heappush(self._agenda, _Due(t_ns, self._entries, act))
        self._entries += 1

    def happen_until(self, t_ns: int) -> None:
        """Let everything happen that is due by then."""
        while self._agenda and self._agenda[0].t_ns <= t_ns:
            due = heapq.heappop(self._agenda)
            due.act(due.t_ns)

    def _routes(self) -> Mapping[str, Callable[[Any, int], None]]:
        routes: dict[str, Callable[[Any, int], None]] = {
            TOPICS["odometry"].name: self._on_odometry,
            TOPICS["command"].name: self._on_command,
            TOPICS["sensor_health"].name: self._on_health,
        }
        for lidar in self._robot.lidars:
            routes[TOPICS["points"].of(lidar.name)] = self._guarded(lidar.name, self._on_sweep)
        for source in self._robot.sources:
            routes[TOPICS[source.kind].of(source.name)] = self._guarded(source.name, self._on_source)
        for camera in self._robot.cameras:
            routes[TOPICS["image"].of(camera.name)] = self._guarded(camera.name, self._on_image)
        return routes

    def _guarded(self, sensor: str, handle: Callable[[str, Any, int], None]) -> Callable[[Any, int], None]:
        """Count a frame in; one that is malformed is dropped and reported to the gate, and the run goes on."""

        def on_message(message: Any, now_ns: int) -> None:
            self.frames.received[sensor] += 1
            try:
                handle(sensor, message, now_ns)
            except InputError as error:
                lost = isinstance(error, FrameError)
                self.frames.dropped[sensor, "transform lost" if lost else "malformed"] += 1
                reason = Reason.TRANSFORM_LOST if lost else Reason.MALFORMED_INPUT
                self._events.append(Event(reason, str(error), sensor))

        return on_message

    def _on_odometry(self, message: Any, now_ns: int) -> None:
        try:
            self.odometry(ego_from_odometry(message), now_ns)
        except InputError as error:
            self._events.append(Event(Reason.MALFORMED_INPUT, str(error), "odometry"))

    def odometry(self, ego: EgoState, now_ns: int) -> None:
        """Odometry came."""
        self._ego = _Received(ego, now_ns)
        self._egos.add(ego)

    def _on_command(self, message: Any, now_ns: int) -> None:
        try:
            wheelbase_m = self._robot.drive.wheelbase_m
            self.command(velocity_from_command(message, TOPICS["command"].name, wheelbase_m), now_ns)
        except InputError as error:
            self._events.append(Event(Reason.MALFORMED_INPUT, str(error), "command"))

    def command(self, velocity: tuple[float, float, float], now_ns: int) -> None:
        """A commanded (vx, vy, yaw rate) came."""
        self._command = _Received(velocity, now_ns)

    def _on_health(self, message: Any, now_ns: int) -> None:
        try:
            self.health(health_from_msg(message), now_ns)
        except InputError as error:
            self._events.append(Event(Reason.MALFORMED_INPUT, str(error), "sensor_health"))

    def health(self, health: SensorHealth, now_ns: int) -> None:
        """A report about a sensor came."""
        self._health[health.sensor] = _Received(health, now_ns)

    def _on_image(self, sensor: str, message: Any, now_ns: int) -> None:
        self.image(decode_image(message, sensor))

    def image(self, image: Image) -> None:
        """An image came."""
        sensor = image.sensor
        if sensor in self._images:
            self.frames.dropped[sensor, "superseded"] += 1
        self._images[sensor] = image

    def _on_source(self, sensor: str, message: Any, now_ns: int) -> None:
        self.source(SOURCES[self._robot.sensor(sensor).kind](message, sensor, self._robot), now_ns)

    def source(self, cloud: PointCloud, now_ns: int) -> None:
        """Points of a scan or another source came, in the base frame."""
        sensor = cloud.sensor
        self._obstacles[sensor] = _Received(cloud, now_ns)
        self.frames.processed[sensor] += 1
        if not self._robot.lidars and sensor == self._scan_people.leading:
            self._waiting[sensor] = cloud  # a busy stage looks at the newest one when it is done
            if not self._busy:
                self._perceive(now_ns)
        tracks = self._fresh_tracks(cloud.t_ns, now_ns) if self._tracker else None
        if tracks is not None and self._ego is not None:
            self._assess(tracks, now_ns)

    def _fresh_tracks(self, t_ns: int, now_ns: int) -> Tracks | None:
        """Tracks that a scan may be assessed with: none that stayed away; without a lidar, an empty set then."""
        if self._tracks is None or self._tracks.seen(now_ns).silence_s > TOPICS["tracks"].deadline_s:
            return None if self._robot.lidars else Tracks.empty(t_ns, self._robot.odom_frame)
        tracks: Tracks = self._tracks.value
        return tracks

    def _on_sweep(self, sensor: str, message: Any, now_ns: int) -> None:
        self.sweep(cloud_from_msg(message, sensor), now_ns)

    def sweep(self, cloud: PointCloud, now_ns: int) -> None:
        """A sweep came, in its lidar's frame."""
        sensor = cloud.sensor
        if sensor in self._waiting:
            self.frames.dropped[sensor, "superseded"] += 1
        self._waiting[sensor] = cloud
        if not self._busy:
            self._perceive(now_ns)

    def _perceive(self, now_ns: int) -> None:
        """Take the oldest waiting sweep; its result is there after the declared time."""
        if not self._waiting:
            return
        sensor = min(self._waiting, key=lambda name: self._waiting[name].t_ns)
        cloud = self._waiting.pop(sensor)
        scans = [self._obstacles[s.name].value for s in self._robot.scans if s.name in self._obstacles]
        if self._robot.lidars:
            images, tracks = self._take_images(cloud.t_ns), self._tracks_at(cloud.t_ns)
            percept = self._timed(
                "perception", lambda: self._graph.step(cloud, images, scans=scans, tracks=tracks)
            )
            reports = self._timed("applications", self._graph.serve)
            self.frames.processed[sensor] += 1
        else:
            found = self._timed("perception", lambda: self._scan_people.step(cloud, scans))
            percept, reports = Percept(found, cloud), ()
        self._busy = True
        done_ns = now_ns + from_ms(self._robot.latency.perception_ms)
        stage = declared_timing("perception", now_ns, done_ns)
        detections = replace(percept.detections, lineage=percept.detections.lineage.then(stage))
        self._at(done_ns, lambda t_ns: self._perceived(detections, percept.obstacles, reports, t_ns))

    def _tracks_at(self, t_ns: int) -> Tracks | None:
        """The newest tracks that are there, carried on to a sweep, for a graph that takes any."""
        ego = self._egos.nearest(t_ns)
        if not self._graph.looks_back or self._tracks is None or ego is None:
            return None
        return predicted(self._tracks.value, ego, t_ns, self._robot.base_frame)

    def _take_images(self, t_ns: int) -> list[Image]:
        """The newest image of each camera, if it is fresh enough for a sweep captured at ``t_ns``."""
        fresh = []
        for sensor in sorted(self._images):
            image = self._images.pop(sensor)
            if abs(t_ns - image.t_ns) <= IMAGE_MAX_AGE_NS:
                fresh.append(image)
                self.frames.processed[sensor] += 1
            else:
                self.frames.dropped[sensor, "expired"] += 1
        return fresh

    def _perceived(
        self,
        detections: Detections,
        obstacles: PointCloud,
        reports: Sequence[ApplicationReport],
        now_ns: int,
    ) -> None:
        self._busy = False
        if self._robot.lidars:  # scans are obstacles since they came
            self._obstacles[obstacles.sensor] = _Received(obstacles, now_ns)
        self._records.detections(detections, obstacles)
        for report in reports:
            self._records.application(replace(report, age_s=to_s(max(0, now_ns - report.t_ns))))
        self._track(detections, now_ns)
        self._perceive(now_ns)

    def _track(self, detections: Detections, now_ns: int) -> None:
        ego, tracker = self._egos.nearest(detections.t_ns), self._tracker
        if ego is None or tracker is None:
            return
        tracks = self._timed("tracker", lambda: tracker.step(detections.t_ns, detections, ego))
        done_ns = now_ns + from_ms(self._robot.latency.tracker_ms)
        stage = declared_timing("tracker", now_ns, done_ns)
        tracks = replace(tracks, lineage=tracks.lineage.then(stage))
        self._at(done_ns, lambda t_ns: self._tracked(tracks, t_ns))

    def _tracked(self, tracks: Tracks, now_ns: int) -> None:
        self._tracks = _Received(tracks, now_ns)
        assessment = self._assess(tracks, now_ns)
        self._records.tracks(tracks, assessment.objects, self._ego_now())

    def _ego_now(self) -> EgoState:
        assert self._ego is not None  # tracks are only made with odometry
        ego: EgoState = self._ego.value
        return ego

    def _assess(self, tracks: Tracks, now_ns: int) -> Assessment:
        obstacles = [self._obstacles[name].value for name in sorted(self._obstacles)]
        ego = self._ego_now()
        before = None if self._witness is None else self._risk.copy()

        def look() -> Assessment:
            obstacles[:] = self._hindsight.look(obstacles, tracks, ego)
            return self._risk.step(tracks, obstacles, ego, now_ns=now_ns)

        assessment: Assessment = self._timed("risk", look)
        done_ns = now_ns + from_ms(self._robot.latency.risk_ms)
        lineage = assessment.lineage.then(declared_timing("risk", now_ns, done_ns))
        received = _Received(
            replace(assessment, lineage=lineage), done_ns, (tracks, obstacles, ego, now_ns, before)
        )
        self._at(done_ns, lambda t_ns: self._assessed(received, t_ns))
        return assessment

    def _assessed(self, received: _Received, now_ns: int) -> None:
        """Decide on news at once, as the gate does between its beats."""
        self._assessment = received
        if self._beating:
            self._decide(now_ns)

    def _beat(self, now_ns: int) -> None:
        self._beating = True
        self._decide(now_ns)
        self._at(now_ns + self._gate_config.period_ns, self._beat)

    def _decide(self, now_ns: int) -> None:
        inputs = GateInputs(
            assessment=self._assessment.seen(now_ns) if self._assessment else None,
            ego=self._ego.seen(now_ns) if self._ego else None,
            obstacles={name: got.seen(now_ns) for name, got in sorted(self._obstacles.items())},
            health={name: got.seen(now_ns) for name, got in sorted(self._health.items())},
            command=self._command.seen(now_ns) if self._command else None,
            events=tuple(self._events),
        )
        self._events.clear()
        before = self._before(now_ns, inputs)
        decision = self._timed("safety_gate", lambda: self._gate.step(now_ns, inputs))
        came_ns = min(self._assessment.t_ns, now_ns) if self._assessment else now_ns
        stage = StageTiming("safety_gate", came_ns, came_ns, now_ns, now_ns, now_ns)
        decision = replace(decision, lineage=decision.lineage.then(stage))
        self._records.decision(decision, self._ego.value if self._ego else None)
        if self._witness is not None:
            self._witness.hear(decision, before)

    def _before(self, now_ns: int, inputs: GateInputs) -> Case | None:
        """All that the next decision is made from, if somebody asks for it and there is an assessment."""
        gate = self._gate
        if self._witness is None or self._assessment is None or not isinstance(gate, SafetyGate):
            return None
        if not self._witness.wants(now_ns):
            return None
        tracks, obstacles, ego, assessed_ns, risk = self._assessment.made_from
        return Case(now_ns, gate.copy(), inputs, tracks, tuple(obstacles), ego, assessed_ns, risk)

    def _timed(self, stage: str, step: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = step()
        self.durations_s.setdefault(stage, []).append(time.perf_counter() - began)
        return result
