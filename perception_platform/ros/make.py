"""Blank ROS messages by type name, for the encoders in ``messages/``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def message_class(type_name: str) -> Any:
    """The class of a ROS type such as ``sensor_msgs/msg/PointCloud2``.

    Raises:
        ModuleNotFoundError: if its package is not installed.
    """
    package, kind, name = type_name.split("/")
    return getattr(import_module(f"{package}.{kind}"), name)


def make(type_name: str) -> Any:
    """A blank message of that type.

    Raises:
        ModuleNotFoundError: if its package is not installed.
    """
    return message_class(type_name)()


@cache
def installed(type_name: str) -> bool:
    """Whether such messages can be made here: ``tf2_msgs`` comes with a robot's ROS 2, but not as a wheel."""
    try:
        message_class(type_name)
    except ModuleNotFoundError:
        return False
    return True
