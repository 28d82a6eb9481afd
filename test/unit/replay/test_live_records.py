"""Records of a live run: what arrives in any order is put together; what stays alone is given up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.objects import Detections, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.verdicts import Action, Assessment, Decision, GateState, ObjectRisks
from perception_platform.replay.live_records import PENDING, LiveRecorder
from perception_platform.replay.records import Records

MS = 1_000_000
NO_RISKS = ObjectRisks(*(np.zeros(0, dtype=np.int64),) * 2, np.zeros(0, dtype=np.bool_), *(np.zeros(0),) * 6)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with Records(tmp_path) as entered:
        yield entered


def lineage(t_ns: int, sensor: str = "lidar_top") -> Lineage:
    return Lineage(
        (SourceStamp(sensor, t_ns),), (StageTiming("perception", *[t_ns] * 3, *[t_ns + 20 * MS] * 2),)
    )


def detections(t_ns: int) -> Detections:
    return Detections.empty(t_ns, "base_link", lineage(t_ns))


def obstacles(t_ns: int) -> PointCloud:
    return PointCloud(t_ns, "base_link", "lidar_top", np.zeros((3, 3), dtype=np.float32))


def assessment(t_ns: int) -> Assessment:
    return Assessment(t_ns, (), NO_RISKS, lineage(t_ns))


def decision(t_ns: int) -> Decision:
    zero = (0.0, 0.0, 0.0)
    return Decision(
        t_ns, 1, Action.PROCEED, GateState.NORMAL, 1.0, 0.8, (), False, 9, None, zero, lineage(t_ns)
    )


def lines(records: Records, name: str) -> list[dict[str, Any]]:
    records.__exit__(None, None, None)
    return [json.loads(line) for line in (records.out_dir / name).read_text().splitlines()]


def test_a_sweep_is_written_when_both_halves_are_there_in_either_order(records: Records) -> None:
    recorder = LiveRecorder(records)
    for value in (detections(1), obstacles(2), obstacles(1), detections(2), detections(3)):
        recorder.hear(value)
    written = lines(records, "detections.jsonl")
    assert [line["t_ns"] for line in written] == [1, 2]
    assert [line["obstacle_points"] for line in written] == [3, 3]


def test_tracks_wait_for_their_assessment(records: Records) -> None:
    recorder = LiveRecorder(records)
    recorder.hear(EgoState(0, Transform.identity(), (1.0, 0.0), 0.0))
    recorder.hear(Tracks.empty(10, "odom"))
    recorder.hear(assessment(9))
    recorder.hear(assessment(12))
    recorder.hear(assessment(13))
    assert [line["t_ns"] for line in lines(records, "tracks.jsonl")] == [10]


def test_memory_stays_bounded_when_one_half_never_comes(records: Records) -> None:
    recorder = LiveRecorder(records)
    for t_ns in range(10 * PENDING):
        recorder.hear(detections(t_ns))
    for t_ns in range(10 * PENDING):
        recorder.hear(obstacles(t_ns))
    assert len(lines(records, "detections.jsonl")) == PENDING


def test_frames_add_up_and_each_source_counts_once(records: Records) -> None:
    recorder = LiveRecorder(records)
    for t_ns in (1, 2, 3):
        recorder.hear(detections(t_ns))
        recorder.hear(decision(t_ns))
    summary = recorder.frames({"lidar_top": 5, "scan_front": 2}).summary()
    assert summary["frames_in"] == 7
    assert summary["frames_processed"] == 3
    assert summary["frames_dropped"] == {"not_used": 4}


def test_stage_times_are_those_the_lineage_carries(records: Records) -> None:
    recorder = LiveRecorder(records)
    recorder.hear(detections(1))
    recorder.hear(decision(1))  # the same sweep's stage again
    assert recorder.timing()["perception"] == {
        "p50": 20.0,
        "p90": 20.0,
        "p99": 20.0,
        "max": 20.0,
        "samples": 1,
    }
