"""PointCloud2 and LaserScan, of any driver, from and to PointCloud."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.core.time import NS_PER_S, from_s
from perception_platform.messages.fields import Make, finite, raw_bytes, set_array, set_header, time_ns

_FORMATS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_DATATYPES = {name: number for number, name in _FORMATS.items()}
_INTENSITY = ("intensity", "reflectivity")
_RING = ("ring", "channel")
# Offsets are seconds where they are floats, nanoseconds where they are integers.
_OFFSET = ("time", "t", "time_offset", "offset_time")
_ABSOLUTE = "timestamp"
# Absolute times above this are nanoseconds, below it seconds.
_NANOSECONDS_ABOVE = 1e14
# Times further from the stamp than this come from another clock: only their differences mean something.
_SAME_CLOCK_S = 1.0
# The slowest spinning lidar takes 0.2 s a turn; a span above this says that the unit is another one.
_LONGEST_SWEEP_S = 1.0
# Ends of the field of view are rounded differently by different drivers.
_SCAN_COUNT_TOLERANCE = 1


def cloud_from_msg(msg: Any, sensor: str) -> PointCloud:
    """A PointCloud2 of any field layout and byte order as a cloud stamped at the sweep's end.

    Points that are not finite and those at the very origin (drivers' mark for "no return") are left out.
    Intensity is scaled to [0, 1]. Point times are understood as drivers write them: ``time`` or ``t`` relative
    to the stamp, ``timestamp`` absolute; if they end after the stamp, the cloud is stamped at that end.

    Raises:
        InputError: names sensor and field if x, y or z is missing, sizes disagree or data is cut short.
    """
    records = _records(msg, sensor)
    xyz_m = _xyz(records)
    reach_m = np.abs(xyz_m[:, 0]) + np.abs(xyz_m[:, 1]) + np.abs(xyz_m[:, 2])
    good = (reach_m > 0) & (reach_m < np.inf)  # NaN compares false
    if not good.all():
        # As opaque values: numpy selects fields and rows of numbers one by one, fifteen times as slowly.
        records = records.view(f"V{records.dtype.itemsize}")[good].view(records.dtype)
        xyz_m = xyz_m.view("V12").reshape(-1)[good].view(np.float32).reshape(-1, 3)
    stamp_ns = time_ns(msg.header.stamp, sensor)
    t_ns, offset_s = _times(records, stamp_ns, sensor)
    ring = _first_of(records, _RING)
    intensity = _first_of(records, _INTENSITY)
    return PointCloud(
        t_ns,
        msg.header.frame_id,
        sensor,
        xyz_m,
        None if intensity is None else _unit_range(intensity),
        None if ring is None else ring.astype(np.uint16),
        offset_s,
    )


def cloud_to_msg(cloud: PointCloud, make: Make) -> Any:
    """A PointCloud2 of x, y, z and what the cloud has of intensity, ring (uint16), time (s, not positive)."""
    columns: dict[str, npt.NDArray[Any]] = dict(zip("xyz", cloud.xyz_m.T, strict=True))
    for name, values in (("intensity", cloud.intensity), ("ring", cloud.ring), ("time", cloud.offset_s)):
        if values is not None:
            columns[name] = values
    dtype = np.dtype([(name, "<u2" if name == "ring" else "<f4") for name in columns])
    records = np.empty(len(cloud), dtype)
    for name, values in columns.items():
        records[name] = values
    msg = make("sensor_msgs/msg/PointCloud2")
    set_header(msg, cloud.t_ns, cloud.frame_id)
    msg.height, msg.width = 1, len(cloud)
    msg.fields = [_point_field(dtype, name, make) for name in columns]
    msg.is_bigendian = False
    msg.point_step, msg.row_step = dtype.itemsize, dtype.itemsize * len(cloud)
    set_array(msg, "data", records.view(np.uint8))
    msg.is_dense = True
    return msg


def scan_to_cloud(msg: Any, sensor: str) -> PointCloud:
    """A LaserScan as a cloud in the scanner's frame (z = 0), stamped at its last ray.

    ROS stamps a scan at its first ray. Ranges outside [range_min, range_max], infinite or NaN mean that
    nothing was measured, and are left out.

    Raises:
        InputError: names the sensor and the field if angles, times or counts are impossible.
    """
    ranges_m = np.asarray(msg.ranges, dtype=np.float64)
    increment_s = finite(msg.time_increment, sensor, "time_increment")
    if increment_s < 0:
        raise InputError(sensor, f"negative: {increment_s}", "time_increment")
    angles_rad = _scan_angles(msg, len(ranges_m), sensor)
    with np.errstate(invalid="ignore"):
        good = (
            (ranges_m >= msg.range_min) & (ranges_m <= msg.range_max) & np.isfinite(ranges_m) & (ranges_m > 0)
        )
    r, a = ranges_m[good], angles_rad[good]
    xyz_m = np.stack([r * np.cos(a), r * np.sin(a), np.zeros_like(r)], axis=1).astype(np.float32)
    before_end_s = increment_s * (len(ranges_m) - 1 - np.flatnonzero(good))
    sweep_ns = from_s(increment_s * max(0, len(ranges_m) - 1))
    return PointCloud(
        time_ns(msg.header.stamp, sensor) + sweep_ns,
        msg.header.frame_id,
        sensor,
        xyz_m,
        intensity=_scan_intensity(msg, good, sensor),
        offset_s=-before_end_s.astype(np.float32) if increment_s > 0 else None,
    )


def _records(msg: Any, sensor: str) -> npt.NDArray[np.void]:
    """The points as a structured array that views the message's bytes."""
    dtype = _record_dtype(msg, sensor)
    width, height, step = int(msg.width), int(msg.height), int(msg.point_step)
    # Drivers leave row_step alone when there is but one row.
    row_step = int(msg.row_step) if height > 1 else width * step
    if row_step < width * step:
        raise InputError(sensor, f"{row_step} bytes cannot hold {width} points of {step}", "row_step")
    data = raw_bytes(msg.data)
    if len(data) != height * row_step:
        problem = f"{len(data)} bytes, but {width} x {height} points take {height * row_step}"
        raise InputError(sensor, problem, "data")
    rows = data.reshape(height, row_step)[:, : width * step]
    return np.ascontiguousarray(rows).reshape(-1).view(dtype)


def _record_dtype(msg: Any, sensor: str) -> np.dtype[np.void]:
    """Layout of one point: the fields that are understood, at their offsets."""
    order, step = ">" if msg.is_bigendian else "<", int(msg.point_step)
    wanted = {"x", "y", "z", *_INTENSITY, *_RING, *_OFFSET, _ABSOLUTE}
    layout: dict[str, tuple[str, int]] = {}
    for field in msg.fields:
        if field.name not in wanted:
            continue
        if field.datatype not in _FORMATS:
            raise InputError(sensor, f"unknown datatype {field.datatype}", f"fields.{field.name}")
        code = order + _FORMATS[field.datatype]
        if field.offset + np.dtype(code).itemsize > step:
            raise InputError(sensor, f"lies outside the point's {step} bytes", f"fields.{field.name}")
        layout[field.name] = (code, int(field.offset))
    for axis in "xyz":
        if axis not in layout:
            have = ", ".join(f.name for f in msg.fields) or "none"
            raise InputError(sensor, f"no field {axis!r}; there are {have}", "fields")
        if layout[axis][0][1] != "f":
            raise InputError(sensor, "not a floating-point field", f"fields.{axis}")
    formats, offsets = zip(*layout.values(), strict=True)
    return np.dtype({"names": list(layout), "formats": formats, "offsets": offsets, "itemsize": step})


def _xyz(records: npt.NDArray[np.void]) -> Points:
    """(N, 3) float32; what does not fit a float32 becomes infinite."""
    if _xyz_together(records.dtype):
        assert records.dtype.fields is not None
        at, step = records.dtype.fields["x"][1], records.dtype.itemsize
        point = np.dtype({"names": ["xyz"], "formats": ["V12"], "offsets": [at], "itemsize": step})
        return records.view(point)["xyz"].copy().view(np.float32).reshape(-1, 3)
    xyz_m = np.empty((len(records), 3), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for column, axis in enumerate("xyz"):
            xyz_m[:, column] = records[axis]
    return xyz_m


def _xyz_together(dtype: np.dtype[np.void]) -> bool:
    """Whether x, y and z are float32 and stand side by side, as nearly all drivers write them."""
    assert dtype.fields is not None
    kinds = {dtype.fields[axis][0] for axis in "xyz"}
    x, y, z = (dtype.fields[axis][1] for axis in "xyz")
    return kinds == {np.dtype("<f4")} and (y - x, z - y) == (4, 4)


def _first_of(records: npt.NDArray[np.void], names: tuple[str, ...]) -> npt.NDArray[Any] | None:
    fields = records.dtype.names or ()
    return next((records[name] for name in names if name in fields), None)


def _unit_range(values: npt.NDArray[Any]) -> Points:
    """Intensities in [0, 1]: integers by their range, floats above one as if they were 0 to 255."""
    if values.dtype.kind in "iu":
        full = float(np.iinfo(values.dtype).max)
    else:
        values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
        full = 255.0 if values.size and values.max() > 1.0 else 1.0
    scaled = values.astype(np.float32) / np.float32(full)
    return np.asarray(np.clip(scaled, 0.0, 1.0), dtype=np.float32)


def _times(records: npt.NDArray[np.void], stamp_ns: int, sensor: str) -> tuple[int, Points | None]:
    """The sweep's end, ns, and each point's time relative to it, s."""
    relative_s = _relative_s(records, stamp_ns, sensor)
    if relative_s is None or not relative_s.size:
        return stamp_ns, None if relative_s is None else relative_s.astype(np.float32)
    # A point without a valid time is still an obstacle: it counts as taken at the stamp.
    relative_s = np.nan_to_num(relative_s, nan=0.0, posinf=0.0, neginf=0.0)
    span_s = float(np.ptp(relative_s))
    if span_s > _LONGEST_SWEEP_S:
        raise InputError(sensor, f"point times span {span_s:.3g} s: not one sweep", "fields.time")
    last_s = float(relative_s.max())
    if abs(last_s) > _SAME_CLOCK_S:
        return stamp_ns, (relative_s - last_s).astype(np.float32)
    end_s = max(0.0, last_s)
    return stamp_ns + from_s(end_s), (relative_s - end_s).astype(np.float32)


def _relative_s(records: npt.NDArray[np.void], stamp_ns: int, sensor: str) -> npt.NDArray[np.float64] | None:
    """Each point's time relative to the header's stamp, s, as the driver wrote it."""
    offsets = _first_of(records, _OFFSET)
    if offsets is not None:
        unit_s = 1.0 if offsets.dtype.kind == "f" else 1.0 / NS_PER_S
        return offsets.astype(np.float64) * unit_s
    stamps = _first_of(records, (_ABSOLUTE,))
    if stamps is None:
        return None
    if stamps.dtype.kind == "f" and stamps.dtype.itemsize < 8:
        raise InputError(sensor, "absolute times do not fit a float32", f"fields.{_ABSOLUTE}")
    if stamps.size and float(np.nan_to_num(stamps).max()) > _NANOSECONDS_ABOVE:
        exact = stamps if stamps.dtype.kind == "f" else stamps.astype(np.int64)
        return (exact - stamp_ns).astype(np.float64) / NS_PER_S
    # Seconds as float64 resolve 0.24 µs; whole seconds go first so that the difference keeps that.
    return (stamps.astype(np.float64) - stamp_ns // NS_PER_S) - (stamp_ns % NS_PER_S) / NS_PER_S


def _point_field(dtype: np.dtype[np.void], name: str, make: Make) -> Any:
    assert dtype.fields is not None
    kind, offset = dtype.fields[name][:2]
    field = make("sensor_msgs/msg/PointField")
    field.name, field.offset, field.count = name, int(offset), 1
    field.datatype = _DATATYPES[kind.str[1:]]
    return field


def _scan_angles(msg: Any, count: int, sensor: str) -> npt.NDArray[np.float64]:
    """Angle of each ray, after a check that the message's counts and angles agree."""
    first_rad = finite(msg.angle_min, sensor, "angle_min")
    last_rad = finite(msg.angle_max, sensor, "angle_max")
    increment_rad = finite(msg.angle_increment, sensor, "angle_increment")
    if increment_rad == 0.0:
        raise InputError(sensor, "zero", "angle_increment")
    for field in ("range_min", "range_max"):
        if math.isnan(getattr(msg, field)):
            raise InputError(sensor, "not a number", field)
    expected = round((last_rad - first_rad) / increment_rad) + 1
    if abs(expected - count) > _SCAN_COUNT_TOLERANCE:
        raise InputError(sensor, f"{count} rays, but the angles say {expected}", "ranges")
    return first_rad + increment_rad * np.arange(count, dtype=np.float64)


def _scan_intensity(msg: Any, good: npt.NDArray[np.bool_], sensor: str) -> Points | None:
    values = np.asarray(msg.intensities, dtype=np.float32)
    if not values.size:
        return None
    if len(values) != len(good):
        raise InputError(sensor, f"{len(values)} for {len(good)} rays", "intensities")
    return _unit_range(values[good])
