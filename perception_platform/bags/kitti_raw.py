"""A drive of the KITTI raw data set on disk: files, times, calibration and GPS/IMU.

Layout and formulas: Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013, and its development kit.
Two layouts are read: the data set's own (calibration in the date's folder, beside the drive) and a drive that
carries its calibration in ``calib/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import CameraModel, Points
from perception_platform.core.time import NS_PER_S

# Where a drive has no times: 10 Hz from this moment on (26 September 2011, the day of the first drives).
NOMINAL_EPOCH_NS = 1_317_000_000 * NS_PER_S
NOMINAL_PERIOD_NS = NS_PER_S // 10
_BYTES_PER_POINT = 16
_OXTS_FIELDS = 30
_ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Frame:
    """One file of a stream and its time, ns."""

    path: Path
    t_ns: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of the left colour camera after rectification.

    Attributes:
        camera: its intrinsics.
        camera_from_velodyne: extrinsics, to its optical frame.
        velodyne_from_imu: extrinsics of the GPS/IMU; None where the file is absent.
    """

    camera: CameraModel
    camera_from_velodyne: Transform
    velodyne_from_imu: Transform | None


@dataclass(frozen=True, slots=True)
class Oxts:
    """One reading of the GPS/IMU.

    Attributes:
        t_ns: its time.
        world_from_imu: pose in the drive's Mercator plane (x east, y north, z up).
        velocity_mps: forward and to the left.
        yaw_rate_radps: about the axis that points up.
    """

    t_ns: int
    world_from_imu: Transform
    velocity_mps: tuple[float, float]
    yaw_rate_radps: float


@dataclass(frozen=True, slots=True)
class Drive:
    """The streams of a drive; sweeps are stamped at their end, images when the sweep looks ahead.

    Attributes:
        path: its folder.
        sweeps: lidar sweeps, at least one.
        images: left colour images, may be none.
        oxts: GPS/IMU readings, may be none.
        calibration: how the sensors sit.
        nominal_times: whether the times are made up, at 10 Hz.
    """

    path: Path
    sweeps: tuple[Frame, ...]
    images: tuple[Frame, ...]
    oxts: tuple[Oxts, ...]
    calibration: Calibration
    nominal_times: bool


def read_drive(path: Path) -> Drive:
    """Find and check everything but the sweeps' and images' content.

    Raises:
        InputError: names the folder, file, line or field that is missing or wrong.
    """
    if not path.is_dir():
        raise InputError(path, "no such folder")
    velodyne = path / "velodyne_points"
    nominal = not any((velodyne / n).is_file() for n in ("timestamps_end.txt", "timestamps.txt"))
    sweeps = _frames(velodyne, ".bin", None if nominal else _sweep_ends(velodyne), phase=1.0)
    if not sweeps:
        raise InputError(velodyne / "data", "no sweeps (.bin)")
    images = _stream(path / "image_02", ".png", nominal)
    oxts = _oxts(_stream(path / "oxts", ".txt", nominal))
    calibration = read_calibration(path)
    if oxts and calibration.velodyne_from_imu is None:
        raise InputError(path, "GPS/IMU data, but no calib_imu_to_velo.txt")
    return Drive(path, sweeps, images, oxts, calibration, nominal)


def read_sweep(path: Path) -> tuple[Points, Points]:
    """Points (N, 3), m, and reflectance (N,) in [0, 1] of a ``.bin``.

    Raises:
        InputError: if the file is empty or cut short.
    """
    data = path.read_bytes()
    if not data or len(data) % _BYTES_PER_POINT:
        raise InputError(
            path, f"{len(data)} bytes is not a whole number of points of {_BYTES_PER_POINT}: truncated"
        )
    points = np.frombuffer(data, dtype="<f4").reshape(-1, 4)
    reflectance = np.clip(np.nan_to_num(points[:, 3]), 0.0, 1.0)
    return points[:, :3].astype(np.float32), reflectance.astype(np.float32)


