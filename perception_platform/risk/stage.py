"""The assessment through time: what it has to remember from one look to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Assessment, Finding
from perception_platform.risk.assess import Conditions, assess
from perception_platform.risk.config import RiskConfig, ZoneRule

LATENCIES = 200  # that the quantile is of
LATENCY_QUANTILE = 0.99


@dataclass(slots=True)
class _Entry:
    """What is known of one zone: since when something has been inside, and the last that was found there."""

    since_ns: int
    seen_ns: int
    findings: list[Finding]


class RiskStage:
    """Assesses look after look.

    It remembers how old its data was (a high quantile of that counts, so that a chain that is slow now and then is
    driven for as a slow one), since when something has been in each zone, what is loaded and which zones are off.
    """

    def __init__(self, config: RiskConfig) -> None:
        self._config = config
        self._zones = {zone.name: zone for zone in config.zones}
        self._latencies_s: deque[float] = deque(maxlen=LATENCIES)
        self._entries: dict[str, _Entry] = {}
        self._disabled: frozenset[str] = frozenset()
        self._payload_kg: float | None = None

    @property
    def config(self) -> RiskConfig:
        """The robot."""
        return self._config

    @property
    def latency_s(self) -> float:
        """The latency that is reckoned with: a high quantile of the last looks; 0 before the first."""
        return float(np.quantile(self._latencies_s, LATENCY_QUANTILE)) if self._latencies_s else 0.0

    @property
    def disabled(self) -> frozenset[str]:
        """Names of the zones that are switched off."""
        return self._disabled

    def load(self, payload_kg: float | None) -> None:
        """Say what is loaded; None if nobody knows any more.

        Raises:
            InputError: if it is no load, or more than the robot file allows.
        """
        most = self._config.max_payload_kg
        if payload_kg is not None and not 0 <= payload_kg <= most:
            raise InputError(
                "payload_kg", f"{payload_kg} is not between 0 and the {most:g} of the robot file"
            )
        self._payload_kg = payload_kg

    def enable(self, zone: str, enabled: bool) -> None:
        """Switch a zone on or off.

        Raises:
            InputError: if there is no such zone, or the robot file does not say that it may be switched.
        """
        if zone not in self._zones or not self._zones[zone].switchable:
            raise InputError("zones", f"{zone!r} is none that may be switched")
        self._disabled = self._disabled - {zone} if enabled else self._disabled | {zone}

    def copy(self, *, held: bool = True) -> RiskStage:
        """Another stage in the same state; without ``held`` what has left a zone counts no longer."""
        other = copy(self)
        other._latencies_s = self._latencies_s.copy()
        other._entries = {name: replace(entry) for name, entry in self._entries.items()}
        if not held:
            other._zones = {name: replace(zone, release_s=0.0) for name, zone in self._zones.items()}
        return other

    def step(
        self, tracks: Tracks, obstacles: Sequence[PointCloud], ego: EgoState, *, now_ns: int
    ) -> Assessment:
        """One look; see ``assess``."""
        conditions = Conditions(self.latency_s, self._payload_kg, self._disabled)
        assessment = assess(tracks, obstacles, ego, self._config, now_ns=now_ns, conditions=conditions)
        self._latencies_s.append(max(to_s(now_ns - tracks.t_ns), 0.0))
        lasting = [f for f in assessment.findings if f.zone not in self._zones]
        for zone in self._zones.values():
            found = [f for f in assessment.findings if f.zone == zone.name]
            lasting += self._debounced(zone, found, assessment.t_ns)
        return replace(assessment, findings=_ordered(lasting))

    def _debounced(self, zone: ZoneRule, found: list[Finding], t_ns: int) -> list[Finding]:
        """What a zone asks for after its times of trigger and release."""
        entry = self._entries.get(zone.name)
        if zone.name in self._disabled or (entry and t_ns < entry.seen_ns):  # off, or the clock was set back
            entry = self._entries.pop(zone.name, None) and None
        if found:
            entry = entry or _Entry(t_ns, t_ns, found)
            entry.seen_ns, entry.findings = t_ns, found
            self._entries[zone.name] = entry
            return found if to_s(t_ns - entry.since_ns) >= zone.trigger_s else []
        if entry is None:
            return []
        triggered = to_s(entry.seen_ns - entry.since_ns) >= zone.trigger_s
        if triggered and to_s(t_ns - entry.seen_ns) < zone.release_s:
            return [_lasting(f) for f in entry.findings]
        del self._entries[zone.name]
        return []


def _lasting(finding: Finding) -> Finding:
    note = ", was there a moment ago"
    return finding if note in finding.text else replace(finding, text=finding.text + note)


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: f.strictness))
