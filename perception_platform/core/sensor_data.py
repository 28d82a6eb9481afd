"""What sensors deliver: point clouds, images, camera models, ego motion and sensor health."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.time import to_s

Points = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PointCloud:
    """One lidar sweep or laser scan, or points derived from one.

    Attributes:
        t_ns: capture time of the sweep's end, ns.
        frame_id: frame of ``xyz_m``.
        sensor: name of the sensor, as in the robot file.
        xyz_m: (N, 3) float32, finite.
        intensity: (N,) float32 in [0, 1], or None.
        ring: (N,) uint16 beam number from the lowest, or None.
        offset_s: (N,) float32 capture time of each point relative to ``t_ns`` (not positive), or None.
    """

    t_ns: int
    frame_id: str
    sensor: str
    xyz_m: Points
    intensity: Points | None = None
    ring: npt.NDArray[np.uint16] | None = None
    offset_s: Points | None = None

    def __len__(self) -> int:
        return len(self.xyz_m)


@dataclass(frozen=True, slots=True)
class Image:
    """One camera image: (H, W, 3) uint8 in BGR order, captured at ``t_ns``."""

    t_ns: int
    frame_id: str
    sensor: str
    bgr: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CameraModel:
    """A pinhole camera with plumb-bob distortion (OpenCV's model).

    The optical frame has x right, y down, z ahead (REP 103).

    Attributes:
        width_px: image width.
        height_px: image height.
        matrix: (3, 3) intrinsic matrix, px.
        distortion: (5,) k1 k2 p1 p2 k3.
    """

    width_px: int
    height_px: int
    matrix: Array
    distortion: Array = field(default_factory=lambda: np.zeros(5))

    def project(self, points_m: npt.NDArray[np.floating]) -> Array:
        """Pixels (N, 2) of points (N, 3) in the optical frame; NaN for those not in front.

        Distortion is left out: it is for images that were rectified, as drivers publish them.
        """
        z = points_m[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            uv = points_m[:, :2] / z[:, None]
        uv = uv @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return np.where(z[:, None] > 0.05, uv, np.nan)


@dataclass(frozen=True, slots=True)
class EgoState:
    """Where the robot is and how it moves.

    Attributes:
        t_ns: time of the estimate, ns.
        odom_from_base: pose in the fixed odometry frame.
        velocity_mps: (vx, vy) in the base frame, m/s.
        yaw_rate_radps: turn rate, counter-clockwise positive, rad/s.
    """

    t_ns: int
    odom_from_base: Transform
    velocity_mps: tuple[float, float]
    yaw_rate_radps: float

    def at(self, t_ns: int) -> EgoState:
        """The same motion at another time, with the velocity and turn rate kept (midpoint rule)."""
        if t_ns == self.t_ns:
            return self
        dt_s = to_s(t_ns - self.t_ns)
        turn_rad = self.yaw_rate_radps * dt_s
        vx, vy = self.velocity_mps
        half_turn = Transform.planar(0.0, 0.0, turn_rad / 2)
        way_m = half_turn.rotate(np.array([[vx * dt_s, vy * dt_s, 0.0]]))[0]
        moved = Transform.planar(float(way_m[0]), float(way_m[1]), turn_rad)
        return replace(self, t_ns=t_ns, odom_from_base=self.odom_from_base @ moved)


class SensorStatus(IntEnum):
    """How far a sensor can be trusted. Zero is the worst on purpose: an empty message trusts nothing."""

    FAILED = 0
    DEGRADED = 1
    OK = 2


class SensorProblem(IntEnum):
    """What is wrong with a sensor (``SensorHealth.msg`` has the same numbers)."""

    NO_DATA = 1
    LOW_RATE = 2
    STALE = 3
    FUTURE_STAMP = 4
    BACKWARDS_STAMP = 5
    DROPPED_PACKETS = 6
    DROPPED_FRAMES = 7
    FROZEN_IMAGE = 8
    DARK_IMAGE = 9
    SATURATED_IMAGE = 10
    SECTOR_BLIND = 11
    MALFORMED = 12
    DIRTY_WINDOW = 13


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """One report about one sensor.

    Attributes:
        t_ns: time of the report, ns.
        sensor: name as in the robot file.
        status: how far to trust it.
        problems: what is wrong, empty when OK.
        rate_hz: measured rate over the last seconds; 0 without data.
        age_s: age of the newest message; infinite without data.
        frames_received: messages since the start.
        frames_dropped: frames or sweeps known to be lost since the start.
        packets_dropped: packets known to be lost since the start.
        malformed: messages refused since the start.
        blind_sectors_rad: (K, 2) start and end azimuth of sectors without returns, sensor frame.
        text: one line for people.
    """

    t_ns: int
    sensor: str
    status: SensorStatus
    problems: tuple[SensorProblem, ...]
    rate_hz: float
    age_s: float
    frames_received: int
    frames_dropped: int
    packets_dropped: int
    malformed: int
    blind_sectors_rad: tuple[tuple[float, float], ...]
    text: str
