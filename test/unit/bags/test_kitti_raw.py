"""Importing KITTI raw drives: a small one made here, good and spoiled in every way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader

from perception_platform.bags.kitti_import import ImportSummary, import_kitti_raw
from perception_platform.bags.kitti_raw import NOMINAL_EPOCH_NS, read_drive
from perception_platform.bags.odometry import with_velocities
from perception_platform.bags.reader import bag_info, read_messages
from perception_platform.cli import main as cli
from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.time import NS_PER_S
from perception_platform.messages.sensors import (
    camera_model_from_msg,
    cloud_from_msg,
    ego_from_odometry,
    image_from_msg,
)
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot

FRAMES = 12
SPEED_MPS = 5.0
SIZE_PX = (62, 19)
ROTATION = "0 -1 0 0 0 -1 1 0 0"
CALIBRATION = {
    "calib_cam_to_cam.txt": "calib_time: 09-Jan-2012 13:57:47\n"
    f"S_rect_02: {SIZE_PX[0]} {SIZE_PX[1]}\n"
    "R_rect_00: 1 0 0 0 1 0 0 0 1\n"
    "P_rect_02: 40 0 31 2.4 0 40 9 0 0 0 1 0\n",
    "calib_velo_to_cam.txt": f"R: {ROTATION}\nT: 0 -0.08 -0.27\n",
    "calib_imu_to_velo.txt": "R: 1 0 0 0 1 0 0 0 1\nT: -0.81 0.32 -0.8\n",
}


def stamp(t_ns: int) -> str:
    seconds, ns = divmod(t_ns, NS_PER_S)
    return f"2011-09-26 13:02:{seconds:02d}.{ns:09d}"


def oxts_line(i: int) -> str:
    """Straight ahead to the north-west at a steady speed; angles by the data set's convention (0 is east)."""
    yaw = np.deg2rad(135.0)
    way_m = SPEED_MPS * 0.1 * i
    latitude = 49.0 + np.rad2deg(way_m * np.sin(yaw) / 6378137.0)
    longitude = 8.4 + np.rad2deg(way_m * np.cos(yaw) / 6378137.0 / np.cos(np.deg2rad(49.0)))
    values = (
        [latitude, longitude, 110.0, 0.0, 0.0, yaw, 0, 0, SPEED_MPS, 0.0] + [0.0] * 12 + [0.0] + [0.0] * 7
    )
    return " ".join(f"{v:.15f}" for v in values)


def surroundings(i: int) -> np.ndarray:
    """What the lidar sees from its place at sweep i: posts and walls that stand still, and the ground."""
    rng = np.random.default_rng(3)
    posts = rng.uniform([-40, -30, -1.2], [60, 30, 3], (4000, 3))
    posts[:, :2] = np.round(posts[:, :2] / 5) * 5 + rng.normal(0, 0.05, (4000, 2))
    posts[:, 0] -= SPEED_MPS * 0.1 * i
    ground = np.column_stack([rng.uniform(-20, 20, (500, 2)), np.full(500, -1.73)])
    return np.vstack([posts, ground]).astype(np.float32)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive in the data set's own layout, with times and GPS/IMU."""
    date = tmp_path_factory.mktemp("kitti") / "2011_09_26"
    drive = date / "2011_09_26_drive_0001_sync"
    for folder in ("velodyne_points", "image_02", "oxts"):
        (drive / folder / "data").mkdir(parents=True)
    for name, text in CALIBRATION.items():
        (date / name).write_text(text)
    for i in range(FRAMES):
        xyz = surroundings(i)
        points = np.column_stack([xyz, np.full(len(xyz), 0.25, np.float32)])
        (drive / "velodyne_points/data" / f"{i:010d}.bin").write_bytes(points.astype("<f4").tobytes())
        image = np.full((SIZE_PX[1], SIZE_PX[0], 3), i, np.uint8)
        cv2.imwrite(str(drive / "image_02/data" / f"{i:010d}.png"), image)
        (drive / "oxts/data" / f"{i:010d}.txt").write_text(oxts_line(i))
    middles = [25 * NS_PER_S + i * 100_000_000 + 7 for i in range(FRAMES)]
    for folder in ("velodyne_points", "image_02", "oxts"):
        (drive / folder / "timestamps.txt").write_text("\n".join(map(stamp, middles)) + "\n")
    ends = [stamp(t + 50_000_000) for t in middles]
    (drive / "velodyne_points" / "timestamps_end.txt").write_text("\n".join(ends) + "\n")
    return date


