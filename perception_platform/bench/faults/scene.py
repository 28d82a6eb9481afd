"""What the bench runs: a robot in an empty hall, and what surrounds it on its topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.messages.clouds import cloud_to_msg
from perception_platform.messages.motion import odometry_to_msg, twist_to_msg
from perception_platform.robot.load import robot_path
from perception_platform.robot.sensors import Scan
from perception_platform.ros.make import make

BASE_ROBOT = "amr"
CHAIN, DRIVER = "chain", "lidar_top_driver"
SPEED_MPS = 0.5
SWEEP_FILE = "000000.bin"
_LIDAR_HEIGHT_M = 1.1
_WALL_M = 15.0
_AZIMUTHS = 900
_BEAMS_DEG = np.arange(-15, 16, 2)
_SCAN_RAYS = 361


def write_robot(folder: Path, pace: float, *, own_driver: bool) -> Path:
    """A robot file made of that of ``BASE_ROBOT``: without cameras and models, and with its lidar fed by the bench.

    Args:
        folder: takes the robot file, and the sweep that a driver plays.
        pace: a quicker robot makes for quicker tries: its sensors and its gate run at so many times their rate, and
            the gate waits that much less.
        own_driver: whether the lidar's driver runs, in a process of its own, playing a folder; otherwise sweeps come
            from outside.
    """
    robot = yaml.safe_load(robot_path(BASE_ROBOT).read_text(encoding="utf-8"))
    sweeps = folder / "sweeps"
    sweeps.mkdir(parents=True, exist_ok=True)
    write_sweep(sweeps / SWEEP_FILE)
    robot["sensors"] = [s for s in robot["sensors"] if s["kind"] in ("lidar", "scan")]
    robot["models"] = []
    for sensor in robot["sensors"]:
        sensor["rate_hz"] *= pace
        if sensor["kind"] == "lidar":
            played = {"type": "folder", "path": str(sweeps), "loop": True}
            sensor["driver"] = played if own_driver else {"type": "external"}
    gate = robot["gate"]
    gate["rate_hz"] *= pace
    for name in ("input_timeout_s", "command_timeout_s", "hold_s"):
        gate[name] /= pace
    robot["latency"]["bound_ms"] /= pace
    robot["nodes"] = _nodes(own_driver)
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(robot, sort_keys=False), encoding="utf-8")
    return path


def _nodes(own_driver: bool) -> list[dict[str, str]]:
    nodes = [{"node": name, "process": CHAIN} for name in ("perception", "tracker", "risk")]
    driver = [{"node": "lidar_driver"}] if own_driver else []
    return [*driver, *nodes, {"node": "safety_gate"}]


def write_sweep(path: Path) -> None:
    """A KITTI ``.bin`` file of what a 16-beam lidar sees in an empty hall: the floor, and a wall all around."""
    azimuth, elevation = np.meshgrid(
        np.linspace(-np.pi, np.pi, _AZIMUTHS, endpoint=False), np.deg2rad(_BEAMS_DEG), indexing="ij"
    )
    downward = np.maximum(-np.sin(elevation), 1e-9)
    reach_m = np.minimum(_LIDAR_HEIGHT_M / downward, _WALL_M / np.cos(elevation))
    x, y = (reach_m * np.cos(elevation) * f(azimuth) for f in (np.cos, np.sin))
    points = np.stack([x, y, reach_m * np.sin(elevation), np.full_like(x, 0.5)], axis=-1)
    path.write_bytes(points.reshape(-1, 4).astype("<f4").tobytes())


def sweep_message(cloud: PointCloud) -> Any:
    """The sweep as the lidar's driver would publish it."""
    return cloud_to_msg(cloud, make)


def scan_message(sensor: Scan) -> Any:
    """A LaserScan of the wall."""
    message = make("sensor_msgs/msg/LaserScan")
    message.header.frame_id = sensor.name
    message.angle_min, message.angle_max = -np.pi / 2, np.pi / 2
    message.angle_increment = np.pi / (_SCAN_RAYS - 1)
    message.range_min, message.range_max = sensor.range_m
    message.ranges = [_WALL_M] * _SCAN_RAYS
    return message


def odometry_message(odom_frame: str, base_frame: str) -> Any:
    """Straight ahead, slowly; the pose stays, as the hall does."""
    ego = EgoState(0, Transform.identity(), (SPEED_MPS, 0.0), 0.0)
    return odometry_to_msg(ego, odom_frame, base_frame, make)


def command_message(base_frame: str) -> Any:
    """Drive on."""
    return twist_to_msg(0, base_frame, (SPEED_MPS, 0.0, 0.0), make)
