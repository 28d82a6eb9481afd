"""Listening to a running gate: what it heard adds up, and silence is one clear line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from test.node.conftest import Peer, Started
from test.node.feeding import around_the_gate

pytestmark = pytest.mark.timeout(90)
COMMAND = (sys.executable, "-c", "from perception_platform.cli.main import main; main()", "latency", "--live")


def listen(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_running_gate_is_heard(peer: Peer, start: Callable[..., Started], tmp_path: Path) -> None:
    start("safety_gate", "robot:=amr")
    heard = peer.listen("decision")
    peer.each.append(around_the_gate(peer).act)
    peer.until(lambda: heard and heard[-1][1].lineage.sensors, 30.0, "a decision on sensor data")
    file = tmp_path / "latency.json"
    listener = listen("--seconds", 2, "--json", file, "--plot", tmp_path / "latency.png")
    peer.until(lambda: listener.poll() is not None, 60.0, "the end of listening")
    said, problem = listener.communicate()
    assert listener.returncode == 0, problem
    assert "wait for beat" in said
    figures = json.loads(file.read_text())
    assert figures["every_decision"]["samples"] >= 10  # of 40 in two seconds
    assert figures["new_results"]["samples"] >= 5  # of 20 assessments
    for row in figures["worst"]:
        assert sum(row["parts"].values()) == pytest.approx(row["total"], abs=0.01)
        assert min(row["parts"].values()) >= 0
        assert row["text"]


def test_silence_is_one_clear_line(domain: dict[str, str]) -> None:
    elsewhere = str(1 + (int(domain["ROS_DOMAIN_ID"]) + 50) % 100)
    listener = listen("--seconds", 1, ROS_DOMAIN_ID=elsewhere)
    said, problem = listener.communicate(timeout=60)
    assert listener.returncode == 2, said
    (line,) = problem.strip().splitlines()
    assert line.startswith("error: /safety/decision: no decision heard in 10 s")
    assert f"ROS_DOMAIN_ID {elsewhere}" in line
