"""The bag player as a process: what was recorded arrives as it was, in its own time, and it ends by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from perception_platform.bags.writer import BagWriter
from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.messages.sensors import cloud_to_msg, odometry_to_msg
from perception_platform.robot.environment import process_environment
from perception_platform.robot.load import load_robot
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


@dataclass
class Heard:
    """What arrived, each with the steady time of its arrival in s."""

    clock: list[tuple[float, Any]] = field(default_factory=list)
    odometry: list[tuple[float, Any]] = field(default_factory=list)
    points: list[tuple[float, Any]] = field(default_factory=list)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Heard, SingleThreadedExecutor]]:
    for name, value in (process_environment() | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}).items():
        monkeypatch.setenv(name, value)
    context = Context()
    rclpy.init(context=context)
    node = Node("ear", context=context)
    robot = load_robot("amr")
    result = Heard()
    rows = (
        ("clock", "", result.clock),
        ("odometry", "", result.odometry),
        ("points", "lidar_top", result.points),
    )
    for key, sensor, sink in rows:
        topic = TOPICS[key]
        node.create_subscription(
            message_class(topic.type),
            topic.of(sensor),
            lambda message, sink=sink: sink.append((time.monotonic(), message)),
            qos.requested(topic, rate_hz(topic, robot, sensor)),
        )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield result, executor
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def play(executor: SingleThreadedExecutor, *parameters: str) -> tuple[int, str]:
    """Run the player to its end; exit code and what it said."""
    arguments = [a for p in ("robot:=amr", *parameters) for a in ("-p", p)]
    command = [sys.executable, "-m", "perception_platform.nodes.bag_player", "--ros-args", *arguments]
    player = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 20
        while player.poll() is None and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.01)
        assert player.poll() is not None, "the player did not end"
    finally:
        player.kill()
    said, _ = player.communicate()
    return player.returncode, said


def stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


@pytest.mark.timeout(40)
def test_messages_arrive_as_recorded_in_their_own_time(
    bag: Path, heard: tuple[Heard, SingleThreadedExecutor]
) -> None:
    what, executor = heard
    code, said = play(executor, f"bag:={bag}", "rate:=2.0", "match_within_s:=1.0")
    assert code == 0, said
    stamps = [stamp_ns(m.header.stamp) for _, m in what.odometry]
    assert stamps == [START_NS + i * STEP_NS for i in range(STEPS)]
    assert len(what.points) == STEPS
    first = np.frombuffer(what.points[0][1].data, dtype=np.float32)
    expected = np.random.default_rng(1).normal(size=(500, 3)).astype(np.float32)
    assert np.isin(expected[:, 0], first).all()
    took_s = what.odometry[-1][0] - what.odometry[0][0]
    assert took_s == pytest.approx((STEPS - 1) * 0.05 / 2, abs=0.1)
    assert f"played {2 * STEPS} messages of 2 topics" in said
    assert "1 of /somebody_elses" in said


@pytest.mark.timeout(40)
def test_the_clock_never_lags_or_jumps(bag: Path, heard: tuple[Heard, SingleThreadedExecutor]) -> None:
    what, executor = heard
    play(executor, f"bag:={bag}", "match_within_s:=1.0")
    ticks = np.array([stamp_ns(m.clock) for _, m in what.clock])
    assert ticks[0] == START_NS
    assert ticks[-1] >= START_NS + (STEPS - 1) * STEP_NS - 10_000_000
    assert (np.diff(ticks) > 0).all()
    assert np.median(np.diff(ticks)) == 10_000_000


@pytest.mark.timeout(40)
def test_who_does_not_listen_is_named_and_not_waited_for_for_ever(
    bag: Path, heard: tuple[Heard, SingleThreadedExecutor]
) -> None:
    _, executor = heard
    code, said = play(executor, f"bag:={bag}", "rate:=10.0", "match_within_s:=0.2")
    assert code == 0
    assert "perception on /lidar_top/points" in said
    assert "safety_gate on /odom" in said


@pytest.mark.timeout(40)
@pytest.mark.parametrize("spoil", ["cut", "empty", "missing"])
def test_a_bad_bag_ends_with_one_clear_line(
    bag: Path, spoil: str, heard: tuple[Heard, SingleThreadedExecutor]
) -> None:
    _, executor = heard
    if spoil == "cut":
        bag.write_bytes(bag.read_bytes()[:3000])
    elif spoil == "empty":
        bag.write_bytes(b"")
    else:
        bag.unlink()
    code, said = play(executor, f"bag:={bag}", "match_within_s:=0.2")
    assert code == 2
    assert str(bag) in said
    assert "Traceback" not in said
