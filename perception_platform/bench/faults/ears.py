"""What the robot's base and its people hear: decisions, velocities, broken promises of DDS, reports of the nodes."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.signals import SignalHandlerOptions

from perception_platform.bench.faults.judge import Heard
from perception_platform.core.runtime_status import RuntimeStatus
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Decision
from perception_platform.messages.runtime import runtime_status_from_msg
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.description import Robot
from perception_platform.ros import qos
from perception_platform.ros.make import message_class
from perception_platform.ros.topics import TOPICS, rate_hz

FROM_THE_GATE = ("decision", "command_safe")
AHEAD = -10
_KEPT = 20_000  # decisions, more than two minutes of any gate


def _hurry(niceness: int) -> None:
    """Give this thread that niceness, as far as the system lets it."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


@contextmanager
def _ahead_of_others() -> Iterator[None]:
    """Threads that begin in here, those of DDS, run before others: a robot's base is a computer of its own."""
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    _hurry(before + AHEAD)
    try:
        yield
    finally:
        _hurry(before)


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """DDS said that a publisher is late (``deadline``) or gone (``lease``), at a time of the steady clock, s."""

    at_s: float
    kind: str
    key: str


@dataclass(slots=True)
class Reports:
    """The newest report of each node, and the most messages that any of its inputs could not account for."""

    newest: dict[str, RuntimeStatus] = field(default_factory=dict)
    unaccounted: int = 0

    def add(self, status: RuntimeStatus) -> None:
        """Take in a report."""
        self.newest[status.node] = status
        worst = max((abs(edge.unaccounted) for edge in status.edges), default=0)
        self.unaccounted = max(self.unaccounted, worst)


class Ears:
    """Listens in a thread from ``start`` to ``close``.

    As a base has to, it refuses a decision that was made longer ago than the lease of its topic, and counts it: a gate
    that was stopped in the middle of a beat still sends that beat's decision when it goes on.

    Args:
        robot: whose gate is heard.
        replayed: whether stamps are of another clock than this machine's; the age of data is then the gate's word.
    """

    def __init__(self, robot: Robot, *, replayed: bool) -> None:
        self._replayed = replayed
        self.decisions: deque[Heard] = deque(maxlen=_KEPT)
        self.commands_s: deque[float] = deque(maxlen=_KEPT)
        self.broken: deque[BrokenPromise] = deque(maxlen=_KEPT)
        self.refused = 0
        self.reports = Reports()
        self._context = Context()
        self._thread = threading.Thread(target=self._spin, name="ears", daemon=True)
        with _ahead_of_others():
            self._begin(robot)

    def _begin(self, robot: Robot) -> None:
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            "base", context=self._context, start_parameter_services=False, enable_rosout=False
        )
        self._listen("decision", robot, self._hear_decision)
        self._listen("command_safe", robot, lambda _message: self.commands_s.append(time.monotonic()))
        self._listen("runtime_status", robot, lambda m: self.reports.add(runtime_status_from_msg(m)))
        self._executor = EventsExecutor(context=self._context)
        self._executor.add_node(self._node)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def listeners(self) -> int:
        """How many hear the gate's decisions, this one included."""
        return int(self._node.count_subscribers(TOPICS["decision"].name))

    def newest(self, from_s: float) -> list[Heard]:
        """Decisions since then, the newest first."""
        heard = self.decisions.copy()
        return list(takewhile(lambda one: one.at_s >= from_s, reversed(heard)))

    def forget(self) -> None:
        """Begin anew, but for the nodes' reports."""
        for heard in (self.decisions, self.commands_s, self.broken):
            heard.clear()

    def close(self) -> None:
        """End."""
        rclpy.shutdown(context=self._context)
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()

    def _spin(self) -> None:
        _hurry(AHEAD)
        with suppress(ExternalShutdownException):
            while self._context.ok():
                self._executor.spin_once(timeout_sec=0.1)

    def _listen(self, key: str, robot: Robot, hear: Any) -> None:
        topic = TOPICS[key]

        def broken(kind: str) -> None:
            self.broken.append(BrokenPromise(time.monotonic(), kind, key))

        watched = key in FROM_THE_GATE
        events = SubscriptionEventCallbacks(
            deadline=(lambda _info: broken("deadline")) if watched else None,
            liveliness=(lambda info: broken("lease") if not info.alive_count else None) if watched else None,
        )
        profile = qos.requested(topic, rate_hz(topic, robot))
        self._node.create_subscription(
            message_class(topic.type), topic.name, hear, profile, event_callbacks=events
        )

    def _hear_decision(self, message: Any) -> None:
        at_s, now_ns = time.monotonic(), time.time_ns()
        decision = decision_from_msg(message)
        if not self._replayed and to_s(now_ns - decision.t_ns) > TOPICS["decision"].liveliness_s:
            self.refused += 1
            return
        self.decisions.append(Heard(at_s, decision.action, self._age_s(decision, now_ns), decision.reasons))

    def _age_s(self, decision: Decision, now_ns: int) -> float:
        age_ns = decision.latency_ns if self._replayed else decision.lineage.age_ns(now_ns)
        return math.inf if age_ns is None or age_ns < 0 else to_s(age_ns)
