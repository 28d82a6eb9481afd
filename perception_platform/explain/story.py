"""What is worth telling of a run: its spans of action and reason, its stops, and the most telling moment."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.explain.run_files import Line, Run

STOPS = ("stop", "emergency_stop")
_TRAIL_S = 4.0


class Window(Protocol):
    """A span of the truth, in s from the first message: a stop must (``stop``) or must not (``no_stop``) happen."""

    @property
    def expect(self) -> str: ...
    @property
    def from_s(self) -> float: ...
    @property
    def to_s(self) -> float: ...
    @property
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time over which something held, s, and its first decision."""

    from_s: float
    to_s: float
    value: Hashable
    first: Line


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision with what the robot knew at that time.

    Attributes:
        t_s: time since the first message.
        why: why this moment was chosen.
        decision: the gate's beat.
        tracks: the newest tracks before it; None if there were none yet.
        obstacles_m: (N, 2) some obstacle points of the newest sweep before it, base frame.
        trails_m: (M, 2) the way each track has come in the last seconds, by id, in the base frame of the moment.
    """

    t_s: float
    why: str
    decision: Line
    tracks: Line | None
    obstacles_m: Array
    trails_m: dict[int, Array]


def spans(run: Run, value_of: Callable[[Line], Hashable]) -> list[Span]:
    """Stretches over which a property of the decisions stays the same; None leaves a gap."""
    times_s = [run.t_s(d) for d in run.decisions]
    ends_s = [*times_s[1:], times_s[-1] + _period_s(times_s)]
    out: list[Span] = []
    for decision, from_s, to_s in zip(run.decisions, times_s, ends_s, strict=True):
        value = value_of(decision)
        if out and out[-1].value == value and out[-1].to_s == from_s:
            out[-1] = Span(out[-1].from_s, to_s, value, out[-1].first)
        else:
            out.append(Span(from_s, to_s, value, decision))
    return [span for span in out if span.value is not None]


def reasons(run: Run) -> list[str]:
    """Every reason that was given, in order of first appearance."""
    return list(dict.fromkeys(reason for d in run.decisions for reason in d["reasons"]))


def reason_spans(run: Run, reason: str) -> list[Span]:
    """When a reason was given."""
    return spans(run, lambda d: reason if reason in d["reasons"] else None)


def stops(run: Run) -> list[Span]:
    """When the robot had to stop."""
    return spans(run, lambda d: "stop" if d["action"] in STOPS else None)


def gaps(run: Run) -> tuple[list[float], list[float]]:
    """Times, s, and the least gap to any track in the path at them, m; NaN without one."""
    times_s = [run.t_s(line) for line in run.tracks]
    return times_s, [min(_gaps_in_path(line), default=math.nan) for line in run.tracks]


def telling_moment(run: Run) -> Moment:
    """The first stop that is not the one every gate starts in, else the tightest gap, else the lowest limit."""
    first_stop_t_s = run.summary.get("first_stop_t_s")
    if first_stop_t_s is not None:
        nearest = min(run.decisions, key=lambda d: abs(run.t_s(d) - float(first_stop_t_s)))
        return moment_at(run, nearest, "the first stop")
    times_s, gaps_m = gaps(run)
    finite = [(gap_m, t_s) for t_s, gap_m in zip(times_s, gaps_m, strict=True) if math.isfinite(gap_m)]
    if finite:
        gap_m, at_s = min(finite)
        after = next((d for d in run.decisions if run.t_s(d) >= at_s), run.decisions[-1])
        return moment_at(run, after, f"the tightest gap, {gap_m:.2f} m")
    lowest = min(run.decisions, key=lambda d: _or_inf(d.get("speed_limit_mps")))
    return moment_at(run, lowest, "the lowest speed limit")


def moment_at(run: Run, decision: Line, why: str) -> Moment:
    """What was known when a decision was made."""
    tracks = _newest_before(run.tracks, decision["t_ns"])
    sweep = _newest_before(run.detections, decision["t_ns"])
    obstacles_m = np.array((sweep or {}).get("obstacles_m") or [], dtype=np.float64).reshape(-1, 2)
    return Moment(run.t_s(decision), why, decision, tracks, obstacles_m, _trails(run, tracks))


def pose(ego: Line) -> Transform:
    """``odom_from_base`` of a line's robot."""
    return Transform.planar(float(ego["x_m"]), float(ego["y_m"]), float(ego["yaw_rad"]))


def paths_in_odom(run: Run) -> dict[int, tuple[str, Array]]:
    """The whole way of every track: its last class and (M, 2) centres in the fixed frame, by id."""
    ways: dict[int, list[Sequence[float]]] = {}
    classes: dict[int, str] = {}
    for track in (t for line in run.tracks for t in line["tracks"]):
        ways.setdefault(track["id"], []).append(track["center_odom_m"][:2])
        classes[track["id"]] = track["class"]
    return {i: (classes[i], np.array(way, dtype=np.float64)) for i, way in ways.items()}


def evidence_ids(evidence: Sequence[Line]) -> set[int]:
    """Ids of all tracks that findings name."""
    return {int(i) for finding in evidence for i in finding["track_ids"]}


def _trails(run: Run, tracks: Line | None) -> dict[int, Array]:
    if tracks is None:
        return {}
    base_from_odom = pose(tracks["ego"]).inverse()
    since_ns = tracks["t_ns"] - _TRAIL_S * 1e9
    recent = [line for line in run.tracks if since_ns <= line["t_ns"] <= tracks["t_ns"]]
    ways: dict[int, list[Sequence[float]]] = {t["id"]: [] for t in tracks["tracks"]}
    for track in (t for line in recent for t in line["tracks"]):
        if track["id"] in ways:
            ways[track["id"]].append((*track["center_odom_m"][:2], 0.0))
    return {i: base_from_odom.apply(np.array(way, dtype=np.float64))[:, :2] for i, way in ways.items()}


def _newest_before(lines: Sequence[Line], t_ns: int) -> Line | None:
    at = bisect_right([line["t_ns"] for line in lines], t_ns)
    return lines[at - 1] if at else None


def _gaps_in_path(line: Line) -> Iterable[float]:
    return (t["gap_m"] for t in line["tracks"] if t.get("in_path") and t.get("gap_m") is not None)


def _period_s(times_s: Sequence[float]) -> float:
    return median(np.diff(times_s).tolist()) if len(times_s) > 1 else 0.0


def _or_inf(value: float | None) -> float:
    return math.inf if value is None else value
