"""Two opinions: what tracks ask for and what raw points ask for. The stricter rules; lasting disagreement is told."""

from __future__ import annotations

from collections.abc import Iterable

from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.safety.config import GateConfig

DISAGREEMENT_S = 2.0  # a track outlives its points for a while, and points come before their track


class Opinions:
    """Remembers since when one opinion has asked for a stop while the other saw nothing at all."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._stops = ""
        self._since_ns = 0

    def step(self, now_ns: int, findings: Iterable[Finding]) -> Finding | None:
        """The alarm, with the evidence of the opinion that asks for a stop, once they have differed for long.

        Args:
            now_ns: time, ns.
            findings: what the risk stage and the gate's own look at raw points found.
        """
        tracks, points = _split(findings)
        stops, strict = _differ(tracks, points)
        if stops != self._stops or now_ns < self._since_ns:
            self._stops, self._since_ns = stops, now_ns
        lasted_s = to_s(now_ns - self._since_ns)
        if strict is None or lasted_s < DISAGREEMENT_S:
            return None
        other = "points" if stops == "tracks" else "tracks"
        return Finding(
            Reason.OPINIONS_DIFFER,
            Action.PROCEED,
            self._config.max_speed_mps,
            quantity="time of disagreement",
            value=lasted_s,
            threshold=DISAGREEMENT_S,
            unit="s",
            upper=True,
            track_ids=strict.track_ids,
            points_m=strict.points_m,
            sensor=strict.sensor,
            text=f"ALARM: for {lasted_s:.1f} s {stops} have asked for a stop where {other} show nothing",
        )


def _split(findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Findings that rest on tracks, and those that rest on raw points."""
    tracks, points = [], []
    for finding in findings:
        if finding.track_ids:
            tracks.append(finding)
        elif finding.points_m:
            points.append(finding)
    return tracks, points


def _differ(tracks: list[Finding], points: list[Finding]) -> tuple[str, Finding | None]:
    """Which opinion asks for a stop where the other finds nothing, and its strictest finding."""
    for name, mine, other in (("tracks", tracks, points), ("points", points, tracks)):
        strict = min(mine, key=lambda f: f.strictness, default=None)
        if strict is not None and strict.action <= Action.STOP and not other:
            return name, strict
    return "", None
