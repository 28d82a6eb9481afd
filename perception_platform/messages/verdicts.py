"""Assessments, decisions, and reports about sensors and models."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.model_status import Assurance, ModelState, ModelStatus
from perception_platform.core.objects import ModelRef, ObjectClass
from perception_platform.core.sensor_data import SensorHealth, SensorProblem, SensorStatus
from perception_platform.core.time import NS_PER_S, from_s
from perception_platform.core.verdicts import (
    Action,
    Assessment,
    Decision,
    Finding,
    GateState,
    NearObjects,
    ObjectRisks,
    Reason,
    Without,
)
from perception_platform.messages.fields import (
    Make,
    finite,
    member,
    not_nan,
    planar,
    raw_bytes,
    set_array,
    set_header,
    set_planar,
    set_xyz,
    time_ns,
    xyz,
)
from perception_platform.messages.objects import (
    lineage_from_msg,
    lineage_to_msg,
    model_ref_to_msg,
    models_from_msg,
)

_PACKAGE = "perception_platform_msgs/msg/"
# ObjectRisks' arrays of floats and the fields of ObjectRisk.msg that hold them.
_RISK_FIELDS = {
    "gap_m": "gap",
    "distance_m": "distance",
    "closing_mps": "closing_speed",
    "ttc_s": "time_to_collision",
    "required_decel_mps2": "required_deceleration",
    "speed_limit_mps": "speed_limit",
    "headway_s": "headway",
    "ttc_accelerating_s": "time_to_collision_accelerating",
    "ttc_sigma_s": "time_to_collision_sigma",
    "post_encroachment_s": "post_encroachment_time",
    "rss_gap_m": "rss_gap",
    "rss_beside_m": "rss_beside",
    "reach_m": "reach",
    "separation_m": "separation",
}


def finding_from_msg(msg: Any, source: str) -> Finding:
    """A Finding message.

    Raises:
        InputError: names source and field if an enum is unknown, a number is NaN or the limit is negative.
    """
    limit_mps = not_nan(msg.speed_limit, source, "findings.speed_limit")
    if limit_mps < 0:
        raise InputError(source, f"negative: {limit_mps}", "findings.speed_limit")
    return Finding(
        reason=member(Reason, msg.reason, source, "findings.reason"),
        action=member(Action, msg.action, source, "findings.action"),
        speed_limit_mps=limit_mps,
        quantity=msg.quantity,
        value=not_nan(msg.value, source, "findings.value"),
        threshold=not_nan(msg.threshold, source, "findings.threshold"),
        unit=msg.unit,
        upper=bool(msg.upper_bound),
        zone=msg.zone,
        track_ids=tuple(int(i) for i in msg.track_ids),
        points_m=tuple(xyz(p, source, "findings.points") for p in msg.points),
        sensor=msg.sensor,
        text=msg.text,
    )


def finding_to_msg(finding: Finding, make: Make) -> Any:
    """A Finding message."""
    msg = make(_PACKAGE + "Finding")
    msg.reason, msg.action = int(finding.reason), int(finding.action)
    msg.speed_limit, msg.quantity = float(finding.speed_limit_mps), finding.quantity
    msg.value, msg.threshold, msg.unit = float(finding.value), float(finding.threshold), finding.unit
    msg.upper_bound, msg.margin = bool(finding.upper), float(finding.margin)
    set_array(msg, "track_ids", np.asarray(finding.track_ids, dtype=np.uint64))
    msg.points = [_point(p, make) for p in finding.points_m]
    msg.zone, msg.sensor, msg.text = finding.zone, finding.sensor, finding.text
    return msg


def assessment_from_msg(msg: Any, topic: str = "/risk/assessment") -> Assessment:
    """A RiskAssessment.

    Raises:
        InputError: names the topic and the field if a measure is NaN or an enum is unknown.
    """
    return Assessment(
        t_ns=time_ns(msg.header.stamp, topic),
        findings=tuple(finding_from_msg(f, topic) for f in msg.findings),
        objects=_risks_from_msgs(msg.objects, topic),
        lineage=lineage_from_msg(msg.lineage, topic),
        models=models_from_msg(msg.models),
        disabled_zones=tuple(str(name) for name in msg.disabled_zones),
        near=_near_from_msgs(msg.near, topic),
    )


def assessment_to_msg(
    assessment: Assessment, base_frame: str, make: Make, *, with_objects: bool = True
) -> Any:
    """A RiskAssessment; without its objects it stays small however many there are."""
    msg = make(_PACKAGE + "RiskAssessment")
    set_header(msg, assessment.t_ns, base_frame)
    msg.lineage = lineage_to_msg(assessment.lineage, make)
    msg.models = [model_ref_to_msg(m, make) for m in assessment.models]
    msg.findings = [finding_to_msg(f, make) for f in assessment.findings]
    msg.disabled_zones = list(assessment.disabled_zones)
    msg.near = [_near_to_msg(assessment.near, i, make) for i in range(len(assessment.near))]
    if with_objects:
        msg.objects = [_risk_to_msg(assessment.objects, i, make) for i in range(len(assessment.objects))]
    return msg


def decision_from_msg(msg: Any, topic: str = "/safety/decision") -> Decision:
    """A SafetyDecision.

    Raises:
        InputError: names topic and field if a limit or velocity is not a number or an enum is unknown.
    """
    return Decision(
        t_ns=time_ns(msg.header.stamp, topic),
        sequence=int(msg.sequence),
        action=member(Action, msg.action, topic, "action"),
        state=member(GateState, msg.state, topic, "state"),
        speed_limit_mps=not_nan(msg.speed_limit, topic, "speed_limit"),
        deceleration_mps2=finite(msg.deceleration, topic, "deceleration"),
        findings=tuple(finding_from_msg(f, topic) for f in msg.findings),
        latched=bool(msg.latched),
        latency_ns=-1 if msg.latency < 0 else from_s(finite(msg.latency, topic, "latency")),
        command_mps=planar(msg.command, topic, "command") if msg.command_fresh else None,
        output_mps=planar(msg.output, topic, "output"),
        lineage=lineage_from_msg(msg.lineage, topic),
        models=models_from_msg(msg.models),
        previous_state=member(GateState, msg.previous_state, topic, "previous_state"),
        transition=msg.transition,
        profile_mps=finite(msg.profile, topic, "profile"),
        without=_without_from_msg(msg, topic) if msg.binds else None,
    )


def decision_to_msg(decision: Decision, base_frame: str, make: Make) -> Any:
    """A SafetyDecision."""
    msg = make(_PACKAGE + "SafetyDecision")
    set_header(msg, decision.t_ns, base_frame)
    msg.sequence, msg.action, msg.state = decision.sequence, int(decision.action), int(decision.state)
    msg.speed_limit, msg.deceleration = float(decision.speed_limit_mps), float(decision.deceleration_mps2)
    set_array(msg, "reasons", np.asarray([int(r) for r in decision.reasons], dtype=np.uint16))
    msg.findings = [finding_to_msg(f, make) for f in decision.findings]
    msg.latched = decision.latched
    msg.latency = -1.0 if decision.latency_ns < 0 else decision.latency_ns / NS_PER_S
    msg.command_fresh = decision.command_mps is not None
    set_planar(msg.command, decision.command_mps or (0.0, 0.0, 0.0))
    set_planar(msg.output, decision.output_mps)
    msg.lineage = lineage_to_msg(decision.lineage, make)
    msg.models = [model_ref_to_msg(m, make) for m in decision.models]
    msg.profile = float(decision.profile_mps)
    msg.previous_state, msg.transition = int(decision.previous_state), decision.transition
    if decision.without is not None:
        msg.binds, msg.without_action = True, int(decision.without.action)
        msg.without_speed_limit = float(decision.without.speed_limit_mps)
        msg.without_reason = int(decision.without.reason or 0)
    return msg


def _without_from_msg(msg: Any, topic: str) -> Without:
    return Without(
        action=member(Action, msg.without_action, topic, "without_action"),
        speed_limit_mps=not_nan(msg.without_speed_limit, topic, "without_speed_limit"),
        reason=member(Reason, msg.without_reason, topic, "without_reason") if msg.without_reason else None,
    )


def health_from_msg(msg: Any, topic: str = "/sensor_health") -> SensorHealth:
    """A SensorHealth.

    Raises:
        InputError: names topic and field if an enum is unknown, a measure is NaN or a sector has one end.
    """
    if len(msg.blind_sectors) % 2:
        raise InputError(topic, f"{len(msg.blind_sectors)} values are not pairs", "blind_sectors")
    ends_rad = [finite(a, topic, "blind_sectors") for a in msg.blind_sectors]
    return SensorHealth(
        t_ns=time_ns(msg.header.stamp, topic),
        sensor=msg.sensor,
        status=member(SensorStatus, msg.status, topic, "status"),
        problems=tuple(member(SensorProblem, p, topic, "problems") for p in raw_bytes(msg.problems)),
        rate_hz=finite(msg.rate, topic, "rate"),
        age_s=not_nan(msg.age, topic, "age"),
        frames_received=int(msg.frames_received),
        frames_dropped=int(msg.frames_dropped),
        packets_dropped=int(msg.packets_dropped),
        malformed=int(msg.malformed),
        blind_sectors_rad=tuple(zip(ends_rad[::2], ends_rad[1::2], strict=True)),
        text=msg.text,
    )


def health_to_msg(health: SensorHealth, make: Make) -> Any:
    """A SensorHealth, in the frame of its sensor, which has the sensor's name."""
    msg = make(_PACKAGE + "SensorHealth")
    set_header(msg, health.t_ns, health.sensor)
    msg.sensor, msg.status, msg.text = health.sensor, int(health.status), health.text
    set_array(msg, "problems", np.asarray([int(p) for p in health.problems], dtype=np.uint8))
    msg.rate, msg.age = float(health.rate_hz), float(health.age_s)
    msg.frames_received, msg.frames_dropped = health.frames_received, health.frames_dropped
    msg.packets_dropped, msg.malformed = health.packets_dropped, health.malformed
    set_array(msg, "blind_sectors", np.asarray(health.blind_sectors_rad, dtype=np.float32).reshape(-1))
    return msg


