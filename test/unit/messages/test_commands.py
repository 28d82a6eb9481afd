"""Velocity commands of three types: the same curve in and out, whatever carries it."""

from __future__ import annotations

import math
from types import SimpleNamespace as Message
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import get_types_from_msg

from perception_platform.bags.types import blank, known_types
from perception_platform.core.errors import InputError
from perception_platform.messages.cdr import command_to_cdr
from perception_platform.messages.motion import (
    SafeCommand,
    steering_rad,
    twist_to_msg,
    velocity_from_command,
)
from test.ackermann_msgs import DEFINITIONS

FINITE = st.floats(-1e3, 1e3)
TRIPLE = st.tuples(FINITE, FINITE, FINITE)
T_NS = st.integers(0, (2**31 - 1) * 10**9)
L_M = 1.6


def ackermann_types() -> Any:
    store = known_types()
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, f"ackermann_msgs/msg/{name}"))
    return store


def driven(speed: float, angle: float) -> Message:
    return Message(drive=Message(speed=speed, steering_angle=angle))


@given(T_NS, TRIPLE)
@settings(deadline=None)
def test_both_twists_are_what_ros_would_write(t_ns: int, velocity: Any) -> None:
    store, command = known_types(), SafeCommand(t_ns, velocity, 0.3)
    stamped = twist_to_msg(t_ns, "base_link", velocity, blank)
    expected = bytes(store.serialize_cdr(stamped, "geometry_msgs/msg/TwistStamped"))
    assert command_to_cdr(command, "base_link", "twist_stamped") == expected
    expected = bytes(store.serialize_cdr(stamped.twist, "geometry_msgs/msg/Twist"))
    assert command_to_cdr(command, "base_link", "twist") == expected
    assert velocity_from_command(stamped, "/cmd_vel", None) == velocity
    assert velocity_from_command(stamped.twist, "/cmd_vel", None) == velocity


@given(T_NS, st.floats(-20, 20, width=32), st.floats(-1.5, 1.5, width=32), st.text("abc_", max_size=5))
@settings(deadline=None)
def test_a_drive_is_read_back_from_its_bytes(t_ns: int, speed: float, angle: float, frame: str) -> None:
    data = command_to_cdr(SafeCommand(t_ns, (speed, 0.0, 9.0), angle), frame, "ackermann")
    message = ackermann_types().deserialize_cdr(data, "ackermann_msgs/msg/AckermannDriveStamped")
    drive = message.drive
    assert (message.header.frame_id, drive.speed, drive.steering_angle) == (frame, speed, angle)
    assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == t_ns
    assert (drive.steering_angle_velocity, drive.acceleration, drive.jerk) == (0.0, 0.0, 0.0)


def test_a_steering_angle_is_a_curve() -> None:
    """tan 0.5 = 0.5463: with 1.6 m between the axles a radius of 2.929 m."""
    assert velocity_from_command(driven(2.0, 0.5), "/cmd_vel", L_M) == pytest.approx(
        (2.0, 0.0, 0.682878), abs=1e-6
    )
    assert velocity_from_command(driven(-2.0, 0.5), "/cmd_vel", L_M) == pytest.approx(
        (-2.0, 0.0, -0.682878), abs=1e-6
    )
    assert velocity_from_command(driven(0.0, 0.5), "/cmd_vel", L_M) == (0.0, 0.0, 0.0)


@given(st.floats(0.1, 5.0), st.floats(-1.4, 1.4), st.floats(0.01, 1.0), st.sampled_from([1.0, -1.0]))
def test_a_lower_speed_keeps_the_steering_angle(
    speed: float, angle: float, share: float, sign: float
) -> None:
    wanted = velocity_from_command(driven(sign * speed, angle), "/cmd_vel", L_M)
    slower = tuple(v * share for v in wanted)
    assert steering_rad(slower, wanted, 9.9, L_M) == pytest.approx(angle)


def test_the_wheels_of_a_robot_that_is_stopped_are_not_set_straight() -> None:
    still = (0.0, 0.0, 0.0)
    assert steering_rad(still, (2.0, 0.0, 0.682878), 0.1, L_M) == pytest.approx(0.5, abs=1e-6)
    assert steering_rad(still, still, 0.1, L_M) == 0.1
    assert steering_rad(still, None, 0.1, L_M) == 0.1
    assert steering_rad((1.0, 0.0, 0.0), (1.0, 0.0, 0.5), 0.1, L_M) == 0.0


@pytest.mark.parametrize(
    ("message", "wheelbase_m", "field"),
    [
        (driven(math.nan, 0.0), L_M, "drive.speed"),
        (driven(1.0, math.inf), L_M, "drive.steering_angle"),
        (driven(1.0, 1.6), L_M, "drive.steering_angle"),
        (driven(1.0, -1.6), L_M, "drive.steering_angle"),
        (driven(1.0, 0.1), None, "drive"),
        (Message(linear=Message(x=math.nan, y=0.0), angular=Message(z=0.0)), None, "linear.x"),
    ],
)
def test_what_is_no_command_is_refused_by_name(message: Any, wheelbase_m: float | None, field: str) -> None:
    with pytest.raises(InputError) as caught:
        velocity_from_command(message, "/cmd_vel", wheelbase_m)
    assert (caught.value.source, caught.value.where) == ("/cmd_vel", field)
