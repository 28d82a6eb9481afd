"""Perception, tracker, risk and gate as supervised processes: what they say, and what the death of one leads to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perception_platform.core.verdicts import Action, Decision, Reason
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.stack import NodeSpec, describe_stack
from perception_platform.robot.supervisor import Supervisor, node_command
from perception_platform.ros.topics import EVERY_NODE, TABLE, TOPICS, sensors_of
from test.node import feeding
from test.node.conftest import Peer
from test.node.feeding import Feed, Feeder

DECISION = TOPICS["decision"].name
# Perception compiles its loops when the machine has not done so yet.
FIRST_START_S = 60.0
RESTART_S = 20.0
MARGIN_S = 0.3


@pytest.fixture(scope="module")
def specs(peer: Peer) -> list[NodeSpec]:
    return describe_stack(peer.robot, "amr", groups=["perception", "safety"])


@pytest.fixture(scope="module")
def stack(
    specs: list[NodeSpec], peer: Peer, domain: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervisor]:
    """The stack of ``amr`` in an empty hall, driving."""
    feeds = {
        "points": Feed(peer.speak("points", "lidar_top").publish, feeding.sweep, 0.1),
        "odometry": Feed(peer.speak("odometry").publish, feeding.odometry, 0.05),
        "scan": Feed(peer.speak("scan", "scan_front").publish, feeding.scan, 1 / 15),
        "command": Feed(peer.speak("command").publish, feeding.command, 0.05),
    }
    for key in ("decision", "tracks", "model_status", "diagnostics"):
        peer.listen(key)
    commands = [node_command(spec, domain) for spec in specs]
    with Supervisor(commands, tmp_path_factory.mktemp("logs")) as supervisor:
        peer.each += [Feeder(feeds).act, supervisor.poll]
        peer.until(lambda: drives(peer), FIRST_START_S, what=f"proceed ({peer.heard[DECISION][-1:]})")
        yield supervisor
        peer.each.clear()


def newest(peer: Peer) -> Decision:
    return decision_from_msg(peer.heard[DECISION][-1][1])


def drives(peer: Peer) -> bool:
    return bool(peer.heard[DECISION]) and newest(peer).action is Action.PROCEED


def test_a_decision_knows_the_sweep_and_the_stages_it_came_from(stack: Supervisor, peer: Peer) -> None:
    decision = newest(peer)
    assert {s.sensor for s in decision.lineage.sources} == {"lidar_top", "scan_front"}
    assert [s.stage for s in decision.lineage.stages] == ["perception", "tracker", "risk", "safety_gate"]
    assert 0 < decision.latency_ns < 300e6


def test_each_node_publishes_and_hears_what_the_table_says_and_nothing_else(
    stack: Supervisor, peer: Peer, specs: list[NodeSpec]
) -> None:
    for spec in specs:
        published = dict(peer.node.get_publisher_names_and_types_by_node(spec.name, "/"))
        heard = dict(peer.node.get_subscriber_names_and_types_by_node(spec.name, "/"))
        for own in ("/rosout", "/parameter_events", f"/{spec.name}/transition_event"):
            published.pop(own, None)
            heard.pop(own, None)
        rows = [(topic, topic.of(s)) for topic in TABLE for s in sensors_of(topic, peer.robot)]
        says = {name: [t.type] for t, name in rows if {spec.executable, EVERY_NODE} & set(t.publishers)}
        # amr has no camera model, and perception listens to no camera that nothing looks at; nor does its graph look
        # back at tracks.
        unasked = {"image", "tracks"} if spec.executable == "perception" else {"image"}
        hears = {n: [t.type] for t, n in rows if spec.executable in t.subscribers and t.key not in unasked}
        assert published == says, spec.name
        assert heard == hears, spec.name  # /clock too, but only with use_sim_time


def test_every_node_reports_itself_and_perception_its_models(
    stack: Supervisor, peer: Peer, specs: list[NodeSpec]
) -> None:
    def reported() -> set[str]:
        return {message.status[0].name for _, message in peer.heard["/diagnostics"]}

    peer.until(lambda: {s.name for s in specs} <= reported(), what="diagnostics")
    peer.until(lambda: peer.heard["/model_status"], what="model status")
    status = peer.heard["/model_status"][-1][1]
    assert (status.head, status.state) == ("lidar_objects", status.STATE_ACTIVE)
    assert len(status.model.digest) == 64


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("perception", {Reason.OBSTACLES_STALE, Reason.ASSESSMENT_STALE, Reason.DEADLINES_MISSED}),
        ("risk", {Reason.ASSESSMENT_STALE, Reason.PUBLISHER_LOST, Reason.DEADLINES_MISSED}),
    ],
)
def test_a_killed_process_is_a_stop_until_it_is_back(
    stack: Supervisor, peer: Peer, name: str, reasons: set[Reason]
) -> None:
    peer.until(lambda: drives(peer), RESTART_S, what="proceed")
    pid, restarts = stack.child(name).pid, stack.child(name).restarts
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    took_s = peer.until(lambda: newest(peer).action <= Action.STOP, what="stop")
    assert took_s <= peer.robot.gate.input_timeout_s + MARGIN_S
    assert reasons & set(newest(peer).reasons)
    peer.until(lambda: newest(peer).output_mps == (0.0, 0.0, 0.0), what="the end of the braking profile")
    peer.until(lambda: drives(peer), RESTART_S, what="recovery")
    assert stack.child(name).restarts == restarts + 1


def test_scans_do_not_hide_that_tracks_stay_away(stack: Supervisor, peer: Peer) -> None:
    peer.until(lambda: drives(peer), RESTART_S, what="proceed")
    pid = stack.child("tracker").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # alive for the supervisor, and silent
    try:
        peer.until(lambda: Reason.ASSESSMENT_STALE in newest(peer).reasons, what="stale")
        assert newest(peer).action <= Action.STOP
    finally:
        os.kill(pid, signal.SIGCONT)
    peer.until(lambda: drives(peer), RESTART_S, what="recovery")


def test_a_dead_gate_falls_silent_and_comes_back(stack: Supervisor, peer: Peer) -> None:
    peer.until(lambda: drives(peer), RESTART_S, what="proceed")
    pid = stack.child("safety_gate").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    peer.spin(0.2)
    before = len(peer.heard[DECISION])
    assert time.monotonic() - peer.heard[DECISION][-1][0] > 0.1
    peer.until(lambda: len(peer.heard[DECISION]) > before, RESTART_S, what="heartbeat")
    assert decision_from_msg(peer.heard[DECISION][before][1]).action <= Action.STOP
    peer.until(lambda: drives(peer), RESTART_S, what="recovery")


def test_up_runs_the_same_and_ends_all_processes(domain: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from perception_platform.cli.main import main; main()"]
    command += ["up", "amr", "--only", "safety", "--log-folder", str(tmp_path)]
    env = os.environ | {"ROS_DOMAIN_ID": str(1 + int(domain["ROS_DOMAIN_ID"]) % 100)}
    up = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert up.stdout is not None
        lines = [up.stdout.readline() for _ in range(3)]
        pids = [int(line.rsplit("pid", 1)[1]) for line in lines[1:]]
        assert "2 nodes of amr" in lines[0]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        up.terminate()
        assert up.wait(10) == 0
    finally:
        up.kill()
        up.communicate()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
