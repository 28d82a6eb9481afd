"""The gate's process, alone and fed by hand: it beats whatever comes, and stops on every kind of bad input."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import QoSProfile

from perception_platform.core.verdicts import Action, Decision, GateState, Reason
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.ros.make import make, message_class
from perception_platform.ros.topics import TOPICS
from test.node import feeding
from test.node.conftest import Peer, Started
from test.node.feeding import Feeder

GATE = TOPICS["decision"].name
FORBIDDEN = ("torch", "onnxruntime", "perception_platform.perception", "perception_platform.inference")
# Scheduling on a busy machine with two cores, DDS, and one beat.
MARGIN_S = 0.25


@pytest.fixture(scope="module")
def gate(start: Callable[..., Started], peer: Peer) -> Iterator[Started]:
    """The gate of ``amr``; it must be alive at the end of all tests."""
    peer.listen("decision")
    peer.listen("command_safe")
    peer.listen("diagnostics")
    started = start("safety_gate", "robot:=amr")
    peer.until(lambda: peer.heard[GATE], what="the first decision")
    yield started
    assert started.process.poll() is None, started.said()
    assert started.end() == 0, started.said()


def newest(peer: Peer) -> Decision:
    return decision_from_msg(peer.heard[GATE][-1][1])


def next_decision(peer: Peer) -> Decision:
    before = len(peer.heard[GATE])
    peer.until(lambda: len(peer.heard[GATE]) > before, what="another decision")
    return newest(peer)


def test_before_anything_comes_it_beats_at_its_rate_and_stops(gate: Started, peer: Peer) -> None:
    peer.spin(0.5)
    begin = len(peer.heard[GATE])
    peer.spin(2.0)
    beats = peer.heard[GATE][begin:]
    decisions = [decision_from_msg(message) for _, message in beats]
    assert len(beats) == pytest.approx(40, abs=3)
    sequences = [d.sequence for d in decisions]
    assert sequences == list(range(sequences[0], sequences[0] + len(beats)))
    assert {d.action for d in decisions} == {Action.STOP}
    assert all(Reason.STARTING in d.reasons and d.output_mps == (0.0, 0.0, 0.0) for d in decisions)
    velocities = peer.heard[TOPICS["command_safe"].name]
    assert len(velocities) == pytest.approx(len(peer.heard[GATE]), abs=2)
    assert all(m.twist.linear.x == 0.0 and m.twist.angular.z == 0.0 for _, m in velocities)


def test_the_process_holds_neither_model_runtime_nor_perception(gate: Started) -> None:
    script = "import sys, perception_platform.nodes.safety_gate; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    loaded = done.stdout.split()
    assert "perception_platform.safety.gate" in loaded
    assert not [m for m in loaded if m.startswith(FORBIDDEN)]
    libraries = Path(f"/proc/{gate.process.pid}/maps").read_text(encoding="utf-8")
    assert "rclpy" in libraries
    assert not any(name in libraries for name in ("libtorch", "onnxruntime"))


def test_no_frozen_process_can_hold_it_up_by_a_lock_in_shared_memory(gate: Started) -> None:
    tasks = Path(f"/proc/{gate.process.pid}/task").iterdir()
    transports = {t.split(".")[1] for task in tasks if (t := (task / "comm").read_text()).startswith("dds.")}
    assert "udp" in transports
    assert "shm" not in transports


@pytest.fixture(scope="module")
def feeder(gate: Started, peer: Peer) -> Iterator[Feeder]:
    """Everything that the gate needs; it has let the command through once."""
    feeder = feeding.around_the_gate(peer)
    peer.each.append(feeder.act)
    peer.until(lambda: newest(peer).action is Action.PROCEED, what="proceed")
    yield feeder
    peer.each.remove(feeder.act)


@pytest.fixture
def healthy(feeder: Feeder, peer: Peer) -> Iterator[Feeder]:
    """The same; whatever the test did to it is undone, and the gate has to let go of the stop afterwards."""
    peer.until(lambda: newest(peer).action is Action.PROCEED, what="proceed")
    yield feeder
    for feed in feeder.feeds.values():
        feed.silent, feed.offset_s, feed.spoil = False, 0.0, None
    peer.until(lambda: newest(peer).action is Action.PROCEED, what="recovery")


def test_a_clear_way_lets_the_command_through(healthy: Feeder, peer: Peer) -> None:
    wanted = pytest.approx((feeding.SPEED_MPS, 0.0, 0.1))
    peer.until(lambda: newest(peer).output_mps == wanted, within_s=10.0, what="the command")
    decision = next_decision(peer)
    assert 0 <= decision.latency_ns < 300e6
    assert [s.stage for s in decision.lineage.stages] == ["safety_gate"]
    assert decision.lineage.sources[0].sensor == "lidar_top"


def spoil_cloud(message: Any) -> None:
    message.fields = [f for f in message.fields if f.name != "y"]


def spoil_data(message: Any) -> None:
    message.data = message.data[:-3]


def spoil_frame(message: Any) -> None:
    message.header.frame_id = "lidar_top"


def spoil_angles(message: Any) -> None:
    message.angle_increment = math.nan


def spoil_velocity(message: Any) -> None:
    message.twist.twist.linear.x = math.nan


def spoil_rotation(message: Any) -> None:
    message.pose.pose.orientation.w = 0.0


def spoil_command(message: Any) -> None:
    message.twist.linear.x = math.inf


def spoil_risk(message: Any) -> None:
    finding = make("perception_platform_msgs/msg/Finding")
    finding.reason, finding.speed_limit = 999, math.nan
    message.findings = [finding]


@pytest.mark.parametrize(
    ("key", "spoil", "source"),
    [
        ("obstacles", spoil_cloud, "lidar_top"),
        ("obstacles", spoil_data, "lidar_top"),
        ("obstacles", spoil_frame, "lidar_top"),
        ("scan", spoil_angles, "scan_front"),
        ("scan", spoil_frame, "scan_front"),
        ("odometry", spoil_velocity, "odometry"),
        ("odometry", spoil_rotation, "odometry"),
        ("command", spoil_command, "command"),
        ("assessment", spoil_risk, "assessment"),
    ],
)
def test_a_malformed_message_is_refused_and_told(
    healthy: Feeder, peer: Peer, key: str, spoil: Callable[[Any], None], source: str
) -> None:
    begin = len(peer.heard[GATE])
    healthy[key].spoil = spoil

    def actions_that_tell() -> list[Action]:
        decisions = [decision_from_msg(message) for _, message in peer.heard[GATE][begin:]]
        reason = Reason.TRANSFORM_LOST if spoil is spoil_frame else Reason.MALFORMED_INPUT
        told = [{f.sensor for f in d.findings if f.reason is reason} for d in decisions]
        return [d.action for d, sensors in zip(decisions, told, strict=True) if source in sensors]

    peer.until(actions_that_tell, what=f"malformed {source}")
    assert max(actions_that_tell()) <= Action.LIMIT


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("obstacles", Reason.OBSTACLES_STALE),
        ("scan", Reason.OBSTACLES_STALE),
        ("odometry", Reason.ODOMETRY_STALE),
        ("assessment", Reason.ASSESSMENT_STALE),
    ],
)
def test_silence_is_a_stop_within_the_timeout(healthy: Feeder, peer: Peer, key: str, reason: Reason) -> None:
    healthy[key].silent = True
    took_s = peer.until(lambda: newest(peer).action <= Action.STOP, what="stop")
    assert reason in newest(peer).reasons
    assert took_s <= peer.robot.gate.input_timeout_s + MARGIN_S
    peer.until(lambda: newest(peer).output_mps == (0.0, 0.0, 0.0), within_s=5.0, what="zero")


@pytest.mark.parametrize("key", ["obstacles", "scan", "odometry", "assessment"])
def test_a_stamp_from_the_future_is_a_stop(healthy: Feeder, peer: Peer, key: str) -> None:
    healthy[key].offset_s = 2.0
    peer.until(lambda: Reason.FUTURE_STAMP in newest(peer).reasons, what="future stamp")
    assert newest(peer).action <= Action.STOP


@pytest.mark.parametrize("key", ["obstacles", "scan", "odometry", "assessment"])
def test_a_stamp_that_goes_back_is_told(healthy: Feeder, peer: Peer, key: str) -> None:
    begin = len(peer.heard[GATE])
    healthy[key].offset_s = -0.3

    def reasons() -> set[Reason]:
        decisions = [decision_from_msg(message) for _, message in peer.heard[GATE][begin:]]
        return {r for d in decisions for r in d.reasons if d.action <= Action.STOP}

    peer.until(lambda: Reason.BACKWARDS_STAMP in reasons(), what="backwards stamp")


def test_a_change_of_state_is_published_with_its_reason(healthy: Feeder, peer: Peer) -> None:
    begin = len(peer.heard[GATE])
    healthy["assessment"].silent = True
    peer.until(lambda: newest(peer).action <= Action.STOP, within_s=5.0, what="stop")
    heard = [decision_from_msg(message) for _, message in peer.heard[GATE][begin:]]
    told = [d for d in heard if d.transition]
    assert told
    assert told[-1].state is GateState.FAULT
    assert "out of date" in told[-1].transition


def test_a_model_that_does_not_run_slows_the_robot_down(healthy: Feeder, peer: Peer) -> None:
    status = make("perception_platform_msgs/msg/ModelStatus")
    status.head, status.state, status.text = "camera_objects", status.STATE_FALLBACK, "weights are missing"
    publisher = peer.speak("model_status")

    def limited() -> bool:
        publisher.publish(status)
        return Reason.MODEL_FALLBACK in newest(peer).reasons

    peer.until(limited, within_s=5.0, what="the model's report")
    assert newest(peer).action is Action.LIMIT
    status.state = status.STATE_ACTIVE
    peer.until(lambda: publisher.publish(status) or not newest(peer).reasons, within_s=5.0, what="recovery")


def test_without_a_command_nothing_is_let_through(healthy: Feeder, peer: Peer) -> None:
    healthy["command"].silent = True
    peer.until(lambda: newest(peer).output_mps == (0.0, 0.0, 0.0), what="zero")
    decision = newest(peer)
    assert decision.action is Action.PROCEED
    assert decision.command_mps is None
    assert Reason.COMMAND_STALE in decision.reasons


def test_points_close_ahead_stop_whatever_the_assessment_says(healthy: Feeder, peer: Peer) -> None:
    def step_out(message: Any) -> None:
        near = np.asarray(message.ranges)
        near[85:96] = 0.15  # 0.12 m from the footprint
        message.ranges = near.tolist()

    healthy["scan"].spoil = step_out
    peer.until(lambda: newest(peer).action <= Action.STOP, what="stop")
    binding = newest(peer).findings[0]
    assert binding.reason is Reason.POINTS_IN_FIELD
    assert binding.sensor == "scan_front"


def test_diagnostics_count_what_was_refused(healthy: Feeder, peer: Peer) -> None:
    begin = len(peer.heard["/diagnostics"])
    peer.until(lambda: len(peer.heard["/diagnostics"]) >= begin + 2, what="diagnostics")
    status = peer.heard["/diagnostics"][-1][1].status[0]
    lines = {line.key: line.value for line in status.values}
    assert (status.name, status.hardware_id) == ("safety_gate", "amr")
    assert int(lines["/odom malformed"]) >= 2
    assert int(lines["/perception/lidar_top/obstacles malformed"]) >= 3
    assert float(lines["/scan_front/scan rate_hz"]) == pytest.approx(15, abs=3)


def test_a_dead_publisher_is_a_stop_until_another_comes(healthy: Feeder, peer: Peer) -> None:
    topic = TOPICS["assessment"].name
    healthy["assessment"].silent = True
    (publisher,) = [p for p in peer.node.publishers if p.topic_name == topic]
    peer.node.destroy_publisher(publisher)
    peer.until(lambda: Reason.PUBLISHER_LOST in newest(peer).reasons, what="publisher lost")
    peer.spin(0.3)
    assert Reason.PUBLISHER_LOST in newest(peer).reasons  # not for one beat alone
    assert newest(peer).action <= Action.STOP
    healthy["assessment"].publish = peer.speak("assessment").publish


def test_a_publisher_that_promises_too_little_is_reported(healthy: Feeder, peer: Peer) -> None:
    topic = TOPICS["assessment"]
    careless = peer.node.create_publisher(message_class(topic.type), topic.name, QoSProfile(depth=1))

    def reported() -> bool:
        lines = {v.key: v.value for _, m in peer.heard["/diagnostics"][-1:] for v in m.status[0].values}
        return int(lines.get(f"{topic.name} incompatible qos", 0)) > 0

    peer.until(reported, what="the report")
    peer.node.destroy_publisher(careless)
