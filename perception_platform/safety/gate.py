"""The safety gate: one decision a beat, whether or not input comes; the default is a stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy

from perception_platform.core.lineage import Lineage
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import (
    Action,
    Decision,
    Finding,
    GateState,
    NearObjects,
    Reason,
    Without,
)
from perception_platform.safety.checks import (
    check_inputs,
    fault_finding,
    fresh_command,
    fresh_motion,
    fresh_obstacles,
    usable_findings,
)
from perception_platform.safety.config import GateConfig
from perception_platform.safety.escape import (
    escape_finding,
    escape_motion,
    escape_reach_m,
    is_escape,
    is_located,
    look_around,
)
from perception_platform.safety.field import STANDSTILL_MPS, TURNING_RADPS, check_field, field_reach_m
from perception_platform.safety.footprint import Motion
from perception_platform.safety.inputs import GateInputs
from perception_platform.safety.memory import Clocks, Events, Holds
from perception_platform.safety.nearby import Nearby
from perception_platform.safety.opinions import Opinions
from perception_platform.safety.override import Override
from perception_platform.safety.profile import VelocityProfile
from perception_platform.safety.states import state_of, transition_text
from perception_platform.safety.without import without_binding

_MISSING = frozenset(
    {
        Reason.ASSESSMENT_MISSING,
        Reason.OBSTACLES_MISSING,
        Reason.ODOMETRY_MISSING,
    }
)
# Stops that an escape may begin from; one that has begun goes on while the stop is held, too.
_ESCAPABLE = frozenset(
    {Reason.OBJECT_IN_PATH, Reason.POINTS_IN_PATH, Reason.ZONE, Reason.POINTS_IN_FIELD, Reason.HOLD}
)
_SLIP_MPS = 0.05  # by which odometry may exceed what was let through


class SafetyGate:
    """Turns the inputs of each beat into a decision; keeps only what time needs.

    The same gate, in the same state, makes the same decision of the same inputs: it reads no clock and draws no lots.
    """

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._sequence = 0
        self._started = False
        self._state = GateState.STARTING
        self._clocks = Clocks(config)
        self._events = Events(config)
        self._holds = Holds(config)
        self._override = Override(config)
        self._opinions = Opinions(config)
        self._profile = VelocityProfile(config)
        self._nearby = Nearby(config)
        self._alone: tuple[tuple[Finding, ...], NearObjects | None, Without | None] = ((), None, None)

    def reset(self) -> None:
        """Release a latched stop; whatever still asks for a stop stops again at the next beat.

        A gate that has reasons to latch on begins latched, so that a restart does not release what was latched.
        """
        self._holds.reset()

    def override(self, now_ns: int, duration_s: float) -> None:
        """For development: have faults limit the robot to a creep in place of stopping it, for a while.

        Raises:
            ValueError: if the duration is not above zero and at most 30 s.
        """
        self._override.grant(now_ns, duration_s)

    def copy(self, *, held: bool = True) -> SafetyGate:
        """Another gate in the same state; without ``held`` it remembers no stop that outlives its reason."""
        other = deepcopy(self)
        if not held:
            other._holds = Holds(self._config)
            other._holds.reset()
        return other

    def step(self, now_ns: int, inputs: GateInputs) -> Decision:
        """One beat.

        Args:
            now_ns: the clock that stamps the sensors, ns.
            inputs: the newest of everything.
        """
        dt_s, late = self._clocks.beat(now_ns)
        faults = self._override.apply(now_ns, [*late, *self._faults(now_ns, inputs)])
        surroundings = self._surroundings(now_ns, inputs, faults)
        alarm = self._opinions.step(now_ns, surroundings)
        findings = _ordered([*faults, *surroundings, *([alarm] if alarm else [])])
        findings = _ordered([*self._holds.step(now_ns, findings, started=self._started), *findings])
        way_out = self._way_out(now_ns, inputs, findings)
        if way_out is not None:
            findings = [way_out[1], *findings]
        decision = self._decide(now_ns, dt_s, inputs, tuple(findings), way_out[0] if way_out else None)
        self._sequence += 1
        self._state = decision.state
        return decision

    def _faults(self, now_ns: int, inputs: GateInputs) -> list[Finding]:
        stamped = {"assessment": inputs.assessment, "odometry": inputs.ego, **inputs.obstacles}
        faults = [
            *self._clocks.order(stamped),
            *check_inputs(now_ns, inputs, self._config),
            *self._events.step(now_ns, inputs.events),
        ]
        # Until everything has come once, say so: the stop is then no failure.
        self._started = self._started or not any(f.reason in _MISSING for f in faults)
        return faults if self._started else [fault_finding(Reason.STARTING, self._config), *faults]

    def _surroundings(self, now_ns: int, inputs: GateInputs, faults: Sequence[Finding]) -> list[Finding]:
        """What the risk stage found, and the gate's own look at raw points."""
        found: list[Finding] = []
        stale = any(f.reason is Reason.ASSESSMENT_STALE for f in faults)
        if inputs.assessment is not None and not stale:
            found += usable_findings(inputs.assessment.value.findings)
        motion = fresh_motion(now_ns, inputs, self._config)
        if motion is not None:
            clouds = self._clouds(now_ns, inputs, motion)
            field = check_field(clouds, motion, fresh_command(inputs, self._config), self._config)
            found += [field] if field else []
        return found

    def _clouds(self, now_ns: int, inputs: GateInputs, ego: EgoState) -> list[PointCloud]:
        """Fresh obstacle points, as far as they can matter."""
        config = self._config
        ahead_m, beside_m = (max(reach_m, escape_reach_m(config)) for reach_m in field_reach_m(ego, config))
        return [
            self._nearby.of(cloud, ahead_m, beside_m) for cloud in fresh_obstacles(now_ns, inputs, config)
        ]

    def _way_out(
        self, now_ns: int, inputs: GateInputs, findings: Sequence[Finding]
    ) -> tuple[Motion, Finding] | None:
        """The commanded motion, slowed down, if its surroundings stop the robot and it leads away from them."""
        config = self._config
        ego, command = fresh_motion(now_ns, inputs, config), fresh_command(inputs, config)
        if ego is None or command is None or inputs.assessment is None or not self._may_escape(findings, ego):
            return None
        motion, near = escape_motion(command, config), inputs.assessment.value.near
        if motion is None or not is_located(findings, near):
            return None
        clouds = self._clouds(now_ns, inputs, ego)
        around = look_around(clouds, near, findings, ego, config, now_ns=now_ns)
        delay_s = config.longest_timeout_s + to_s(config.period_ns) + config.reaction_s
        if not is_escape(motion, around, delay_s, config):
            return None
        return motion, escape_finding(motion, around, config)

    def _may_escape(self, findings: Sequence[Finding], ego: EgoState) -> bool:
        """An escape begins where the robot has been stopped and stands, and goes on while the stop is held."""
        stops = {f.reason for f in findings if f.action <= Action.STOP}
        if not stops or self._holds.latched or not stops <= _ESCAPABLE:
            return False
        if self._state is GateState.ESCAPING:
            return math.hypot(*ego.velocity_mps) <= self._config.escape_mps + _SLIP_MPS
        stands = _stands(ego) and abs(ego.yaw_rate_radps) <= TURNING_RADPS
        return self._state is GateState.STOPPED and stands and stops != {Reason.HOLD}

    def _decide(
        self,
        now_ns: int,
        dt_s: float,
        inputs: GateInputs,
        findings: tuple[Finding, ...],
        way_out: Motion | None,
    ) -> Decision:
        config = self._config
        action = findings[0].action if findings else Action.PROCEED
        allowed = [f.speed_limit_mps for f in findings if way_out is None or f.action > Action.STOP]
        limit_mps = 0.0 if action <= Action.STOP else min([config.max_speed_mps, *allowed])
        ego = fresh_motion(now_ns, inputs, config)
        measured_mps = None if ego is None else 0.0 if _stands(ego) else math.hypot(*ego.velocity_mps)
        profile_mps = self._profile.step(dt_s, action, limit_mps, measured_mps)
        command = fresh_command(inputs, config)
        state = state_of(findings, started=self._started, standing=measured_mps == 0.0)
        assessment = inputs.assessment.value if inputs.assessment else None
        latency_ns = assessment.lineage.age_ns(now_ns) if assessment else None
        return Decision(
            t_ns=now_ns,
            sequence=self._sequence,
            action=action,
            state=state,
            speed_limit_mps=limit_mps,
            deceleration_mps2=config.emergency_decel_mps2
            if action is Action.EMERGENCY_STOP
            else config.service_decel_mps2,
            findings=findings,
            latched=self._holds.latched,
            latency_ns=-1 if latency_ns is None else latency_ns,
            command_mps=command,
            output_mps=self._profile.let_through(way_out or command, profile_mps),
            lineage=assessment.lineage if assessment else Lineage(),
            models=assessment.models if assessment else (),
            previous_state=self._state,
            transition=transition_text(self._state, state, findings),
            without=self._without(findings, assessment.near if assessment else NearObjects.none()),
            profile_mps=profile_mps,
        )

    def _without(self, findings: tuple[Finding, ...], near: NearObjects) -> Without | None:
        """The counterfactual, worked out once for as long as the same findings of the same assessment come again."""
        known, known_near, _ = self._alone
        same = near is known_near and len(findings) == len(known)
        if not same or not all(a is b for a, b in zip(findings, known, strict=True)):
            self._alone = (findings, near, without_binding(findings, near, self._config.max_speed_mps))
        return self._alone[2]


def _ordered(findings: Sequence[Finding]) -> list[Finding]:
    """The strictest first."""
    return sorted(findings, key=lambda f: f.strictness)


def _stands(ego: EgoState) -> bool:
    return math.hypot(*ego.velocity_mps) < STANDSTILL_MPS
