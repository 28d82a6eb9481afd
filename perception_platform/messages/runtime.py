"""Reports of nodes about how they keep up, and of applications about what they see."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.errors import InputError
from perception_platform.core.runtime_status import ComponentCount, EdgeCount, RuntimeStatus
from perception_platform.messages.fields import Make, finite, not_nan, set_header, set_xyz, time_ns, xyz

_PACKAGE = "perception_platform_msgs/msg/"
_EDGE_COUNTS = [f.name for f in fields(EdgeCount) if f.name not in ("topic", "policy")]
_COMPONENT_COUNTS = ("runs", "overruns", "failures")
_SAID = ("application", "quantity", "unit", "text")
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
        components=tuple(_component_from_msg(component) for component in msg.components),
        deadline_risk=finite(msg.deadline_risk, topic, "deadline_risk"),
        speed_factor=speed_factor,
        **{name: getattr(msg, name) for name in _PLAIN},
    )


def runtime_status_to_msg(status: RuntimeStatus, make: Make) -> Any:
    """A RuntimeStatus."""
    msg = make(_PACKAGE + "RuntimeStatus")
    set_header(msg, status.t_ns, "")
    msg.edges = [_edge_to_msg(edge, make) for edge in status.edges]
    msg.components = [_component_to_msg(component, make) for component in status.components]
    msg.deadline_risk, msg.speed_factor = float(status.deadline_risk), float(status.speed_factor)
    for name in _PLAIN:
        setattr(msg, name, getattr(status, name))
    return msg


def application_report_from_msg(msg: Any, topic: str = "/perception/applications") -> ApplicationReport:
    """An ApplicationReport.

    Raises:
        InputError: names topic and field if the value is NaN, or a time or the point not finite.
    """
    return ApplicationReport(
        t_ns=time_ns(msg.header.stamp, topic),
        value=not_nan(msg.value, topic, "value"),
        point_m=xyz(msg.point, topic, "point")[:2] if msg.has_point else None,
        rate_hz=finite(msg.rate, topic, "rate"),
        deadline_s=finite(msg.deadline, topic, "deadline"),
        age_s=finite(msg.age, topic, "age"),
        **{name: getattr(msg, name) for name in _SAID},
    )


def application_report_to_msg(report: ApplicationReport, frame_id: str, make: Make) -> Any:
    """An ApplicationReport with its point in the frame."""
    msg = make(_PACKAGE + "ApplicationReport")
    set_header(msg, report.t_ns, frame_id)
    msg.value, msg.rate = float(report.value), float(report.rate_hz)
    msg.deadline, msg.age = float(report.deadline_s), float(report.age_s)
    msg.has_point = report.point_m is not None
    if report.point_m is not None:
        set_xyz(msg.point, (*report.point_m, 0.0))
    for name in _SAID:
        setattr(msg, name, getattr(report, name))
    return msg


def _component_from_msg(msg: Any) -> ComponentCount:
    runs, overruns, failures = (int(getattr(msg, name)) for name in _COMPONENT_COUNTS)
    times_s = (float(msg.run_time_p50), float(msg.run_time_p99))
    return ComponentCount(msg.component, float(msg.budget), runs, overruns, failures, *times_s)


def _component_to_msg(count: ComponentCount, make: Make) -> Any:
    msg = make(_PACKAGE + "ComponentCount")
    msg.component, msg.budget = count.component, float(count.budget_s)
    msg.run_time_p50, msg.run_time_p99 = float(count.run_time_p50_s), float(count.run_time_p99_s)
    for name in _COMPONENT_COUNTS:
        setattr(msg, name, getattr(count, name))
    return msg


def _edge_from_msg(msg: Any) -> EdgeCount:
    return EdgeCount(msg.topic, msg.policy, *(int(getattr(msg, name)) for name in _EDGE_COUNTS))


def _edge_to_msg(edge: EdgeCount, make: Make) -> Any:
    msg = make(_PACKAGE + "EdgeCount")
    for name in ("topic", "policy", *_EDGE_COUNTS):
        setattr(msg, name, getattr(edge, name))
    return msg
