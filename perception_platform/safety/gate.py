"""The safety gate: one decision a beat, whether or not input comes; the default is a stop."""

from __future__ import annotations

import math
from dataclasses import replace

from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Decision, Finding, GateState, Reason
from perception_platform.safety.checks import (
    check_inputs,
    fault_finding,
    fresh_obstacles,
    usable_findings,
    usable_motion,
)
from perception_platform.safety.config import GateConfig
from perception_platform.safety.faults import SURROUNDINGS
from perception_platform.safety.field import STANDSTILL_MPS, check_field
from perception_platform.safety.inputs import GateInputs

OVERRUN_PERIODS = 2.5

_MISSING = frozenset(
    {
        Reason.ASSESSMENT_MISSING,
        Reason.OBSTACLES_MISSING,
        Reason.ODOMETRY_MISSING,
    }
)


class SafetyGate:
    """Turns the inputs of each beat into a decision; keeps only what time needs: holds, latches, newest stamps."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._sequence = 0
        self._started = False
        self._last_beat_ns: int | None = None
        self._stopped_at_ns: int | None = None
        self._latched = fault_finding(Reason.STARTING, config) if config.latch_on else None
        self._newest_ns: dict[str, int] = {}

    def reset(self) -> None:
        """Release a latched stop; whatever still asks for a stop stops again at the next beat.

        A gate that has reasons to latch on begins latched, so that a restart does not release what was latched.
        """
        self._latched = None

    def step(self, now_ns: int, inputs: GateInputs) -> Decision:
        """One beat.

        Args:
            now_ns: the clock that stamps the sensors, ns.
            inputs: the newest of everything.
        """
        faults = [*self._check_time(now_ns, inputs), *check_inputs(now_ns, inputs, self._config)]
        faults = [*self._check_start(faults), *faults]
        findings = sorted([*faults, *self._surroundings(now_ns, inputs, faults)], key=lambda f: f.strictness)
        findings = sorted([*self._lasting(now_ns, findings), *findings], key=lambda f: f.strictness)
        decision = self._decide(now_ns, inputs, tuple(findings))
        self._sequence += 1
        self._last_beat_ns = now_ns
        return decision

    def _check_time(self, now_ns: int, inputs: GateInputs) -> list[Finding]:
        """The gate's own clock and the order of each input's stamps."""
        found = []
        if self._last_beat_ns is not None:
            gap_ns = now_ns - self._last_beat_ns
            if gap_ns < 0:
                self._newest_ns.clear()
                self._stopped_at_ns = now_ns
                found.append(self._backwards("clock of the gate", gap_ns))
            elif gap_ns > OVERRUN_PERIODS * self._config.period_ns:
                found.append(self._overrun(gap_ns))
        stamped = {"assessment": inputs.assessment, "odometry": inputs.ego, **inputs.obstacles}
        for name, seen in stamped.items():
            if seen is None:
                continue
            t_ns = seen.value.t_ns
            back_ns = t_ns - self._newest_ns.get(name, t_ns)
            self._newest_ns[name] = t_ns
            if back_ns < 0:
                found.append(self._backwards(name, back_ns))
        return found

    def _backwards(self, name: str, step_ns: int) -> Finding:
        return fault_finding(
            Reason.BACKWARDS_STAMP,
            self._config,
            quantity="step of time",
            value=to_s(step_ns),
            unit="s",
            upper=False,
            sensor=name,
            detail=f"{name} by {-to_s(step_ns):.3f} s",
        )

    def _overrun(self, gap_ns: int) -> Finding:
        return fault_finding(
            Reason.GATE_OVERRUN,
            self._config,
            quantity="time between beats",
            value=to_s(gap_ns),
            threshold=to_s(self._config.period_ns),
            unit="s",
        )

    def _check_start(self, faults: list[Finding]) -> list[Finding]:
        """Until everything has come once, say so: the stop is then no failure."""
        self._started = self._started or not any(f.reason in _MISSING for f in faults)
        return [] if self._started else [fault_finding(Reason.STARTING, self._config)]

    def _surroundings(self, now_ns: int, inputs: GateInputs, faults: list[Finding]) -> list[Finding]:
        """What the risk stage found, and the gate's own look at raw points."""
        found: list[Finding] = []
        stale = any(f.reason is Reason.ASSESSMENT_STALE for f in faults)
        if inputs.assessment is not None and not stale:
            found += usable_findings(inputs.assessment.value.findings)
        if inputs.ego is not None and usable_motion(inputs.ego.value):
            clouds = fresh_obstacles(now_ns, inputs, self._config)
            field = check_field(clouds, inputs.ego.value, _fresh_command(inputs, self._config), self._config)
            found += [field] if field else []
        return found

    def _lasting(self, now_ns: int, findings: list[Finding]) -> list[Finding]:
        """Stops outlive their reason: until it has been gone for a while or, latched, until they are reset."""
        stops = [f for f in findings if f.action <= Action.STOP]
        if stops and self._started:
            self._stopped_at_ns = now_ns
        latching = next((f for f in findings if f.reason in self._config.latch_on), None)
        self._latched = self._latched or latching
        if self._latched is not None:
            text = f"latched until reset: {self._latched.text}"
            action = min(self._latched.action, Action.STOP)
            return [replace(self._latched, action=action, speed_limit_mps=0.0, text=text)]
        if stops or self._stopped_at_ns is None:
            return []
        gone_s = to_s(now_ns - self._stopped_at_ns)
        return [self._hold(gone_s)] if gone_s < self._config.hold_s else []

    def _hold(self, gone_s: float) -> Finding:
        return Finding(
            Reason.HOLD,
            Action.STOP,
            0.0,
            quantity="time since the reason was gone",
            value=gone_s,
            threshold=self._config.hold_s,
            unit="s",
            text=f"the reason for the stop has been gone for {gone_s:.2f} s only: stop",
        )

    def _decide(self, now_ns: int, inputs: GateInputs, findings: tuple[Finding, ...]) -> Decision:
        config = self._config
        action = findings[0].action if findings else Action.PROCEED
        limit_mps = min([config.max_speed_mps, *(f.speed_limit_mps for f in findings)])
        limit_mps = 0.0 if action <= Action.STOP else limit_mps
        command = _fresh_command(inputs, config)
        assessment = inputs.assessment.value if inputs.assessment else None
        latency_ns = assessment.lineage.age_ns(now_ns) if assessment else None
        decision = Decision(
            t_ns=now_ns,
            sequence=self._sequence,
            action=action,
            state=self._state(action, findings, inputs),
            speed_limit_mps=limit_mps,
            deceleration_mps2=config.emergency_decel_mps2
            if action is Action.EMERGENCY_STOP
            else config.service_decel_mps2,
            findings=findings,
            latched=self._latched is not None,
            latency_ns=-1 if latency_ns is None else latency_ns,
            command_mps=command,
            output_mps=limit_command(command, limit_mps, config.max_yaw_rate_radps),
        )
        if assessment is None:
            return decision
        return replace(decision, lineage=assessment.lineage, models=assessment.models)

    def _state(self, action: Action, findings: tuple[Finding, ...], inputs: GateInputs) -> GateState:
        if not self._started:
            return GateState.STARTING
        if action > Action.STOP:
            return GateState.LIMITED if action is Action.LIMIT else GateState.NORMAL
        if not any(f.reason in SURROUNDINGS for f in findings if f.action <= Action.STOP):
            return GateState.FAULT
        standing = inputs.ego is not None and math.hypot(*inputs.ego.value.velocity_mps) < STANDSTILL_MPS
        return GateState.STOPPED if standing else GateState.STOPPING


def _fresh_command(inputs: GateInputs, config: GateConfig) -> tuple[float, float, float] | None:
    command = inputs.command
    if command is None or not command.silence_s <= config.command_timeout_s:
        return None
    return command.value if all(math.isfinite(v) for v in command.value) else None


def limit_command(
    command: tuple[float, float, float] | None, limit_mps: float, max_yaw_rate_radps: float
) -> tuple[float, float, float]:
    """The commanded (vx, vy, yaw rate), scaled down to the limits so that its curvature stays; zero without one.

    A limit of zero lets nothing through, turning on the spot included. Sideways motion is never let through: no
    measure judges it.
    """
    if command is None or not limit_mps > 0:
        return (0.0, 0.0, 0.0)
    vx, _, yaw_rate = command
    share = min(
        1.0,
        limit_mps / abs(vx) if vx else 1.0,
        max_yaw_rate_radps / abs(yaw_rate) if yaw_rate else 1.0,
    )
    return (vx * share, 0.0, yaw_rate * share)
