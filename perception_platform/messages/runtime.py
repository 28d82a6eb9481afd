"""Reports of nodes about how they keep up."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.core.runtime_status import EdgeCount, RuntimeStatus
from perception_platform.messages.fields import Make, finite, set_header, time_ns

_PACKAGE = "perception_platform_msgs/msg/"
_EDGE_COUNTS = [f.name for f in fields(EdgeCount) if f.name not in ("topic", "policy")]
_PLAIN = ("node", "deadline_misses", "publishers_lost", "shed_level", "shed_step", "shed_reason")


def runtime_status_from_msg(msg: Any, topic: str = "/runtime_status") -> RuntimeStatus:
    """A RuntimeStatus.

    Raises:
        InputError: names topic and field if the risk is not finite or the speed factor is not between 0 and 1.
    """
    speed_factor = finite(msg.speed_factor, topic, "speed_factor")
    if not 0 <= speed_factor <= 1:
        raise InputError(topic, f"not between 0 and 1: {speed_factor}", "speed_factor")
    return RuntimeStatus(
        t_ns=time_ns(msg.header.stamp, topic),
        edges=tuple(_edge_from_msg(edge) for edge in msg.edges),
        deadline_risk=finite(msg.deadline_risk, topic, "deadline_risk"),
        speed_factor=speed_factor,
        **{name: getattr(msg, name) for name in _PLAIN},
    )


def runtime_status_to_msg(status: RuntimeStatus, make: Make) -> Any:
    """A RuntimeStatus."""
    msg = make(_PACKAGE + "RuntimeStatus")
    set_header(msg, status.t_ns, "")
    msg.edges = [_edge_to_msg(edge, make) for edge in status.edges]
    msg.deadline_risk, msg.speed_factor = float(status.deadline_risk), float(status.speed_factor)
    for name in _PLAIN:
        setattr(msg, name, getattr(status, name))
    return msg


def _edge_from_msg(msg: Any) -> EdgeCount:
    return EdgeCount(msg.topic, msg.policy, *(int(getattr(msg, name)) for name in _EDGE_COUNTS))


def _edge_to_msg(edge: EdgeCount, make: Make) -> Any:
    msg = make(_PACKAGE + "EdgeCount")
    for name in ("topic", "policy", *_EDGE_COUNTS):
        setattr(msg, name, getattr(edge, name))
    return msg
