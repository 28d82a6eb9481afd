"""The gate in a process of its own: a decision and a velocity each beat, whether or not anything comes in.

Neither a model runtime nor the perception layer is loaded here: the checker has to outlive the doer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from std_srvs.srv import Trigger

from perception_platform.core.lineage import StageTiming
from perception_platform.core.runtime_status import RuntimeStatus
from perception_platform.core.sensor_data import EgoState, PointCloud, SensorHealth
from perception_platform.core.verdicts import Assessment, Reason
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.ports import publish_all
from perception_platform.ros.process import run
from perception_platform.ros.topics import obstacle_inputs
from perception_platform.ros.watch import Trouble
from perception_platform.safety.config import GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen

T = TypeVar("T")

REASONS = {
    "malformed": Reason.MALFORMED_INPUT,
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
    """Beats by the steady clock, so that a replayed or stepped clock cannot stop it."""

    def __init__(self, **options: Any) -> None:
        super().__init__("safety_gate", **options)

    def set_up(self) -> None:
        """Begin knowing nothing: stopped."""
        self._gate = SafetyGate(GateConfig.from_robot(self.robot))
        self._assessment: Received[Assessment] | None = None
        self._ego: Received[EgoState] | None = None
        self._command: Received[tuple[float, float, float]] | None = None
        self._obstacles: dict[str, Received[PointCloud]] = {}
        self._health: dict[str, Received[SensorHealth]] = {}
        self._events: list[Event] = []
        self._lost: dict[str, Event] = {}
        self._factors: dict[str, Received[float]] = {}
        self._decision = self.output("decision")
        self._command_safe = self.output("command_safe")
        self._subscribe_to_inputs()
        reset = self.create_service(Trigger, "~/reset", self._reset)
        self.let_go_later(lambda: self.destroy_service(reset))
        self.every(1.0 / self.robot.gate.rate_hz, self._beat)

    def on_trouble(self, trouble: Trouble) -> None:
        """Tell the gate at its next beat; of a lost publisher at each one until something comes again."""
        source = trouble.sensor or trouble.topic.key
        if trouble.kind == "publisher_lost":
            self._lost[source] = Event(Reason.PUBLISHER_LOST, trouble.detail, source)
        elif reason := REASONS.get(trouble.kind):
            self._events.append(Event(reason, trouble.detail, source))

    def _subscribe_to_inputs(self) -> None:
        self._listen("assessment", self._judge)
        self._listen("odometry", lambda got: setattr(self, "_ego", got))
        self._listen("command", lambda got: setattr(self, "_command", got))
        self._listen("sensor_health", lambda got: self._health.update({got.value.sensor: got}))
        self._listen("runtime_status", self._keep_factor)
        for key, sensor in obstacle_inputs(self.robot):
            self._listen(key, partial(self._obstacles.__setitem__, sensor), sensor)

    def _listen(self, key: str, keep: Callable[[Received[Any]], None], sensor: str = "") -> None:
        def receive(value: Any) -> None:
            self._lost.pop(sensor or key, None)
            keep(Received(value, time.monotonic(), self.now_ns()))

        self.subscribe(key, receive, sensor)

    def _judge(self, got: Received[Assessment]) -> None:
        """Decide on news at once: what the robot sees must not wait for the next beat."""
        self._assessment = got
        self._beat()

    def _keep_factor(self, got: Received[RuntimeStatus]) -> None:
        self._factors[got.value.node] = replace(got, value=got.value.speed_factor)

    def _beat(self) -> None:
        now_ns = self.now_ns()
        decision = self._gate.step(now_ns, self._inputs(time.monotonic()))
        came_ns = min(self._assessment.came_ns, now_ns) if self._assessment else now_ns
        done_ns = max(self.now_ns(), now_ns)
        stage = StageTiming(self.get_name(), came_ns, came_ns, now_ns, done_ns, done_ns)
        decision = replace(decision, lineage=decision.lineage.then(stage))
        publish_all((self._command_safe, decision), (self._decision, decision))

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
        )

    def _reset(self, _request: Any, response: Any) -> Any:
        self._gate.reset()
        response.success, response.message = True, "released; what still asks for a stop stops again"
        return response


def main() -> None:
    """Run the node."""
    sys.exit(run(SafetyGateNode))


if __name__ == "__main__":
    main()
