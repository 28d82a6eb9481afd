"""Files of the benchmark: read, written, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.evaluation.kitti_files import (
    read_detections,
    read_poses,
    read_projection,
    read_sequences,
    read_tracks,
    write_tracks,
)
from test.unit.evaluation.boxes import boxes

DETECTION = "3,2,298.3,165.2,458.2,293.4,8.3,1.96,1.81,4.75,-4.57,1.84,13.53,-2.11,-1.79"


def test_detections_are_read_field_by_field(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(DETECTION + "\n\n")
    found = read_detections(path, 4)
    assert found.frames.tolist() == [3]
    assert found.types.tolist() == ["car"]
    assert found.scores[0] == 8.3
    assert found.sizes_m[0].tolist() == [1.96, 1.81, 4.75]
    assert found.bottoms_m[0].tolist() == [-4.57, 1.84, 13.53]
    assert found.ry_rad[0] == -2.11


def test_results_come_back_as_written(tmp_path: Path) -> None:
    written = boxes([(0, 4, -3.0), (7, 5, 2.5)], score=0.25)
    write_tracks(tmp_path / "sub" / "r.txt", written, "Car")
    found = read_tracks(tmp_path / "sub" / "r.txt", 8)
    for name in ("frames", "ids", "boxes_px", "sizes_m", "bottoms_m", "ry_rad", "scores"):
        np.testing.assert_allclose(getattr(found, name), getattr(written, name), atol=1e-4)
    assert found.types.tolist() == ["car", "car"]


def test_an_empty_file_is_a_sequence_without_boxes(tmp_path: Path) -> None:
    (tmp_path / "e.txt").write_text("")
    assert len(read_detections(tmp_path / "e.txt", 1)) == len(read_tracks(tmp_path / "e.txt", 1)) == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (DETECTION[:-6], "line 1: 14 fields"),
        (DETECTION.replace(",8.3,", ",nan,"), "line 1: a number is not finite"),
        (DETECTION.replace(",8.3,", ",high,"), "line 1: could not convert"),
        (DETECTION.replace("3,2,", "3,9,", 1), "type 9"),
        (DETECTION.replace("3,2,", "2.5,2,", 1), "frame numbers"),
        (DETECTION.replace("3,2,", "4,2,", 1), r"bad\.txt: a box of frame 4, but the sequence has 4 frames"),
    ],
)
def test_what_is_wrong_with_detections_is_said(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_detections(path, 4)


def test_other_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    with pytest.raises(InputError, match="No such file"):
        read_sequences(path)
    path.write_text("0 1 Car")
    for read, complaint in ((read_sequences, "expected"), (read_projection, "no P2")):
        with pytest.raises(InputError, match=complaint):
            read(path)
    for read_frames in (read_tracks, read_poses):
        with pytest.raises(InputError, match="3 fields"):
            read_frames(path, 1)