@pytest.fixture
def drive(template: Path, tmp_path: Path) -> Path:
    date = tmp_path / "date"
    shutil.copytree(template, date)
    return date / "2011_09_26_drive_0001_sync"


@pytest.fixture(scope="module")
def van() -> Robot:
    return load_robot("delivery_van")


def convert(drive: Path, van: Robot, name: str = "out.mcap") -> tuple[Path, ImportSummary]:
    bag = drive.parent / name
    return bag, import_kitti_raw(drive, bag, van, lambda stage, done, total: None)


def test_topics_and_times_are_the_drives_own(drive: Path, van: Robot) -> None:
    bag, summary = convert(drive, van)
    assert {t.topic: t.count for t in bag_info(bag).topics} == {
        "/velodyne/points": FRAMES,
        "/camera_left/image": FRAMES,
        "/camera_left/camera_info": FRAMES,
        "/odom": FRAMES,
        "/tf": FRAMES,
        "/tf_static": 1,
    }
    first_middle_ns = read_drive(drive).images[0].t_ns
    assert first_middle_ns % (60 * NS_PER_S) == 25 * NS_PER_S + 7
    (sweep, *_) = read_messages(bag, ["/velodyne/points"])
    assert cloud_from_msg(sweep.message, "velodyne").t_ns == sweep.log_ns == first_middle_ns + 50_000_000
    assert (summary.times, summary.odometry_source) == ("recorded", "gps_imu")


def test_contents_survive(drive: Path, van: Robot) -> None:
    bag, _ = convert(drive, van)
    by_topic = {m.topic: m.message for m in read_messages(bag)}
    cloud = cloud_from_msg(by_topic["/velodyne/points"], "velodyne")
    np.testing.assert_array_equal(cloud.xyz_m, surroundings(FRAMES - 1))
    assert cloud.frame_id == "velodyne"
    assert cloud.intensity is not None
    assert (cloud.intensity == 0.25).all()
    assert (image_from_msg(by_topic["/camera_left/image"], "camera_left").bgr == FRAMES - 1).all()
    camera = camera_model_from_msg(by_topic["/camera_left/camera_info"], "camera_left")
    assert (camera.width_px, camera.height_px, camera.matrix[0, 0], camera.matrix[0, 2]) == (
        *SIZE_PX,
        40.0,
        31.0,
    )


def test_extrinsics_follow_the_calibration(drive: Path, van: Robot) -> None:
    bag, summary = convert(drive, van)
    (static,) = read_messages(bag, ["/tf_static"])
    found = {t.child_frame_id: t.transform.translation for t in static.message.transforms}
    mount = van.lidars[0].mounting.xyz_m
    assert (found["velodyne"].x, found["velodyne"].z) == (mount[0], mount[2])
    # Camera 0 sits 0.27 m ahead of the lidar and 0.08 m below; P says that camera 2 is 2.4 / 40 m to its left.
    camera = found["camera_left"]
    np.testing.assert_allclose(
        [camera.x - mount[0], camera.y, camera.z - mount[2]], [0.27, 0.06, -0.08], atol=1e-9
    )
    assert any(
        "calibration puts camera_left" in w for w in summary.warnings
    )  # the van's camera is turned by 0.9 deg


