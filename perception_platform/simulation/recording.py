"""Record a scene as the robot's drivers would: every sensor of the robot file at its rate, into an MCAP file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.bags.writer import BagWriter
from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.messages.fields import Make, set_array, set_header
from perception_platform.messages.sensors import (
    camera_info_to_msg,
    cloud_to_msg,
    image_to_msg,
    odometry_to_msg,
    transform_to_msg,
    twist_to_msg,
)
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Camera, Lidar, Scan
from perception_platform.ros.topics import TOPICS, sensor_topic
from perception_platform.simulation.camera import render
from perception_platform.simulation.lidar import LidarNoise, ScanReading, scan, sweep
from perception_platform.simulation.odometry import OdometryNoise, odometry
from perception_platform.simulation.scene import Scene

ODOMETRY_HZ = 50.0


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """What the robot file leaves open.

    Attributes:
        lidar_columns: firings of a 3D lidar a turn.
        lidar_noise: errors of all ranges.
        odometry_noise: errors of the odometry.
        blind_deg: sector of the 3D lidars' windows that is dirty and lets nothing through: from, to, counter-clockwise
            from the sensor's x axis; None for clean ones.
    """

    lidar_columns: int = 600
    lidar_noise: LidarNoise = field(default_factory=LidarNoise)
    odometry_noise: OdometryNoise = field(default_factory=OdometryNoise)
    blind_deg: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A message to be written; ``make`` fills it when its turn comes."""

    t_s: float
    topic: str
    type: str
    build: Callable[[Make], Any]


def record(path: Path, robot: Robot, scene: Scene, duration_s: float, options: RecordingOptions) -> int:
    """Write the recording; messages are logged at their stamps. Same scene, same bytes.

    Returns:
        How many messages were written.
    """
    entries = [*_static_entries(robot, scene), *_motion_entries(robot, scene, duration_s, options)]
    for sensor in robot.sensors:
        if isinstance(sensor, Lidar | Camera | Scan):  # what can be simulated
            entries += _sensor_entries(scene, sensor, duration_s, options)
    entries.sort(key=lambda entry: entry.t_s)  # stable: the order above holds at equal times
    with BagWriter(path) as bag:
        for entry in entries:
            bag.write(entry.topic, entry.type, scene.stamp_ns(entry.t_s), entry.build(bag.make))
    return len(entries)


def scan_to_msg(reading: ScanReading, limits_m: tuple[float, float], make: Make) -> Any:
    """A LaserScan whose rays were all taken at its stamp."""
    msg = make("sensor_msgs/msg/LaserScan")
    set_header(msg, reading.t_ns, reading.sensor)
    msg.angle_min, msg.angle_increment = reading.first_angle_rad, reading.angle_step_rad
    msg.angle_max = reading.first_angle_rad + reading.angle_step_rad * (len(reading.ranges_m) - 1)
    msg.range_min, msg.range_max = limits_m
    set_array(msg, "ranges", reading.ranges_m)
    return msg


def _times(rate_hz: float, duration_s: float, first: int) -> Array:
    """Multiples of the period, from the ``first`` one to the end of the recording."""
    return np.arange(first, int(duration_s * rate_hz + 1e-6) + 1) / rate_hz


def _static_entries(robot: Robot, scene: Scene) -> Iterator[_Entry]:
    def build(make: Make) -> Any:
        msg = make(TOPICS["tf_static"].type)
        msg.transforms = [
            transform_to_msg(
                scene.stamp_ns(0.0), robot.base_frame, sensor.name, sensor.mounting.transform(), make
            )
            for sensor in robot.sensors
        ]
        return msg

    yield _entry(0.0, "tf_static", build)


def _entry(t_s: float, key: str, build: Callable[[Make], Any]) -> _Entry:
    return _Entry(float(t_s), TOPICS[key].name, TOPICS[key].type, build)


def _motion_entries(
    robot: Robot, scene: Scene, duration_s: float, options: RecordingOptions
) -> Iterator[_Entry]:
    times_s = _times(ODOMETRY_HZ, duration_s, 0)
    for t_s, ego in zip(times_s, odometry(scene, times_s, options.odometry_noise), strict=True):
        yield _entry(t_s, "odometry", partial(odometry_to_msg, ego, robot.odom_frame, robot.base_frame))
        yield _entry(t_s, "tf", partial(_tf_msg, robot, ego))
    for t_s in _times(TOPICS["command"].rate_hz or ODOMETRY_HZ, duration_s, 0):
        command = scene.trajectory.command_at(float(t_s))
        velocity = (command.speed_mps, 0.0, command.yaw_rate_radps)
        yield _entry(
            t_s, "command", partial(twist_to_msg, scene.stamp_ns(float(t_s)), robot.base_frame, velocity)
        )


def _tf_msg(robot: Robot, ego: EgoState, make: Make) -> Any:
    msg = make(TOPICS["tf"].type)
    msg.transforms = [
        transform_to_msg(ego.t_ns, robot.odom_frame, robot.base_frame, ego.odom_from_base, make)
    ]
    return msg


def _sensor_entries(
    scene: Scene, sensor: Lidar | Camera | Scan, duration_s: float, options: RecordingOptions
) -> Iterator[_Entry]:
    topic = sensor_topic(sensor)
    for t in _times(sensor.rate_hz, duration_s, 1):
        t_s = float(t)
        if isinstance(sensor, Camera):
            info = TOPICS["camera_info"]
            build = partial(camera_info_to_msg, sensor.intrinsics.model(), scene.stamp_ns(t_s), sensor.name)
            yield _Entry(t_s, info.of(sensor.name), info.type, build)
        yield _Entry(t_s, topic.of(sensor.name), topic.type, partial(_measure, scene, sensor, t_s, options))


def _measure(
    scene: Scene, sensor: Lidar | Camera | Scan, t_s: float, options: RecordingOptions, make: Make
) -> Any:
    """What the sensor delivers at ``t_s``, as its message."""
    if isinstance(sensor, Camera):
        return image_to_msg(render(scene, sensor, t_s), make)
    if isinstance(sensor, Scan):
        return scan_to_msg(scan(scene, sensor, t_s, noise=options.lidar_noise), sensor.range_m, make)
    cloud = sweep(scene, sensor, t_s, columns=options.lidar_columns, noise=options.lidar_noise)
    return cloud_to_msg(cloud if options.blind_deg is None else _blinded(cloud, options.blind_deg), make)


def _blinded(cloud: PointCloud, sector_deg: tuple[float, float]) -> PointCloud:
    """The sweep without the points in a sector."""
    azimuths_deg = np.rad2deg(np.arctan2(cloud.xyz_m[:, 1], cloud.xyz_m[:, 0]))
    clear = (azimuths_deg < sector_deg[0]) | (azimuths_deg > sector_deg[1])
    columns = {name: getattr(cloud, name)[clear] for name in ("xyz_m", "intensity", "ring", "offset_s")}
    return replace(cloud, **columns)
