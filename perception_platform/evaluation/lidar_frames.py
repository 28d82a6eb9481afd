"""Sweeps with labels in the layout of the KITTI object benchmark: ``velodyne/``, ``label_2/``, ``calib/``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import PointCloud
from perception_platform.evaluation.lidar_measures import Boxes
from perception_platform.sensing.sweep_files import load_sweep

_LABEL_FIELDS = 15
_UNLABELLED = "DontCare"


@dataclass(frozen=True, slots=True)
class LabelledBoxes(Boxes):
    """N labelled boxes in the lidar's frame.

    Attributes:
        types: (N,) names as in the file: Car, Pedestrian, Cyclist, Tram, ...
    """

    types: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A sweep and what was labelled in it; (N,) which of its points are made-up drops in the air, if any are."""

    name: str
    cloud: PointCloud
    labels: LabelledBoxes
    drops: npt.NDArray[np.bool_] | None = None


def frame_names(folder: Path) -> list[str]:
    """Names of the frames that have a sweep and labels, in order.

    Raises:
        InputError: if there are none.
    """
    names = {p.stem for p in (folder / "velodyne").glob("*.bin")}
    names &= {p.stem for p in (folder / "label_2").glob("*.txt")}
    if not names:
        raise InputError(folder, "no frame in both velodyne/ (.bin) and label_2/ (.txt)")
    return sorted(names)


def read_frames(folder: Path, sensor: str) -> Iterator[LabelledFrame]:
    """Each frame that has a sweep and labels; the sweep is taken for one of the lidar ``sensor``.

    Raises:
        InputError: naming file, line and value, if there are no frames, or one cannot be read.
    """
    for name in frame_names(folder):
        camera_from_lidar = read_camera_from_lidar(folder / "calib" / f"{name}.txt")
        labels = read_labels(folder / "label_2" / f"{name}.txt", camera_from_lidar)
        yield LabelledFrame(name, load_sweep(folder / "velodyne" / f"{name}.bin", 0, sensor), labels)


def read_labels(path: Path, camera_from_lidar: Transform) -> LabelledBoxes:
    """Labelled objects of a frame, without regions that nobody labelled.

    Args:
        path: type, truncation, occlusion, alpha, four of the image box, height, width, length, the bottom's centre
            and the heading in the rectified camera's frame (x right, y down, z ahead), a line each.
        camera_from_lidar: pose of the lidar in that frame.
    """
    types, rows = [], []
    for line, text in enumerate(_text(path).splitlines(), start=1):
        parts = text.split()
        if not parts or parts[0] == _UNLABELLED:
            continue
        if len(parts) != _LABEL_FIELDS:
            raise InputError(path, f"{len(parts)} fields in place of {_LABEL_FIELDS}", f"line {line}")
        types.append(parts[0])
        rows.append(_numbers(path, f"line {line}", parts[1:]))
    table = np.array(rows, dtype=np.float64).reshape(-1, _LABEL_FIELDS - 1)
    height_width_length_m, bottom_m, ry_rad = table[:, 7:10], table[:, 10:13], table[:, 13]
    if (height_width_length_m <= 0).any():
        raise InputError(path, "an object whose size is not positive")
    center_m = bottom_m - 0.5 * height_width_length_m[:, :1] * (0.0, 1.0, 0.0)
    lidar_from_camera = camera_from_lidar.inverse()
    ahead = lidar_from_camera.rotate(
        np.column_stack([np.cos(ry_rad), np.zeros_like(ry_rad), -np.sin(ry_rad)])
    )
    return LabelledBoxes(
        lidar_from_camera.apply(center_m),
        height_width_length_m[:, ::-1],
        np.arctan2(ahead[:, 1], ahead[:, 0]),
        np.array(types, dtype=np.str_),
    )


def read_camera_from_lidar(path: Path) -> Transform:
    """Pose of the lidar in the rectified camera's frame: R0_rect times Tr_velo_to_cam of a calibration file.

    Raises:
        InputError: if it is missing or lacks one of the two.
    """
    found = {}
    for line, text in enumerate(_text(path).splitlines(), start=1):
        name, _, values = text.partition(":")
        if name in ("R0_rect", "Tr_velo_to_cam"):
            found[name] = np.array(_numbers(path, f"line {line}", values.split()))
    for name, size in (("R0_rect", 9), ("Tr_velo_to_cam", 12)):
        if name not in found or found[name].size != size:
            raise InputError(path, f"has no such {size} numbers", name)
    camera_from_lidar = found["Tr_velo_to_cam"].reshape(3, 4)
    rectified = Transform(found["R0_rect"].reshape(3, 3), np.zeros(3))
    return rectified @ Transform(camera_from_lidar[:, :3].copy(), camera_from_lidar[:, 3].copy())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, str(error)) from error


def _numbers(path: Path, where: str, parts: list[str]) -> list[float]:
    try:
        numbers = [float(part) for part in parts]
    except ValueError as error:
        raise InputError(path, str(error), where) from error
    if not np.isfinite(numbers).all():
        raise InputError(path, "a number is not finite", where)
    return numbers
