"""Plays a bag over DDS in its own time, with ``/clock``: what a robot's sensors and base would say."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from perception_platform.bags.reader import bag_info
from perception_platform.bags.serialised import Serialised, read_serialised
from perception_platform.core.errors import InputError
from perception_platform.core.time import NS_PER_S
from perception_platform.robot.description import Robot
from perception_platform.robot.pace import FASTEST_RATE, SLOWEST_RATE
from perception_platform.ros.make import installed, make
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.process import run
from perception_platform.ros.topics import OUTSIDE, TABLE, TOPICS, Topic, type_on

CLOCK_PERIOD_NS = NS_PER_S // 100
MATCH_POLL_S = 0.05
SETTLE_S = 0.5  # matched here is not yet matched there
LAST_WORDS_S = 0.2  # for what is still on its way when the process ends


def played_rows(robot: Robot) -> dict[str, tuple[Topic, str]]:
    """The rows of the table that come from outside the stack, with their sensor, by ROS name."""
    rows: dict[str, tuple[Topic, str]] = {}
    for topic in TABLE:
        if OUTSIDE in topic.publishers and topic.key != "clock":
            sensors = [s.name for s in robot.sensors] if "{sensor}" in topic.name else [""]
            rows.update({topic.of(sensor): (topic, sensor) for sensor in sensors})
    return rows


class BagPlayer(PlatformNode):
    """Publishes the messages of a bag as they are stored, at their own pace, then ends.

    Only topics that come from outside the stack are played; the others, and those whose type is another or not
    installed, are counted. Deactivated, it stops; activated again, it plays from the beginning. Parameters: ``bag``
    (path), ``rate`` (times real time), ``match_within_s`` (how long to wait for the nodes that the table names as
    subscribers).
    """

    def __init__(self) -> None:
        super().__init__("bag_player")
        self.declare_parameter("bag", "")
        self.declare_parameter("rate", 1.0)
        self.declare_parameter("match_within_s", 20.0)
        self.exit_code = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def set_up(self) -> None:
        """Make a publisher for each topic of the bag that is to be played."""
        self._bag = Path(self.get_parameter("bag").value)
        self._rate = float(self.get_parameter("rate").value)
        if not SLOWEST_RATE <= self._rate <= FASTEST_RATE:
            bounds = (
                f"{SLOWEST_RATE} to {FASTEST_RATE}, or the gate, which judges freshness in real time, errs"
            )
            raise InputError(self.get_name(), f"must be {bounds}; got {self._rate}", "rate")
        self._clock_out = self.publisher("clock")
        rows = played_rows(self.robot)
        placed = {placement.node for placement in self.robot.nodes}
        self._players: dict[str, Any] = {}
        self._awaited: list[tuple[str, str]] = []
        for info in bag_info(self._bag).topics:
            topic, sensor = rows.get(info.topic, (None, ""))
            if topic is None or type_on(topic, self.robot) != info.type or not installed(info.type):
                self.get_logger().info(f"{info.topic} ({info.type}) is not played")
                continue
            self._players[info.topic] = self.publisher(topic.key, sensor)
            if not sensor or self.robot.sensor(sensor).required:
                self._awaited += [(info.topic, node) for node in topic.subscribers if node in placed]

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to play."""
        result = super().on_activate(state)
        self._ending.clear()
        self._thread = self.work("playing", self._play_to_the_end)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop playing."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        return super().on_deactivate(state)

    def tear_down(self) -> None:
        """Stop playing."""
        self._ending.set()

    def _play_to_the_end(self) -> None:
        try:
            self._wait_for_subscribers()
            self._play(read_serialised(self._bag))
        except InputError as error:
            self.exit_code = 2
            self.get_logger().error(str(error))
        if not self._ending.wait(LAST_WORDS_S):
            self.end_process()

    def _wait_for_subscribers(self) -> None:
        """Until each publisher is matched with the nodes that the table names, or the time is up."""
        deadline_s = time.monotonic() + float(self.get_parameter("match_within_s").value)
        while missing := self._unmatched():
            if time.monotonic() > deadline_s:
                self.get_logger().warning(f"nobody listens where they should: {', '.join(missing)}; playing")
                return
            if self._ending.wait(MATCH_POLL_S):
                return
        self._ending.wait(SETTLE_S)

    def _unmatched(self) -> list[str]:
        missing = []
        for name, node in self._awaited:
            infos = self.get_subscriptions_info_by_topic(name)
            heard = self._players[name].get_subscription_count() >= len(infos)
            if not heard or node not in [info.node_name for info in infos]:
                missing.append(f"{node} on {name}")
        return missing

    def _play(self, messages: Iterator[Serialised]) -> None:
        played: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        pace: Pace | None = None
        for message in messages:
            pace = pace or Pace(message.log_ns, self._rate)
            if not self._tick_until(pace, message.log_ns):
                return
            publisher = self._players.get(message.topic)
            if publisher is None or message.encoding != "cdr":
                left_out[message.topic] += 1
                continue
            publisher.publish(message.data)
            played[message.topic] += 1
        skipped = "; left out: " + ", ".join(f"{n} of {t}" for t, n in left_out.items()) if left_out else ""
        self.get_logger().info(f"played {sum(played.values())} messages of {len(played)} topics{skipped}")

    def _tick_until(self, pace: Pace, t_ns: int) -> bool:
        """Publish the clock until ``t_ns`` of the bag is due; False when told to end."""
        while True:
            due_ns = min(t_ns, pace.next_tick_ns)
            if self._ending.wait(max(0.0, pace.wait_s(due_ns, time.monotonic()))):
                return False
            if pace.next_tick_ns <= due_ns:
                self._publish_clock(pace.next_tick_ns)
                pace.next_tick_ns += round(CLOCK_PERIOD_NS * self._rate)
            if due_ns == t_ns:
                return True

    def _publish_clock(self, t_ns: int) -> None:
        clock = make(TOPICS["clock"].type)
        clock.clock.sec, clock.clock.nanosec = divmod(t_ns, NS_PER_S)
        self._clock_out.publish(clock)


class Pace:
    """Maps the bag's time to the steady clock's.

    Attributes:
        next_tick_ns: time of the next ``/clock`` message, in the bag's time.
    """

    def __init__(self, first_ns: int, rate: float) -> None:
        self.next_tick_ns = first_ns
        self._first_ns = first_ns
        self._rate = rate
        self._began_s: float | None = None

    def wait_s(self, t_ns: int, now_s: float) -> float:
        """How long it is until ``t_ns`` of the bag is due, s; time begins to run at the first call."""
        if self._began_s is None:
            self._began_s = now_s
        return self._began_s + (t_ns - self._first_ns) / NS_PER_S / self._rate - now_s


def main() -> None:
    """Run the node."""
    player: BagPlayer | None = None

    def make_player() -> BagPlayer:
        nonlocal player
        player = BagPlayer()
        return player

    code = run(make_player)
    sys.exit(code or (player.exit_code if player else 0))


if __name__ == "__main__":
    main()
