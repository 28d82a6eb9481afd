"""Base of all nodes: life cycle, the topic table, time, counted faults and ``/diagnostics``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Event, Thread
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from perception_platform.core.errors import FrameError, InputError
from perception_platform.core.lineage import StageTiming
from perception_platform.core.runtime_status import EdgeCount, RuntimeStatus
from perception_platform.messages.runtime import runtime_status_to_msg
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from perception_platform.robot.realtime import (
    Applied,
    GcClock,
    as_diagnostics,
    name_thread,
    run_delay_ns,
)
from perception_platform.ros import qos
from perception_platform.ros.codecs import decoded, encoded
from perception_platform.ros.diagnostics import Reporter, Tally
from perception_platform.ros.make import installed, make, message_class
from perception_platform.ros.ports import Arrival, Output
from perception_platform.ros.sim_clock import SimClock
from perception_platform.ros.topics import TOPICS, Topic, rate_hz, type_on
from perception_platform.ros.watch import Trouble, TroubleKind, event_callbacks
from perception_platform.runtime.exchange import Exchange
from perception_platform.runtime.mailbox import Edge, Fate, Ledger, Mailbox

GC = GcClock()  # of this process
LOG_EVERY_S = 1.0
REPORT_EVERY_S = 1.0


class LeftOut(Exception):  # noqa: N818, nothing is wrong
    """Raised by a stage's work: there is nothing to use this message with. The text says what is lacking."""


