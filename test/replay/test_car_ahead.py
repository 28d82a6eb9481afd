"""A real drive behind a queue: the car ahead stays one track, and its rear stays where the sweeps see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception_platform.bags.kitti_import import import_kitti_raw
from perception_platform.core.geometry import Array, box_corners
from perception_platform.perception.load import load_graph
from perception_platform.replay.run import replay_lockstep
from perception_platform.robot.load import load_robot

VAN = load_robot("delivery_van")
FRONT_M = float(VAN.footprint[:, 0].max())
SWEEPS = 32


@pytest.fixture(scope="module")
def run_dir(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("kiss_icp", reason="the extra scan-matching is not installed")
    folder = tmp_path_factory.mktemp("drive")
    import_kitti_raw(
        shared_data / "kitti_drive_0052", folder / "drive.mcap", VAN, lambda stage, done, total: None
    )
    replay_lockstep(folder / "drive.mcap", VAN, load_graph(VAN), folder / "run")
    return folder / "run"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rear_of_car_ahead(line: dict[str, Any]) -> tuple[int, float]:
    """Id of the nearest track straight ahead, and where its box begins ahead of the van, m."""
    found = []
    for track in line["tracks"]:
        box = [np.array([track[key]]) for key in ("center_base_m", "size_m", "yaw_base_rad")]
        corners_m = box_corners(*box)[0]
        begin_m = crossing_m(corners_m)
        if begin_m > FRONT_M and track["size_m"][2] > 1.0:
            found.append((begin_m - FRONT_M, track["id"]))
    gap_m, track_id = min(found)
    return track_id, gap_m


def crossing_m(corners_m: Array) -> float:
    """Where the x axis enters a box; infinite if it misses it."""
    a, b = corners_m, np.roll(corners_m, -1, axis=0)
    cuts = (a[:, 1] > 0) != (b[:, 1] > 0)
    share = a[cuts, 1] / (a[cuts, 1] - b[cuts, 1])
    return float(min(a[cuts, 0] + share * (b[cuts, 0] - a[cuts, 0]), default=np.inf))


def gap_in_sweep_m(sweep: Path) -> float:
    """The gap by the sweep's own points: mean of the five nearest at bumper to window height, within the lane."""
    xyz_m = VAN.lidars[0].mounting.transform().apply(np.fromfile(sweep, np.float32).reshape(-1, 4)[:, :3])
    x, y, z = xyz_m.T
    ahead = x[(np.abs(y) < 0.7) & (x > FRONT_M) & (z > 0.4) & (z < 1.4)]
    return float(np.sort(ahead)[:5].mean()) - FRONT_M


def test_the_car_ahead_is_one_track_and_its_rear_agrees_with_the_sweeps(
    shared_data: Path, run_dir: Path
) -> None:
    tracks = lines(run_dir / "tracks.jsonl")
    assert len(tracks) >= SWEEPS - 1  # the last sweep's result may fall behind the end of the recording
    found = [rear_of_car_ahead(line) for line in tracks]
    assert len({track_id for track_id, _ in found}) == 1
    sweeps = sorted((shared_data / "kitti_drive_0052").rglob("*.bin"))
    seen_m = np.array([gap_in_sweep_m(sweep) for sweep in sweeps[: len(tracks)]])
    assert np.abs(np.array([gap_m for _, gap_m in found]) - seen_m).max() < 0.15


def test_creeping_up_is_no_emergency(run_dir: Path) -> None:
    actions = [line["action"] for line in lines(run_dir / "decisions.jsonl")]
    assert "emergency_stop" not in actions
    assert "limit" in actions
