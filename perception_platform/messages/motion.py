"""Odometry, velocity commands and transforms."""

from __future__ import annotations

from typing import Any

from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState
from perception_platform.messages.fields import (
    Make,
    Velocity,
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


def velocity_from_twist(msg: Any, topic: str) -> Velocity:
    """(vx, vy, yaw rate) of a TwistStamped, m/s and rad/s.

    Raises:
        InputError: names the topic and the field if a value is not finite.
    """
    return planar(msg.twist, topic, "twist")


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
