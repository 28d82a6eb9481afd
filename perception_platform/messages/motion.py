"""Odometry, velocity commands and transforms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState
from perception_platform.messages.fields import (
    Make,
    Velocity,
    finite,
    planar,
    pose_transform,
    set_header,
    set_planar,
    set_quaternion,
    set_xyz,
    time_ns,
)


def ego_from_odometry(msg: Any, topic: str = "/odom") -> EgoState:
    """Pose, velocity and turn rate of an Odometry.

    Raises:
        InputError: names the topic and the field if a value is not finite or the quaternion is no rotation.
    """
    vx, vy, yaw_rate = planar(msg.twist.twist, topic, "twist.twist")
    return EgoState(
        t_ns=time_ns(msg.header.stamp, topic),
        odom_from_base=pose_transform(msg.pose.pose.position, msg.pose.pose.orientation, topic, "pose.pose"),
        velocity_mps=(vx, vy),
        yaw_rate_radps=yaw_rate,
    )


def odometry_to_msg(ego: EgoState, odom_frame: str, base_frame: str, make: Make) -> Any:
    """An Odometry with zero covariances, which say that they are unknown."""
    msg = make("nav_msgs/msg/Odometry")
    set_header(msg, ego.t_ns, odom_frame)
    msg.child_frame_id = base_frame
    set_xyz(msg.pose.pose.position, ego.odom_from_base.translation_m)
    set_quaternion(msg.pose.pose.orientation, ego.odom_from_base)
    set_planar(msg.twist.twist, (*ego.velocity_mps, ego.yaw_rate_radps))
    return msg


def velocity_from_command(msg: Any, topic: str, wheelbase_m: float | None) -> Velocity:
    """(vx, vy, yaw rate) of a TwistStamped, Twist or AckermannDriveStamped, m/s and rad/s.

    A car-like vehicle turns by ``v tan(steering angle) / wheelbase`` (kinematic bicycle, of the rear axle's middle).

    Raises:
        InputError: names the topic and the field if a value is not finite, or no steering angle of a wheel.
    """
    if hasattr(msg, "drive"):
        return _velocity_from_drive(msg.drive, topic, wheelbase_m)
    return planar(msg.twist, topic, "twist") if hasattr(msg, "twist") else planar(msg, topic, "")


def _velocity_from_drive(drive: Any, topic: str, wheelbase_m: float | None) -> Velocity:
    speed_mps = finite(drive.speed, topic, "drive.speed")
    steering_rad = finite(drive.steering_angle, topic, "drive.steering_angle")
    if not abs(steering_rad) < math.pi / 2:
        raise InputError(topic, f"{steering_rad} rad is across the vehicle", "drive.steering_angle")
    if wheelbase_m is None:
        raise InputError(
            topic, "the robot file has no drive.wheelbase_m to turn it into a turn rate", "drive"
        )
    return speed_mps, 0.0, speed_mps * math.tan(steering_rad) / wheelbase_m


@dataclass(frozen=True, slots=True)
class SafeCommand:
    """A velocity let through: (vx, vy, yaw rate), m/s and rad/s, and for car-like drives the steering angle, rad."""

    t_ns: int
    velocity: Velocity
    steering_rad: float = 0.0


def steering_rad(output: Velocity, command: Velocity | None, before_rad: float, wheelbase_m: float) -> float:
    """The steering angle of the curve that is let through, positive to the left.

    Where the output is zero, that of the command: the wheels of a robot that brakes are not set straight. Where that
    is none either, the angle is what it was.
    """
    for vx, _, yaw_rate in (output, command or output):
        if vx:
            return math.atan(yaw_rate * wheelbase_m / vx)
    return before_rad


def twist_to_msg(t_ns: int, frame_id: str, velocity: Velocity, make: Make) -> Any:
    """A TwistStamped of (vx, vy, yaw rate), m/s and rad/s."""
    msg = make("geometry_msgs/msg/TwistStamped")
    set_header(msg, t_ns, frame_id)
    set_planar(msg.twist, velocity)
    return msg


def transform_to_msg(t_ns: int, parent: str, child: str, parent_from_child: Transform, make: Make) -> Any:
    """A TransformStamped of ``parent_from_child``."""
    msg = make("geometry_msgs/msg/TransformStamped")
    set_header(msg, t_ns, parent)
    msg.child_frame_id = child
    set_xyz(msg.transform.translation, parent_from_child.translation_m)
    set_quaternion(msg.transform.rotation, parent_from_child)
    return msg
