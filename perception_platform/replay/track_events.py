"""The lives of tracks, out of the files of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "t_ns": int, "id": int, "change": str, "reason": str, "existence": (int, float), "other_id": int
}  # fmt: skip


def read_events(run_dir: Path) -> list[dict[str, Any]]:
    """All events of ``tracks.jsonl``, in order, as ``records.event_line`` writes them.

    Raises:
        InputError: if the file is missing or malformed (names file, line and field).
    """
    path = run_dir / "tracks.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    return [event for number, text in enumerate(lines, start=1) for event in _events(path, number, text)]


def _events(path: Path, number: int, text: str) -> list[dict[str, Any]]:
    try:
        events = json.loads(text)["events"]
    except json.JSONDecodeError as error:
        raise InputError(path, f"not JSON: {error.msg}", f"line {number}") from error
    except (KeyError, TypeError) as error:
        raise InputError(path, "has no events: the run is of an older version", f"line {number}") from error
    if not isinstance(events, list):
        raise InputError(path, "events are no list", f"line {number}")
    for event in events:
        for field, kind in _FIELDS.items():
            if not isinstance(event, dict) or not isinstance(event.get(field), kind):
                raise InputError(path, f"an event lacks a proper {field}", f"line {number}")
    return events
