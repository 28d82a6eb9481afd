"""What all conversions share: stamps, headers, array fields, and checks that name the field."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.time import NS_PER_S

Make = Callable[[str], Any]
Velocity = tuple[float, float, float]  # vx, vy, yaw rate in the base frame; m/s, rad/s
E = TypeVar("E", bound=IntEnum)

# A quaternion that left its sender as a rotation is off by rounding only.
QUATERNION_NORM_TOLERANCE = 0.01


def time_ns(stamp: Any, source: str, field: str = "header.stamp") -> int:
    """A ``builtin_interfaces/Time`` as ns.

    Raises:
        InputError: if it is not a valid time.
    """
    sec, nanosec = int(stamp.sec), int(stamp.nanosec)
    if sec < 0 or not 0 <= nanosec < NS_PER_S:
        raise InputError(source, f"not a time: {sec} s, {nanosec} ns", field)
    return sec * NS_PER_S + nanosec


def time_to_msg(t_ns: int, make: Make) -> Any:
    """A ``builtin_interfaces/Time`` of a time in ns."""
    stamp = make("builtin_interfaces/msg/Time")
    stamp.sec, stamp.nanosec = divmod(int(t_ns), NS_PER_S)
    return stamp


def set_header(msg: Any, t_ns: int, frame_id: str) -> None:
    """Fill the header of a message."""
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(int(t_ns), NS_PER_S)
    msg.header.frame_id = frame_id


def set_array(msg: Any, field: str, values: npt.ArrayLike) -> None:
    """Fill a numeric array field in the container that its message has for it.

    rclpy keeps variable arrays as ``array.array`` and checks anything else element by element, which takes
    longer than all the rest for an image; messages for bags keep numpy arrays.
    """
    blank = getattr(msg, field)
    if isinstance(blank, array.array):
        filled = array.array(blank.typecode)
        dtype = np.dtype(blank.typecode)
        filled.frombytes(np.ascontiguousarray(values, dtype=dtype).reshape(-1).view(np.uint8).data)
        setattr(msg, field, filled)
    else:
        setattr(msg, field, np.array(values, dtype=blank.dtype, order="C"))


def raw_bytes(data: Any) -> npt.NDArray[np.uint8]:
    """A ``uint8[]`` field as an array, without a copy where it is a buffer already."""
    if isinstance(data, np.ndarray):
        return data.view(np.uint8)
    if isinstance(data, (bytes, bytearray, memoryview, array.array)):
        return np.frombuffer(data, dtype=np.uint8)
    return np.asarray(data, dtype=np.uint8)


def finite(value: float, source: str, field: str) -> float:
    """The value, if it is a finite number.

    Raises:
        InputError: if it is not.
    """
    if not math.isfinite(value):
        raise InputError(source, f"not a finite number: {value}", field)
    return float(value)


def not_nan(value: float, source: str, field: str) -> float:
    """The value, if it is a number; infinity is one.

    Raises:
        InputError: if it is NaN.
    """
    if math.isnan(value):
        raise InputError(source, "not a number", field)
    return float(value)


def member(kind: type[E], value: int, source: str, field: str) -> E:
    """The enum member of a number in a message.

    Raises:
        InputError: if there is none.
    """
    try:
        return kind(int(value))
    except ValueError as error:
        raise InputError(source, f"{value} is no {kind.__name__}", field) from error


def xyz(vector: Any, source: str, field: str) -> tuple[float, float, float]:
    """A Point or Vector3 with finite components.

    Raises:
        InputError: if one is not finite.
    """
    return (
        finite(vector.x, source, f"{field}.x"),
        finite(vector.y, source, f"{field}.y"),
        finite(vector.z, source, f"{field}.z"),
    )


def set_xyz(vector: Any, values: Any) -> None:
    """Fill a Point or Vector3."""
    vector.x, vector.y, vector.z = (float(v) for v in values)


def pose_transform(position: Any, orientation: Any, source: str, field: str) -> Transform:
    """A transform from a position and a quaternion message.

    Raises:
        InputError: if a component is not finite or the quaternion is no rotation.
    """
    translation_m = xyz(position, source, f"{field}.position")
    q = (
        *xyz(orientation, source, f"{field}.orientation"),
        finite(orientation.w, source, f"{field}.orientation.w"),
    )
    norm = math.sqrt(sum(c * c for c in q))
    if abs(norm - 1.0) > QUATERNION_NORM_TOLERANCE:
        raise InputError(
            source, f"not a rotation: the quaternion's length is {norm:.4g}", f"{field}.orientation"
        )
    return Transform.from_quaternion(translation_m, q)


def set_quaternion(orientation: Any, transform: Transform) -> None:
    """Fill a Quaternion with a transform's rotation."""
    orientation.x, orientation.y, orientation.z, orientation.w = transform.quaternion_xyzw().tolist()


def planar(twist: Any, source: str, field: str) -> Velocity:
    """The planar velocity of a Twist.

    Raises:
        InputError: if one of its components is not finite.
    """
    return (
        finite(twist.linear.x, source, f"{field}.linear.x".lstrip(".")),
        finite(twist.linear.y, source, f"{field}.linear.y".lstrip(".")),
        finite(twist.angular.z, source, f"{field}.angular.z".lstrip(".")),
    )


def set_planar(twist: Any, velocity: Velocity) -> None:
    """Fill a Twist with a planar velocity."""
    twist.linear.x, twist.linear.y, twist.angular.z = (float(v) for v in velocity)
