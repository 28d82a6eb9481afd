"""Which faults the inputs show: missing, stale, from the future, out of order, failed, malformed, late."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from perception_platform.core.model_status import ModelState
from perception_platform.core.sensor_data import (
    EgoState,
    PointCloud,
    SensorHealth,
    SensorProblem,
    SensorStatus,
)
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.safety.config import HEALTH_TIMEOUT_S, GateConfig
from perception_platform.safety.faults import FAULTS
from perception_platform.safety.inputs import GateInputs, Seen

BLOCKED = frozenset(
    {
        SensorProblem.SECTOR_BLIND,
        SensorProblem.FROZEN_IMAGE,
        SensorProblem.DARK_IMAGE,
        SensorProblem.SATURATED_IMAGE,
    }
)


def fault_finding(
    reason: Reason,
    config: GateConfig,
    *,
    quantity: str = "",
    value: float = 0.0,
    threshold: float = 0.0,
    unit: str = "",
    upper: bool = True,
    sensor: str = "",
    detail: str = "",
) -> Finding:
    """The finding that a row of the fault table asks for."""
    row = FAULTS[reason]
    return Finding(
        reason,
        row.action,
        row.speed_share * config.max_speed_mps,
        quantity,
        value,
        threshold,
        unit,
        upper=upper,
        sensor=sensor,
        text=f"{row.text} ({detail})" if detail else row.text,
    )


def check_inputs(now_ns: int, inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    """Every fault of one beat's inputs."""
    yield from _check_stamped(
        "assessment", inputs.assessment, Reason.ASSESSMENT_MISSING, Reason.ASSESSMENT_STALE, now_ns, config
    )
    yield from _check_stamped(
        "odometry", inputs.ego, Reason.ODOMETRY_MISSING, Reason.ODOMETRY_STALE, now_ns, config
    )
    for sensor in config.gap_sensors:
        seen = inputs.obstacles.get(sensor)
        yield from _check_stamped(
            sensor, seen, Reason.OBSTACLES_MISSING, Reason.OBSTACLES_STALE, now_ns, config
        )
    yield from _check_optional_obstacles(now_ns, inputs, config)
    yield from _check_motion(inputs, config)
    yield from _check_latency(now_ns, inputs, config)
    yield from _check_health(inputs, config)
    yield from _check_command(inputs, config)
    yield from _check_load(inputs, config)
    yield from _check_models(inputs, config)


def age_s(now_ns: int, stamp_ns: int, silence_s: float) -> float:
    """Age of an input: by its stamp or by the silence since, whichever is larger; a NaN counts as infinite."""
    return math.inf if math.isnan(silence_s) else max(to_s(now_ns - stamp_ns), silence_s)


def _check_stamped(
    name: str, seen: Seen[Any] | None, missing: Reason, stale: Reason, now_ns: int, config: GateConfig
) -> Iterator[Finding]:
    if seen is None:
        yield fault_finding(missing, config, sensor=name, detail=name)
        return
    ahead_s = to_s(seen.value.t_ns - now_ns)
    if ahead_s > config.future_tolerance_s:
        yield fault_finding(
            Reason.FUTURE_STAMP,
            config,
            quantity="stamp ahead of clock",
            value=ahead_s,
            threshold=config.future_tolerance_s,
            unit="s",
            sensor=name,
            detail=f"{name} by {ahead_s:.3f} s",
        )
    age, limit_s = _age_of(now_ns, seen), config.timeout_s(name)
    if age > limit_s:
        yield _aged(stale, age, limit_s, name, config)


def fresh_obstacles(now_ns: int, inputs: GateInputs, config: GateConfig) -> list[PointCloud]:
    """Obstacle points that still tell where things are; old ones would travel along with the robot."""
    return [
        seen.value
        for sensor, seen in inputs.obstacles.items()
        if _age_of(now_ns, seen) <= config.timeout_s(sensor)
    ]


