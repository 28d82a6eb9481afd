"""The files a replay leaves: a JSON line per detection set, track set, decision and application, and a summary."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.geometry import wrap_angle
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Detections, ModelRef, ObjectClass, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_ms, to_s
from perception_platform.core.track_events import TrackEvent
from perception_platform.core.verdicts import Action, Decision, Finding, GateState, ObjectRisks, Without
from perception_platform.runtime.latency import percentiles

FILES = ("detections.jsonl", "tracks.jsonl", "decisions.jsonl", "applications.jsonl")
SHOWN_POINTS = 400


class Records:
    """Writes the files of a run and counts for its summary; to be used as a context."""

    def __init__(self, out_dir: Path) -> None:
        out_dir.mkdir(parents=True, exist_ok=True)
        self.out_dir = out_dir
        self.start_ns: int | None = None
        self.actions: Counter[str] = Counter()
        self.first_stop_ns: int | None = None
        self.latencies_ms: list[float] = []
        self._has_moved_on = False
        self._files: dict[str, IO[str]] = {}

    def __enter__(self) -> Records:
        self._files = {name: (self.out_dir / name).open("w", encoding="utf-8") for name in FILES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def detections(self, detections: Detections, obstacles: PointCloud) -> None:
        """One sweep's objects and a thinned picture of its obstacle points."""
        self._write("detections.jsonl", detections_line(detections, obstacles))

    def tracks(self, tracks: Tracks, risks: ObjectRisks, ego: EgoState) -> None:
        """The tracks of one moment with their criticality, in both frames."""
        self._write("tracks.jsonl", tracks_line(tracks, risks, ego))

    def application(self, report: ApplicationReport) -> None:
        """What one application said."""
        self._write("applications.jsonl", application_line(report))

    def decision(self, decision: Decision, ego: EgoState | None) -> None:
        """One beat of the gate."""
        self._write("decisions.jsonl", decision_line(decision, ego))
        self.actions[decision.action.name.lower()] += 1
        if decision.latency_ns >= 0:
            self.latencies_ms.append(to_ms(decision.latency_ns))
        if decision.action > Action.STOP:
            self._has_moved_on = True
        elif self.first_stop_ns is None and (self._has_moved_on or decision.state is not GateState.STARTING):
            self.first_stop_ns = decision.t_ns

    def summary(self, frames: FrameCounts, *, realtime_factor: float | None) -> dict[str, Any]:
        """Counts and digest of the run; call it after the context has ended.

        ``first_stop_t_s`` is relative to the first message and passes over the stop in which every gate starts.
        """
        first = self.first_stop_ns
        start_ns = self.start_ns or 0
        return {
            **frames.summary(),
            "decisions": {action.name.lower(): self.actions[action.name.lower()] for action in Action},
            "first_stop_t_s": None if first is None else _number(to_s(first - start_ns), 3),
            "latency_ms": percentiles(self.latencies_ms),
            "realtime_factor": _number(realtime_factor, 2) if realtime_factor is not None else None,
            "start_ns": self.start_ns,
            "digest": digest(self.out_dir),
        }

    def _write(self, name: str, line: dict[str, Any]) -> None:
        self._files[name].write(json.dumps(line, allow_nan=False, separators=(", ", ": ")) + "\n")


