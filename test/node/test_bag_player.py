"""The bag player as a process: what was recorded arrives as it was, in its own time, and it ends by itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node

from perception_platform.bags.writer import BagWriter
from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.messages.sensors import cloud_to_msg, odometry_to_msg
from perception_platform.ros import qos
from perception_platform.ros.make import message_class
from perception_platform.ros.topics import TOPICS, rate_hz

START_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
STEPS = 20


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    path = tmp_path / "small.mcap"
    rng = np.random.default_rng(1)
    with BagWriter(path) as writer:
        for step in range(STEPS):
            t_ns = START_NS + step * STEP_NS
            ego = EgoState(t_ns, Transform.planar(0.1 * step, 0.0, 0.0), (1.0, 0.0), 0.0)
            odometry = odometry_to_msg(ego, "odom", "base_link", writer.make)
            writer.write("/odom", "nav_msgs/msg/Odometry", t_ns, odometry)
            cloud = PointCloud(t_ns, "lidar_top", "lidar_top", rng.normal(size=(500, 3)).astype(np.float32))
            points = cloud_to_msg(cloud, writer.make)
            writer.write("/lidar_top/points", "sensor_msgs/msg/PointCloud2", t_ns, points)
        note = writer.make("std_msgs/msg/String")
        writer.write("/somebody_elses", "std_msgs/msg/String", t_ns, note)
    return path


Play = Callable[..., tuple[int, str]]


@dataclass
class Heard:
    """What arrived, each with the steady time of its arrival in s."""

    clock: list[tuple[float, Any]]
    odometry: list[tuple[float, Any]]
    points: list[tuple[float, Any]]


@pytest.fixture
def heard(peer: Any) -> Iterator[Heard]:
    """What arrives at nodes that listen as those of the stack do, and are named like them."""
    result = Heard([], [], [])
    ears = (
        ("perception", "points", "lidar_top", result.points),
        ("perception", "odometry", "", []),
        ("tracker", "odometry", "", result.odometry),
        ("risk", "odometry", "", []),
        ("safety_gate", "odometry", "", []),
        ("viewer", "clock", "", result.clock),
    )
    nodes = []
    for name, key, sensor, sink in ears:
        topic = TOPICS[key]
        node = Node(name, context=peer.node.context)
        node.create_subscription(
            message_class(topic.type),
            topic.of(sensor),
            lambda message, sink=sink: sink.append((time.monotonic(), message)),
            qos.requested(topic, rate_hz(topic, peer.robot, sensor)),
        )
        peer.executor.add_node(node)
        nodes.append(node)
    yield result
    for node in nodes:
        peer.executor.remove_node(node)
        node.destroy_node()


@pytest.fixture
def play(peer: Any, start: Callable[..., Any]) -> Play:
    """Runs the player to its end; exit code and what it said."""

    def run(*parameters: str) -> tuple[int, str]:
        player = start("bag_player", "robot:=amr", *parameters)
        peer.until(lambda: player.process.poll() is not None, what="the player's end")
        return player.process.returncode, player.said()

    return run


def stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


@pytest.mark.timeout(40)
def test_messages_arrive_as_recorded_in_their_own_time(bag: Path, heard: Heard, play: Play) -> None:
    code, said = play(f"bag:={bag}", "rate:=2.0")
    assert code == 0, said
    stamps = [stamp_ns(m.header.stamp) for _, m in heard.odometry]
    assert stamps == [START_NS + i * STEP_NS for i in range(STEPS)]
    assert len(heard.points) == STEPS
    first = np.frombuffer(heard.points[0][1].data, dtype=np.float32)
    expected = np.random.default_rng(1).normal(size=(500, 3)).astype(np.float32)
    assert np.isin(expected[:, 0], first).all()
    took_s = heard.odometry[-1][0] - heard.odometry[0][0]
    assert took_s == pytest.approx((STEPS - 1) * 0.05 / 2, abs=0.1)
    assert f"played {2 * STEPS} messages of 2 topics" in said
    assert "1 of /somebody_elses" in said


@pytest.mark.timeout(40)
def test_the_clock_never_lags_or_jumps(bag: Path, heard: Heard, play: Play) -> None:
    play(f"bag:={bag}")
    ticks = np.array([stamp_ns(m.clock) for _, m in heard.clock])
    assert START_NS <= ticks[0] < START_NS + 2 * STEP_NS
    assert ticks[-1] >= START_NS + (STEPS - 1) * STEP_NS - 10_000_000
    assert (np.diff(ticks) > 0).all()
    assert np.median(np.diff(ticks)) == 10_000_000


@pytest.mark.timeout(40)
def test_who_does_not_listen_is_named_and_not_waited_for_for_ever(bag: Path, play: Play) -> None:
    code, said = play(f"bag:={bag}", "match_within_s:=0.2")
    assert code == 0
    assert "perception on /lidar_top/points" in said
    assert "safety_gate on /odom" in said


@pytest.mark.timeout(40)
@pytest.mark.parametrize("spoil", ["cut", "empty", "missing"])
def test_a_bad_bag_ends_with_one_clear_line(bag: Path, spoil: str, play: Play) -> None:
    if spoil == "cut":
        bag.write_bytes(bag.read_bytes()[:3000])
    elif spoil == "empty":
        bag.write_bytes(b"")
    else:
        bag.unlink()
    code, said = play(f"bag:={bag}", "match_within_s:=0.2")
    assert code == 2
    assert str(bag) in said
    assert "Traceback" not in said


@pytest.mark.timeout(40)
@pytest.mark.parametrize("rate", ["0.49", "2.01", ".nan"])
def test_a_rate_at_which_the_gate_would_err_is_refused(bag: Path, rate: str, play: Play) -> None:
    code, said = play(f"bag:={bag}", f"rate:={rate}")
    assert code == 2
    assert "rate: must be 0.5 to 2.0" in said


@pytest.mark.timeout(60)
def test_deactivated_it_is_silent_and_activated_again_it_plays_once_from_the_beginning(
    bag: Path, heard: Heard, peer: Any, start: Callable[..., Any]
) -> None:
    player = start("bag_player", "robot:=amr", f"bag:={bag}", "autostart:=false", "rate:=0.5")
    client = peer.node.create_client(ChangeState, "/bag_player/change_state")
    peer.until(client.service_is_ready, what="the service")

    def change(transition: int) -> None:
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        peer.until(future.done, what="an answer")
        assert future.result().success

    change(Transition.TRANSITION_CONFIGURE)
    change(Transition.TRANSITION_ACTIVATE)
    peer.until(lambda: len(heard.odometry) >= 3, what="odometry")
    change(Transition.TRANSITION_DEACTIVATE)
    peer.spin(0.2)
    heard.odometry.clear()
    heard.clock.clear()
    peer.spin(1.0)
    assert not heard.odometry
    assert not heard.clock
    assert player.process.poll() is None
    change(Transition.TRANSITION_ACTIVATE)
    peer.until(lambda: player.process.poll() is not None, what="the player's end")
    assert player.process.returncode == 0, player.said()
    stamps = [stamp_ns(m.header.stamp) for _, m in heard.odometry]
    assert stamps == [START_NS + i * STEP_NS for i in range(STEPS)]
    assert (np.diff([stamp_ns(m.clock) for _, m in heard.clock]) > 0).all()


@pytest.mark.timeout(40)
def test_an_unexpected_error_while_playing_ends_the_process(bag: Path, domain: dict[str, str]) -> None:
    script = """
from perception_platform.nodes import bag_player
def broken(path):
    raise KeyError("unexpected")
bag_player.read_serialised = broken
bag_player.main()
"""
    parameters = ["robot:=amr", f"bag:={bag}", "match_within_s:=0.1"]
    arguments = [a for p in parameters for a in ("-p", p)]
    command = [sys.executable, "-c", script, "--ros-args", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "thread playing: " in done.stderr
