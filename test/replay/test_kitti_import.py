"""A real drive is imported with the motion that its official labels say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception_platform.bags.kitti_import import import_kitti_raw
from perception_platform.bags.reader import read_messages
from perception_platform.messages.sensors import ego_from_odometry
from perception_platform.robot.load import load_robot


def test_a_real_drive(shared_data: Path, tmp_path: Path) -> None:
    """Ego motion agrees with the official labels: six standing vehicles come 1.60 m nearer from frame 7 to 14."""
    pytest.importorskip("kiss_icp", reason="the extra scan-matching is not installed")
    source = shared_data / "kitti_drive_0052"
    summary = import_kitti_raw(
        source, tmp_path / "out.mcap", load_robot("delivery_van"), lambda stage, done, total: None
    )
    assert (summary.sweeps, summary.images, summary.odometry_source) == (32, 32, "scan_matching")
    assert not any("calibration puts" in w for w in summary.warnings)
    states = [ego_from_odometry(m.message) for m in read_messages(tmp_path / "out.mcap", ["/odom"])]
    moved_m = states[14].odom_from_base.translation_m - states[7].odom_from_base.translation_m
    ahead_m = np.array([_depths_m(source, f"{i:010d}") for i in (7, 14)])
    approach_m = float(np.median(ahead_m[0] - ahead_m[1]))
    assert approach_m == pytest.approx(1.60, abs=0.02)
    assert len(ahead_m[0]) == 6
    assert float(np.linalg.norm(moved_m[:2])) == pytest.approx(approach_m, abs=0.05)
    speeds = np.array([s.velocity_mps[0] for s in states])
    assert np.abs(np.diff(speeds)).max() < 0.15  # smooth: under 1.5 m/s²
    assert (speeds > 1.4).all()
    assert (speeds < 2.5).all()


def _depths_m(source: Path, frame: str) -> list[float]:
    """Distances ahead of the labelled vehicles that stand: all but the car ahead and the truck beside it."""
    rows = [line.split() for line in (source / "label_2" / f"{frame}.txt").read_text().splitlines()]
    return [float(r[13]) for r in rows if r[0] in ("Car", "Van")][1:]