def read_image(path: Path, camera: CameraModel) -> npt.NDArray[np.uint8]:
    """A (H, W, 3) BGR image of the size its calibration says.

    Raises:
        InputError: if it cannot be decoded or has another size.
    """
    import cv2

    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(path, "not a readable image")
    height, width = bgr.shape[:2]
    if (width, height) != (camera.width_px, camera.height_px):
        expected = f"{camera.width_px} x {camera.height_px}"
        raise InputError(path, f"{width} x {height} px, but the calibration (S_rect_02) says {expected}")
    return np.asarray(bgr, dtype=np.uint8)


def read_calibration(drive: Path) -> Calibration:
    """Calibration from the drive's ``calib/``, the drive itself or the date's folder above it.

    Raises:
        InputError: names the file and the field if one is missing, not finite or no rotation.
    """
    folders = (drive / "calib", drive, drive.parent)
    folder = next((f for f in folders if (f / "calib_velo_to_cam.txt").is_file()), None)
    if folder is None:
        raise InputError(drive, "no calib_velo_to_cam.txt in it, its calib/ or the folder above")
    intrinsics = _fields(folder / "calib_cam_to_cam.txt")
    projection = intrinsics.numbers("P_rect_02", 12).reshape(3, 4)
    width, height = intrinsics.numbers("S_rect_02", 2)
    matrix = projection[:, :3]
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise InputError(intrinsics.path, "focal lengths are not positive", "P_rect_02")
    rectified_from_camera0 = Transform(intrinsics.rotation("R_rect_00"), np.zeros(3))
    # P = K [I | t]: t takes points from the rectified camera 0 to camera 2.
    shift_m: Array = np.asarray(np.linalg.solve(matrix, projection[:, 3]), dtype=np.float64)
    camera_from_rectified = Transform(np.eye(3), shift_m)
    camera0_from_velodyne = _fields(folder / "calib_velo_to_cam.txt").rigid()
    imu = folder / "calib_imu_to_velo.txt"
    return Calibration(
        CameraModel(round(width), round(height), matrix),
        camera_from_rectified @ rectified_from_camera0 @ camera0_from_velodyne,
        _fields(imu).rigid() if imu.is_file() else None,
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """The ``name: numbers`` lines of a calibration file."""

    path: Path
    lines: Mapping[str, str]

    def numbers(self, name: str, count: int) -> Array:
        if name not in self.lines:
            raise InputError(self.path, "missing", name)
        try:
            values = np.array([float(v) for v in self.lines[name].split()])
        except ValueError as error:
            raise InputError(self.path, str(error), name) from error
        if len(values) != count:
            raise InputError(self.path, f"{len(values)} numbers instead of {count}", name)
        if not np.isfinite(values).all():
            raise InputError(self.path, f"not finite: {self.lines[name]}", name)
        return values

    def rotation(self, name: str) -> Array:
        matrix = self.numbers(name, 9).reshape(3, 3)
        if (
            not np.allclose(matrix @ matrix.T, np.eye(3), atol=_ORTHONORMAL_TOLERANCE)
            or np.linalg.det(matrix) < 0
        ):
            raise InputError(self.path, "not a rotation: rows are not orthonormal", name)
        u, _, v = np.linalg.svd(matrix)  # the file's rounding taken out
        return np.asarray(u @ v, dtype=np.float64)

    def rigid(self) -> Transform:
        return Transform(self.rotation("R"), self.numbers("T", 3))


def _fields(path: Path) -> _Fields:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return _Fields(path, {name.strip(): values for name, values in pairs})


def _stream(folder: Path, suffix: str, nominal: bool) -> tuple[Frame, ...]:
    """Files and times of images or GPS/IMU readings, taken when the sweep looks ahead: half way through."""
    if not folder.is_dir():
        return ()
    return _frames(folder, suffix, None if nominal else _timestamps(folder / "timestamps.txt"), phase=0.5)


def _frames(
    folder: Path, suffix: str, times_ns: Sequence[int | None] | None, phase: float
) -> tuple[Frame, ...]:
    """A folder's files with their times; without times, ``phase`` of a period into their own.

    A file's number is its line in the list of times: drives with lost sweeps have times for those, too.
    """
    frames = []
    for path in sorted((folder / "data").glob(f"*{suffix}")):
        if not path.stem.isdigit():
            raise InputError(path, "the name is not a frame number")
        index = int(path.stem)
        if times_ns is None:
            t_ns = NOMINAL_EPOCH_NS + index * NOMINAL_PERIOD_NS + round(phase * NOMINAL_PERIOD_NS)
        else:
            t_ns = _time_of(path, index, times_ns)
        frames.append(Frame(path, t_ns))
    return tuple(frames)


def _time_of(path: Path, index: int, times_ns: Sequence[int | None]) -> int:
    if index >= len(times_ns):
        raise InputError(path, f"no time for it: the folder has {len(times_ns)} times")
    t_ns = times_ns[index]
    if t_ns is None:
        raise InputError(path, f"no time for it: line {index + 1} of the folder's times is blank")
    return t_ns


def _sweep_ends(folder: Path) -> list[int | None]:
    """End of each sweep, ns; where only the moment it looks ahead is known, half a period later."""
    ends = folder / "timestamps_end.txt"
    if ends.is_file():
        return _timestamps(ends)
    middles_ns = _timestamps(folder / "timestamps.txt")
    return [None if t_ns is None else t_ns + NOMINAL_PERIOD_NS // 2 for t_ns in middles_ns]


def _timestamps(path: Path) -> list[int | None]:
    """Times of a ``timestamps*.txt`` by line, ns; None for a blank one. They name no time zone: taken as UTC."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    times_ns: list[int | None] = []
    last_ns: int | None = None
    for number, line in enumerate(lines, start=1):
        t_ns = _parse_time(path, number, line) if line.strip() else None
        if t_ns is not None and last_ns is not None and t_ns <= last_ns:
            raise InputError(path, f"{line.strip()} does not lie after the time before it", f"line {number}")
        last_ns = last_ns if t_ns is None else t_ns
        times_ns.append(t_ns)
    return times_ns


def _parse_time(path: Path, number: int, line: str) -> int:
    """``2011-09-26 13:02:25.964389445`` as ns; datetime alone resolves only microseconds."""
    try:
        seconds, _, fraction = line.strip().partition(".")
        whole = datetime.strptime(seconds, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        return int(whole.timestamp()) * NS_PER_S + int((fraction + "0" * 9)[:9])
    except ValueError as error:
        raise InputError(path, f"not a time: {line.strip()!r}", f"line {number}") from error


def _oxts(frames: Sequence[Frame]) -> tuple[Oxts, ...]:
    rows = [_oxts_row(frame.path) for frame in frames]
    # The development kit scales the Mercator plane by the first reading's latitude.
    scale = float(np.cos(np.deg2rad(rows[0][0]))) if rows else 1.0
    return tuple(_oxts_reading(f.t_ns, row, scale) for f, row in zip(frames, rows, strict=True))


def _oxts_row(path: Path) -> Array:
    try:
        row = np.array([float(v) for v in path.read_text(encoding="ascii").split()])
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    if len(row) != _OXTS_FIELDS or not np.isfinite(row).all():
        raise InputError(path, f"{np.isfinite(row).sum()} finite numbers instead of {_OXTS_FIELDS}")
    return row


def _oxts_reading(t_ns: int, row: Array, scale: float) -> Oxts:
    """Pose by the development kit's Mercator projection; see its ``convertOxtsToPose``."""
    latitude_deg, longitude_deg, altitude_m, roll, pitch, yaw = (float(v) for v in row[:6])
    earth_radius_m = 6378137.0
    x_m = scale * earth_radius_m * np.deg2rad(longitude_deg)
    y_m = scale * earth_radius_m * np.log(np.tan(np.deg2rad(90.0 + latitude_deg) / 2))
    pose = Transform.from_xyz_rpy((float(x_m), float(y_m), altitude_m), (roll, pitch, yaw))
    return Oxts(t_ns, pose, (float(row[8]), float(row[9])), float(row[22]))
