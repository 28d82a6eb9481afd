"""A node on replayed time: it follows the player, between its ticks too, and stands still with it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.ros.make import make
from test.node.conftest import Peer, Started

START_NS = 1_000_000_000_000
TICK_NS = 20_000_000


class Player:
    """Publishes /clock in real time."""

    def __init__(self, peer: Peer) -> None:
        self._publisher = peer.speak("clock")
        self._due_s = time.monotonic()
        self.t_ns = START_NS
        self.paused = False

    def act(self) -> None:
        """Tick if it is time."""
        if self.paused or time.monotonic() < self._due_s:
            return
        self._due_s += TICK_NS / 1e9
        self.t_ns += TICK_NS
        self.tick()

    def tick(self) -> None:
        """Publish the time."""
        message = make("rosgraph_msgs/msg/Clock")
        message.clock.sec, message.clock.nanosec = divmod(self.t_ns, 10**9)
        self._publisher.publish(message)


def test_the_gate_beats_in_real_time_and_stamps_in_replayed_time(
    start: Callable[..., Started], peer: Peer
) -> None:
    decisions = peer.listen("decision")
    gate = start("safety_gate", "robot:=amr", "use_sim_time:=true")
    player = Player(peer)
    peer.each.append(player.act)

    def stamps() -> list[int]:
        return [decision_from_msg(message).t_ns for _, message in decisions]

    peer.until(lambda: decisions and stamps()[-1] > START_NS, what="replayed time")
    before = len(decisions)
    peer.spin(2.0)
    assert stamps()[-1] - stamps()[before] == pytest.approx(2e9, abs=0.2e9)
    between = [t for t in stamps()[before:] if t % TICK_NS]
    assert len(between) > 20, "time has to go on between two ticks"

    player.paused = True
    peer.spin(0.3)
    before = len(decisions)
    peer.spin(1.0)
    assert len(decisions) - before == pytest.approx(20, abs=3)
    assert len(set(stamps()[before:])) == 1
    assert player.t_ns <= stamps()[-1] <= player.t_ns + TICK_NS

    player.t_ns, player.paused = START_NS, False  # the player starts over
    peer.until(lambda: stamps()[-1] < START_NS + 1e9, what="the jump back")
    assert gate.end() == 0, gate.said()