def model_status_from_msg(msg: Any, topic: str = "/model_status") -> ModelStatus:
    """A ModelStatus.

    Raises:
        InputError: names the topic and the field if the state is unknown.
    """
    return ModelStatus(
        t_ns=time_ns(msg.header.stamp, topic),
        head=msg.head,
        model=ModelRef(msg.model.id, msg.model.digest) if msg.model.id else None,
        state=member(ModelState, msg.state, topic, "state"),
        backend=msg.backend,
        run_time_p50_s=float(msg.run_time_p50),
        run_time_p99_s=float(msg.run_time_p99),
        runs=int(msg.runs),
        failures=int(msg.failures),
        text=msg.text,
        assurance=Assurance(
            msg.calibration,
            float(msg.calibration_error),
            msg.uncertainty,
            bool(msg.out_of_domain),
            msg.out_of_domain_reason,
        ),
    )


def model_status_to_msg(status: ModelStatus, make: Make) -> Any:
    """A ModelStatus."""
    msg = make(_PACKAGE + "ModelStatus")
    set_header(msg, status.t_ns, "")
    msg.head, msg.state, msg.backend, msg.text = status.head, int(status.state), status.backend, status.text
    if status.model:
        msg.model = model_ref_to_msg(status.model, make)
    msg.run_time_p50, msg.run_time_p99 = float(status.run_time_p50_s), float(status.run_time_p99_s)
    msg.runs, msg.failures = status.runs, status.failures
    assurance = status.assurance
    msg.calibration, msg.calibration_error = assurance.calibration, float(assurance.calibration_error)
    msg.uncertainty = assurance.uncertainty
    msg.out_of_domain, msg.out_of_domain_reason = assurance.out_of_domain, assurance.reason
    return msg


