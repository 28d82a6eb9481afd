"""Point clouds and scans as drivers really write them, and as they should not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.bags.types import blank
from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import PointCloud
from perception_platform.messages.sensors import cloud_from_msg, cloud_to_msg, scan_to_cloud

DATATYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
STAMP_NS = 1_700_000_000_250_000_000
XYZ = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [-7.0, 8.0, -9.0], [10.0, 11.0, 12.0]])


def driver_msg(
    columns: dict[str, tuple[str, Any]],
    *,
    order: str = "<",
    gap: int = 0,
    height: int = 1,
    row_padding: int = 0,
) -> Any:
    """A PointCloud2 with fields in the given order and kinds, each after a gap of unused bytes."""
    offsets, at = [], 0
    for kind, _ in columns.values():
        at += gap
        offsets.append(at)
        at += np.dtype(kind).itemsize
    formats = [order + kind for kind, _ in columns.values()]
    dtype = np.dtype({"names": list(columns), "formats": formats, "offsets": offsets, "itemsize": at + gap})
    count = len(next(iter(columns.values()))[1])
    records = np.zeros(count, dtype)
    for name, (_, values) in columns.items():
        records[name] = values
    msg = blank("sensor_msgs/msg/PointCloud2")
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(STAMP_NS, 10**9)
    msg.header.frame_id = "lidar"
    msg.is_bigendian = order == ">"
    msg.height, msg.width, msg.point_step = height, count // height, dtype.itemsize
    msg.row_step = msg.width * msg.point_step + row_padding
    rows = records.view(np.uint8).reshape(height, -1)
    msg.data = np.pad(rows, ((0, 0), (0, row_padding))).reshape(-1)
    for (name, (kind, _)), offset in zip(columns.items(), offsets, strict=True):
        field = blank("sensor_msgs/msg/PointField")
        field.name, field.offset, field.datatype, field.count = name, offset, DATATYPES[kind], 1
        msg.fields.append(field)
    return msg


def xyz(kind: str = "f4", points: Any = XYZ) -> dict[str, tuple[str, Any]]:
    return {axis: (kind, np.asarray(points)[:, i]) for i, axis in enumerate("xyz")}


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("gap", [0, 1, 4])
@pytest.mark.parametrize(("height", "row_padding"), [(1, 0), (2, 0), (2, 5)])
def test_any_layout(kind: str, order: str, gap: int, height: int, row_padding: int) -> None:
    columns = {"t0": ("u1", np.arange(4)), **xyz(kind), "ring": ("u2", [3, 2, 1, 0])}
    msg = driver_msg(columns, order=order, gap=gap, height=height, row_padding=row_padding)
    cloud = cloud_from_msg(msg, "front")
    np.testing.assert_array_equal(cloud.xyz_m, XYZ.astype(np.float32))
    assert cloud.ring is not None
    np.testing.assert_array_equal(cloud.ring, [3, 2, 1, 0])
    assert (cloud.sensor, cloud.frame_id, cloud.t_ns) == ("front", "lidar", STAMP_NS)
    assert cloud.intensity is None
    assert cloud.offset_s is None


def test_points_that_measure_nothing_are_left_out() -> None:
    points = np.vstack([XYZ, [[np.nan, 1, 1], [1, np.inf, 1], [0, 0, 0], [1e300, 0, 0]]])
    msg = driver_msg({**xyz("f8", points), "intensity": ("f4", np.arange(8) / 8)})
    cloud = cloud_from_msg(msg, "front")
    np.testing.assert_array_equal(cloud.xyz_m, XYZ.astype(np.float32))
    assert cloud.intensity is not None
    np.testing.assert_array_equal(cloud.intensity, np.arange(4, dtype=np.float32) / 8)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("u1", [0, 51, 255, 255], [0, 0.2, 1, 1]),
        ("u2", [0, 13107, 65535, 65535], [0, 0.2, 1, 1]),
        ("f4", [0, 0.2, 1, 0.5], [0, 0.2, 1, 0.5]),
        ("f4", [0, 51, 255, 900], [0, 0.2, 1, 1]),
        ("f4", [np.nan, -1, np.inf, 51], [0, 0, 1, 0.2]),
        ("f8", [0, 51, 255, 255], [0, 0.2, 1, 1]),
    ],
)
def test_intensity_is_brought_to_the_unit_range(kind: str, values: Any, expected: Any) -> None:
    cloud = cloud_from_msg(driver_msg({**xyz(), "intensity": (kind, values)}), "front")
    assert cloud.intensity is not None
    assert cloud.intensity.dtype == np.float32
    np.testing.assert_allclose(cloud.intensity, expected, atol=1e-6)


# Each driver's way to write that the points were taken 0, 20, 50 and 100 ms after the first.
SEQUENCE_S = np.array([0, 0.02, 0.05, 0.1])


@pytest.mark.parametrize(
    ("field", "kind", "values", "end_after_stamp_ns"),
    [
        ("time", "f4", SEQUENCE_S - 0.1, 0),  # stamped at the last point
        ("time", "f4", SEQUENCE_S, 100_000_000),  # stamped at the first one
        ("t", "u4", SEQUENCE_S * 1e9, 100_000_000),  # nanoseconds
        ("timestamp", "f8", STAMP_NS / 1e9 + SEQUENCE_S - 0.1, 0),  # absolute seconds
        ("timestamp", "f8", STAMP_NS + SEQUENCE_S * 1e9, 100_000_000),  # absolute nanoseconds
        ("timestamp", "f8", 812.5 + SEQUENCE_S, 0),  # seconds since the lidar was switched on
    ],
)
def test_point_times_of_drivers(field: str, kind: str, values: Any, end_after_stamp_ns: int) -> None:
    cloud = cloud_from_msg(driver_msg({**xyz(), field: (kind, values)}), "front")
    assert abs(cloud.t_ns - STAMP_NS - end_after_stamp_ns) < 1000
    assert cloud.offset_s is not None
    np.testing.assert_allclose(cloud.offset_s, SEQUENCE_S - 0.1, atol=1e-6)


def test_a_point_without_a_time_is_kept() -> None:
    cloud = cloud_from_msg(driver_msg({**xyz(), "time": ("f4", [-0.1, np.nan, -0.05, 0])}), "front")
    assert len(cloud) == 4
    assert cloud.offset_s is not None
    assert np.isfinite(cloud.offset_s).all()


def test_times_that_are_no_sweep() -> None:
    with pytest.raises(InputError, match=r"front: fields\.time: .*span 90 s"):
        cloud_from_msg(driver_msg({**xyz(), "time": ("f4", [0, 30, 60, 90])}), "front")


def change(msg: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.parametrize(
    ("msg", "where"),
    [
        (driver_msg({"x": ("f4", [1.0]), "y": ("f4", [1.0])}), "fields"),
        (change(driver_msg(xyz()), fields=[]), "fields"),
        (driver_msg(xyz("i2")), "fields.x"),
        (change(driver_msg(xyz()), width=5), "data"),
        (change(driver_msg(xyz()), width=3), "data"),
        (change(driver_msg(xyz()), data=np.zeros(0, np.uint8)), "data"),
        (change(driver_msg(xyz(), height=2), row_step=3), "row_step"),
        (change(driver_msg(xyz()), point_step=4), "fields.y"),
        (change(driver_msg(xyz()), point_step=0), "fields.x"),
    ],
)
def test_a_malformed_cloud_is_refused_by_name(msg: Any, where: str) -> None:
    with pytest.raises(InputError) as caught:
        cloud_from_msg(msg, "front")
    assert (caught.value.source, caught.value.where) == ("front", where)


def test_an_unknown_datatype_is_refused_by_name() -> None:
    msg = driver_msg(xyz())
    msg.fields[2].datatype = 42
    with pytest.raises(InputError, match=r"front: fields\.z: unknown datatype 42"):
        cloud_from_msg(msg, "front")


def test_an_empty_cloud_is_a_cloud() -> None:
    msg = driver_msg({**xyz(points=np.zeros((0, 3))), "time": ("f4", []), "intensity": ("f4", [])})
    assert len(cloud_from_msg(msg, "front")) == 0


@given(
    st.integers(0, 50),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_round_trip(count: int, intensity: bool, ring: bool, times: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    offset_s = -rng.random(count).astype(np.float32) / 8
    cloud = PointCloud(
        STAMP_NS,
        "base_link",
        "front",
        rng.normal(0, 30, (count, 3)).astype(np.float32),
        rng.random(count).astype(np.float32) if intensity else None,
        rng.integers(0, 128, count).astype(np.uint16) if ring else None,
        offset_s if times else None,
    )
    back = cloud_from_msg(cloud_to_msg(cloud, blank), "front")
    assert (back.t_ns, back.frame_id, back.sensor) == (cloud.t_ns, cloud.frame_id, cloud.sensor)
    for name in ("xyz_m", "intensity", "ring", "offset_s"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cloud, name))


@given(st.binary(max_size=64), st.integers(0, 40), st.integers(0, 3), st.integers(0, 20), st.integers(0, 80))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_give_a_finite_cloud_or_an_input_error(
    data: bytes, width: int, height: int, point_step: int, row_step: int
) -> None:
    msg = change(
        driver_msg(xyz()),
        data=np.frombuffer(data, np.uint8),
        width=width,
        height=height,
        point_step=point_step,
        row_step=row_step,
    )
    try:
        cloud = cloud_from_msg(msg, "front")
    except InputError:
        return
    assert np.isfinite(cloud.xyz_m).all()


def scan_msg(ranges: Any, intensities: Any = (), **values: Any) -> Any:
    msg = blank("sensor_msgs/msg/LaserScan")
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(STAMP_NS, 10**9)
    msg.header.frame_id = "laser"
    count = len(ranges)
    msg.angle_min, msg.angle_max, msg.angle_increment = 0.0, (count - 1) * np.pi / 2, np.pi / 2
    msg.range_min, msg.range_max, msg.time_increment = 0.1, 20.0, 0.01
    msg.ranges = np.asarray(ranges, np.float32)
    msg.intensities = np.asarray(intensities, np.float32)
    return change(msg, **values)


def test_a_scan_is_a_cloud_in_its_plane_stamped_at_its_last_ray() -> None:
    cloud = scan_to_cloud(scan_msg([1.0, 2.0, 3.0, 4.0], [0, 51, 255, 102]), "laser")
    np.testing.assert_allclose(cloud.xyz_m, [[1, 0, 0], [0, 2, 0], [-3, 0, 0], [0, -4, 0]], atol=1e-6)
    assert cloud.t_ns == STAMP_NS + 30_000_000
    assert cloud.offset_s is not None
    assert cloud.intensity is not None
    np.testing.assert_allclose(cloud.offset_s, [-0.03, -0.02, -0.01, 0], atol=1e-7)
    np.testing.assert_allclose(cloud.intensity, [0, 0.2, 1, 0.4], atol=1e-6)


def test_rays_that_measured_nothing_are_left_out() -> None:
    cloud = scan_to_cloud(scan_msg([np.nan, np.inf, 0.05, 25.0, 5.0]), "laser")
    np.testing.assert_allclose(cloud.xyz_m, [[5, 0, 0]], atol=1e-5)
    assert cloud.offset_s is not None
    np.testing.assert_allclose(cloud.offset_s, [0.0])


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"angle_increment": 0.0}, "angle_increment"),
        ({"angle_min": float("nan")}, "angle_min"),
        ({"angle_max": 50.0}, "ranges"),
        ({"time_increment": -1.0}, "time_increment"),
        ({"range_max": float("nan")}, "range_max"),
        ({"intensities": np.zeros(2, np.float32)}, "intensities"),
    ],
)
def test_a_malformed_scan_is_refused_by_name(values: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as caught:
        scan_to_cloud(scan_msg([1.0, 2.0, 3.0, 4.0], **values), "laser")
    assert (caught.value.source, caught.value.where) == ("laser", where)


@pytest.mark.parametrize("gap", [0, 3], ids=["x, y and z side by side", "apart"])
def test_what_is_left_out_takes_nothing_else_along_and_shares_no_memory(gap: int) -> None:
    rng = np.random.default_rng(7)
    xyz = rng.normal(size=(500, 3)).astype(np.float32)
    xyz[::3, 1], xyz[1::50] = np.nan, 0.0
    ring = np.arange(500) % 64
    columns = {**{a: ("f4", xyz[:, i]) for i, a in enumerate("xyz")}, "ring": ("u2", ring)}
    msg = driver_msg(columns, gap=gap)
    cloud = cloud_from_msg(msg, "lidar")
    good = np.isfinite(xyz).all(axis=1) & xyz.any(axis=1)
    np.testing.assert_array_equal(cloud.xyz_m, xyz[good])
    np.testing.assert_array_equal(cloud.ring, ring[good])
    cloud.xyz_m[:] = 0.0
    np.testing.assert_array_equal(cloud_from_msg(msg, "lidar").xyz_m, xyz[good])
