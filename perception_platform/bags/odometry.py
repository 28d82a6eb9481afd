"""Odometry for drives: from GPS/IMU, or from the sweeps themselves by scan matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from perception_platform.bags.kitti_raw import Drive, Frame, Oxts, read_sweep
from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import NS_PER_S

if TYPE_CHECKING:
    from kiss_icp.kiss_icp import KissICP

Source = Literal["gps_imu", "scan_matching"]
# Rings on flat ground look the same from everywhere: they travel with the lidar and pull a slow motion towards zero.
_GROUND_CLEARANCE_M = 0.35
_FEWEST_POINTS = 100
# Voxels this small keep a creeping vehicle's motion visible; the library's default is a hundredth of the range.
_VOXEL_M = 0.4
# Velocity from matched poses: a straight line through this many of them averages the matching's noise out.
_FIT_POSES = 9


@dataclass(frozen=True, slots=True)
class Odometry:
    """Ego states in time order, where they come from, and how far to trust them.

    Attributes:
        states: the states; odom's origin is the first base pose.
        source: how they were made.
        position_std_m: of each coordinate, growing drift left out.
        velocity_std_mps: of each component.
        yaw_std_rad: of the heading; the turn rate's is taken as the same a second.
    """

    states: tuple[EgoState, ...]
    source: Source
    position_std_m: float
    velocity_std_mps: float
    yaw_std_rad: float


def from_oxts(readings: Sequence[Oxts], base_from_imu: Transform) -> Odometry:
    """Odometry of the base from GPS/IMU readings; odom is level, with the first heading as its x axis."""
    imu_from_base = base_from_imu.inverse()
    poses = [r.world_from_imu @ imu_from_base for r in readings]
    start = Transform.from_xyz_rpy(poses[0].translation_m.tolist(), (0.0, 0.0, poses[0].yaw_rad)).inverse()
    # The base's velocity is the IMU's plus the turn rate times the arm between them.
    arm_x_m, arm_y_m, _ = imu_from_base.translation_m
    states = tuple(
        EgoState(
            r.t_ns,
            start @ pose,
            (
                r.velocity_mps[0] - r.yaw_rate_radps * float(arm_y_m),
                r.velocity_mps[1] + r.yaw_rate_radps * float(arm_x_m),
            ),
            r.yaw_rate_radps,
        )
        for r, pose in zip(readings, poses, strict=True)
    )
    return Odometry(states, "gps_imu", position_std_m=0.05, velocity_std_mps=0.05, yaw_std_rad=0.005)


def from_sweeps(
    sweeps: Sequence[Frame],
    base_from_velodyne: Transform,
    range_m: tuple[float, float],
    step: Callable[[], None],
) -> Odometry:
    """Odometry of the base by matching each sweep with a map of those before (KISS-ICP, Vizzo et al., RA-L 2023).

    Args:
        sweeps: the sweeps in time order.
        base_from_velodyne: the lidar's extrinsics.
        range_m: nearest and farthest range used.
        step: called after each sweep.

    Raises:
        InputError: if the library is not installed, or a sweep is damaged.
    """
    matcher = _matcher(range_m)
    velodyne_from_base = base_from_velodyne.inverse()
    poses = []
    for sweep in sweeps:
        xyz_m = read_sweep(sweep.path)[0].astype(np.float64)
        heights_m = base_from_velodyne.apply(xyz_m)[:, 2]
        upright = xyz_m[np.isfinite(xyz_m).all(axis=1) & (heights_m > _GROUND_CLEARANCE_M)]
        if len(upright) < _FEWEST_POINTS:
            raise InputError(sweep.path, f"only {len(upright)} points above the ground: nothing to match")
        matcher.register_frame(upright, np.zeros(0))
        pose = Transform(matcher.last_pose[:3, :3].copy(), matcher.last_pose[:3, 3].copy())
        poses.append(base_from_velodyne @ pose @ velodyne_from_base)
        step()
    states = with_velocities([s.t_ns for s in sweeps], poses)
    return Odometry(states, "scan_matching", position_std_m=0.3, velocity_std_mps=0.2, yaw_std_rad=0.02)


def with_velocities(times_ns: Sequence[int], poses: Sequence[Transform]) -> tuple[EgoState, ...]:
    """Ego states from poses alone: velocities are slopes of straight lines through the nearest few poses."""
    positions_m = np.array([p.translation_m for p in poses])
    yaws_rad = np.unwrap([p.yaw_rad for p in poses])
    times_s = (np.asarray(times_ns, dtype=np.int64) - times_ns[0]) / NS_PER_S
    slopes = _slopes(times_s, np.column_stack([positions_m, yaws_rad]))
    states = []
    for t_ns, pose, slope in zip(times_ns, poses, slopes, strict=True):
        vx, vy, _ = pose.inverse().rotate(slope[None, :3])[0]
        states.append(EgoState(int(t_ns), pose, (float(vx), float(vy)), float(slope[3])))
    return tuple(states)


def distance_m(states: Sequence[EgoState]) -> float:
    """Length of the path, by integrating the speed over time."""
    if len(states) < 2:
        return 0.0
    speeds = np.array([np.hypot(*s.velocity_mps) for s in states])
    seconds = np.diff([s.t_ns for s in states]) / NS_PER_S
    return float(((speeds[1:] + speeds[:-1]) / 2 * seconds).sum())


def odometry_of(
    drive: Drive, base_from_velodyne: Transform, range_m: tuple[float, float], step: Callable[[], None]
) -> Odometry:
    """From GPS/IMU where the drive has it, by scan matching otherwise.

    Raises:
        InputError: as for from_sweeps.
    """
    velodyne_from_imu = drive.calibration.velodyne_from_imu
    if drive.oxts and velodyne_from_imu is not None:
        return from_oxts(drive.oxts, base_from_velodyne @ velodyne_from_imu)
    return from_sweeps(drive.sweeps, base_from_velodyne, range_m, step)


def _slopes(times_s: Array, values: Array) -> Array:
    """Slope over time of (N, K) values at each of N times, by least squares over a window around it."""
    count = len(times_s)
    if count < 2:
        return np.zeros_like(values)
    slopes = np.empty_like(values)
    width = min(_FIT_POSES, count)
    for i in range(count):
        first = min(max(0, i - width // 2), count - width)
        t = times_s[first : first + width] - times_s[first : first + width].mean()
        slopes[i] = t @ values[first : first + width] / (t @ t)
    return slopes


def _matcher(range_m: tuple[float, float]) -> KissICP:
    try:
        from kiss_icp.config import KISSConfig
        from kiss_icp.kiss_icp import KissICP
    except ImportError as error:
        problem = (
            "not installed, and the drive has no GPS/IMU; pip install 'perception_platform[scan-matching]'"
        )
        raise InputError("kiss-icp", problem) from error
    config = KISSConfig(
        # No point times are known; one thread, so that sums have one order and results the same bytes.
        data={"min_range": range_m[0], "max_range": range_m[1], "deskew": False},
        mapping={"voxel_size": _VOXEL_M},
        registration={"max_num_threads": 1},
    )
    return KissICP(config)
