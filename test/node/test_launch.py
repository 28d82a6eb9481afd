"""The launch files, run with launch_ros: it comes with ROS 2 and with no registry."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.load import load_robot, robot_path, share_dir
from perception_platform.robot.stack import GROUPS, describe_stack
from perception_platform.ros.topics import TOPICS
from test.node.conftest import Peer

pytest.importorskip("launch_ros", reason="launch_ros is not installed: it comes with ROS 2 alone")
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from perception_platform.ros.launching import RESTART_AFTER_S

PACKAGE = "perception_platform"
DECISION = TOPICS["decision"].name
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
arguments = [tuple(a.split(":=", 1)) for a in sys.argv[2:]]
service = LaunchService(noninteractive=True)
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(sys.argv[1], launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@pytest.fixture(scope="module")
def prefixes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """AMENT_PREFIX_PATH with our package in it: the installed one, or one around this interpreter's scripts."""
    known = os.environ.get("AMENT_PREFIX_PATH", "")
    try:
        get_package_prefix(PACKAGE)
    except (PackageNotFoundError, OSError):  # the latter where nothing was sourced
        prefix = tmp_path_factory.mktemp("prefix")
        index = prefix / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True)
        (index / PACKAGE).touch()
        (prefix / "lib").mkdir()
        (prefix / "lib" / PACKAGE).symlink_to(Path(sys.executable).parent)
        return os.pathsep.join(p for p in (str(prefix), known) if p)
    return known


@pytest.fixture
def launch(
    prefixes: str, domain: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Runs a launch file; whatever happens, nothing of it is left."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, *arguments: str) -> subprocess.Popen[str]:
        path = share_dir() / "launch" / f"{name}.launch.py"
        env = os.environ | domain | {"AMENT_PREFIX_PATH": prefixes, "ROS_LOG_DIR": str(tmp_path)}
        with (tmp_path / "out").open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(path), *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env=env,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def nodes(peer: Peer) -> set[str]:
    return set(peer.node.get_node_names()) - {"peer"}


def end(process: subprocess.Popen[str], tmp_path: Path) -> None:
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0, (tmp_path / "out").read_text(encoding="utf-8")


def test_bringup_starts_every_node_of_the_stack(
    launch: Callable[..., subprocess.Popen[str]], peer: Peer, tmp_path: Path
) -> None:
    peer.listen("decision")
    process = launch("bringup", "robot:=amr")
    wanted = {spec.name for spec in describe_stack(peer.robot, "amr")}
    peer.until(lambda: wanted <= nodes(peer), within_s=60.0, what=f"{wanted}")
    peer.until(lambda: peer.heard[DECISION], what="the heartbeat")
    end(process, tmp_path)


@pytest.mark.parametrize("group", [g for g in GROUPS if describe_stack(load_robot("amr"), "amr", groups=[g])])
def test_each_part_starts_its_own_nodes_alone(
    launch: Callable[..., subprocess.Popen[str]], peer: Peer, tmp_path: Path, group: str
) -> None:
    peer.until(lambda: not nodes(peer), within_s=30.0, what="an empty domain")
    process = launch(group, "robot:=amr", "use_sim_time:=true")
    wanted = {spec.name for spec in describe_stack(peer.robot, "amr", groups=[group])}  # type: ignore[list-item]
    peer.until(lambda: wanted <= nodes(peer), within_s=60.0, what=f"{wanted}")
    assert nodes(peer) == wanted
    end(process, tmp_path)


def test_replay_plays_a_recording_to_the_stack_and_ends_with_it(
    launch: Callable[..., subprocess.Popen[str]], peer: Peer, tmp_path: Path
) -> None:
    bag = share_dir() / "rosbags" / "wall_approach" / "wall_approach.mcap"
    peer.until(lambda: not nodes(peer), within_s=30.0, what="an empty domain")
    peer.heard[DECISION].clear()
    began_s = time.monotonic()
    process = launch("replay", "robot:=amr", f"bag:={bag}", "rate:=2.0")
    peer.until(lambda: process.poll() is not None, within_s=100.0, what="the end")
    assert process.returncode == 0, (tmp_path / "out").read_text(encoding="utf-8")
    actions = {decision_from_msg(m).action.name for t, m in peer.heard[DECISION] if t > began_s}
    assert {"STOP", "PROCEED"} <= actions


def test_a_node_that_refuses_its_input_is_not_started_again(
    launch: Callable[..., subprocess.Popen[str]], peer: Peer, tmp_path: Path
) -> None:
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    robot["sensors"][0]["driver"] = {"type": "ouster", "metadata": "nowhere.json"}
    file = tmp_path / "amr.yaml"
    file.write_text(yaml.safe_dump(robot), encoding="utf-8")
    process = launch("drivers", f"robot:={file}")

    def said() -> str:
        return (tmp_path / "out").read_text(encoding="utf-8")

    peer.until(lambda: "exit code 2" in said(), within_s=60.0, what="the refusal")
    peer.spin(3 * RESTART_AFTER_S)
    assert "error: nowhere.json" in said()
    assert said().count("[container-1]: process started") == 1, said()
    end(process, tmp_path)


def test_a_node_that_is_killed_is_started_again(
    launch: Callable[..., subprocess.Popen[str]], peer: Peer, tmp_path: Path
) -> None:
    process = launch("safety", "robot:=amr")
    started = r"\[safety_gate-\d+\]: process started with pid \[(\d+)\]"

    def pids() -> list[str]:
        return re.findall(started, (tmp_path / "out").read_text(encoding="utf-8"))

    peer.until(pids, within_s=60.0, what="the gate")
    os.kill(int(pids()[0]), signal.SIGKILL)
    peer.until(lambda: len(pids()) == 2, within_s=20.0, what="another gate")
    end(process, tmp_path)


def test_an_unknown_robot_ends_the_launch_with_its_name(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    assert launch("safety", "robot:=nobody").wait(20) != 0
    assert "nobody: no such robot" in (tmp_path / "out").read_text(encoding="utf-8")
