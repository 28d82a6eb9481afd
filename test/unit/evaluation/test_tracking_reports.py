"""The commands from files to reports, on a made-up sequence; TrackEval on labels that are their own result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.evaluation.clear_mot import pair_sequence
from perception_platform.evaluation.hota import hota
from perception_platform.evaluation.kitti_files import write_tracks
from perception_platform.evaluation.track_bench import bench_tracking
from perception_platform.evaluation.tracking import above, intervals
from test.unit.evaluation.boxes import boxes

FRAMES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One sequence with a car that drives and a false box now and then."""
    rng = np.random.default_rng(1)
    for name in ("labels", "calib", "ego", "detections/Car"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "seqmap.txt").write_text(f"0000 empty 000000 {FRAMES:06d}\n")
    (tmp_path / "calib" / "0000.txt").write_text("P2: 720 0 610 45 0 720 173 0.2 0 0 1 0.003\n")
    (tmp_path / "ego" / "0000.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * FRAMES)
    write_tracks(
        tmp_path / "labels" / "0000.txt", boxes([(i, 0, -6 + 0.3 * i) for i in range(FRAMES)]), "Car"
    )
    lines = []
    for i in range(FRAMES):
        x, z = -6 + 0.3 * i + rng.normal(0, 0.05), 20 + rng.normal(0, 0.05)
        lines.append(f"{i},2,500,100,600,180,6.0,1.5,1.8,4.0,{x:.3f},1.6,{z:.3f},0.0,0.0")
        if i % 9 == 4:
            lines.append(f"{i},2,900,100,990,180,0.1,1.5,1.8,4.0,{rng.uniform(8, 12):.3f},1.6,25,0.0,0.0")
    (tmp_path / "detections" / "Car" / "0000.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def track(folder: Path, out: str, *more: str) -> Path:
    arguments = ["track", "kitti", "--detections", f"{folder}/detections", "--calib", f"{folder}/calib"]
    arguments += [
        "--frames",
        f"{folder}/seqmap.txt",
        "--ego",
        f"{folder}/ego",
        "--out",
        f"{folder}/{out}",
        *more,
    ]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / out


def evaluate(folder: Path, results: Path, *more: str) -> dict[str, dict[str, dict[str, float]]]:
    arguments = ["evaluate", "tracking", "--results", str(results), "--labels", f"{folder}/labels"]
    arguments += [
        "--frames",
        f"{folder}/seqmap.txt",
        "--ego",
        f"{folder}/ego",
        "--json",
        f"{folder}/report.json",
    ]
    result = CliRunner().invoke(app, [*arguments, *more], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads((folder / "report.json").read_text())  # type: ignore[no-any-return]


def test_tracking_twice_gives_the_same_bytes(folder: Path) -> None:
    one, two = track(folder, "one"), track(folder, "two")
    names = sorted(p.relative_to(one) for p in one.rglob("*.*") if p.name != "timing.json")
    assert [str(n) for n in names] == [
        "Car/confident/0000.txt",
        "Car/data/0000.txt",
        "Car/states/0000.csv",
        "data/0000.txt",
    ]
    assert all((one / n).read_bytes() == (two / n).read_bytes() for n in names)
    timing = json.loads((one / "timing.json").read_text())
    assert timing["Car"]["frames"] == FRAMES
    assert timing["Car"]["seconds"] > 0


def test_what_the_tracker_is_sure_of_is_whole_trajectories_of_what_it_wrote(folder: Path) -> None:
    out = track(folder, "out")
    written, sure = (
        (out / "Car" / part / "0000.txt").read_text().splitlines() for part in ("data", "confident")
    )
    assert set(sure) < set(written)
    ids = {line.split()[1] for line in sure}
    assert len(ids) == 1
    assert sure == [line for line in written if line.split()[1] in ids]


def test_the_report_has_what_the_files_hold(folder: Path) -> None:
    report = evaluate(folder, track(folder, "out"), "--no-hota", "--resamples", "20")["Car"]
    assert report["iou_0.25"]["samota"] > 0.9
    assert report["iou_0.25"]["switches"] == 0
    assert report["iou_0.25"]["labels"] == FRAMES
    assert report["motion"]["velocity_median_error_mps"] < 0.5
    plain = evaluate(folder, track(folder, "plain", "--baseline"), "--no-hota", "--resamples", "0")["Car"]
    assert "interval_95" not in plain["iou_0.25"]
    assert plain["iou_0.25"]["samota"] > 0.8


@pytest.mark.slow
def test_two_plots_are_drawn(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    ours, plain = track(folder, "out"), track(folder, "plain", "--baseline")
    evaluate(folder, plain, "--no-hota", "--resamples", "0")
    (folder / "report.json").rename(folder / "plain.json")
    more = ("--no-hota", "--resamples", "0", "--plots", f"{folder}/plots", "--beside", f"{folder}/plain.json")
    evaluate(folder, ours, *more)
    for name in ("tracking_recall.png", "tracking_nees.png"):
        assert (folder / "plots" / name).read_bytes().startswith(b"\x89PNG")


def test_a_category_without_a_hit_is_drawn_beside_another(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    results = track(folder, "out")
    for name in ("data/0000.txt", "states/0000.csv"):
        (results / "Pedestrian" / name).parent.mkdir(parents=True)
        (results / "Pedestrian" / name).write_text("")
    more = ("--no-hota", "--resamples", "0", "--plots", f"{folder}/plots")
    report = evaluate(folder, results, *more)
    assert report["Pedestrian"]["iou_0.25"]["curve"] == []
    assert report["Pedestrian"]["motion"]["samples"] == 0
    assert len(list((folder / "plots").glob("*.png"))) == 2


@pytest.mark.parametrize("content", [None, "{", "[]", '{"Car": {}}', '{"Tram": {"iou_0.25": {"curve": []}}}'])
def test_another_report_that_cannot_be_drawn_is_named(folder: Path, content: str | None) -> None:
    results = track(folder, "out")
    if content is not None:
        (folder / "other.json").write_text(content)
    with pytest.raises(InputError, match=r"other\.json"):
        evaluate(folder, results, "--no-hota", "--plots", f"{folder}/p", "--beside", f"{folder}/other.json")


def test_labels_beyond_the_sequence_or_its_poses_are_named(folder: Path) -> None:
    results = track(folder, "out")
    (folder / "ego" / "0000.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * (FRAMES - 5))
    with pytest.raises(InputError, match=r"ego/0000\.txt: 35 poses for 40 frames"):
        evaluate(folder, results, "--no-hota", "--resamples", "0")
    (folder / "seqmap.txt").write_text(f"0000 empty 000000 {FRAMES - 5:06d}\n")
    with pytest.raises(InputError, match=r"labels/0000\.txt: a box of frame 39, but the sequence has 35"):
        evaluate(folder, results, "--no-hota", "--resamples", "0")


def test_what_is_missing_is_named(folder: Path) -> None:
    (folder / "ego" / "0000.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(InputError, match="1 poses for 40 frames"):
        track(folder, "out")
    with pytest.raises(InputError, match="no results"):
        evaluate(folder, folder)


def test_boxes_are_kept_by_the_mean_score_of_their_trajectory() -> None:
    found = above(boxes([(0, 1, 0.0), (1, 1, 0.0), (1, 2, 9.0)], score=[0.1, 0.7, 0.3]), 0.39)
    assert found.ids.tolist() == [1, 1]


def test_intervals_hold_the_spread_between_sequences_and_repeat() -> None:
    labels = boxes([(i, 0, 0.0) for i in range(80)])
    good = pair_sequence(labels, boxes([(i, 1, 0.0) for i in range(80)]), "car", 0.25)
    half = pair_sequence(labels, boxes([(i, 1, 0.0) for i in range(40)]), "car", 0.25)
    found = intervals([good, half, good, half], 100, seed=3)
    assert found["mota"][0] == pytest.approx(0.5, abs=0.13)
    assert found["mota"][1] == pytest.approx(1.0, abs=0.13)
    assert found == intervals([good, half, good, half], 100, seed=3)


def test_hota_of_the_truth_is_one_and_of_half_of_it_less(folder: Path) -> None:
    pytest.importorskip("trackeval")
    truth = boxes([(i, 0, -6 + 0.3 * i) for i in range(FRAMES)])
    whole = hota({"0000": truth}, folder / "labels", {"0000": FRAMES}, "Car")
    assert whole == pytest.approx({"HOTA": 1.0, "DetA": 1.0, "AssA": 1.0, "LocA": 1.0}, abs=1e-3)
    # Half of the frames of one object: DetA and AssA are both 1/2, and HOTA is their geometric mean.
    half = hota({"0000": truth.select(np.arange(FRAMES // 2))}, folder / "labels", {"0000": FRAMES}, "Car")
    assert half["HOTA"] == pytest.approx(0.5, abs=1e-3)


def test_the_bench_times_each_tracker_on_the_same_scenes() -> None:
    rows = bench_tracking(0, {5: 4})
    assert [row["tracker"] for row in rows] == ["baseline", "clusters", "boxes"]
    assert all(row["samples"] == 4 and 0 < row["p50_ms"] <= row["p99_ms"] for row in rows)
