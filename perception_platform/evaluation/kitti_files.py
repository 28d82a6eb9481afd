"""Files of the KITTI tracking benchmark: boxes, labels, results, calibration, poses, the list of sequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, Transform, wrap_angle
from perception_platform.core.objects import Ints

CATEGORIES = ("Car", "Pedestrian", "Cyclist")
_LABEL_FIELDS = 17
_DETECTION_FIELDS = 15
_TYPES = {1.0: "pedestrian", 2.0: "car", 3.0: "cyclist"}


@dataclass(frozen=True, slots=True)
class KittiBoxes:
    """N boxes in the frame of KITTI's rectified camera: x right, y down, z ahead.

    Attributes:
        frames: (N,) numbers of frames.
        ids: (N,) identities; -1 where there is none.
        types: (N,) lower-case names.
        truncation: (N,) 0 for wholly inside the image.
        occlusion: (N,) 0 for wholly visible to 3 for unknown.
        boxes_px: (N, 4) x1 y1 x2 y2.
        sizes_m: (N, 3) height, width, length.
        bottoms_m: (N, 3) centre of the bottom face.
        ry_rad: (N,) headings about the camera's y axis, 0 along x.
        scores: (N,) as in the file.
    """

    frames: Ints
    ids: Ints
    types: npt.NDArray[np.str_]
    truncation: Array
    occlusion: Array
    boxes_px: Array
    sizes_m: Array
    bottoms_m: Array
    ry_rad: Array
    scores: Array

    def __len__(self) -> int:
        return len(self.frames)

    def select(self, rows: npt.NDArray[Any]) -> KittiBoxes:
        """Some of them, by mask or by row."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def read_detections(path: Path, frames: int) -> KittiBoxes:
    """A detector's boxes of one sequence of so many frames: comma-separated, 15 numbers a line.

    Raises:
        InputError: naming file and line, if it is missing or a line is not of that form; or a frame that
            is beyond the end.
    """
    rows = [_numbers(path, line, text.split(","), _DETECTION_FIELDS) for line, text in _lines(path)]
    table = np.array(rows, dtype=np.float64).reshape(-1, _DETECTION_FIELDS)
    unknown = ~np.isin(table[:, 1], list(_TYPES))
    if unknown.any():
        raise InputError(path, f"type {table[unknown, 1][0]:g} is none of 1, 2, 3")
    n = len(table)
    return KittiBoxes(
        frames=_frames(path, table[:, 0], frames),
        ids=np.full(n, -1, dtype=np.int64),
        types=np.array([_TYPES[t] for t in table[:, 1]], dtype=np.str_),
        truncation=np.zeros(n),
        occlusion=np.zeros(n),
        boxes_px=table[:, 2:6],
        sizes_m=table[:, 7:10],
        bottoms_m=table[:, 10:13],
        ry_rad=table[:, 13],
        scores=table[:, 6],
    )


def read_tracks(path: Path, frames: int) -> KittiBoxes:
    """Labels, or a tracker's results, of one sequence of so many frames: 17 fields a line, results' score an 18th.

    Raises:
        InputError: naming file and line, if it is missing or a line is not of that form; or a frame that
            is beyond the end.
    """
    return _boxes(path, _lines(path), frames, _LABEL_FIELDS)


def read_objects(path: Path, frame: int) -> KittiBoxes:
    """Labels, or a detector's results, of one frame of KITTI object: 15 fields a line, results' score a 16th.

    Raises:
        InputError: naming file and line, if it is missing or a line is not of that form.
    """
    lines = [(line, f"{frame} -1 {text}") for line, text in _lines(path)]
    return _boxes(path, lines, frame + 1, _LABEL_FIELDS - 2)


def _boxes(path: Path, lines: Iterable[tuple[int, str]], frames: int, fields: int) -> KittiBoxes:
    """Boxes of lines that begin with frame and id; ``fields`` is how many there are in the file."""
    types: list[str] = []
    rows: list[list[float]] = []
    for line, text in lines:
        parts = text.split()
        if len(parts) not in (_LABEL_FIELDS, _LABEL_FIELDS + 1):
            found = len(parts) - _LABEL_FIELDS + fields
            raise InputError(path, f"{found} fields in place of {fields} or {fields + 1}", f"line {line}")
        types.append(parts.pop(2).lower())
        rows.append([*_numbers(path, line, parts, len(parts)), 0.0][:_LABEL_FIELDS])
    table = np.array(rows, dtype=np.float64).reshape(-1, _LABEL_FIELDS)
    return KittiBoxes(
        frames=_frames(path, table[:, 0], frames),
        ids=table[:, 1].astype(np.int64),
        types=np.array(types, dtype=np.str_),
        truncation=table[:, 2],
        occlusion=table[:, 3],
        boxes_px=table[:, 5:9],
        sizes_m=table[:, 9:12],
        bottoms_m=table[:, 12:15],
        ry_rad=table[:, 15],
        scores=table[:, 16],
    )


