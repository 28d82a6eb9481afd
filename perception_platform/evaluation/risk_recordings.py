"""The four gates of Nav2's bag test on recordings with truth: time to stop, hold, resume, false stops."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.core.time import to_s
from perception_platform.perception.load import load_graph
from perception_platform.replay.run import replay_lockstep
from perception_platform.replay.truth import STOPS, Truth, check_run, load_truth
from perception_platform.robot.load import load_robot

# Ours, and what Nav2's test of its collision monitor asks for.
GATES: dict[str, tuple[float, float]] = {
    "time_to_stop_s": (0.3, 0.6),
    "hold": (1.0, 0.9),
    "resume_s": (0.5, 0.6),
    "false_stops": (0.01, 0.05),
}


def judge_recordings(
    folder: Path, on_progress: Callable[[float], None] = lambda share: None
) -> dict[str, Any]:
    """Replay every recording of a folder in lockstep and hold it against its truth.

    Args:
        folder: with a folder a recording: ``<name>/<name>.mcap`` and ``truth.yaml``.
        on_progress: told the share that is done.

    Raises:
        InputError: if there is none, or one cannot be replayed.
    """
    truths = sorted(folder.glob("*/truth.yaml"))
    if not truths:
        raise InputError(folder, "no */truth.yaml in it: there is nothing to judge")
    rows = []
    for i, path in enumerate(truths):
        rows.append(_judge(path, lambda share, i=i: on_progress((i + share) / len(truths))))  # type: ignore[misc]
    worst = {
        "time_to_stop_s": max(row["time_to_stop_s"] for row in rows),
        "hold": min(row["hold"] for row in rows),
        "resume_s": max(row["resume_s"] for row in rows),
        "false_stops": max(row["false_stops"] for row in rows),
    }
    met = {
        name: value >= GATES[name][0] if name == "hold" else value <= GATES[name][0]
        for name, value in worst.items()
    }
    return {"worst": worst, "met": met, "recordings": rows}


def _judge(truth_file: Path, on_progress: Callable[[float], None]) -> dict[str, Any]:
    truth, name = load_truth(truth_file), truth_file.parent.name
    robot = load_robot(truth.robot)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        graph = load_graph(robot)
        summary = replay_lockstep(truth_file.parent / f"{name}.mcap", robot, graph, out, on_progress)
        return {"recording": name, **_measure(out / "decisions.jsonl", int(summary["start_ns"]), truth)}


def _measure(decisions_file: Path, start_ns: int, truth: Truth) -> dict[str, float]:
    """The four figures of one run; a window without a stop counts as never stopped, and an escape as the stop that it
    leads out of.
    """
    results = check_run(decisions_file, start_ns, truth)
    lines = [json.loads(line) for line in decisions_file.read_text(encoding="utf-8").splitlines()]
    beats = [
        (to_s(line["t_ns"] - start_ns), line["action"] in STOPS or line["state"] == "escaping")
        for line in lines
    ]
    stops = [r for r in results if r.window.expect == "stop"]
    held, wrong = [], []
    for result in results:
        inside = [stop for t, stop in beats if result.window.from_s <= t <= result.window.to_s]
        if result.window.expect == "no_stop":
            wrong += inside
            continue
        first = inside.index(True) if True in inside else len(inside)
        held += inside[first:] or [False]
    never = float("inf")
    return {
        "time_to_stop_s": max((never if r.reaction_s is None else r.reaction_s for r in stops), default=0.0),
        "hold": sum(held) / len(held) if held else 1.0,
        "resume_s": max((r.release_s for r in stops if r.release_s is not None), default=0.0),
        "false_stops": sum(wrong) / len(wrong) if wrong else 1.0,
    }
