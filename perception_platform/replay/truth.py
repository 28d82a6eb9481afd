"""What a recording's decisions have to be: windows in which a stop must or must not happen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from perception_platform.core.errors import InputError
from perception_platform.core.time import to_s

STOP_WITHIN_S = 0.3
RELEASE_WITHIN_S = 0.5
STOPS = ("stop", "emergency_stop")


class Window(BaseModel):
    """A span of a recording, in seconds from its first message, and what has to happen in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expect: Literal["stop", "no_stop"]
    from_s: float
    to_s: float
    why: str


class Truth(BaseModel):
    """The truth of one recording. What no window covers may go either way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    robot: str
    windows: list[Window]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """How the decisions fared in one window.

    Attributes:
        window: the window.
        passed: whether all of it held.
        reaction_s: from the window's start to the first stop; None without one.
        release_s: from the window's end to the first decision that is no stop; None without one.
        text: what held or did not.
    """

    window: Window
    passed: bool
    reaction_s: float | None
    release_s: float | None
    text: str


def load_truth(path: Path) -> Truth:
    """Read ``truth.yaml``.

    Raises:
        InputError: if it is missing or not well formed.
    """
    try:
        return Truth.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(path, first["msg"], ".".join(str(part) for part in first["loc"])) from error


def check_run(decisions_file: Path, start_ns: int, truth: Truth) -> list[WindowResult]:
    """Hold the decisions of a run's ``decisions.jsonl`` against its recording's truth.

    A live run begins with the stop in which every gate starts: that is left out. An escape counts as the stop that it
    leads out of: nothing is let through but what leads away.
    """
    lines = [json.loads(line) for line in decisions_file.read_text(encoding="utf-8").splitlines()]
    started = [line for line in lines if line["state"] != "starting"]
    times_s = [to_s(line["t_ns"] - start_ns) for line in started]
    actions = ["stop" if line["state"] == "escaping" else line["action"] for line in started]
    return check_windows(times_s, actions, truth.windows)


def check_windows(
    times_s: Sequence[float], actions: Sequence[str], windows: Sequence[Window]
) -> list[WindowResult]:
    """Hold decisions against windows.

    A stop has to come within 0.3 s of its window's start, hold until its end and be released within 0.5 s after.
    No stop may come in a no-stop window; without a decision in it, such a window was not tested and fails.

    Args:
        times_s: (N,) time of each decision from the first message, in order.
        actions: (N,) name of its action.
        windows: of the truth.
    """
    beats = list(zip(times_s, (action in STOPS for action in actions), strict=True))
    return [_check_stop(beats, w) if w.expect == "stop" else _check_no_stop(beats, w) for w in windows]


def _check_stop(beats: Sequence[tuple[float, bool]], window: Window) -> WindowResult:
    inside = [(t, stop) for t, stop in beats if window.from_s <= t <= window.to_s]
    first = next((t for t, stop in inside if stop), None)
    if first is None:
        return WindowResult(window, False, None, None, f"no stop in {len(inside)} decisions")
    reaction_s = first - window.from_s
    lost = [t for t, stop in inside if t > first and not stop]
    after = [(t, stop) for t, stop in beats if t > window.to_s]
    released = next((t for t, stop in after if not stop), None)
    release_s = None if released is None else released - window.to_s
    reached_release = bool(after) and after[-1][0] >= window.to_s + RELEASE_WITHIN_S
    faults = []
    if reaction_s > STOP_WITHIN_S:
        faults.append(f"stop {reaction_s:.2f} s late")
    if lost:
        faults.append(f"released at {lost[0]:.2f} s inside the window")
    if reached_release and (release_s is None or release_s > RELEASE_WITHIN_S):
        faults.append("not released in time" if release_s is None else f"released {release_s:.2f} s after")
    text = "; ".join(faults) or f"stop after {reaction_s:.2f} s, held"
    return WindowResult(window, not faults, reaction_s, release_s, text)


def _check_no_stop(beats: Sequence[tuple[float, bool]], window: Window) -> WindowResult:
    inside = [(t, stop) for t, stop in beats if window.from_s <= t <= window.to_s]
    stops = [t for t, stop in inside if stop]
    if not inside:
        return WindowResult(window, False, None, None, "no decision: not tested")
    if stops:
        return WindowResult(window, False, None, None, f"{len(stops)} stops, the first at {stops[0]:.2f} s")
    return WindowResult(window, True, None, None, f"no stop in {len(inside)} decisions")