def _risks_from_msgs(msgs: Any, topic: str) -> ObjectRisks:
    floats = {
        name: np.array(
            [not_nan(getattr(m, field), topic, f"objects.{field}") for m in msgs], dtype=np.float64
        )
        for name, field in _RISK_FIELDS.items()
    }
    classes = [member(ObjectClass, m.class_id, topic, "objects.class_id") for m in msgs]
    return ObjectRisks(
        track_ids=np.array([m.track_id for m in msgs], dtype=np.int64),
        class_ids=np.array(classes, dtype=np.int64),
        in_path=np.array([m.in_path for m in msgs], dtype=np.bool_),
        **floats,
    )


def _risk_to_msg(risks: ObjectRisks, i: int, make: Make) -> Any:
    msg = make(_PACKAGE + "ObjectRisk")
    msg.track_id, msg.class_id = int(risks.track_ids[i]), int(risks.class_ids[i])
    msg.in_path = bool(risks.in_path[i])
    for name, field in _RISK_FIELDS.items():
        setattr(msg, field, float(getattr(risks, name)[i]))
    return msg


def _near_from_msgs(msgs: Any, topic: str) -> NearObjects:
    def numbers(name: str, shape: tuple[int, ...]) -> Array:
        values = np.array([getattr(m, name) for m in msgs], dtype=np.float64).reshape(shape)
        if not np.isfinite(values).all():
            raise InputError(topic, "not finite", f"near.{name}")
        return values

    ids = np.array([m.track_id for m in msgs], dtype=np.int64)
    return NearObjects(ids, numbers("corners", (-1, 4, 2)), numbers("velocity", (-1, 2)))


def _near_to_msg(near: NearObjects, i: int, make: Make) -> Any:
    msg = make(_PACKAGE + "NearObject")
    msg.track_id = int(near.track_ids[i])
    msg.corners = near.corners_m[i].reshape(8).astype(np.float64)
    msg.velocity = near.velocities_mps[i].astype(np.float64)
    return msg


def _point(values: tuple[float, float, float], make: Make) -> Any:
    point = make("geometry_msgs/msg/Point")
    set_xyz(point, values)
    return point
