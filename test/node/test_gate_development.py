"""A gate started for development: the override is loud and short; a robot file changed on the way is a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from std_srvs.srv import Trigger

from perception_platform.core.verdicts import Action, Decision, Reason
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.load import robot_path
from perception_platform.ros.topics import TOPICS
from test.node import feeding
from test.node.conftest import Peer, Started

GATE = TOPICS["decision"].name


def newest(peer: Peer) -> Decision:
    return decision_from_msg(peer.heard[GATE][-1][1])


@pytest.fixture(scope="module")
def robot_file(
    start: Callable[..., Started], peer: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The robot file of a gate that has heard nothing yet."""
    file = tmp_path_factory.mktemp("robot") / "amr.yaml"
    file.write_bytes(robot_path("amr").read_bytes())
    peer.listen("decision")
    started = start("safety_gate", f"robot:={file}", "development:=true")
    peer.until(lambda: peer.heard[GATE], what="the first decision")
    yield file
    assert started.end() == 0, started.said()


def call(peer: Peer, name: str) -> Trigger.Response:
    client = peer.node.create_client(Trigger, name)
    peer.until(client.service_is_ready, within_s=10.0, what=name)
    answer = client.call_async(Trigger.Request())
    peer.until(answer.done, within_s=10.0, what=f"an answer of {name}")
    return answer.result()


def test_the_override_is_in_every_decision_and_lets_it_creep(robot_file: Path, peer: Peer) -> None:
    assert newest(peer).action is Action.STOP
    assert call(peer, "/safety_gate/override").success
    peer.until(lambda: Reason.OVERRIDE in newest(peer).reasons, within_s=5.0, what="the override")
    begin = len(peer.heard[GATE])
    peer.spin(1.0)
    decisions = [decision_from_msg(message) for _, message in peer.heard[GATE][begin:]]
    assert len(decisions) > 5
    assert all(Reason.OVERRIDE in d.reasons and d.action is Action.LIMIT for d in decisions)
    assert all(d.speed_limit_mps == peer.robot.gate.escape_mps for d in decisions)


def test_a_robot_file_that_is_changed_while_the_robot_moves_latches_a_stop(
    robot_file: Path, peer: Peer
) -> None:
    feeder = feeding.around_the_gate(peer)
    peer.each.append(feeder.act)
    peer.until(lambda: newest(peer).command_mps is not None, within_s=10.0, what="inputs")
    robot_file.write_bytes(robot_file.read_bytes() + b"# heavier now\n")
    peer.until(lambda: Reason.CONFIG_CHANGED in newest(peer).reasons, within_s=10.0, what="the change")
    assert newest(peer).latched
