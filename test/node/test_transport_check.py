"""The transport check, with real processes: it passes where frames get through, and says so where they do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from perception_platform.robot.environment import PROFILE, process_environment
from perception_platform.robot.load import robot_path

ATTEMPTS = (
    3  # other work on the machine may hold a reader up for longer than a frame; the set-up is not to blame
)


def check(robot: str, folder: Path, given: Mapping[str, str]) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and output of the command, from a shell that sets nothing but what is given."""
    bare = {name: value for name, value in os.environ.items() if name not in process_environment()}
    report = folder / "report.json"
    command = [sys.executable, "-m", "perception_platform", "check", "transport", robot, "--seconds", "2"]
    done = subprocess.run(
        [*command, "--json", str(report)], env={**bare, **given}, capture_output=True, text=True, timeout=100
    )
    assert report.is_file(), done.stderr
    return done.returncode, json.loads(report.read_text(encoding="utf-8")), done.stdout


@pytest.fixture
def big_robot(tmp_path: Path) -> str:
    """The AMR with a camera of 1280 x 720 at 30 Hz: 83 MB/s."""
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    camera = next(sensor for sensor in robot["sensors"] if sensor["kind"] == "camera")
    camera["rate_hz"] = 30
    camera["intrinsics"] |= {"width_px": 1280, "height_px": 720}
    path = tmp_path / "big.yaml"
    path.write_text(yaml.safe_dump(robot), encoding="utf-8")
    return str(path)


def test_frames_get_through_with_the_environment_that_nodes_get(big_robot: str, tmp_path: Path) -> None:
    for _ in range(ATTEMPTS):
        code, report, output = check(big_robot, tmp_path, {})
        if not any(stream["lost"] for stream in report["streams"]):
            break
    assert [stream["lost"] for stream in report["streams"]] == [0, 0], output
    camera, lidar = report["streams"]
    assert camera["message_bytes"] == 1280 * 720 * 3
    assert (camera["planned"], lidar["planned"]) == (60, 20)
    assert all(0 < s["p50_ms"] <= s["p99_ms"] <= s["max_ms"] for s in report["streams"])
    assert report["environment"] == process_environment()
    losing = [problem for problem in report["problems"] if problem["loses_frames"]]
    assert (code, report["good"], losing) == (0, True, []), output


def test_frames_are_lost_without_the_profile_and_the_check_says_why(big_robot: str, tmp_path: Path) -> None:
    code, report, output = check(big_robot, tmp_path, {PROFILE: ""})
    camera = report["streams"][0]
    assert camera["lost"] > 0.1 * camera["sent"], output  # by far most, on any machine that was tried
    assert (code, report["good"]) == (1, False)
    assert PROFILE in [problem["cause"] for problem in report["problems"] if problem["loses_frames"]]
    assert "unset FASTRTPS_DEFAULT_PROFILES_FILE" in " ".join(output.split())


def test_processes_that_do_not_find_each_other_lose_all(tmp_path: Path) -> None:
    code, report, output = check("amr", tmp_path, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"})
    assert all(stream["lost"] == stream["sent"] > 0 for stream in report["streams"]), output
    assert all(stream["p50_ms"] is None for stream in report["streams"])
    assert (code, report["problems"][0]["cause"]) == (1, "ROS_AUTOMATIC_DISCOVERY_RANGE")


def test_a_robot_that_is_not_there_ends_the_command_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "perception_platform", "check", "transport", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nobody: no such robot")
    assert done.stderr.count("\n") == 1
