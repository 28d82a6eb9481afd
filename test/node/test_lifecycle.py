"""Life cycle, refusal of bad parameters and ending, on real processes of one node."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from perception_platform.ros.topics import TOPICS
from test.node.conftest import Peer, Started

DECISION = TOPICS["decision"].name
FORWARD = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
BACK = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)


def test_the_services_take_a_node_through_its_life(start: Callable[..., Started], peer: Peer) -> None:
    peer.listen("decision")
    gate = start("safety_gate", "robot:=amr", "autostart:=false")
    client = peer.node.create_client(ChangeState, "/safety_gate/change_state")
    peer.until(client.service_is_ready, what="the service")

    def change(transition: int) -> bool:
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        peer.until(future.done, what="an answer")
        return bool(future.result().success)

    def beats() -> int:
        before = len(peer.heard[DECISION])
        peer.spin(0.5)
        return len(peer.heard[DECISION]) - before

    assert beats() == 0
    for _ in range(2):  # what was cleaned up can be set up again
        assert all(change(t) for t in FORWARD)
        peer.until(beats, what="the heartbeat")
        assert all(change(t) for t in BACK)
        peer.spin(0.2)
        assert beats() == 0
    assert gate.end(signal.SIGINT) == 0, gate.said()


def test_a_wrong_robot_is_refused_and_can_be_mended(start: Callable[..., Started], peer: Peer) -> None:
    gate = start("safety_gate", "robot:=nobody", "autostart:=false")
    client = peer.node.create_client(ChangeState, "/safety_gate/change_state")
    peer.until(client.service_is_ready, what="the service")
    future = client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    peer.until(future.done, what="an answer")
    assert not future.result().success
    assert "nobody: no such robot" in gate.said()
    assert gate.process.poll() is None
    assert gate.end() == 0, gate.said()


@pytest.mark.parametrize(
    ("parameter", "problem"),
    [
        ("autostart:=true", "robot: not set"),
        ("robot:=nobody", "nobody: no such robot; there are amr"),
        ("robot:=missing.yaml", "missing.yaml: no such robot file"),
    ],
)
def test_bad_parameters_end_a_node_with_one_clear_line(
    start: Callable[..., Started], parameter: str, problem: str
) -> None:
    node = start("tracker", parameter)
    assert node.process.wait(20) == 2
    assert f"error: {node.said().rsplit('error: ', 1)[1]}".count("\n") == 1
    assert problem in node.said()
    assert "Traceback" not in node.said()


def test_a_node_whose_thread_dies_does_not_look_alive(domain: dict[str, str]) -> None:
    script = """
import sys
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.process import run
class Broken(PlatformNode):
    def set_up(self):
        self.work("reading", lambda: [][0])
sys.exit(run(lambda: Broken("broken")))
"""
    command = [sys.executable, "-c", script, "--ros-args", "-p", "robot:=amr"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "thread reading: " in done.stderr
    assert "IndexError" in done.stderr
