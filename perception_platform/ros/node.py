"""Base of all nodes: life cycle, the topic table, time, counted faults and ``/diagnostics``."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Any, Literal

import rclpy
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import qos_policy_name_from_kind

from perception_platform.core.errors import InputError
from perception_platform.core.lineage import StageTiming
from perception_platform.robot.description import Robot
from perception_platform.robot.environment import process_environment
from perception_platform.robot.load import load_robot
from perception_platform.ros import qos
from perception_platform.ros.diagnostics import RECEIVED, Tally, report
from perception_platform.ros.make import installed, message_class
from perception_platform.ros.sim_clock import SimClock
from perception_platform.ros.topics import TOPICS, Topic, rate_hz

LOG_EVERY_S = 1.0
REPORT_EVERY_S = 1.0
EXIT_CRASH = 1
EXIT_BAD_INPUT = 2
TroubleKind = Literal["malformed", "deadline_missed", "publisher_lost", "incompatible_qos"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong with an input: on which row of the table, of which sensor, and what."""

    kind: TroubleKind
    topic: Topic
    sensor: str
    detail: str


class PlatformNode(LifecycleNode):
    """A node of the platform; a subclass gives ``set_up`` and, where it holds anything, ``tear_down``.

    Parameters: ``robot`` (name or path of a robot file), ``use_sim_time``, ``autostart`` (false: wait for the
    life-cycle services). Subscriptions call back only while the node is active.
    """

    robot: Robot

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.declare_parameter("robot", "")
        self.declare_parameter("autostart", True)
        self.tally = Tally()
        self.failure: Exception | None = None
        self.crash: Exception | None = None
        self._active = False
        self._made: list[Callable[[], object]] = []
        self._ros_clock = self.get_clock()  # rclpy's own attribute is easily overwritten by a subclass
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._sim_clock = SimClock()
        self._jump_handle = self._follow_sim_time()
        self._reported_at = time.monotonic()
        diagnostics = TOPICS["diagnostics"]
        self._diagnostics = self.create_publisher(
            message_class(diagnostics.type), diagnostics.name, qos.offered(diagnostics, REPORT_EVERY_S)
        )
        self.create_timer(REPORT_EVERY_S, self._report, clock=self._steady_clock)

    # --- what a subclass gives ------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Make publishers, subscriptions and timers for ``self.robot``.

        Raises:
            InputError: if the robot file or a parameter does not allow it: the node stays unconfigured.
        """
        raise NotImplementedError

    def tear_down(self) -> None:
        """Let go of devices, files and threads that ``set_up`` took."""

    def on_trouble(self, trouble: Trouble) -> None:
        """Hear of a fault of an input, after it was counted and logged."""

    def diagnostics(self) -> Mapping[str, str]:
        """More lines for ``/diagnostics``."""
        return {}

    # --- what a subclass uses -------------------------------------------------------------------------------

    def publisher(self, key: str, sensor: str = "") -> Any:
        """A publisher of a row of the table; it is silent while the node is not active.

        Raises:
            ModuleNotFoundError: if the message's package is not installed.
        """
        topic = TOPICS[key]
        profile = qos.offered(topic, rate_hz(topic, self.robot, sensor))
        made = self.create_lifecycle_publisher(message_class(topic.type), topic.of(sensor), profile)
        self._made.append(lambda: self.destroy_lifecycle_publisher(made))
        return made

    def publisher_if_installed(self, key: str, sensor: str = "") -> Any | None:
        """The same, or None with a line in the log where the message's package is not installed."""
        if installed(TOPICS[key].type):
            return self.publisher(key, sensor)
        self.get_logger().info(f"{TOPICS[key].of(sensor)} left out: {TOPICS[key].type} is not installed here")
        return None

    def subscribe(
        self, key: str, callback: Callable[[Any], None], sensor: str = "", *, raw: bool = False
    ) -> None:
        """Subscribe to a row of the table; ``raw`` hands over the serialised bytes.

        ``callback`` gets each message while the node is active; an InputError that it raises is counted and
        reported, and the node goes on.
        """
        topic = TOPICS[key]
        made = self.create_subscription(
            message_class(topic.type),
            topic.of(sensor),
            lambda message: self._receive(topic, sensor, callback, message),
            qos.requested(topic, rate_hz(topic, self.robot, sensor)),
            event_callbacks=self._event_callbacks(topic, sensor),
            raw=raw,
        )
        self._made.append(lambda: self.destroy_subscription(made))

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back at a fixed rate of the steady clock while active, whatever replayed time does."""

        def beat() -> None:
            if self._active:
                callback()

        made = self.create_timer(period_s, beat, clock=self._steady_clock)
        self._made.append(lambda: self.destroy_timer(made))

    def let_go_later(self, destroy: Callable[[], object]) -> None:
        """Have something else that ``set_up`` made destroyed along with publishers and subscriptions."""
        self._made.append(destroy)

    def work(self, name: str, loop: Callable[[], None]) -> Thread:
        """Run ``loop`` in a thread until ``tear_down`` makes it return; an error in it ends the process.

        A node whose thread is gone must not look alive.
        """

        def guarded() -> None:
            try:
                loop()
            except Exception as error:
                if not self.context.ok():
                    return  # told to end in the middle of its work
                self.crash = error
                self.get_logger().fatal(f"thread {name}: {''.join(traceback.format_exception(error))}")
                self.context.try_shutdown()

        thread = Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._made.append(thread.join)
        return thread

    def now_ns(self) -> int:
        """Time of the clock that stamps the sensors, ns: the system's, or the player's (0 until it ticks)."""
        clock = self._ros_clock
        if clock.ros_time_is_active:
            return self._sim_clock.now_ns(time.monotonic_ns())
        return int(clock.now().nanoseconds)

    def timing(self, queued_ns: int, started_ns: int) -> StageTiming:
        """This stage's timing, finished now. A clock that was set back in between cannot make it negative."""
        started_ns = max(queued_ns, started_ns)
        return StageTiming(self.get_name(), queued_ns, started_ns, max(started_ns, self.now_ns()))

    def trouble(self, kind: TroubleKind, topic: Topic, sensor: str, detail: str) -> None:
        """Count, log and report a fault of an input."""
        name = topic.of(sensor)
        self.tally.add(name, kind.replace("_", " "))
        self.get_logger().warning(
            f"{name}: {kind.replace('_', ' ')}: {detail}", throttle_duration_sec=LOG_EVERY_S
        )
        self.on_trouble(Trouble(kind, topic, sensor, detail))

    # --- life cycle -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Configure and activate.

        Raises:
            Exception: what ``set_up`` raised, above all InputError.
        """
        self.trigger_configure()
        if self.failure is not None:
            raise self.failure
        self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the robot file and set up."""
        self.failure = None
        try:
            name = self.get_parameter("robot").value
            if not name:
                raise InputError(self.get_name(), "not set; give the name or path of a robot file", "robot")
            self.robot = load_robot(name)
            self.set_up()
        except Exception as error:  # rclpy would swallow it
            self.failure = error
            known = isinstance(error, InputError)
            self.get_logger().error(str(error) if known else "".join(traceback.format_exception(error)))
            self._let_go()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish and to call back."""
        result = super().on_activate(state)
        self._active = True
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Fall silent."""
        self._active = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of all that ``set_up`` made."""
        self._let_go()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of all that ``set_up`` made, for good."""
        self._active = False
        self._let_go()
        return super().on_shutdown(state)

    def close(self) -> None:
        """End: let go of everything."""
        self._active = False
        self._let_go()
        self.destroy_node()

    def _let_go(self) -> None:
        self.tear_down()
        while self._made:
            self._made.pop()()

    # --- inputs ---------------------------------------------------------------------------------------------

    def _receive(self, topic: Topic, sensor: str, callback: Callable[[Any], None], message: Any) -> None:
        if not self._active:
            return
        self.tally.add(topic.of(sensor), RECEIVED)
        try:
            callback(message)
        except InputError as error:
            self.trouble("malformed", topic, sensor, str(error))

    def _event_callbacks(self, topic: Topic, sensor: str) -> SubscriptionEventCallbacks:
        def deadline(info: Any) -> None:
            if self._active and info.total_count_change > 0:
                self.trouble("deadline_missed", topic, sensor, f"{info.total_count_change} times")

        def liveliness(info: Any) -> None:
            if self._active and info.alive_count == 0 and info.alive_count_change < 0:
                self.trouble("publisher_lost", topic, sensor, f"lease of {topic.liveliness_s} s ran out")

        def incompatible(info: Any) -> None:
            policy = qos_policy_name_from_kind(info.last_policy_kind)
            self.trouble("incompatible_qos", topic, sensor, f"a publisher offers another {policy}")

        watched = topic.watched_by_dds
        return SubscriptionEventCallbacks(
            deadline=deadline if watched and topic.deadline_periods else None,
            liveliness=liveliness if watched and topic.liveliness_s else None,
            incompatible_qos=incompatible,
        )

    # --- time and reports -----------------------------------------------------------------------------------

    def _follow_sim_time(self) -> Any:
        """Hear of each tick of ``/clock`` that rclpy takes in."""
        clock = self._ros_clock

        def ticked(_jump: Any) -> None:
            if clock.ros_time_is_active:
                self._sim_clock.tick(int(clock.now().nanoseconds), time.monotonic_ns())

        any_step = JumpThreshold(
            min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        return clock.create_jump_callback(any_step, post_callback=ticked)

    def _report(self) -> None:
        now_s = time.monotonic()
        since_s, self._reported_at = now_s - self._reported_at, now_s
        state = self._state_machine.current_state[1]
        robot = self.robot.name if hasattr(self, "robot") else ""
        extra = self.diagnostics() if self._active else {}
        self._diagnostics.publish(
            report(self.now_ns(), self.get_name(), robot, state, self.tally, since_s, extra)
        )


def run(make_node: Callable[[], PlatformNode]) -> int:
    """Run one node until it is told to end; its exit code: 0, 1 after a crash, 2 after bad input."""
    for name, value in process_environment().items():
        os.environ.setdefault(name, value)
    rclpy.init()
    node = make_node()
    executor = SingleThreadedExecutor()
    try:
        if node.get_parameter("autostart").value:
            node.start()
        executor.add_node(node)
        executor.spin()
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # told to end
    finally:
        executor.shutdown()
        node.close()
        rclpy.try_shutdown()
    return EXIT_CRASH if node.crash else 0
