"""What is not a good recording of the robot ends a replay with one clear line and a non-zero exit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perception_platform.bags.reader import read_messages
from perception_platform.bags.writer import BagWriter
from perception_platform.robot.load import share_dir

WALL = share_dir() / "rosbags" / "wall_approach" / "wall_approach.mcap"


def replay(bag: Path, out: Path, robot: str = "amr") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perception_platform", "replay", bag, "--robot", robot, "--out", out],
        capture_output=True,
        text=True,
        timeout=120,
    )


def truncated(tmp_path: Path) -> Path:
    bag = tmp_path / "truncated.mcap"
    bag.write_bytes(WALL.read_bytes()[:300_000])
    return bag


def empty(tmp_path: Path) -> Path:
    bag = tmp_path / "empty.mcap"
    bag.touch()
    return bag


def no_messages(tmp_path: Path) -> Path:
    bag = tmp_path / "no_messages.mcap"
    with BagWriter(bag):
        pass
    return bag


def missing(tmp_path: Path) -> Path:
    return tmp_path / "nowhere.mcap"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (truncated, "truncated"),
        (empty, "empty"),
        (no_messages, "it has nothing"),
        (missing, "no such bag"),
    ],
)
def test_a_bad_bag_is_one_clear_line(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    bag = make(tmp_path)
    done = replay(bag, tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert bag.name in line
    assert says in line


def test_a_bag_of_another_robot_is_one_clear_line(tmp_path: Path) -> None:
    bag = share_dir() / "rosbags" / "forklift_pallet" / "forklift_pallet.mcap"
    done = replay(bag, tmp_path / "out", "delivery_van")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "forklift_pallet.mcap" in line
    assert "has no /velodyne/points, which robot delivery_van needs" in line


def test_frames_that_are_malformed_are_counted_and_the_rest_is_not_lost(tmp_path: Path) -> None:
    """Every tenth sweep loses its x field, which is counted, limits the speed for a moment, and ends nothing."""
    bag = tmp_path / "spoiled.mcap"
    sweeps = 0
    with BagWriter(bag) as writer:
        for record in read_messages(WALL):
            message = record.message
            if record.topic == "/lidar_top/points":
                sweeps += 1
                if sweeps % 10 == 0:
                    message.fields = [f for f in message.fields if f.name != "x"]
            writer.write(record.topic, record.type, record.log_ns, message)
    done = replay(bag, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    lidar = summary["sensors"]["lidar_top"]
    assert lidar["dropped"]["malformed"] == sweeps // 10
    assert lidar["in"] == lidar["processed"] + sum(lidar["dropped"].values()) == sweeps
    decisions = [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    assert any("malformed_input" in d["reasons"] for d in decisions)
    assert any(d["action"] == "proceed" for d in decisions)


def test_scans_in_a_frame_that_nothing_leads_to_are_counted_and_stop_the_robot(tmp_path: Path) -> None:
    """From 2 s on another package's driver speaks of another frame."""
    bag = tmp_path / "moved.mcap"
    scans = lost = 0
    first_ns = None
    with BagWriter(bag) as writer:
        for record in read_messages(WALL):
            message = record.message
            first_ns = record.log_ns if first_ns is None else first_ns
            if record.topic == "/scan_front/scan":
                scans += 1
                if record.log_ns - first_ns > 2 * 10**9:
                    message.header.frame_id = "laser_link"
                    lost += 1
            writer.write(record.topic, record.type, record.log_ns, message)
    done = replay(bag, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    scanner = json.loads((tmp_path / "out" / "summary.json").read_text())["sensors"]["scan_front"]
    assert scanner["dropped"]["transform lost"] == lost > 0
    assert scanner["in"] == scanner["processed"] + sum(scanner["dropped"].values()) == scans
    decisions = [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    told = [d for d in decisions if "transform_lost" in d["reasons"]]
    assert told
    assert {d["action"] for d in told} == {"stop"}
    assert any(d["action"] == "proceed" for d in decisions if d["t_ns"] < told[0]["t_ns"])
