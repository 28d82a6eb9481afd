"""The files of one run, read and checked as far as a report needs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action
from perception_platform.runtime.latency import Decided, Latencies, measure

Line = dict[str, Any]
# The keys that a report uses, of lines and of the objects within. None is any value; what is in _MAYBE may be absent.
_FINDING: Line = dict.fromkeys(
    ("reason", "action", "speed_limit_mps", "quantity", "value", "threshold", "margin", "unit", "track_ids",
     "points_m", "sensor", "text")
)  # fmt: skip
_STAGE: Line = dict.fromkeys(
    ("stage", "received_ns", "queued_ns", "started_ns", "finished_ns", "published_ns")
)
_TRACK: Line = dict.fromkeys(
    ("id", "class", "center_odom_m", "center_base_m", "velocity_mps", "size_m", "yaw_base_rad")
)
_USED: dict[str, Line] = {
    "decisions.jsonl": {
        "t_ns": None,
        "action": None,
        "reasons": None,
        "speed_limit_mps": None,
        "evidence": _FINDING,
        "lineage": {"sources": {"sensor": None, "t_ns": None}, "stages": _STAGE},
        "models": {"id": None, "digest": None},
    },
    "tracks.jsonl": {"t_ns": None, "tracks": _TRACK, "ego": dict.fromkeys(("x_m", "y_m", "yaw_rad"))},
    "detections.jsonl": {"t_ns": None, "detections": None},
}
_MAYBE = ("lineage", "sources", "stages", "models")
_ACTIONS = tuple(action.name.lower() for action in Action)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run left, a dict a line, in order of time.

    Attributes:
        summary: ``summary.json``.
        decisions: the gate's beats; at least one.
        tracks: the tracks of each sweep, with the robot's pose.
        detections: the detections of each sweep, with some of its obstacle points.
        start_ns: time of the first message.
        latencies: the decisions' latency in parts.
    """

    summary: Line
    decisions: Sequence[Line]
    tracks: Sequence[Line]
    detections: Sequence[Line]
    start_ns: int
    latencies: Latencies

    def t_s(self, line: Line) -> float:
        """Time of a line since the first message, s."""
        return to_s(int(line["t_ns"]) - self.start_ns)


def read_run(run_dir: Path) -> Run:
    """Read the files of a run.

    Raises:
        InputError: if one is missing or malformed (names file and line), or there is no decision in them.
    """
    summary = _parse(run_dir / "summary.json", _text(run_dir / "summary.json"), None)
    decisions, tracks, detections = (_lines(run_dir / name, used) for name, used in _USED.items())
    if not decisions:
        raise InputError(run_dir / "decisions.jsonl", "has no decision: there is nothing to explain")
    start_ns = summary.get("start_ns")
    latencies = measure(decided(decisions, run_dir / "decisions.jsonl"))
    start_ns = int(decisions[0]["t_ns"] if start_ns is None else start_ns)
    return Run(summary, decisions, tracks, detections, start_ns, latencies)


def read_decisions(path: Path) -> list[Line]:
    """Read a ``decisions.jsonl`` alone, checked as for a report.

    Raises:
        InputError: if it is missing or malformed (names file and line).
    """
    return _lines(path, _USED["decisions.jsonl"])


def decided(decisions: Sequence[Line], path: Path) -> list[Decided]:
    """When the decisions of a run were made and where they came from.

    Raises:
        InputError: if a time is no number or the times of a stage are not in order (names file and line).
    """
    found = []
    for number, line in enumerate(decisions, start=1):
        lineage = line.get("lineage") or {}
        try:
            sources = tuple(SourceStamp(s["sensor"], _ns(s["t_ns"])) for s in lineage.get("sources") or ())
            stages = tuple(StageTiming(**_whole(s)) for s in lineage.get("stages") or ())
            found.append(Decided(_ns(line["t_ns"]), Lineage(sources, stages)))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(path, f"lineage: {error}", f"line {number}") from error
    return found


def _ns(value: Any) -> int:
    """A time or duration, ns, of which differences are whole numbers of 64 bits."""
    t_ns = int(value)
    if abs(t_ns) >= 2**62:
        raise ValueError(f"{value} is no time in ns")
    return t_ns


def _whole(stage: Line) -> Line:
    return {name: value if name == "stage" else _ns(value) for name, value in stage.items()}


def _lines(path: Path, used: Line) -> list[Line]:
    lines = []
    for number, text in enumerate(_text(path).splitlines(), start=1):
        line = _parse(path, text, f"line {number}")
        if problem := _problem(line, used):
            raise InputError(path, problem, f"line {number}")
        lines.append(line)
    return lines


def _problem(value: Any, used: Line) -> str:
    """What a report would stumble over in an object or a list of them, or nothing."""
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, dict):
            return f"has {str(part)[:40]!r} in place of an object"
        if missing := [key for key in used if key not in part and key not in _MAYBE]:
            return f"lacks {', '.join(missing)}"
        if "action" in used and part["action"] not in _ACTIONS:
            return f"action {part['action']!r} is none of {', '.join(_ACTIONS)}"
        for key, within in used.items():
            if within and part.get(key) is not None and (problem := _problem(part[key], within)):
                return f"{key}: {problem}"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error


def _parse(path: Path, text: str, where: str | None) -> Line:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(path, f"is not JSON: {error.msg}", where) from error
    if not isinstance(value, dict):
        raise InputError(path, f"is not an object but {text[:40]!r}", where)
    return value
