"""The gate between planners and bases that speak Twist, TwistStamped or Ackermann, as the robot file says."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from perception_platform.core.verdicts import Action, Reason
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.load import load_robot, robot_path
from perception_platform.ros.make import installed, make
from test import ackermann_msgs
from test.node import feeding
from test.node.conftest import Started, peer_of

WHEELBASE_M, STEERING_RAD = 0.6, 0.2
LIMIT_MPS = 0.25
TURN_RADPS = feeding.SPEED_MPS * math.tan(STEERING_RAD) / WHEELBASE_M
WANTED = pytest.approx((feeding.SPEED_MPS, 0.0, TURN_RADPS), rel=1e-5)


@pytest.fixture(scope="module", autouse=True)
def messages(domain: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ackermann_msgs, importable here and in the nodes that are started."""
    assert domain
    with pytest.MonkeyPatch.context() as patch:
        ackermann_msgs.make_importable(tmp_path_factory.mktemp("ackermann"), patch)
        installed.cache_clear()
        yield
    installed.cache_clear()


def robot_file(folder: Path, command: str, output: str) -> Path:
    """The AMR with a car's steering."""
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    robot["drive"] |= {"type": "ackermann", "wheelbase_m": WHEELBASE_M}
    robot["gate"] |= {"command": command, "output": output}
    path = folder / f"{command}_to_{output}.yaml"
    path.write_text(yaml.safe_dump(robot), encoding="utf-8")
    return path


def command_of(kind: str) -> Callable[[int], Any]:
    """The same curve in each of the types."""

    def twist(message: Any) -> Any:
        message.linear.x, message.angular.z = feeding.SPEED_MPS, TURN_RADPS
        return message

    def stamped(t_ns: int) -> Any:
        message = make("geometry_msgs/msg/TwistStamped")
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(t_ns, 10**9)
        twist(message.twist)
        return message

    def ackermann(t_ns: int) -> Any:
        message = make("ackermann_msgs/msg/AckermannDriveStamped")
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(t_ns, 10**9)
        message.drive.speed, message.drive.steering_angle = feeding.SPEED_MPS, STEERING_RAD
        return message

    makers = {"twist_stamped": stamped, "ackermann": ackermann}
    return makers.get(kind) or (lambda _t_ns: twist(make("geometry_msgs/msg/Twist")))


def said(message: Any) -> tuple[float, float]:
    """Speed, m/s, and turn rate, rad/s, or steering angle, rad."""
    if hasattr(message, "drive"):
        return message.drive.speed, message.drive.steering_angle
    twist = getattr(message, "twist", message)
    return twist.linear.x, twist.angular.z


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("twist", "twist"),
        ("twist_stamped", "ackermann"),
        ("ackermann", "ackermann"),
        ("ackermann", "twist_stamped"),
    ],
)
def test_commands_come_and_go_as_the_robot_file_says(
    start: Callable[..., Started], tmp_path: Path, command: str, output: str
) -> None:
    path = robot_file(tmp_path, command, output)
    turn, slow_turn = TURN_RADPS, TURN_RADPS * LIMIT_MPS / feeding.SPEED_MPS
    if output == "ackermann":
        turn = slow_turn = STEERING_RAD
    with peer_of(load_robot(str(path))) as peer:
        heard, out = peer.listen("decision"), peer.listen("command_safe")
        gate = start("safety_gate", f"robot:={path}")
        try:
            peer.until(lambda: out, what="velocity before any command")
            assert said(out[-1][1]) == (0.0, 0.0)
            feeder = feeding.around_the_gate(peer)
            feeder["command"].build = command_of(command)
            peer.each.append(feeder.act)
            peer.until(lambda: said(out[-1][1]) == about(feeding.SPEED_MPS, turn), what="the command")
            peer.until(lambda: decision_from_msg(heard[-1][1]).command_mps == WANTED, what="its decision")
            feeder["assessment"].spoil = limit
            peer.until(lambda: said(out[-1][1]) == about(LIMIT_MPS, slow_turn), what="the same curve, slowly")
            feeder["command"].silent = True
            peer.until(lambda: said(out[-1][1])[0] == 0.0, what="zero without a command")
            assert said(out[-1][1]) == about(0.0, turn if output == "ackermann" else 0.0)
            peer.until(lambda: decision_from_msg(heard[-1][1]).command_mps is None, what="its decision")
            assert gate.end() == 0, gate.said()
        finally:
            gate.process.kill()


def test_a_message_that_is_not_installed_is_named_with_how_to_get_it(
    start: Callable[..., Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [part for part in os.environ["PYTHONPATH"].split(os.pathsep) if "ackermann" not in part]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(others))
    gate = start("safety_gate", f"robot:={robot_file(tmp_path, 'twist', 'ackermann')}")
    assert gate.process.wait(30) != 0
    assert "sudo apt install ros-jazzy-ackermann-msgs" in gate.said()
    assert "Traceback" not in gate.said()


def about(speed_mps: float, turn: float) -> Any:
    return pytest.approx((speed_mps, turn), rel=1e-5, abs=1e-9)


def limit(message: Any) -> None:
    """Have an assessment ask for a lower speed."""
    finding = make("perception_platform_msgs/msg/Finding")
    finding.reason, finding.action = int(Reason.OBJECT_IN_PATH), int(Action.LIMIT)
    finding.speed_limit = LIMIT_MPS
    message.findings = [finding]
