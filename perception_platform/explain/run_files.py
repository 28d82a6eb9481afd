"""The files of one run, read and checked as far as a report needs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.core.time import to_s

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What one run left, a dict a line, in order of time.

    Attributes:
        summary: ``summary.json``.
        decisions: the gate's beats; at least one.
        tracks: the tracks of each sweep, with the robot's pose.
        detections: the detections of each sweep, with some of its obstacle points.
        start_ns: time of the first message.
    """

    summary: Line
    decisions: Sequence[Line]
    tracks: Sequence[Line]
    detections: Sequence[Line]
    start_ns: int

    def t_s(self, line: Line) -> float:
        """Time of a line since the first message, s."""
        return to_s(int(line["t_ns"]) - self.start_ns)


def read_run(run_dir: Path) -> Run:
    """Read the files of a run.

    Raises:
        InputError: if one is missing or malformed (names file and line), or there is no decision in them.
    """
    summary = _parse(run_dir / "summary.json", _text(run_dir / "summary.json"), None)
    needed = {
        "decisions.jsonl": ("action", "reasons", "evidence"),
        "tracks.jsonl": ("tracks", "ego"),
        "detections.jsonl": ("detections",),
    }
    decisions, tracks, detections = (_lines(run_dir / name, keys) for name, keys in needed.items())
    if not decisions:
        raise InputError(run_dir / "decisions.jsonl", "has no decision: there is nothing to explain")
    start_ns = summary.get("start_ns")
    return Run(
        summary, decisions, tracks, detections, int(decisions[0]["t_ns"] if start_ns is None else start_ns)
    )


def _lines(path: Path, keys: Sequence[str]) -> list[Line]:
    lines = []
    for number, text in enumerate(_text(path).splitlines(), start=1):
        line = _parse(path, text, f"line {number}")
        if missing := [key for key in ("t_ns", *keys) if key not in line]:
            raise InputError(path, f"lacks {', '.join(missing)}", f"line {number}")
        lines.append(line)
    return lines


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
