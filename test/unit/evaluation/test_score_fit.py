"""What scores are worth: a law that made the boxes right or wrong is found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.evaluation.kitti_files import write_tracks
from perception_platform.evaluation.score_fit import fit_scores
from test.unit.evaluation.boxes import boxes

FRAMES = 1500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sequences with a box a frame, right with probability 1 / (1 + exp(-(0.8 score + 0.06 range - 3)))."""
    rng = np.random.default_rng(4)
    (tmp_path / "detections" / "Car").mkdir(parents=True)
    for name in ("0000", "0001"):
        score, range_m = rng.uniform(-2, 5, FRAMES), rng.uniform(5, 60, FRAMES)
        right = rng.random(FRAMES) < 1 / (1 + np.exp(-(0.8 * score + 0.06 * range_m - 3)))
        lines = [
            f"{i},2,500,100,600,180,{s:.4f},1.5,1.8,4.0,0.0,1.6,{z:.3f},0.0,0.0"
            for i, (s, z) in enumerate(zip(score, range_m, strict=True))
        ]
        (tmp_path / "detections" / "Car" / f"{name}.txt").write_text("\n".join(lines) + "\n")
        rows = np.flatnonzero(right)
        labels = boxes([(int(i), 0, 0.0) for i in rows])
        labels.bottoms_m[:, 2] = range_m[rows]
        write_tracks(tmp_path / "labels" / f"{name}.txt", labels, "Car")
    (tmp_path / "seqmap.txt").write_text(f"0000 empty 000000 {FRAMES}\n0001 empty 000000 {FRAMES}\n")
    return tmp_path


def test_the_law_behind_the_boxes_is_found(folder: Path) -> None:
    found = fit_scores(folder / "detections", folder / "labels", folder / "seqmap.txt", "Car")
    assert found["score_scale"] == pytest.approx(0.8, abs=0.1)
    assert found["score_per_m"] == pytest.approx(0.06, abs=0.01)
    assert found["score_offset"] == pytest.approx(-3, abs=0.4)
    assert found["boxes"] == 2 * FRAMES
    assert found["log_loss"] <= found["log_loss_left_out"] < found["log_loss_without_range"]


def test_without_a_right_box_there_is_nothing_to_fit(folder: Path) -> None:
    for name in ("0000", "0001"):
        (folder / "labels" / f"{name}.txt").write_text("")
    with pytest.raises(InputError, match="right and wrong"):
        fit_scores(folder / "detections", folder / "labels", folder / "seqmap.txt", "Car")
