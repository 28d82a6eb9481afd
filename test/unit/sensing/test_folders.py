"""Folders of sweeps: pace, stamps, and files that are spoiled or gone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_ms
from perception_platform.sensing.folders import read_times_ns
from perception_platform.sensing.source import EndOfData, Source, SourceLost
from perception_platform.sensing.sources import lidar_source
from perception_platform.sensing.sweep_files import load_sweep

POINTS = np.array([[1.0, 2.0, 3.0, 0.5], [4.0, 5.0, 6.0, 1.0], [7.0, 8.0, 9.0, 0.0]], dtype="<f4")
PCD_HEADER = """# .PCD v0.7
VERSION 0.7
FIELDS x y z intensity
SIZE 4 4 4 4
TYPE F F F F
COUNT 1 1 1 1
WIDTH {n}
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS {n}
DATA {data}
"""


def write_sweeps(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (POINTS + np.array([i, 0, 0, 0])).astype("<f4").tofile(folder / f"{i:06}.bin")


Opener = Callable[..., Source[PointCloud]]


@pytest.fixture
def opened(make_lidar: Any, clock: Any) -> Opener:
    def build(folder: Path, loop: bool = False) -> Source[PointCloud]:
        source = lidar_source(make_lidar({"type": "folder", "path": str(folder), "loop": loop}), clock)
        source.open()
        return source

    return build


def next_cloud(source: Source[PointCloud]) -> PointCloud:
    data = source.read().data
    assert data is not None
    return data


def test_a_folder_is_played_in_order_at_the_rate_with_stamps_of_today(
    tmp_path: Path, opened: Opener, clock: Any
) -> None:
    write_sweeps(tmp_path, 3)
    start_ns = clock.now_ns()
    source = opened(tmp_path)
    clouds = [next_cloud(source) for _ in range(3)]
    assert [c.xyz_m[0, 0] for c in clouds] == [1.0, 2.0, 3.0]
    assert [c.t_ns - start_ns for c in clouds] == [0, from_ms(100), from_ms(200)]
    assert clouds[0].sensor == clouds[0].frame_id == "lidar_top"
    with pytest.raises(EndOfData, match="all of it was played"):
        source.read()


def test_a_loop_goes_on_in_time(tmp_path: Path, opened: Opener, clock: Any) -> None:
    write_sweeps(tmp_path, 2)
    source = opened(tmp_path, loop=True)
    stamps = [next_cloud(source).t_ns for _ in range(5)]
    assert np.diff(stamps).tolist() == [from_ms(100)] * 4


@pytest.mark.parametrize("beside", [True, False])
def test_recorded_times_set_the_pace(tmp_path: Path, opened: Opener, beside: bool) -> None:
    folder = tmp_path / "data"
    write_sweeps(folder, 3)
    times = "2011-09-26 13:02:25.594360375\n2011-09-26 13:02:25.694360376\n2011-09-26 13:02:26.000000000\n"
    ((tmp_path if beside else folder) / "timestamps.txt").write_text(times)
    source = opened(folder)
    stamps = [next_cloud(source).t_ns for _ in range(3)]
    assert np.diff(stamps).tolist() == [100_000_001, 305_639_624]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2011-09-26 13:02:25.5\nyesterday\n", "line 2: not a time: 'yesterday'"),
        ("2011-09-26 13:02:25.5\n2011-09-26 13:02:25.5\n", "line 2: not later"),
        ("2011-09-26 13:02:25.x5\n", "line 1: not a time"),
        ("2011-09-26 13:02:25.5\n", "has 1 times for 2 files"),
    ],
)
def test_malformed_times_are_named(tmp_path: Path, opened: Opener, text: str, message: str) -> None:
    write_sweeps(tmp_path, 2)
    (tmp_path / "timestamps.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        opened(tmp_path)


def test_times_keep_nanoseconds(tmp_path: Path) -> None:
    path = tmp_path / "timestamps.txt"
    path.write_text("1970-01-01 00:00:01.000000007\n\n1970-01-01 00:00:02\n")
    assert read_times_ns(path) == [1_000_000_007, 2_000_000_000]


def test_a_folder_or_file_that_goes_away_is_a_loss(tmp_path: Path, opened: Opener) -> None:
    folder = tmp_path / "sweeps"
    write_sweeps(folder, 3)
    source = opened(folder)
    source.read()
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceLost, match=r"000001\.bin: gone"):
        source.read()
    source.close()
    with pytest.raises(SourceLost, match="no such folder"):
        source.open()
    (tmp_path / "elsewhere").rename(folder)
    source.open()
    assert len(next_cloud(source)) == 3


def test_a_folder_without_sweeps_is_named(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(InputError, match=r"holds no file that ends in \.bin, \.pcd, \.csv"):
        opened(tmp_path)


def test_a_malformed_sweep_does_not_cost_the_next(tmp_path: Path, opened: Opener) -> None:
    write_sweeps(tmp_path, 3)
    (tmp_path / "000001.bin").write_bytes(b"\0" * 17)
    source = opened(tmp_path)
    source.read()
    with pytest.raises(InputError, match=r"000001\.bin: 17 bytes are not whole points"):
        source.read()
    assert next_cloud(source).xyz_m[0, 0] == 3.0


def test_kitti_points_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    points = POINTS.copy()
    points[1, 2] = np.nan
    points[2, 3] = np.inf
    points.tofile(tmp_path / "a.bin")
    cloud = load_sweep(tmp_path / "a.bin", 5, "lidar_top")
    assert cloud.xyz_m.dtype == np.float32
    np.testing.assert_array_equal(cloud.xyz_m, points[[0, 2], :3])
    assert cloud.intensity is not None
    np.testing.assert_allclose(cloud.intensity, [0.5, 0.0])


def write_pcd(path: Path, data: str, n: int = len(POINTS)) -> None:
    header = PCD_HEADER.format(n=n, data=data).encode()
    body = {
        "ascii": "\n".join(" ".join(map(str, row)) for row in POINTS.tolist()).encode() + b"\n",
        "binary": POINTS.tobytes(),
    }[data]
    path.write_bytes(header + body)


@pytest.mark.parametrize("data", ["ascii", "binary"])
def test_pcd_files_are_read(tmp_path: Path, data: str) -> None:
    write_pcd(tmp_path / "a.pcd", data)
    cloud = load_sweep(tmp_path / "a.pcd", 5, "lidar_top")
    np.testing.assert_array_equal(cloud.xyz_m, POINTS[:, :3])
    assert cloud.intensity is not None
    np.testing.assert_array_equal(cloud.intensity, POINTS[:, 3])
    assert cloud.ring is None


def test_compressed_pcd_with_rings_and_byte_intensities_is_read(tmp_path: Path) -> None:
    from pypcd4 import Encoding
    from pypcd4 import PointCloud as PcdFile

    rows = np.array([[1, 2, 3, 255, 0], [4, 5, 6, 51, 15]], dtype=np.float32)
    types = (np.float32, np.float32, np.float32, np.float32, np.uint16)
    pcd = PcdFile.from_points(rows, ("x", "y", "z", "intensity", "ring"), types)
    pcd.save(tmp_path / "a.pcd", encoding=Encoding.BINARY_COMPRESSED)
    cloud = load_sweep(tmp_path / "a.pcd", 5, "lidar_top")
    np.testing.assert_array_equal(cloud.xyz_m, rows[:, :3])
    assert cloud.intensity is not None
    assert cloud.ring is not None
    np.testing.assert_allclose(cloud.intensity, [1.0, 0.2])
    assert cloud.ring.dtype == np.uint16
    assert cloud.ring.tolist() == [0, 15]


def test_a_missing_pcd_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pcd(tmp_path / "a.pcd", "binary")
    monkeypatch.setitem(sys.modules, "pypcd4.pypcd4", None)
    with pytest.raises(InputError, match=r"a\.pcd: needs pypcd4.pypcd4: install the extra"):
        load_sweep(tmp_path / "a.pcd", 5, "lidar_top")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: b"", "is empty"),
        (lambda b: b"hello\n", "not a .pcd file"),
        (lambda b: b[:-16], "holds 2 of 3 points: cut short"),
        (lambda b: b[:-3], "not a .pcd file that can be read"),
        (lambda b: b.replace(b"FIELDS x y z", b"FIELDS x y q"), "has no field z"),
        (lambda b: bytes(range(256)) * 4, "not a .pcd file"),
    ],
)
def test_malformed_pcd_is_named(tmp_path: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
    path = tmp_path / "a.pcd"
    write_pcd(path, "binary")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=rf"a\.pcd.*{message}"):
        load_sweep(path, 5, "lidar_top")


def test_a_sweep_of_a_real_drive(shared_data: Path) -> None:
    path = shared_data / "kitti_drive_0052" / "velodyne_points" / "data"
    first = sorted(path.glob("*.bin"))[0]
    cloud = load_sweep(first, 5, "velodyne")
    assert len(cloud) > 100_000
    assert np.isfinite(cloud.xyz_m).all()
    assert np.linalg.norm(cloud.xyz_m, axis=1).max() < 130.0
    assert cloud.intensity is not None
    assert 0.0 <= cloud.intensity.min() < cloud.intensity.max() <= 1.0


@pytest.mark.parametrize(
    ("text", "rings"),
    [
        ("1,2,3,51,7\n4,5,6,255,8\n", [7, 8]),
        ("ring, z, y, x, intensity\n7,3,2,1,51\n8,6,5,4,255\n", [7, 8]),
        ("x,y,z,intensity,label\n1,2,3,0.2,9\n4,5,6,1.0,9\n", None),
    ],
)
def test_csv_is_read_by_its_first_line_or_by_position(
    tmp_path: Path, opened: Opener, text: str, rings: list[int] | None
) -> None:
    (tmp_path / "a.csv").write_text(text)
    cloud = next_cloud(opened(tmp_path))
    assert cloud.xyz_m.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.intensity is not None
    np.testing.assert_allclose(cloud.intensity, [0.2, 1.0])
    assert (None if cloud.ring is None else cloud.ring.tolist()) == rings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("x,y,z\n", "holds no point"),
        ("x,y,range\n1,2,3\n", "line 1: has no column z, only x, y, range"),
        ("1,2\n", "line 1: has no column z"),
        ("1,2,3\n4,five,6\n", "could not convert string 'five'"),
        ("1,2,3\n4,5\n", "a.csv: "),
    ],
)
def test_malformed_csv_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=problem):
        load_sweep(tmp_path / "a.csv", 5, "lidar_top")


def test_points_of_a_csv_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3,0.5,1\nnan,5,6,0.5,2\n7,8,inf,nan,3\n")
    assert load_sweep(tmp_path / "a.csv", 5, "lidar_top").xyz_m.tolist() == [[1, 2, 3]]