def test_gps_imu_gives_pose_and_velocity_of_the_base(drive: Path, van: Robot) -> None:
    bag, summary = convert(drive, van)
    states = [ego_from_odometry(m.message) for m in read_messages(bag, ["/odom"])]
    xs_m = [s.odom_from_base.translation_m[0] for s in states]
    np.testing.assert_allclose(xs_m, SPEED_MPS * 0.1 * np.arange(FRAMES), atol=1e-3)
    assert max(abs(s.odom_from_base.translation_m[1]) for s in states) < 1e-3
    assert {s.velocity_mps for s in states} == {(SPEED_MPS, 0.0)}
    assert summary.distance_m == pytest.approx(SPEED_MPS * 0.1 * (FRAMES - 1), abs=0.01)


def test_velocity_is_taken_from_the_imu_to_the_base(drive: Path, van: Robot) -> None:
    """Turning on the spot about the rear axle moves the IMU sideways, and not the base."""
    calibration = read_drive(drive).calibration
    assert calibration.velodyne_from_imu is not None
    base_from_imu = van.lidars[0].mounting.transform() @ calibration.velodyne_from_imu
    arm_x_m, arm_y_m, _ = base_from_imu.translation_m
    rate = 0.5
    for path in (drive / "oxts/data").iterdir():
        row = path.read_text().split()
        row[8], row[9], row[22] = str(-rate * arm_y_m), str(rate * arm_x_m), str(rate)
        path.write_text(" ".join(row))
    bag, _ = convert(drive, van)
    for message in read_messages(bag, ["/odom"]):
        state = ego_from_odometry(message.message)
        np.testing.assert_allclose(state.velocity_mps, (0.0, 0.0), atol=1e-9)
        assert state.yaw_rate_radps == rate


