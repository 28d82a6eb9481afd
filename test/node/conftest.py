"""Real nodes in processes of their own, in a DDS domain of the test's own, and a node of the test to talk to them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from perception_platform.robot.description import Robot
from perception_platform.robot.environment import process_environment
from perception_platform.robot.load import load_robot
from perception_platform.ros import qos
from perception_platform.ros.make import message_class
from perception_platform.ros.topics import TOPICS, rate_hz, type_on

_DOMAINS = itertools.count(os.getpid())


@dataclass
class Peer:
    """A node of the test: hears and says what the topic table names.

    Attributes:
        heard: (arrival by the steady clock in s, message) of each topic listened to, by ROS name.
    """

    node: Node
    executor: SingleThreadedExecutor
    robot: Robot
    heard: dict[str, list[tuple[float, Any]]] = field(default_factory=lambda: defaultdict(list))
    each: list[Callable[[], None]] = field(default_factory=list)

    def listen(self, key: str, sensor: str = "") -> list[tuple[float, Any]]:
        """Begin to collect what comes on a topic."""
        topic = TOPICS[key]
        heard = self.heard[topic.of(sensor)]
        self.node.create_subscription(
            message_class(type_on(topic, self.robot)),
            topic.of(sensor),
            lambda message: heard.append((time.monotonic(), message)),
            qos.requested(topic, rate_hz(topic, self.robot, sensor)),
        )
        return heard

    def speak(self, key: str, sensor: str = "") -> Any:
        """A publisher of a topic."""
        topic = TOPICS[key]
        profile = qos.offered(topic, rate_hz(topic, self.robot, sensor))
        return self.node.create_publisher(
            message_class(type_on(topic, self.robot)), topic.of(sensor), profile
        )

    def until(self, condition: Callable[[], object], within_s: float = 20.0, what: str = "it") -> float:
        """Spin until it is true; how long it took, s."""
        began_s = time.monotonic()
        while not condition():
            assert time.monotonic() - began_s < within_s, f"{what} did not come true within {within_s} s"
            for act in self.each:
                act()
            self.executor.spin_once(timeout_sec=0.005)
        return time.monotonic() - began_s

    def spin(self, for_s: float) -> None:
        """Spin for a while."""
        end_s = time.monotonic() + for_s
        self.until(lambda: time.monotonic() >= end_s, for_s + 5.0)


@pytest.fixture(scope="module")
def domain() -> Iterator[dict[str, str]]:
    """Environment of a DDS domain that no other test uses at the same time."""
    values = process_environment() | {"ROS_DOMAIN_ID": str(1 + next(_DOMAINS) % 100)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield values


@pytest.fixture(scope="module")
def peer(domain: dict[str, str]) -> Iterator[Peer]:
    """The test's own node, of robot ``amr``."""
    with peer_of(load_robot("amr")) as made:
        yield made


@contextmanager
def peer_of(robot: Robot) -> Iterator[Peer]:
    """A node of the test's own, of some robot."""
    context = Context()
    rclpy.init(context=context)
    node = Node("peer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield Peer(node, executor, robot)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


@dataclass
class Started:
    """A node that runs in a process, and the file with what it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(encoding="utf-8")

    def end(self, how: int = signal.SIGTERM) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(10)


@pytest.fixture(scope="module")
def start(
    domain: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Started]]:
    """Starts ``perception_platform.nodes.<name>`` with parameters; ended with the module."""
    folder = tmp_path_factory.mktemp("nodes")
    started: list[Started] = []

    def begin(name: str, *parameters: str) -> Started:
        arguments = [a for p in parameters for a in ("-p", p)]
        command = [sys.executable, "-m", f"perception_platform.nodes.{name}", "--ros-args", *arguments]
        log = folder / f"{name}-{len(started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        started.append(Started(process, log))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Real time is judged in real time: where the machine stalls, the gate stops, as it should.

    A live test that fails is run once more, which the summary says (``RERUN``); one that fails twice has failed.
    """
    if config.pluginmanager.hasplugin("rerunfailures"):
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.flaky(reruns=1))
