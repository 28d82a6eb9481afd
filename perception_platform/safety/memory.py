"""What the gate remembers between beats: newest stamps, faults that outlast their message, holds and latches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.safety.checks import fault_finding
from perception_platform.safety.config import GateConfig
from perception_platform.safety.faults import FAULTS, Recovery
from perception_platform.safety.inputs import Event, Seen

OVERRUN_PERIODS = 2.5
DEADLINES = 3  # as many misses of one input within the time below are a stop
DEADLINES_WITHIN_S = 2.0


class Clocks:
    """Time of the gate's beats and the newest stamp of each input: neither may go back."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._beat_ns: int | None = None
        self._newest_ns: dict[str, int] = {}

    def beat(self, now_ns: int) -> tuple[float, list[Finding]]:
        """Time since the beat before, s, a period for the first one or after a step back; and what is wrong with it."""
        config = self._config
        gap_ns = config.period_ns if self._beat_ns is None else now_ns - self._beat_ns
        self._beat_ns = now_ns
        if gap_ns < 0:
            self._newest_ns.clear()
            return to_s(config.period_ns), [self._backwards("clock of the gate", gap_ns)]
        if gap_ns > OVERRUN_PERIODS * config.period_ns:
            return to_s(gap_ns), [self._overrun(gap_ns)]
        return to_s(gap_ns), []

    def order(self, stamped: Mapping[str, Seen[Any] | None]) -> Iterator[Finding]:
        """Inputs whose stamp is older than one that came before."""
        for name, seen in stamped.items():
            if seen is None:
                continue
            t_ns = seen.value.t_ns
            back_ns = t_ns - self._newest_ns.get(name, t_ns)
            self._newest_ns[name] = t_ns
            if back_ns < 0:
                yield self._backwards(name, back_ns)

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


class Events:
    """Faults that came as an event: a limit outlasts its event, and a deadline missed again and again is a stop."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._lasting: dict[tuple[Reason, str], tuple[int, Finding]] = {}
        self._misses_ns: dict[str, deque[int]] = {}

    def step(self, now_ns: int, events: Sequence[Event]) -> list[Finding]:
        """What the events of this beat and the beats before it ask for."""
        for event in events:
            found = fault_finding(event.reason, self._config, sensor=event.sensor, detail=event.detail)
            self._lasting[event.reason, event.sensor] = (now_ns, found)
            if event.reason is Reason.DEADLINE_MISSED:
                self._miss(now_ns, event)
        self._lasting = {key: kept for key, kept in self._lasting.items() if self._lasts(now_ns, *kept)}
        return [found for _, found in self._lasting.values()]

    def _miss(self, now_ns: int, event: Event) -> None:
        misses_ns = self._misses_ns.setdefault(event.sensor, deque(maxlen=DEADLINES))
        misses_ns.append(now_ns)
        if len(misses_ns) == DEADLINES and 0 <= to_s(now_ns - misses_ns[0]) <= DEADLINES_WITHIN_S:
            often = fault_finding(
                Reason.DEADLINES_MISSED,
                self._config,
                quantity="deadlines missed",
                value=float(DEADLINES),
                threshold=float(DEADLINES),
                unit="1",
                sensor=event.sensor,
                detail=f"{event.sensor} {DEADLINES} times in {to_s(now_ns - misses_ns[0]):.2f} s",
            )
            self._lasting[Reason.DEADLINES_MISSED, event.sensor] = (now_ns, often)

    def _lasts(self, now_ns: int, since_ns: int, found: Finding) -> bool:
        """For this beat; limits, which nothing holds, for as long as stops are held."""
        held = found.action is Action.LIMIT and FAULTS[found.reason].recovery is Recovery.AFTER_HOLD
        return now_ns == since_ns or (held and 0 <= to_s(now_ns - since_ns) < self._config.hold_s)


class Holds:
    """Stops outlive their reason: until it has been gone for a while or, latched, until they are reset."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._stopped_at_ns: int | None = None
        self._latched = fault_finding(Reason.STARTING, config) if config.latch_on else None

    @property
    def latched(self) -> bool:
        """Whether a stop stays until it is reset."""
        return self._latched is not None

    def reset(self) -> None:
        """Release a latched stop."""
        self._latched = None

    def step(self, now_ns: int, findings: Sequence[Finding], *, started: bool) -> list[Finding]:
        """The stop that outlives its reason, if there is one."""
        stops = any(f.action <= Action.STOP for f in findings)
        if (stops and started) or (self._stopped_at_ns is not None and now_ns < self._stopped_at_ns):
            self._stopped_at_ns = now_ns
        self._latched = self._latched or next((f for f in findings if self._latches(f)), None)
        if self._latched is not None:
            text = f"latched until reset: {self._latched.text}"
            action = min(self._latched.action, Action.STOP)
            return [replace(self._latched, action=action, speed_limit_mps=0.0, text=text)]
        if stops or self._stopped_at_ns is None:
            return []
        gone_s = to_s(now_ns - self._stopped_at_ns)
        return [self._hold(gone_s)] if gone_s < self._config.hold_s else []

    def _latches(self, finding: Finding) -> bool:
        row = FAULTS.get(finding.reason)
        by_reset = row is not None and row.recovery is Recovery.BY_RESET
        return by_reset or finding.reason in self._config.latch_on

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