class PlatformNode(LifecycleNode):
    """A node of the platform; a subclass gives ``set_up`` and, where it holds anything, ``tear_down``.

    Nodes of one process share an ``Exchange``: what one of them publishes reaches the others by reference, and other
    processes over DDS if they listen. Every message that comes in is accounted for in the ledger.

    Parameters: ``robot`` (name or path of a robot file), ``use_sim_time``, ``autostart`` (false: wait for the
    life-cycle services). Subscriptions call back only while the node is active.

    Args:
        name: of the node.
        exchange: of its process; None for one of its own.
        options: for rclpy's node.
    """

    robot: Robot

    def __init__(self, name: str, exchange: Exchange | None = None, **options: Any) -> None:
        super().__init__(name, **options)
        self.executable = name
        self.realtime: list[Applied] = []
        self.declare_parameter("robot", "")
        self.declare_parameter("autostart", True)
        self.tally = Tally()
        self._reporter = Reporter()
        self._exchange = exchange or Exchange()
        self._direct = Ledger()
        self._mailboxes: list[Mailbox[Arrival]] = []
        self.failure: Exception | None = None
        self.crash: Exception | None = None
        self.is_set_up = False
        self.wants_end = False
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
        status = TOPICS["runtime_status"]
        self._status = self.create_publisher(
            message_class(status.type), status.name, qos.offered(status, REPORT_EVERY_S)
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

    def runtime_status(self) -> RuntimeStatus:
        """How the node keeps up; a subclass adds what it sheds."""
        return RuntimeStatus(
            self.now_ns(),
            self.get_name(),
            self.ledger(),
            deadline_misses=self.tally.total("deadline missed"),
            publishers_lost=self.tally.total("publisher lost"),
        )

    # --- what a subclass uses -------------------------------------------------------------------------------

    def output(self, key: str, sensor: str = "") -> Output:
        """Where values of a row of the table are published; silent while the node is not active."""
        topic, name = TOPICS[key], TOPICS[key].of(sensor)
        publisher = self.publisher(key, sensor)
        self._made.append(self._exchange.offer(name))
        encode = lambda value: encoded(topic, value, self.robot)  # noqa: E731
        return Output(name, self._exchange, publisher, encode, self.now_ns)

    def publisher(self, key: str, sensor: str = "") -> Any:
        """A publisher of ready messages of a row of the table; it is silent while the node is not active.

        Raises:
            InputError: if the message's package is not installed.
        """
        topic = TOPICS[key]
        profile = qos.offered(topic, rate_hz(topic, self.robot, sensor))
        kind = self._message_class(topic)
        made = self.create_lifecycle_publisher(kind, topic.of(sensor), profile)
        self._made.append(lambda: self.destroy_lifecycle_publisher(made))
        return made

    def _message_class(self, topic: Topic) -> Any:
        kind = type_on(topic, self.robot)
        if not installed(kind):
            package = kind.partition("/")[0]
            how = f"sudo apt install ros-jazzy-{package.replace('_', '-')}"
            raise InputError(topic.name, f"{kind} is not installed here; on a robot: {how}", "type")
        return message_class(kind)

    def publisher_if_installed(self, key: str, sensor: str = "") -> Any | None:
        """The same, or None with a line in the log where the message's package is not installed."""
        if installed(TOPICS[key].type):
            return self.publisher(key, sensor)
        self.get_logger().info(f"{TOPICS[key].of(sensor)} left out: {TOPICS[key].type} is not installed here")
        return None

    def subscribe(self, key: str, callback: Callable[[Any], None], sensor: str = "") -> None:
        """Have ``callback`` called with each value of a row of the table while the node is active.

        It runs in the thread that brings the value: the executor's, or that of a stage of the same process. An
        InputError from decoding or from the callback is counted and reported, and the node goes on.
        """
        topic, name = TOPICS[key], TOPICS[key].of(sensor)

        def use(arrival: Arrival) -> None:
            self._direct.receive(name)
            self.settle(arrival, self._direct, lambda: callback(arrival.value()))

        self._hear_row(topic, sensor, use, self._direct)

    def subscribe_raw(self, key: str, callback: Callable[[bytes], None], sensor: str = "") -> None:
        """Have ``callback`` called with each serialised message that comes from other processes."""
        topic = TOPICS[key]

        def use(data: bytes) -> None:
            self._direct.receive(topic.of(sensor))
            callback(data)
            self._direct.settle(topic.of(sensor), Fate.PROCESSED)

        self._made.append(self._subscribe_dds(topic, sensor, use, raw=True))

    def mailbox(self, inputs: Sequence[tuple[str, str]], deadline_s: float | None = None) -> Mailbox[Arrival]:
        """A mailbox that holds what comes on rows of the table until it is taken.

        Args:
            inputs: (key, sensor or an empty string).
            deadline_s: older messages are not looked at any more, s; None for the robot's bound on the age of data.
        """
        deadline_s = self.robot.latency.bound_ms / 1e3 if deadline_s is None else deadline_s
        rows = [(TOPICS[key], sensor) for key, sensor in inputs]
        box = Mailbox[Arrival]([Edge(t.of(sensor), t.mailbox, deadline_s) for t, sensor in rows])
        for topic, sensor in rows:
            self._hear_row(topic, sensor, partial(self._post, box), box)
        self._mailboxes.append(box)
        self._made.append(lambda: self._mailboxes.remove(box))
        return box

    def stage(self, inputs: Sequence[tuple[str, str]], work: Callable[[Arrival], None]) -> Mailbox[Arrival]:
        """Run ``work`` on one message after the other, in a thread that has the node's name; the stage's mailbox.

        Args:
            inputs: (key, sensor or an empty string) of each edge of the mailbox.
            work: gets each message in its turn; it may raise InputError (malformed) or LeftOut.
        """
        box = self.mailbox(inputs)

        def loop() -> None:
            while (taken := box.take(self.now_ns)) is not None:
                self._work_on(box, taken[1], work)

        self.work(self.get_name(), loop)
        self._made.append(box.close)
        return box

    def settle(self, arrival: Arrival, ledger: Mailbox[Arrival] | Ledger, use: Callable[[], None]) -> None:
        """Use a message, and say in the ledger that it is from what became of it."""
        fate = Fate.MALFORMED
        try:
            use()
            fate = Fate.PROCESSED
        except LeftOut as lacking:
            fate = Fate.LEFT_OUT
            self.tally.add(arrival.name, f"left out without {lacking}")
        except InputError as error:
            kind: TroubleKind = "transform_lost" if isinstance(error, FrameError) else "malformed"
            self.trouble(kind, arrival.topic, arrival.sensor, str(error))
        finally:
            ledger.settle(arrival.name, fate)

    def read_one(self, name: str) -> None:
        """Count a message that the node got from a device, under the name of the topic it goes to."""
        self._direct.receive(name)
        self._direct.settle(name, Fate.PROCESSED)

    def ledger(self) -> tuple[EdgeCount, ...]:
        """What became of everything that came in, topic by topic."""
        return tuple(count for source in (*self._mailboxes, self._direct) for count in source.counts())

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back at a fixed rate of the steady clock while active, whatever replayed time does."""

        def beat() -> None:
            if self._active:
                callback()

        made = self.create_timer(period_s, beat, clock=self._steady_clock)
        self._made.append(lambda: self.destroy_timer(made))

    def beat(self, period_s: float, callback: Callable[[], None]) -> None:
        """The same, in a thread of its own: regular while messages are decoded, and at a tenth of a timer's cost.

        A beat that comes late is not made up for: the next one comes a period after it was due, or at once.
        """
        ended = Event()

        def loop() -> None:
            due_s = time.monotonic()
            while not ended.is_set():
                due_s = max(due_s + period_s, time.monotonic())
                time.sleep(max(due_s - time.monotonic(), 0.0))
                if self._active:
                    callback()

        self.work(f"{self.get_name()}_beat", loop)
        self._made.append(ended.set)

    def let_go_later(self, destroy: Callable[[], object]) -> None:
        """Have something else that ``set_up`` made destroyed along with publishers and subscriptions."""
        self._made.append(destroy)

    def work(self, name: str, loop: Callable[[], None]) -> Thread:
        """Run ``loop`` in a thread until ``tear_down`` makes it return; an error in it ends the process.

        A node whose thread is gone must not look alive.
        """

        def guarded() -> None:
            name_thread(name)
            try:
                loop()
            except Exception as error:
                if not self.context.ok():
                    return  # told to end in the middle of its work
                self.crash = error
                self.get_logger().fatal(f"thread {name}: {''.join(traceback.format_exception(error))}")
                self.end_process()

        thread = Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._made.append(thread.join)
        return thread

    def end_process(self) -> None:
        """Have the process end in an orderly way, from any thread."""
        self.wants_end = True

    def now_ns(self) -> int:
        """Time of the clock that stamps the sensors, ns: the system's, or the player's (0 until it ticks)."""
        clock = self._ros_clock
        if clock.ros_time_is_active:
            return self._sim_clock.now_ns(time.monotonic_ns())
        return time.time_ns()  # the same clock, at a tenth of the cost

    def timing(self, arrival: Arrival) -> StageTiming:
        """This stage's timing of a message, finished now."""
        return arrival.timing(self.get_name(), self.now_ns(), GC.total_ns(), run_delay_ns())

    def tell(self, status: RuntimeStatus) -> None:
        """Publish how the node keeps up; it also does so by itself once a second."""
        if self._status.get_subscription_count():
            self._status.publish(runtime_status_to_msg(status, make))

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
        self.is_set_up = True
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
        self.is_set_up = False
        self.tear_down()
        while self._made:
            self._made.pop()()

    # --- inputs ---------------------------------------------------------------------------------------------

    def _hear_row(
        self, topic: Topic, sensor: str, use: Callable[[Arrival], None], ledger: Mailbox[Arrival] | Ledger
    ) -> None:
        """Have ``use`` called with each arrival: from a node of this process if one publishes, else over DDS."""

        name = topic.of(sensor)

        def arrive(value: Any, decode: Callable[[Any], Any] | None) -> None:
            if not self._active:
                return
            try:
                arrival = Arrival(topic, sensor, value, decode, self.now_ns())
            except InputError as error:
                ledger.refuse(name)
                self.trouble("malformed", topic, sensor, str(error))
                return
            arrival.gc_ns = GC.total_ns()
            use(arrival)

        decode = lambda message: decoded(topic, message, sensor, self.robot)  # noqa: E731
        outside = lambda: self._subscribe_dds(topic, sensor, lambda message: arrive(message, decode))  # noqa: E731
        self._made.append(self._exchange.listen(name, lambda value: arrive(value, None), outside))

    def _subscribe_dds(
        self, topic: Topic, sensor: str, use: Callable[[Any], None], *, raw: bool = False
    ) -> Callable[[], None]:
        """Subscribe to what other processes publish; calling the result ends that."""
        made = self.create_subscription(
            self._message_class(topic),
            topic.of(sensor),
            lambda message: use(message) if self._active else None,
            qos.requested(topic, rate_hz(topic, self.robot, sensor)),
            event_callbacks=event_callbacks(
                topic, lambda kind, detail: self._on_event(kind, topic, sensor, detail)
            ),
            raw=raw,
        )
        return lambda: self.destroy_subscription(made)

    def _post(self, box: Mailbox[Arrival], arrival: Arrival) -> None:
        arrival.queued_ns = self.now_ns()
        box.put(arrival.name, arrival)

    def _work_on(self, box: Mailbox[Arrival], arrival: Arrival, work: Callable[[Arrival], None]) -> None:
        arrival.started_ns, arrival.no_core_ns = self.now_ns(), run_delay_ns()
        self.settle(arrival, box, lambda: work(arrival))

    def _on_event(self, kind: TroubleKind, topic: Topic, sensor: str, detail: str) -> None:
        if self._active or kind == "incompatible_qos":
            self.trouble(kind, topic, sensor, detail)

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
        extra = {**as_diagnostics(self.realtime), **(self.diagnostics() if self._active else {})}
        status = self.runtime_status()
        self._diagnostics.publish(self._reporter.report(status, robot, state, self.tally, since_s, extra))
        self.tell(status)
