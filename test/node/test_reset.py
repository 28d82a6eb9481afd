"""A stop that the robot file wants latched outlives its reason, and the gate, until someone resets it by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml
from std_srvs.srv import Trigger

from perception_platform.core.verdicts import Action, Decision
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.load import robot_path
from test.node import feeding
from test.node.conftest import Peer, Started


def test_a_latched_stop_waits_for_the_reset(
    start: Callable[..., Started], peer: Peer, tmp_path: Path
) -> None:
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    robot["gate"]["latch_on"] = ["obstacles_stale"]
    file = tmp_path / "amr.yaml"
    file.write_text(yaml.safe_dump(robot), encoding="utf-8")
    decisions = peer.listen("decision")
    gate = start("safety_gate", f"robot:={file}")
    feeder = feeding.around_the_gate(peer)
    peer.each.append(feeder.act)

    def newest() -> Decision:
        return decision_from_msg(decisions[-1][1])

    reset = peer.node.create_client(Trigger, "/safety_gate/reset")
    peer.until(reset.service_is_ready, what="the service")
    peer.until(lambda: decisions and newest().latched, what="a gate that begins latched")
    peer.spin(1.0)
    assert newest().action <= Action.STOP, "all inputs are there, and nobody has reset it yet"
    reset.call_async(Trigger.Request())
    peer.until(lambda: newest().action is Action.PROCEED, what="proceed")
    feeder["scan"].silent = True
    peer.until(lambda: newest().action <= Action.STOP, what="stop")
    feeder["scan"].silent = False
    peer.spin(1.0)
    assert newest().latched
    assert newest().action <= Action.STOP

    answer = reset.call_async(Trigger.Request())
    peer.until(lambda: newest().action is Action.PROCEED, what="proceed again")
    peer.until(answer.done, what="the answer")  # it may come after the decision that it led to
    assert answer.result().success
    assert not newest().latched
    assert gate.end() == 0, gate.said()
