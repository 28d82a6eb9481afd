"""Sweeps in files: KITTI ``.bin``, Point Cloud Library ``.pcd`` and ``.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import PointCloud

SUFFIXES = (".bin", ".pcd", ".csv")
CSV_COLUMNS = ("x", "y", "z", "intensity", "ring")  # in this order where a first line does not name them
KITTI_POINT_BYTES = 16
# Intensity is written as a fraction by some tools and as a byte by others.
BYTE_SCALE = 255.0


def load_sweep(path: Path, t_ns: int, sensor: str) -> PointCloud:
    """A sweep from a file, by its ending; points that are not finite are left out.

    Args:
        path: a ``.bin`` (float32 x y z reflectance), ``.pcd`` or ``.csv`` file (x y z; intensity and ring if given).
        t_ns: its stamp, ns.
        sensor: name of the lidar, also its frame.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    read = {".bin": _kitti_columns, ".csv": _csv_columns}.get(path.suffix.lower(), _pcd_columns)
    columns = read(path)
    xyz_m = np.empty((len(columns["x"]), 3), dtype=np.float32)
    for i, axis in enumerate("xyz"):
        xyz_m[:, i] = columns[axis]
    # All of them, as a rule, and then there is nothing to select.
    finite: Any = slice(None) if np.isfinite(xyz_m.sum()) else np.isfinite(xyz_m).all(axis=1)
    intensity, ring = columns.get("intensity"), columns.get("ring")
    return PointCloud(
        t_ns=t_ns,
        frame_id=sensor,
        sensor=sensor,
        xyz_m=xyz_m[finite],
        intensity=None if intensity is None else _fractions(intensity[finite]),
        ring=None if ring is None else ring[finite].astype(np.uint16),
    )


def _fractions(intensity: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    values = intensity.astype(np.float32)
    if not np.isfinite(values.sum()):
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    if values.size and values.max() > 1.0:
        values /= np.float32(BYTE_SCALE)
    return np.clip(values, 0.0, 1.0, out=values)


def _kitti_columns(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    data = _bytes(path)
    if len(data) % KITTI_POINT_BYTES:
        raise InputError(
            path, f"{len(data)} bytes are not whole points of {KITTI_POINT_BYTES} bytes: cut short?"
        )
    points = np.frombuffer(data, dtype="<f4").reshape(-1, 4)
    return {name: points[:, i] for i, name in enumerate(("x", "y", "z", "intensity"))}


def _csv_columns(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Columns by the names of the first line, or x, y, z, intensity, ring where it has numbers."""
    lines = _bytes(path).decode("utf-8", errors="replace").splitlines()
    names = [name.strip().lower() for name in lines[0].split(",")]
    if all(_is_number(name) for name in names):
        names = list(CSV_COLUMNS[: len(names)])
    else:
        lines = lines[1:]
    if not lines:
        raise InputError(path, "holds no point")
    missing = [axis for axis in "xyz" if axis not in names]
    if missing:
        raise InputError(path, f"has no column {', '.join(missing)}, only {', '.join(names)}", "line 1")
    try:
        table = np.loadtxt(lines, delimiter=",", ndmin=2, usecols=range(len(names)))
    except ValueError as error:
        raise InputError(path, " ".join(str(error).split())[:160]) from error
    table = table.reshape(-1, len(names))
    return {name: table[:, i] for i, name in enumerate(names) if name in CSV_COLUMNS}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pcd_columns(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        from pypcd4.pypcd4 import PointCloud as PcdFile
    except ModuleNotFoundError as error:
        raise InputError(path, f"needs {error.name}: install the extra [lidar-drivers]") from error
    _bytes(path)
    try:
        pcd = PcdFile.from_path(path)
        columns = {
            name: pcd.pc_data[name] for name in pcd.fields if name in ("x", "y", "z", "intensity", "ring")
        }
    except Exception as error:  # the library raises whatever the malformed byte led to
        raise InputError(
            path, f"not a .pcd file that can be read: {' '.join(str(error).split())[:160]}"
        ) from error
    if len(pcd.pc_data) != pcd.points:
        raise InputError(path, f"holds {len(pcd.pc_data)} of {pcd.points} points: cut short?", "POINTS")
    missing = [axis for axis in "xyz" if axis not in columns]
    if missing:
        raise InputError(path, f"has no field {', '.join(missing)}, only {', '.join(pcd.fields)}", "FIELDS")
    return columns


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error
    if not data:
        raise InputError(path, "is empty")
    return data