class FrameCounts:
    """The ledger of sensor frames: each one that comes in is processed or dropped for a reason."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.processed: Counter[str] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()

    def summary(self) -> dict[str, Any]:
        """Totals, and the same by sensor."""
        reasons: Counter[str] = Counter()
        for (_, reason), count in self.dropped.items():
            reasons[reason] += count
        return {
            "frames_in": self.received.total(),
            "frames_processed": self.processed.total(),
            "frames_dropped": dict(sorted(reasons.items())),
            "sensors": {
                sensor: {
                    "in": self.received[sensor],
                    "processed": self.processed[sensor],
                    "dropped": {r: n for (s, r), n in sorted(self.dropped.items()) if s == sensor},
                }
                for sensor in sorted(self.received)
            },
        }


def digest(out_dir: Path) -> str:
    """SHA-256 of the record files."""
    sha = hashlib.sha256()
    for name in FILES:
        sha.update((out_dir / name).read_bytes())
    return sha.hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Indented, for people and programs."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def detections_line(detections: Detections, obstacles: PointCloud) -> dict[str, Any]:
    """As written to ``detections.jsonl``."""
    step = max(1, math.ceil(len(obstacles) / SHOWN_POINTS))
    columns = {
        "class": [_class_name(class_id) for class_id in detections.class_ids.tolist()],
        "center_m": _rounded(detections.centers_m),
        "size_m": _rounded(detections.sizes_m),
        "yaw_rad": _rounded(detections.yaws_rad, 4),
        "score": _rounded(detections.scores),
        "num_points": detections.num_points.tolist(),
        "sensors": [_sensor_names(flags) for flags in detections.sensors.tolist()],
    }
    return {
        "t_ns": detections.t_ns,
        "frame_id": detections.frame_id,
        "detections": _rows(columns),
        "obstacle_points": len(obstacles),
        "obstacles_m": _rounded(obstacles.xyz_m[::step, :2], 2),
        "lineage": lineage_line(detections.lineage),
        "models": models_line(detections.models),
    }


def tracks_line(tracks: Tracks, risks: ObjectRisks, ego: EgoState) -> dict[str, Any]:
    """As written to ``tracks.jsonl``; measures of tracks that were not assessed are null."""
    ego = ego.at(tracks.t_ns)
    base_from_odom = ego.odom_from_base.inverse()
    x_m, y_m, _ = ego.odom_from_base.translation_m
    columns = {
        "id": tracks.ids.tolist(),
        "class": [_class_name(class_id) for class_id in tracks.class_ids.tolist()],
        "class_score": _rounded(tracks.class_scores),
        "existence": _rounded(tracks.existence),
        "center_odom_m": _rounded(tracks.centers_m),
        "center_base_m": _rounded(base_from_odom.apply(tracks.centers_m)),
        "velocity_mps": _rounded(tracks.velocities_mps),
        "acceleration_mps2": _rounded(tracks.accelerations_mps2),
        "region_radius_m": _rounded(tracks.region_radius_m),
        "size_m": _rounded(tracks.sizes_m),
        "yaw_base_rad": _rounded(wrap_angle(tracks.yaws_rad + base_from_odom.yaw_rad), 4),
        "last_seen_ns": tracks.last_seen_ns.tolist(),
        "sensors": [_sensor_names(flags) for flags in tracks.sensors.tolist()],
        **_risk_columns(tracks, risks),
    }
    return {
        "t_ns": tracks.t_ns,
        "frame_id": tracks.frame_id,
        "ego": {
            "x_m": _number(x_m),
            "y_m": _number(y_m),
            "yaw_rad": _number(ego.odom_from_base.yaw_rad, 4),
            "speed_mps": _number(ego.velocity_mps[0]),
            "yaw_rate_radps": _number(ego.yaw_rate_radps, 4),
        },
        "tracks": _rows(columns),
        "events": [event_line(event) for event in tracks.events],
        "models": models_line(tracks.models),
    }


def event_line(event: TrackEvent) -> dict[str, Any]:
    """One change in the life of a track; ``other_id`` is 0 for none."""
    return {
        "t_ns": event.t_ns,
        "id": event.track_id,
        "change": event.change.name.lower(),
        "reason": event.reason.name.lower(),
        "existence": _number(event.existence),
        "other_id": event.other_id,
    }


def application_line(report: ApplicationReport) -> dict[str, Any]:
    """As written to ``applications.jsonl``; the value is null where there is nothing to measure."""
    return {
        "t_ns": report.t_ns,
        "application": report.application,
        "quantity": report.quantity,
        "value": _number(report.value),
        "unit": report.unit,
        "point_m": None if report.point_m is None else _rounded(report.point_m),
        "text": report.text,
        "deadline_ms": _number(report.deadline_s * 1e3),
        "age_ms": _number(report.age_s * 1e3),
    }


def decision_line(decision: Decision, ego: EgoState | None) -> dict[str, Any]:
    """As written to ``decisions.jsonl``."""
    return {
        "t_ns": decision.t_ns,
        "sequence": decision.sequence,
        "action": decision.action.name.lower(),
        "state": decision.state.name.lower(),
        "transition": decision.transition,
        "speed_limit_mps": _number(decision.speed_limit_mps),
        "profile_mps": _number(decision.profile_mps),
        "speed_mps": None if ego is None else _number(ego.velocity_mps[0]),
        "deceleration_mps2": _number(decision.deceleration_mps2),
        "reasons": [reason.name.lower() for reason in decision.reasons],
        "evidence": [finding_line(finding) for finding in decision.findings],
        "without": None if decision.without is None else without_line(decision.without),
        "latched": decision.latched,
        "latency_ms": None if decision.latency_ns < 0 else _number(to_ms(decision.latency_ns)),
        "command": None if decision.command_mps is None else _rounded(decision.command_mps),
        "output": _rounded(decision.output_mps),
        "lineage": lineage_line(decision.lineage),
        "models": models_line(decision.models),
    }


def without_line(without: Without) -> dict[str, Any]:
    """What would have been decided without what binds."""
    return {
        "action": without.action.name.lower(),
        "speed_limit_mps": _number(without.speed_limit_mps),
        "reason": without.reason.name.lower() if without.reason else None,
    }


def finding_line(finding: Finding) -> dict[str, Any]:
    """One rule with its measure and evidence."""
    return {
        "reason": finding.reason.name.lower(),
        "action": finding.action.name.lower(),
        "speed_limit_mps": _number(finding.speed_limit_mps),
        "quantity": finding.quantity,
        "value": _number(finding.value),
        "threshold": _number(finding.threshold),
        "margin": _number(finding.margin),
        "unit": finding.unit,
        "zone": finding.zone,
        "track_ids": list(finding.track_ids),
        "points_m": _rounded(finding.points_m),
        "sensor": finding.sensor,
        "text": finding.text,
    }


def lineage_line(lineage: Lineage) -> dict[str, Any]:
    """Sources and stages; times in ns."""
    return {
        "sources": [{"sensor": s.sensor, "t_ns": s.t_ns} for s in lineage.sources],
        "stages": [asdict(s) for s in lineage.stages],
    }


def models_line(models: tuple[ModelRef, ...]) -> list[dict[str, str]]:
    """Ids and digests."""
    return [{"id": model.id, "digest": model.digest} for model in models]


def _risk_columns(tracks: Tracks, risks: ObjectRisks) -> dict[str, list[Any]]:
    row_of = {track_id: row for row, track_id in enumerate(risks.track_ids.tolist())}
    rows = [row_of.get(track_id) for track_id in tracks.ids.tolist()]
    measures = {
        "in_path": risks.in_path.tolist(),
        "gap_m": _rounded(risks.gap_m),
        "distance_m": _rounded(risks.distance_m),
        "closing_mps": _rounded(risks.closing_mps),
        "ttc_s": _rounded(risks.ttc_s),
    }
    return {name: [None if row is None else values[row] for row in rows] for name, values in measures.items()}


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """One table a row."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _class_name(class_id: int) -> str:
    return ObjectClass(class_id).name.lower()


@cache
def _sensor_names(flags: int) -> tuple[str, ...]:
    return tuple(kind.name.lower() for kind in SensorKind if kind and flags & kind and kind.name)


def _number(value: float, digits: int = 3) -> float | None:
    """Rounded; None for what JSON has no number for. Adding zero turns -0.0 into 0.0."""
    return round(float(value), digits) + 0.0 if math.isfinite(value) else None


def _rounded(values: npt.ArrayLike, digits: int = 3) -> list[Any]:
    """The same for all of an array, as nested lists."""
    rounded = np.round(np.asarray(values, dtype=np.float64), digits) + 0.0
    finite = np.isfinite(rounded)
    if finite.all():
        return list(rounded.tolist())
    with_gaps = rounded.astype(object)
    with_gaps[~finite] = None
    return list(with_gaps.tolist())
