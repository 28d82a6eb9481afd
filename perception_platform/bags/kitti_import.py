"""KITTI raw drive to MCAP: sweeps, images, calibration and odometry of a robot with that sensor set-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from perception_platform.bags.kitti_raw import Drive, Frame, read_drive, read_image, read_sweep
from perception_platform.bags.odometry import Odometry, distance_m, odometry_of
from perception_platform.bags.writer import BagWriter
from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState, Image, PointCloud
from perception_platform.core.time import NS_PER_S
from perception_platform.messages.sensors import (
    camera_info_to_msg,
    cloud_to_msg,
    image_to_msg,
    odometry_to_msg,
    transform_to_msg,
)
from perception_platform.robot.description import Robot

# Called with the stage's name, steps done and steps in all.
Progress = Callable[[str, int, int], None]

# A robot file that differs more than this from the drive's calibration shifts far points visibly in the image.
_EXTRINSICS_TOLERANCE_M = 0.05
_EXTRINSICS_TOLERANCE_RAD = float(np.deg2rad(0.5))


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What was imported.

    Attributes:
        source: the drive's folder.
        bag: the file written.
        robot: the robot file's name.
        sweeps: lidar sweeps.
        images: camera images.
        missing: numbers left out in the sweeps' count, as in drives with lost sweeps.
        points: lidar points written.
        points_dropped: lidar points left out because they were not finite.
        odometry_source: ``gps_imu`` or ``scan_matching``.
        times: ``recorded``, or ``nominal 10 Hz`` where the drive has none.
        start_ns: first stamp.
        end_ns: last stamp.
        duration_s: the time between.
        distance_m: way driven.
        mean_speed_mps: mean of the speed.
        warnings: what should be looked at.
    """

    source: str
    bag: str
    robot: str
    sweeps: int
    images: int
    missing: int
    points: int
    points_dropped: int
    odometry_source: str
    times: str
    start_ns: int
    end_ns: int
    duration_s: float
    distance_m: float
    mean_speed_mps: float
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON: the fields in their order."""
        return asdict(self)


def import_kitti_raw(source: Path, bag: Path, robot: Robot, progress: Progress) -> ImportSummary:
    """Convert a drive; the same drive gives the same bytes.

    Args:
        source: the drive's folder.
        bag: the .mcap to write.
        robot: gives names and mounting of the first lidar and the first camera.
        progress: told about each step.

    Raises:
        InputError: names the folder, file or field that is missing or wrong; no bag is left then.
    """
    if not robot.lidars:
        raise InputError(robot.name, "the robot has no 3D lidar for the sweeps", "sensors")
    drive = read_drive(source)
    lidar = robot.lidars[0]
    base_from_velodyne = lidar.mounting.transform()
    count = len(drive.sweeps)
    steps = iter(range(1, count + 1))
    odometry = odometry_of(
        drive, base_from_velodyne, lidar.range_m, lambda: progress("odometry", next(steps), count)
    )
    with BagWriter(bag) as writer:
        job = _Import(drive, robot, odometry, writer)
        job.write_static()
        events = sorted(job.events(), key=lambda e: (e.t_ns, e.order))
        for done, event in enumerate(events, start=1):
            event.write()
            progress("messages", done, len(events))
    return job.summary(bag)


@dataclass(frozen=True, slots=True)
class _Event:
    """Something to be written at its time; what is needed first has the lower order."""

    t_ns: int
    order: int
    write: Callable[[], None]


class _Import:
    """One conversion."""

    def __init__(self, drive: Drive, robot: Robot, odometry: Odometry, writer: BagWriter) -> None:
        self._drive = drive
        self._robot = robot
        self._odometry = odometry
        self._writer = writer
        self._lidar = robot.lidars[0].name
        self._camera = robot.cameras[0].name if robot.cameras else None
        self._base_from_velodyne = robot.lidars[0].mounting.transform()
        self._images = drive.images if self._camera else ()
        self._points = 0
        self._points_dropped = 0
        self._times = "nominal 10 Hz" if drive.nominal_times else "recorded"

    @property
    def _stamps(self) -> tuple[int, int]:
        """First and last stamp, ns."""
        frames = [f.t_ns for f in (*self._drive.sweeps, *self._images)]
        states = [s.t_ns for s in self._odometry.states]
        return min(frames + states), max(frames + states)

    def write_static(self) -> None:
        """How the bag was made, and where the sensors sit."""
        robot, t_ns = self._robot, self._stamps[0]
        self._writer.add_metadata(
            "perception_platform.import",
            {
                "source": f"KITTI raw {self._drive.path.name}",
                "robot": robot.name,
                "odometry_source": self._odometry.source,
                "times": self._times,
            },
        )
        make = self._writer.make
        transforms = [transform_to_msg(t_ns, robot.base_frame, self._lidar, self._base_from_velodyne, make)]
        if self._camera:
            transforms.append(
                transform_to_msg(t_ns, robot.base_frame, self._camera, self._base_from_camera(), make)
            )
        self._write_transforms("/tf_static", t_ns, transforms)

    def events(self) -> Iterator[_Event]:
        """Everything else, in no order."""
        for state in self._odometry.states:
            yield _Event(state.t_ns, 0, partial(self._write_odometry, state))
        for frame in self._images:
            yield _Event(frame.t_ns, 1, partial(self._write_image, frame))
        for frame in self._drive.sweeps:
            yield _Event(frame.t_ns, 2, partial(self._write_sweep, frame))

    def summary(self, bag: Path) -> ImportSummary:
        """What was done."""
        sweeps = self._drive.sweeps
        start_ns, end_ns = self._stamps
        way_m = distance_m(self._odometry.states)
        driven_s = (self._odometry.states[-1].t_ns - self._odometry.states[0].t_ns) / NS_PER_S
        return ImportSummary(
            source=str(self._drive.path),
            bag=str(bag),
            robot=self._robot.name,
            sweeps=len(sweeps),
            images=len(self._images),
            missing=int(sweeps[-1].path.stem) - int(sweeps[0].path.stem) + 1 - len(sweeps),
            points=self._points,
            points_dropped=self._points_dropped,
            odometry_source=self._odometry.source,
            times=self._times,
            start_ns=start_ns,
            end_ns=end_ns,
            duration_s=round((end_ns - start_ns) / NS_PER_S, 3),
            distance_m=round(way_m, 2),
            mean_speed_mps=round(way_m / driven_s, 2) if driven_s else 0.0,
            warnings=tuple(self._warnings()),
        )

    def _base_from_camera(self) -> Transform:
        return self._base_from_velodyne @ self._drive.calibration.camera_from_velodyne.inverse()

    def _warnings(self) -> Iterator[str]:
        if self._drive.nominal_times:
            yield "the drive has no timestamps: nominal 10 Hz from a fixed moment"
        if self._odometry.source == "scan_matching":
            yield "the drive has no GPS/IMU: odometry by scan matching"
        if not self._images:
            yield "no images" if self._camera else f"robot {self._robot.name} has no camera: images left out"
        elif self._camera:
            yield from self._extrinsics_warnings(self._robot.cameras[0].mounting.transform())

    def _extrinsics_warnings(self, base_from_camera: Transform) -> Iterator[str]:
        difference = base_from_camera.inverse() @ self._base_from_camera()
        shift_m = float(np.linalg.norm(difference.translation_m))
        turn_rad = float(np.arccos(np.clip((np.trace(difference.rotation) - 1) / 2, -1.0, 1.0)))
        if shift_m > _EXTRINSICS_TOLERANCE_M or turn_rad > _EXTRINSICS_TOLERANCE_RAD:
            yield (
                f"the drive's calibration puts {self._camera} {shift_m:.3f} m and {np.rad2deg(turn_rad):.2f} deg "
                f"from where robot {self._robot.name} has it"
            )

    def _write_sweep(self, frame: Frame) -> None:
        xyz_m, intensity = read_sweep(frame.path)
        good = np.isfinite(xyz_m).all(axis=1)
        self._points += int(good.sum())
        self._points_dropped += int((~good).sum())
        cloud = PointCloud(frame.t_ns, self._lidar, self._lidar, xyz_m[good], intensity[good])
        message = cloud_to_msg(cloud, self._writer.make)
        self._writer.write(f"/{self._lidar}/points", "sensor_msgs/msg/PointCloud2", frame.t_ns, message)

    def _write_image(self, frame: Frame) -> None:
        name, make, camera = self._camera or "", self._writer.make, self._drive.calibration.camera
        info = camera_info_to_msg(camera, frame.t_ns, name, make)
        self._writer.write(f"/{name}/camera_info", "sensor_msgs/msg/CameraInfo", frame.t_ns, info)
        image = Image(frame.t_ns, name, name, read_image(frame.path, camera))
        self._writer.write(f"/{name}/image", "sensor_msgs/msg/Image", frame.t_ns, image_to_msg(image, make))

    def _write_odometry(self, state: EgoState) -> None:
        odom, base, make = self._robot.odom_frame, self._robot.base_frame, self._writer.make
        message = odometry_to_msg(state, odom, base, make)
        message.pose.covariance[::7] = [self._odometry.position_std_m**2] * 3 + [
            self._odometry.yaw_std_rad**2
        ] * 3
        message.twist.covariance[::7] = [self._odometry.velocity_std_mps**2] * 3 + [
            self._odometry.yaw_std_rad**2
        ] * 3
        self._writer.write("/odom", "nav_msgs/msg/Odometry", state.t_ns, message)
        transform = transform_to_msg(state.t_ns, odom, base, state.odom_from_base, make)
        self._write_transforms("/tf", state.t_ns, [transform])

    def _write_transforms(self, topic: str, t_ns: int, transforms: list[object]) -> None:
        message = self._writer.make("tf2_msgs/msg/TFMessage")
        message.transforms = transforms
        self._writer.write(topic, "tf2_msgs/msg/TFMessage", t_ns, message)
