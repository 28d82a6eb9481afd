"""The gate in a process of its own: a decision and a velocity each beat, whether or not anything comes in.

Neither a model runtime nor the perception layer is loaded here: the checker has to outlive the doer.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

from std_srvs.srv import Trigger

from perception_platform.core.lineage import StageTiming
from perception_platform.core.model_status import ModelStatus
from perception_platform.core.runtime_status import RuntimeStatus
from perception_platform.core.sensor_data import EgoState, PointCloud, SensorHealth
from perception_platform.core.verdicts import Assessment, Decision, Reason
from perception_platform.messages.motion import SafeCommand, steering_rad
from perception_platform.replay.gate_journal import GateJournal, JournaledGate
from perception_platform.robot.load import robot_path
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.ports import publish_all
from perception_platform.ros.process import run
from perception_platform.ros.topics import obstacle_inputs
from perception_platform.ros.watch import Trouble
from perception_platform.safety.config import GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen

T = TypeVar("T")
CONFIG_LOOK_S = 1.0  # between two looks at the robot file
OVERRIDE_S = 30.0
MOVING_MPS = 0.03

REASONS = {
    "malformed": Reason.MALFORMED_INPUT,
    "transform_lost": Reason.TRANSFORM_LOST,
    "deadline_missed": Reason.DEADLINE_MISSED,
}


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """An input's newest value, when it came by the steady clock, s, and by the one that stamps sensors, ns."""

    value: T
    came_s: float
    came_ns: int

    def seen(self, now_s: float) -> Seen[T]:
        """As the gate looks at it."""
        return Seen(self.value, now_s - self.came_s)


