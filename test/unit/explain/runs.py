"""Small made-up run folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_NS = 1_767_225_600_000_000_000


@dataclass(frozen=True)
class Truth:
    """A window of the truth."""

    expect: str
    from_s: float
    to_s: float
    why: str = "a <person> steps out"


def finding(action: str = "stop", reason: str = "object_in_path", **changes: Any) -> dict[str, Any]:
    """A finding as written to ``decisions.jsonl``."""
    return {
        "reason": reason,
        "action": action,
        "speed_limit_mps": 0.0 if action == "stop" else 0.8,
        "quantity": "gap",
        "value": 1.25,
        "threshold": 1.5,
        "margin": -0.25,
        "unit": "m",
        "zone": "",
        "track_ids": [7],
        "points_m": [[1.7, 0.1, 0.4]],
        "sensor": "",
        "text": "person 7 in the path at 1.25 m: stop",
        **changes,
    }


def decision(t_s: float, action: str = "proceed", evidence: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A beat of the gate as written to ``decisions.jsonl``."""
    t_ns = START_NS + round(t_s * 1e9)
    return {
        "t_ns": t_ns,
        "sequence": round(t_s * 20),
        "action": action,
        "state": "normal",
        "speed_limit_mps": {"proceed": 1.5, "limit": 0.8}.get(action, 0.0),
        "speed_mps": 1.2,
        "deceleration_mps2": 0.8,
        "reasons": [f["reason"] for f in evidence],
        "evidence": list(evidence),
        "latched": False,
        "latency_ms": 60.0,
        "command": [1.2, 0.0, 0.0],
        "output": [0.0, 0.0, 0.0],
        "lineage": {
            "sources": [{"sensor": "lidar_top", "t_ns": t_ns - 60_000_000}],
            "stages": [
                {"stage": "perception", "received_ns": t_ns - 60_000_000, "queued_ns": t_ns - 60_000_000,
                 "started_ns": t_ns - 50_000_000, "finished_ns": t_ns - 10_000_000,
                 "published_ns": t_ns - 10_000_000},
            ],
        },
        "models": [{"id": "geometry@1", "digest": "0123456789abcdef" * 4}],
    }  # fmt: skip


def tracks(t_s: float, gap_m: float | None) -> dict[str, Any]:
    """One moment's tracks as written to ``tracks.jsonl``: a person who walks across, a robot that drives ahead."""
    x_m, y_m = 4.0, 2.0 - t_s
    return {
        "t_ns": START_NS + round(t_s * 1e9),
        "frame_id": "odom",
        "ego": {"x_m": t_s, "y_m": 0.0, "yaw_rad": 0.0, "speed_mps": 1.2, "yaw_rate_radps": 0.1},
        "tracks": [
            {
                "id": 7, "class": "person", "class_score": 0.8, "existence": 0.99,
                "center_odom_m": [x_m, y_m, 0.9], "center_base_m": [x_m - t_s, y_m, 0.9],
                "velocity_mps": [0.0, -1.0], "size_m": [0.5, 0.5, 1.8], "yaw_base_rad": 0.3,
                "last_seen_ns": START_NS, "sensors": ["lidar"], "in_path": gap_m is not None, "gap_m": gap_m,
                "distance_m": 2.0, "closing_mps": 1.2, "ttc_s": None,
            }
        ],
        "models": [],
    }  # fmt: skip


def sweep(t_s: float) -> dict[str, Any]:
    """One sweep as written to ``detections.jsonl``."""
    return {
        "t_ns": START_NS + round(t_s * 1e9), "frame_id": "base_link", "detections": [], "obstacle_points": 2,
        "obstacles_m": [[3.0, 0.5], [3.1, 0.5]], "lineage": {"sources": [], "stages": []}, "models": [],
    }  # fmt: skip


def stopping_run() -> dict[str, Any]:
    """Two seconds of free driving with a limit from 1.0 s and a stop from 1.4 to 1.7 s; the gap shrinks to 1.1 m."""
    slow, stop = finding("limit", "zone", track_ids=[], text="person near"), finding()
    beats = []
    for i in range(40):
        t_s = i * 0.05
        action = "stop" if 28 <= i < 34 else "limit" if i >= 20 else "proceed"
        beats.append(decision(t_s, action, {"stop": [stop, slow], "limit": [slow]}.get(action, [])))
    times_s = [0.1 * i for i in range(20)]
    return {
        "decisions": beats,
        "tracks": [tracks(t_s, max(1.1, 3.0 - t_s) if t_s > 0.75 else None) for t_s in times_s],
        "detections": [sweep(t_s) for t_s in times_s],
        "summary": {
            "bag": "made_up.mcap", "robot": "amr", "mode": "lockstep", "frames_in": 20, "frames_processed": 19,
            "frames_dropped": {"malformed": 1},
            "sensors": {"lidar_top": {"in": 20, "processed": 19, "dropped": {"malformed": 1}}},
            "decisions": {"emergency_stop": 0, "stop": 6, "limit": 14, "proceed": 20},
            "first_stop_t_s": 1.4, "latency_ms": {"p50": 60.0, "p90": 60.0, "p99": 61.5, "max": 62.0, "samples": 40},
            "realtime_factor": 9.0, "start_ns": START_NS, "digest": "feed" * 16,
        },
    }  # fmt: skip


def free_run() -> dict[str, Any]:
    """The same way without a stop; nothing is ever in the path."""
    run = stopping_run()
    run["decisions"] = [decision(0.05 * i) for i in range(40)]
    run["tracks"] = [tracks(0.1 * i, None) for i in range(20)]
    run["summary"] |= {"first_stop_t_s": None}
    return run


def write(folder: Path, run: dict[str, Any]) -> Path:
    """Write a run as a replay would."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("decisions", "tracks", "detections"):
        text = "".join(json.dumps(line) + "\n" for line in run[name])
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(run["summary"]), encoding="utf-8")
    return folder