def write_tracks(path: Path, boxes: KittiBoxes, category: str) -> None:
    """Write a result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in kitti_lines(boxes, category)), encoding="utf-8")


def above(boxes: KittiBoxes, threshold: float) -> KittiBoxes:
    """The boxes of trajectories whose mean score is at least the threshold."""
    _, rows = np.unique(boxes.ids, return_inverse=True)
    mean = np.bincount(rows, weights=boxes.scores) / np.maximum(np.bincount(rows), 1)
    return boxes.select(mean[rows] >= threshold)


def kitti_lines(boxes: KittiBoxes, category: str) -> list[str]:
    """Lines of a result file; alpha is derived from heading and position."""
    alpha = wrap_angle(boxes.ry_rad - np.arctan2(boxes.bottoms_m[:, 0], boxes.bottoms_m[:, 2]))
    columns = np.column_stack(
        [alpha, boxes.boxes_px, boxes.sizes_m, boxes.bottoms_m, boxes.ry_rad, boxes.scores]
    )
    return [
        f"{frame} {track_id} {category} 0 0 " + " ".join(f"{value:.4f}" for value in row)
        for frame, track_id, row in zip(
            boxes.frames.tolist(), boxes.ids.tolist(), columns.tolist(), strict=True
        )
    ]


def read_sequences(path: Path) -> dict[str, int]:
    """Names of sequences and their numbers of frames, from a seqmap: ``0000 empty 000000 000154`` a line.

    Raises:
        InputError: naming file and line, if it is missing, empty or a line is not of that form.
    """
    sequences: dict[str, int] = {}
    for line, text in _lines(path):
        parts = text.split()
        if len(parts) != 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            raise InputError(path, "expected: name, a word, first frame, end", f"line {line}")
        sequences[parts[0]] = int(parts[3])
    if not sequences:
        raise InputError(path, "no sequences")
    return sequences


def read_projection(path: Path) -> Array:
    """(3, 4) projection of the left colour camera, P2 of a calibration file.

    Raises:
        InputError: if it is missing or has no P2 of 12 numbers.
    """
    for line, text in _lines(path):
        name, _, numbers = text.partition(" ")
        if name.rstrip(":") == "P2":
            return np.array(_numbers(path, line, numbers.split(), 12)).reshape(3, 4)
    raise InputError(path, "no P2 in it")


def read_poses(path: Path, frames: int) -> list[Transform]:
    """World from camera a frame, 3 x 4 row-major a line.

    Raises:
        InputError: naming file and line, if it is missing, a line is not of that form, or there are too few for so
            many frames.
    """
    matrices = [np.array(_numbers(path, line, text.split(), 12)).reshape(3, 4) for line, text in _lines(path)]
    if len(matrices) < frames:
        raise InputError(path, f"{len(matrices)} poses for {frames} frames")
    return [Transform(np.ascontiguousarray(m[:, :3]), np.ascontiguousarray(m[:, 3])) for m in matrices]


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    """Lines that are not empty, with their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, str(error)) from error
    return [(i, line) for i, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _numbers(path: Path, line: int, parts: list[str], count: int) -> list[float]:
    if len(parts) != count:
        raise InputError(path, f"{len(parts)} fields in place of {count}", f"line {line}")
    try:
        numbers = [float(part) for part in parts]
    except ValueError as error:
        raise InputError(path, str(error), f"line {line}") from error
    if not np.isfinite(numbers).all():
        raise InputError(path, "a number is not finite", f"line {line}")
    return numbers


def _frames(path: Path, numbers: Array, count: int) -> Ints:
    frames = numbers.astype(np.int64)
    if (frames < 0).any() or (frames != numbers).any():
        raise InputError(path, "frame numbers have to be whole and not negative")
    if (frames >= count).any():
        raise InputError(path, f"a box of frame {frames.max()}, but the sequence has {count} frames, from 0")
    return frames