class SafetyGateNode(PlatformNode):
    """Beats by the steady clock, so that a replayed or stepped clock cannot stop it.

    Beats come from a thread of their own, messages from the executor's; a lock keeps them apart.

    Parameter ``development`` (false): offer ``~/override``, which for half a minute has faults limit the robot to a
    creep in place of stopping it.

    Parameter ``journal`` (none): a file that takes the inputs and the decision of every beat, for
    ``perception-platform explain FILE --decision N``. With a lidar of 64 beams it grows by 10 MB a second.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("safety_gate", **options)
        self.declare_parameter("development", False)
        self.declare_parameter("journal", "")

    def set_up(self) -> None:
        """Begin knowing nothing: stopped."""
        self._lock = Lock()
        self._assessment: Received[Assessment] | None = None
        self._ego: Received[EgoState] | None = None
        self._command: Received[tuple[float, float, float]] | None = None
        self._obstacles: dict[str, Received[PointCloud]] = {}
        self._health: dict[str, Received[SensorHealth]] = {}
        self._events: list[Event] = []
        self._steering_rad = 0.0
        self._lost: dict[str, Event] = {}
        self._factors: dict[str, Received[float]] = {}
        self._models: dict[str, ModelStatus] = {}
        self._robot_file = robot_path(self.get_parameter("robot").value)
        self._robot_text = self._robot_file.read_bytes()
        self._gate = self._make_gate()
        self._decision = self.output("decision")
        self._command_safe = self.output("command_safe")
        self._subscribe_to_inputs()
        self._offer("~/reset", self._reset)
        if self.get_parameter("development").value:
            self.get_logger().warning(
                "development: ~/override is offered; it must not be on a robot near people"
            )
            self._offer("~/override", self._override)
        self.every(CONFIG_LOOK_S, self._look_at_robot_file)
        self.beat(1.0 / self.robot.gate.rate_hz, self._beat)

    def _make_gate(self) -> SafetyGate:
        config, path = GateConfig.from_robot(self.robot), self.get_parameter("journal").value
        if not path:
            return SafetyGate(config)
        journal = GateJournal(Path(path), self._robot_text.decode(), self.get_logger().error)
        self.let_go_later(journal.close)
        return JournaledGate(config, journal)

    def _offer(self, name: str, answer: Callable[[Any, Any], Any]) -> None:
        service = self.create_service(Trigger, name, answer)
        self.let_go_later(lambda: self.destroy_service(service))

    def on_trouble(self, trouble: Trouble) -> None:
        """Tell the gate at its next beat; of a lost publisher at each one until something comes again."""
        source = trouble.sensor or trouble.topic.key
        with self._lock:
            self._note(trouble, source)

    def _note(self, trouble: Trouble, source: str) -> None:
        if trouble.kind == "publisher_lost":
            self._lost[source] = Event(Reason.PUBLISHER_LOST, trouble.detail, source)
        elif reason := REASONS.get(trouble.kind):
            self._events.append(Event(reason, trouble.detail, source))

    def _subscribe_to_inputs(self) -> None:
        self._listen("assessment", lambda got: setattr(self, "_assessment", got))
        self._listen("odometry", lambda got: setattr(self, "_ego", got))
        self._listen("command", lambda got: setattr(self, "_command", got))
        self._listen("sensor_health", lambda got: self._health.update({got.value.sensor: got}))
        self._listen("runtime_status", self._keep_factor)
        self._listen("model_status", lambda got: self._models.update({got.value.head: got.value}))
        for key, sensor in obstacle_inputs(self.robot):
            self._listen(key, partial(self._obstacles.__setitem__, sensor), sensor)

    def _listen(self, key: str, keep: Callable[[Received[Any]], None], sensor: str = "") -> None:
        def receive(value: Any) -> None:
            with self._lock:
                self._lost.pop(sensor or key, None)
                keep(Received(value, time.monotonic(), self.now_ns()))
            if key == "assessment":
                self._beat()  # what the robot sees must not wait for the next beat

        self.subscribe(key, receive, sensor)

    def _keep_factor(self, got: Received[RuntimeStatus]) -> None:
        self._factors[got.value.node] = replace(got, value=got.value.speed_factor)

    def _beat(self) -> None:
        with self._lock:
            now_ns = self.now_ns()
            decision = self._gate.step(now_ns, self._inputs(time.monotonic()))
            came_ns = min(self._assessment.came_ns, now_ns) if self._assessment else now_ns
            done_ns = max(self.now_ns(), now_ns)
            stage = StageTiming(self.get_name(), came_ns, came_ns, now_ns, done_ns, done_ns)
            decision = replace(decision, lineage=decision.lineage.then(stage))
            publish_all((self._command_safe, self._let_through(decision)), (self._decision, decision))
        if decision.transition:
            self.get_logger().info(decision.transition)

    def _let_through(self, decision: Decision) -> SafeCommand:
        wheelbase_m, output = self.robot.drive.wheelbase_m, decision.output_mps
        if wheelbase_m is not None:
            self._steering_rad = steering_rad(output, decision.command_mps, self._steering_rad, wheelbase_m)
        return SafeCommand(decision.t_ns, output, self._steering_rad)

    def _look_at_robot_file(self) -> None:
        """A robot that moves by one configuration while its file says another is stopped; its brakes may be meant."""
        try:
            changed = self._robot_file.read_bytes() != self._robot_text
        except OSError:
            changed = True
        with self._lock:
            moves = self._ego is not None and math.hypot(*self._ego.value.velocity_mps) > MOVING_MPS
            if changed and moves:
                self._events.append(Event(Reason.CONFIG_CHANGED, str(self._robot_file), "robot file"))

    def _inputs(self, now_s: float) -> GateInputs:
        events, self._events = tuple(self._events), []
        return GateInputs(
            assessment=self._assessment.seen(now_s) if self._assessment else None,
            ego=self._ego.seen(now_s) if self._ego else None,
            obstacles={name: got.seen(now_s) for name, got in self._obstacles.items()},
            health={name: got.seen(now_s) for name, got in self._health.items()},
            command=self._command.seen(now_s) if self._command else None,
            events=(*events, *self._lost.values()),
            speed_factor=min((got.value for got in self._factors.values()), default=1.0),
            models=dict(self._models),
        )

    def _reset(self, _request: Any, response: Any) -> Any:
        with self._lock:
            self._gate.reset()
        response.success, response.message = True, "released; what still asks for a stop stops again"
        return response

    def _override(self, _request: Any, response: Any) -> Any:
        with self._lock:
            self._gate.override(self.now_ns(), OVERRIDE_S)
        response.success, response.message = True, f"faults do not stop the robot for {OVERRIDE_S:g} s"
        self.get_logger().warning(f"DEVELOPMENT OVERRIDE: {response.message}")
        return response


def main() -> None:
    """Run the node.

    It shares no memory: a process that is frozen while it holds a lock there would hold up the gate for a second.
    """
    sys.exit(run(SafetyGateNode, transport="network"))


if __name__ == "__main__":
    main()