def _check_optional_obstacles(now_ns: int, inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    for sensor, seen in sorted(inputs.obstacles.items()):
        age, limit_s = _age_of(now_ns, seen), config.timeout_s(sensor)
        if sensor not in config.gap_sensors and age > limit_s:
            yield _aged(Reason.SENSOR_DEGRADED, age, limit_s, sensor, config)


def _age_of(now_ns: int, seen: Seen[Any]) -> float:
    return age_s(now_ns, seen.value.t_ns, seen.silence_s)


def _aged(reason: Reason, age: float, limit_s: float, name: str, config: GateConfig) -> Finding:
    return fault_finding(
        reason,
        config,
        quantity="age",
        value=age,
        threshold=limit_s,
        unit="s",
        sensor=name,
        detail=f"{name} is {age:.2f} s old",
    )


def fresh_motion(now_ns: int, inputs: GateInputs, config: GateConfig) -> EgoState | None:
    """Odometry that tells how the robot moves now: neither stale nor without numbers."""
    seen = inputs.ego
    if seen is None or not _age_of(now_ns, seen) <= config.input_timeout_s:
        return None
    return seen.value if _is_motion(seen.value) else None


def fresh_command(inputs: GateInputs, config: GateConfig) -> tuple[float, float, float] | None:
    """The commanded velocity, if there is one that is neither stale nor without numbers."""
    command = inputs.command
    if command is None or not command.silence_s <= config.command_timeout_s:
        return None
    return command.value if all(math.isfinite(v) for v in command.value) else None


def _is_motion(ego: EgoState) -> bool:
    return all(math.isfinite(v) for v in (*ego.velocity_mps, ego.yaw_rate_radps))


def _check_motion(inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    if inputs.ego is not None and not _is_motion(inputs.ego.value):
        yield fault_finding(Reason.ODOMETRY_STALE, config, sensor="odometry", detail="velocity is not finite")


def _check_latency(now_ns: int, inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    if inputs.assessment is None:
        return
    lineage = inputs.assessment.value.lineage
    latency_ns = lineage.age_ns(now_ns)
    latency_s = math.inf if latency_ns is None else to_s(latency_ns)
    ages_s = [(to_s(now_ns - s.t_ns), config.timeout_s(s.sensor)) for s in lineage.sources]
    age, limit_s = max(ages_s, key=_over, default=(math.inf, config.input_timeout_s))
    if age > limit_s:  # a new assessment of old data is old
        yield _aged(Reason.ASSESSMENT_STALE, age, limit_s, "data behind the assessment", config)
    elif latency_s > config.latency_bound_s:
        yield fault_finding(
            Reason.LATENCY_OVER_BOUND,
            config,
            quantity="latency",
            value=latency_s,
            threshold=config.latency_bound_s,
            unit="s",
            detail=f"{latency_s * 1e3:.0f} ms",
        )


def _over(aged: tuple[float, float]) -> float:
    """By how much an age is over its limit."""
    return aged[0] - aged[1]


def _check_health(inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    for sensor in config.reporting_sensors:
        if sensor not in inputs.health:
            yield fault_finding(
                Reason.SENSOR_FAILED, config, sensor=sensor, detail=f"{sensor} never reported"
            )
    for sensor, seen in sorted(inputs.health.items()):
        if sensor in config.idle_sensors:
            continue
        reason = _health_reason(seen, sensor in config.required_sensors)
        if reason is not None:
            silent = not seen.silence_s <= HEALTH_TIMEOUT_S
            finding = fault_finding(
                reason,
                config,
                quantity="silence of health reports" if silent else "sensor status",
                value=seen.silence_s if silent else float(seen.value.status),
                threshold=HEALTH_TIMEOUT_S if silent else float(SensorStatus.OK),
                unit="s" if silent else "1",
                upper=silent,
                sensor=sensor,
                detail=f"{sensor}: {seen.value.text}",
            )
            yield _by_blind_angle(finding, seen.value, config) if reason is Reason.SENSOR_BLOCKED else finding


def _by_blind_angle(finding: Finding, health: SensorHealth, config: GateConfig) -> Finding:
    """The more of the circle is blind, the slower: at half of it no faster than on an escape."""
    blind_rad = sum(end - start for start, end in health.blind_sectors_rad)
    share = min(1.0, max(0.0, 1 - blind_rad / math.pi))  # in this order: what is no number counts as half
    limit_mps, least_mps = finding.speed_limit_mps * share, min(config.escape_mps, finding.speed_limit_mps)
    return replace(finding, speed_limit_mps=max(limit_mps, least_mps))


def _health_reason(seen: Seen[SensorHealth], required: bool) -> Reason | None:
    silent = not seen.silence_s <= HEALTH_TIMEOUT_S
    if silent or seen.value.status == SensorStatus.FAILED:
        return Reason.SENSOR_FAILED if required else Reason.SENSOR_DEGRADED
    if seen.value.status != SensorStatus.DEGRADED:
        return None
    return Reason.SENSOR_DEGRADED if BLOCKED.isdisjoint(seen.value.problems) else Reason.SENSOR_BLOCKED


def _check_command(inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    command = inputs.command
    if command is None:
        return
    if not all(math.isfinite(v) for v in command.value):
        yield fault_finding(Reason.MALFORMED_INPUT, config, sensor="command", detail="command is not finite")
    elif not command.silence_s <= config.command_timeout_s:
        yield fault_finding(
            Reason.COMMAND_STALE,
            config,
            quantity="silence",
            value=command.silence_s,
            threshold=config.command_timeout_s,
            unit="s",
            sensor="command",
        )


def _check_load(inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    if not inputs.speed_factor >= 1:
        factor = max(0.0, inputs.speed_factor)  # in this order: what is no number counts as nought
        finding = fault_finding(
            Reason.LOAD_SHED,
            config,
            quantity="speed factor",
            value=factor,
            threshold=1.0,
            unit="1",
            upper=False,
        )
        asked_mps = factor * config.max_speed_mps
        yield replace(finding, speed_limit_mps=min(finding.speed_limit_mps, asked_mps))


def _check_models(inputs: GateInputs, config: GateConfig) -> Iterator[Finding]:
    for head, status in sorted(inputs.models.items()):
        if status.state is not ModelState.ACTIVE:
            detail = f"{head}: {status.state.name.lower()}, {status.text}"
            yield fault_finding(
                Reason.MODEL_FALLBACK,
                config,
                quantity="model state",
                value=float(status.state),
                threshold=float(ModelState.ACTIVE),
                unit="1",
                upper=False,
                sensor=head,
                detail=detail,
            )


def usable_findings(findings: tuple[Finding, ...]) -> Iterator[Finding]:
    """Findings of the risk stage; one whose limit is not a finite number of at least zero becomes a stop."""
    for finding in findings:
        limit_mps = finding.speed_limit_mps
        if math.isfinite(limit_mps) and limit_mps >= 0:
            yield finding
        else:
            text = f"limit {limit_mps} m/s makes no sense: stop ({finding.text})"
            action = min(finding.action, Action.STOP)
            yield replace(
                finding, reason=Reason.MALFORMED_INPUT, action=action, speed_limit_mps=0.0, text=text
            )
