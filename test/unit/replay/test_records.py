"""The record files: plain JSON, sums that add up, and the same bytes for the same values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from perception_platform.core.objects import Detections
from perception_platform.core.verdicts import Action, Decision, Finding, GateState, Reason
from perception_platform.replay.records import FrameCounts, Records, tracks_line
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, post, track

CONFIG = RiskConfig.from_robot(load_robot("amr"))
FINDING = Finding(
    Reason.OBJECT_IN_PATH, Action.STOP, 0.0, "gap", 0.8, 1.2, "m", track_ids=(1,), points_m=((1.0, 0.0, 0.2),)
)


def decision(sequence: int, action: Action, state: GateState = GateState.STOPPING) -> Decision:
    return Decision(
        t_ns=sequence * 50_000_000,
        sequence=sequence,
        action=action,
        state=state,
        speed_limit_mps=0.0,
        deceleration_mps2=0.8,
        findings=(FINDING,),
        latched=False,
        latency_ns=100_000_000,
        command_mps=None,
        output_mps=(0.0, -0.0, 0.0),
    )


def write(out_dir: Path, decisions: list[Decision]) -> dict[str, object]:
    tracks = track(3.0, 2.0)
    risks = assess(tracks, (), ego_state(1.0), CONFIG, now_ns=0).objects
    with Records(out_dir) as records:
        records.start_ns = 0
        records.detections(Detections.empty(0, "base_link"), post(2.0))
        records.tracks(tracks, risks, ego_state(1.0))
        for one in decisions:
            records.decision(one, None)
    return records.summary(FrameCounts(), realtime_factor=None)


def test_the_same_values_are_the_same_bytes(tmp_path: Path) -> None:
    decisions = [decision(i, Action.LIMIT) for i in range(3)]
    first, second = write(tmp_path / "a", decisions), write(tmp_path / "b", decisions)
    assert first["digest"] == second["digest"]
    assert first["digest"] != write(tmp_path / "c", decisions[:2])["digest"]


def test_lines_are_plain_json_in_which_infinity_is_null(tmp_path: Path) -> None:
    write(tmp_path, [decision(0, Action.STOP)])
    line = json.loads((tmp_path / "tracks.jsonl").read_text(), parse_constant=lambda name: 1 / 0)
    assert line["tracks"][0]["ttc_s"] is None
    assert line["tracks"][0]["gap_m"] is None
    assert "-0.0" not in (tmp_path / "decisions.jsonl").read_text()


def test_a_decision_line_says_why(tmp_path: Path) -> None:
    write(tmp_path, [decision(0, Action.STOP)])
    line = json.loads((tmp_path / "decisions.jsonl").read_text())
    evidence = line["evidence"][0]
    assert (line["action"], line["reasons"], line["latency_ms"]) == ("stop", ["object_in_path"], 100.0)
    assert (evidence["quantity"], evidence["value"], evidence["margin"]) == ("gap", 0.8, -0.4)
    assert evidence["track_ids"] == [1]


def test_tracks_that_were_not_assessed_have_no_measures() -> None:
    risks = assess(track(3.0, track_id=1), (), ego_state(1.0), CONFIG, now_ns=0).objects
    line = tracks_line(replace(track(3.0), ids=np.array([2])), risks, ego_state(1.0))
    assert line["tracks"][0]["gap_m"] is None
    assert line["tracks"][0]["in_path"] is None


def test_the_stop_every_gate_starts_with_is_not_the_first_stop(tmp_path: Path) -> None:
    starting = decision(0, Action.STOP, GateState.STARTING)
    moving, stopped = decision(1, Action.PROCEED, GateState.NORMAL), decision(2, Action.STOP)
    assert write(tmp_path / "a", [starting, moving, stopped])["first_stop_t_s"] == 0.1
    assert write(tmp_path / "b", [starting, moving])["first_stop_t_s"] is None


def test_the_ledger_of_frames_adds_up_in_total_and_by_sensor() -> None:
    counts = FrameCounts()
    counts.received.update({"lidar_top": 5, "camera_front": 3})
    counts.processed.update({"lidar_top": 3, "camera_front": 2})
    counts.dropped.update(
        {("lidar_top", "superseded"): 1, ("lidar_top", "malformed"): 1, ("camera_front", "superseded"): 1}
    )
    summary = counts.summary()
    assert summary["frames_dropped"] == {"malformed": 1, "superseded": 2}
    assert summary["frames_in"] == summary["frames_processed"] + sum(summary["frames_dropped"].values())
    for sensor in summary["sensors"].values():
        assert sensor["in"] == sensor["processed"] + sum(sensor["dropped"].values())