def test_scan_matching_without_gps_imu(drive: Path, van: Robot) -> None:
    pytest.importorskip("kiss_icp", reason="the extra scan-matching is not installed")
    shutil.rmtree(drive / "oxts")
    bag, summary = convert(drive, van)
    states = [ego_from_odometry(m.message) for m in read_messages(bag, ["/odom"])]
    way_m = SPEED_MPS * 0.1 * (FRAMES - 1)
    assert states[-1].odom_from_base.translation_m[0] == pytest.approx(way_m, abs=0.1)
    assert states[FRAMES // 2].velocity_mps[0] == pytest.approx(SPEED_MPS, abs=0.2)
    assert summary.odometry_source == "scan_matching"
    with bag.open("rb") as stream:
        (record,) = make_reader(stream).iter_metadata()
    assert record.metadata["odometry_source"] == "scan_matching"
    (message, *_) = read_messages(bag, ["/odom"])
    assert message.message.pose.covariance[0] > 0.05


def test_the_same_bytes_twice(drive: Path, van: Robot) -> None:
    shutil.rmtree(drive / "oxts")
    assert convert(drive, van)[0].read_bytes() == convert(drive, van, "again.mcap")[0].read_bytes()


def test_a_drive_that_carries_its_calibration_and_has_no_times(drive: Path, van: Robot) -> None:
    (drive / "calib").mkdir()
    for path in drive.parent.glob("calib_*.txt"):
        path.rename(drive / "calib" / path.name)
    for path in drive.rglob("timestamps*.txt"):
        path.unlink()
    bag, summary = convert(drive, van)
    assert summary.times == "nominal 10 Hz"
    assert any("no timestamps" in w for w in summary.warnings)
    first = next(read_messages(bag, ["/velodyne/points"]))
    assert first.log_ns == NOMINAL_EPOCH_NS + 100_000_000


def test_lost_sweeps_keep_the_times_of_the_others(drive: Path, van: Robot) -> None:
    (drive / "velodyne_points/data/0000000003.bin").unlink()
    bag, summary = convert(drive, van)
    times_ns = [m.log_ns for m in read_messages(bag, ["/velodyne/points"])]
    assert summary.missing == 1
    assert np.diff(times_ns).tolist() == [100_000_000] * 2 + [200_000_000] + [100_000_000] * (FRAMES - 5)


@pytest.mark.parametrize("name", ["timestamps_end.txt", "timestamps.txt"])
def test_a_blank_line_is_the_time_of_a_lost_sweep(drive: Path, name: str) -> None:
    whole = read_drive(drive).sweeps
    folder = drive / "velodyne_points"
    if name == "timestamps.txt":
        (folder / "timestamps_end.txt").unlink()
    lines = (folder / name).read_text().splitlines()
    (folder / name).write_text("\n".join([*lines[:3], "", *lines[4:]]) + "\n\n")
    with pytest.raises(InputError, match=r"0000000003\.bin: no time for it: line 4 .* blank"):
        read_drive(drive)
    (folder / "data" / "0000000003.bin").unlink()
    assert read_drive(drive).sweeps == (*whole[:3], *whole[4:])


def test_points_that_are_not_finite_are_counted(drive: Path, van: Robot) -> None:
    path = drive / "velodyne_points/data/0000000000.bin"
    points = np.frombuffer(path.read_bytes(), "<f4").copy()
    points[5] = np.nan
    path.write_bytes(points.tobytes())
    assert convert(drive, van)[1].points_dropped == 1


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace text in a file of the drive or of the date's folder above it."""

    def change(drive: Path) -> None:
        path = drive / name if (drive / name).exists() else drive.parent / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def truncate(drive: Path) -> None:
    path = drive / "velodyne_points/data/0000000004.bin"
    path.write_bytes(path.read_bytes()[:-3])


def other_size(drive: Path) -> None:
    cv2.imwrite(str(drive / "image_02/data/0000000002.png"), np.zeros((5, 5, 3), np.uint8))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no drive": (lambda d: d.rename(d.parent / "gone"), "drive_0001_sync: no such folder"),
    "no sweeps": (lambda d: shutil.rmtree(d / "velodyne_points/data"), r"velodyne_points/data: no sweeps \(\.bin\)"),
    "truncated sweep": (truncate, r"0000000004\.bin: \d+ bytes is not a whole number of points"),
    "empty sweep": (lambda d: (d / "velodyne_points/data/0000000001.bin").write_bytes(b""), r"01\.bin: 0 bytes"),
    "odd sweep name": (lambda d: (d / "velodyne_points/data/a.bin").touch(), r"a\.bin: the name is not a frame"),
    "no image": (lambda d: (d / "image_02/data/0000000002.png").write_bytes(b"x"), r"02\.png: not a readable image"),
    "image size": (other_size, r"0000000002\.png: 5 x 5 px, but the calibration \(S_rect_02\) says 62 x 19"),
    "no calibration": (lambda d: (d.parent / "calib_velo_to_cam.txt").unlink(), "no calib_velo_to_cam.txt"),
    "no intrinsics": (lambda d: (d.parent / "calib_cam_to_cam.txt").unlink(), "cam_to_cam.txt: cannot be read"),
    "no imu": (lambda d: (d.parent / "calib_imu_to_velo.txt").unlink(), "GPS/IMU data, but no calib_imu_to_velo"),
    "not a rotation": (edit("calib_velo_to_cam.txt", "0 -1 0", "0 -2 0"), "velo_to_cam.txt: R: not a rotation"),
    "mirrored": (edit("calib_velo_to_cam.txt", "0 -1 0", "0 1 0"), "velo_to_cam.txt: R: not a rotation"),
    "not finite": (edit("calib_velo_to_cam.txt", "-0.08", "nan"), "velo_to_cam.txt: T: not finite"),
    "too few numbers": (edit("calib_velo_to_cam.txt", "-0.08 ", ""), "velo_to_cam.txt: T: 2 numbers instead of 3"),
    "no number": (edit("calib_velo_to_cam.txt", "-0.08", "abc"), "velo_to_cam.txt: T: could not convert"),
    "no field": (edit("calib_cam_to_cam.txt", "P_rect_02", "P_rect_2"), "cam_to_cam.txt: P_rect_02: missing"),
    "no focal length": (edit("calib_cam_to_cam.txt", "P_rect_02: 40", "P_rect_02: 0"), "P_rect_02: focal lengths"),
    "no time": (edit("image_02/timestamps.txt", "2011-09-26 13", "tomorrow"), r"timestamps\.txt: line 1: not a"),
    "backwards": (edit("image_02/timestamps.txt", "13:02:25.3", "13:02:24.3"), r"line 4: .*not lie after"),
    "times cut short": (lambda d: (d / "oxts/timestamps.txt").write_text(""), "no time for it: the folder has 0 times"),
    "times of one missing": (lambda d: (d / "oxts/timestamps.txt").unlink(), r"oxts/timestamps\.txt: cannot be read"),
    "short oxts": (lambda d: (d / "oxts/data/0000000001.txt").write_text("1 2"), r"0000000001\.txt: 2 finite numbers"),
    "bad oxts": (lambda d: (d / "oxts/data/0000000001.txt").write_text("x"), r"0000000001\.txt: cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_drive_is_one_clear_error_and_leaves_no_bag(drive: Path, van: Robot, name: str) -> None:
    spoil, message = SPOILED[name]
    spoil(drive)
    with pytest.raises(InputError, match=message) as caught:
        convert(drive, van)
    assert "\n" not in str(caught.value)
    assert list(drive.parent.glob("out.mcap*")) == []


def test_a_robot_without_a_lidar_is_refused(drive: Path, van: Robot) -> None:
    blind = van.model_copy(update={"sensors": van.cameras})
    with pytest.raises(InputError, match="delivery_van: sensors: the robot has no 3D lidar"):
        convert(drive, blind)


def test_a_robot_without_a_camera_gets_no_images(drive: Path, van: Robot) -> None:
    bag, summary = convert(drive, van.model_copy(update={"sensors": van.lidars}))
    assert summary.images == 0
    assert "/camera_left/image" not in {t.topic for t in bag_info(bag).topics}
    assert any("has no camera" in w for w in summary.warnings)


def test_velocities_of_a_noisy_curve() -> None:
    """Poses on a circle, with the noise of scan matching, give its speed and turn rate."""
    rng = np.random.default_rng(0)
    speed_mps, rate_radps = 3.0, 0.2
    times_ns = [int(i * 1e8 + rng.integers(-(10**6), 10**6)) for i in range(40)]
    poses = []
    for t_ns in times_ns:
        yaw = rate_radps * t_ns / NS_PER_S
        radius_m = speed_mps / rate_radps
        x_m, y_m = (
            radius_m * np.sin(yaw) + rng.normal(0, 0.01),
            radius_m * (1 - np.cos(yaw)) + rng.normal(0, 0.01),
        )
        poses.append(Transform.planar(x_m, y_m, yaw))
    for state in with_velocities(times_ns, poses)[4:-4]:
        np.testing.assert_allclose(state.velocity_mps, (speed_mps, 0.0), atol=0.06)
        assert state.yaw_rate_radps == pytest.approx(rate_radps, abs=0.01)


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["perception-platform", "import", "kitti-raw", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_on_the_command_line(
    drive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, summary = drive.parent / "out.mcap", drive.parent / "summary.json"
    assert run_cli(monkeypatch, drive, out, "--json", summary) == 0
    assert json.loads(summary.read_text())["sweeps"] == FRAMES
    assert f"{FRAMES} sweeps" in capsys.readouterr().out
    assert run_cli(monkeypatch, drive, drive.parent / "out.bag") == 2
    assert "has to end in .mcap" in capsys.readouterr().err
    assert run_cli(monkeypatch, drive, out, "--robot", "nobody") == 2
    assert capsys.readouterr().err.count("\n") == 1
