"""The path the robot sweeps if it keeps its speed and turn rate: an arc, and positions along and across it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import EgoState

STANDSTILL_MPS = 0.03  # below this, odometry noise decides the direction: the path is straight ahead
FRONT_STRIPS, FRONT_SAMPLES = 32, 128  # across the path; points on each edge of the footprint
FRONT_TOLERANCE_M = 0.05  # a point that touches the front edge is ahead of it
STRAIGHT_PER_M = 1e-4  # an arc of less curvature is taken to be a line
ROUNDING_M = 1e-6  # of points in float32, for bounds that must hold in spite of it


@dataclass(frozen=True, slots=True)
class Path:
    """The swept band, in coordinates that follow the arc: s along it, d across it (left positive).

    Attributes:
        speed_mps: speed along the path, not negative.
        travel: (2,) unit vector in the base frame along which the robot moves: (1, 0) ahead, (-1, 0) backing up,
            anything for a robot that can move sideways.
        curvature_per_m: of the arc, left positive, seen in the direction of travel.
        front_d_m: (K,) positions across the band, increasing.
        front_s_m: (K,) s of the footprint's front edge there: where gaps are measured from.
        rear_m: smallest s of the footprint.
        right_m: smallest d of the swept band.
        left_m: largest d of the swept band.
    """

    speed_mps: float
    travel: tuple[float, float]
    curvature_per_m: float
    front_d_m: Array
    front_s_m: Array
    rear_m: float
    right_m: float
    left_m: float

    def coordinates(self, points_m: npt.NDArray[np.floating]) -> Array:
        """(s, d) of points, of shape (..., 2), given in the base frame."""
        return along_arc(points_m, self.travel, self.curvature_per_m)

    def points_m(self, sd: Array) -> Array:
        """Base-frame points (N, 2) of (s, d) positions (N, 2)."""
        x_m, y_m, turned_rad = self.poses(sd[:, 0])
        heading_rad = turned_rad + np.arctan2(self.travel[1], self.travel[0])
        to_left = np.stack([-np.sin(heading_rad), np.cos(heading_rad)], axis=-1)
        return np.asarray(np.stack([x_m, y_m], axis=-1) + sd[:, 1:] * to_left)

    def poses(self, way_m: Array, turn_per_m: float = 0.0) -> tuple[Array, Array, Array]:
        """x, y and heading in the present base frame of the robot after ways (K,), at ``turn_per_m`` more curvature."""
        curvature = self.curvature_per_m + turn_per_m
        angle = curvature * way_m
        half = np.sinc(angle / (2 * np.pi))  # sin(angle / 2) / (angle / 2): well behaved on a line
        ahead, left = way_m * half * np.cos(angle / 2), way_m * half * np.sin(angle / 2)
        c, s = self.travel
        return c * ahead - s * left, s * ahead + c * left, angle

    def along(self, sd: Array, velocities_mps: Array) -> Array:
        """Velocities (N, 2) of the base frame as components along and across the arc at (s, d) positions (N, 2)."""
        c, s = self.travel
        angle = self.curvature_per_m * sd[:, 0]
        vx = c * velocities_mps[:, 0] + s * velocities_mps[:, 1]
        vy = c * velocities_mps[:, 1] - s * velocities_mps[:, 0]
        return np.stack(
            [np.cos(angle) * vx + np.sin(angle) * vy, np.cos(angle) * vy - np.sin(angle) * vx], -1
        )

    def may_be_in_band(self, points_m: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Which base-frame points (N, 2 or more) may lie in the band: cheap, and never wrong about a no."""
        right_m, left_m = self.right_m - ROUNDING_M, self.left_m + ROUNDING_M
        ahead, y = _travelling(points_m, self.travel)
        if abs(self.curvature_per_m) < STRAIGHT_PER_M:
            return np.asarray((y > right_m) & (y < left_m))
        radius_m = 1.0 / self.curvature_per_m  # of the arc, about (0, radius)
        inner_m, outer_m = sorted((abs(radius_m - left_m), abs(radius_m - right_m)))
        if right_m < radius_m < left_m:
            inner_m = 0.0
        from_middle_m2 = ahead**2 + (y - radius_m) ** 2
        return np.asarray((from_middle_m2 >= inner_m**2) & (from_middle_m2 <= outer_m**2))

    def gap_m(self, sd: Array) -> Array:
        """Way from the footprint's front edge to (s, d) positions, along the arc; negative behind that edge."""
        return np.asarray(sd[..., 0] - np.interp(sd[..., 1], self.front_d_m, self.front_s_m))

    def in_band(self, sd: Array) -> npt.NDArray[np.bool_]:
        """Which (s, d) lie within the band and not behind the front edge: what the robot drives towards."""
        inside = np.asarray((sd[..., 1] > self.right_m) & (sd[..., 1] < self.left_m))
        inside[inside] = self.gap_m(sd[inside]) > -FRONT_TOLERANCE_M
        return inside


def along_arc(
    points_m: npt.NDArray[np.floating], travel: tuple[float, float], curvature_per_m: float
) -> Array:
    """(s, d) of base-frame points relative to an arc that starts at the origin along the unit vector ``travel``."""
    x, y = _travelling(points_m, travel)
    if abs(curvature_per_m) < STRAIGHT_PER_M:
        return np.stack([x, y], axis=-1)
    radius = 1.0 / curvature_per_m
    across = (radius - y) * np.sign(radius)
    s = np.arctan2(x, across) * abs(radius)
    d = (abs(radius) - np.hypot(x, across)) * np.sign(radius)
    return np.stack([s, d], axis=-1)


def _travelling(points_m: npt.NDArray[np.floating], travel: tuple[float, float]) -> tuple[Array, Array]:
    """Coordinates of points (..., 2 or more) along and across the direction of travel."""
    x, y = points_m[..., 0].astype(np.float64), points_m[..., 1].astype(np.float64)
    c, s = travel
    return (c * x, c * y) if s == 0.0 else (c * x + s * y, c * y - s * x)


def predict_path(ego: EgoState, footprint_m: Array, beside_m: float, *, sideways: bool = False) -> Path:
    """The band that ``footprint_m`` (M, 2) sweeps at the present velocity and turn rate.

    A rigid body that keeps its twist goes round its instantaneous centre of rotation, whatever turns its wheels: so
    one arc serves differential, Ackermann and omnidirectional drives. The band is as wide as the footprint's
    extremes across the arc, so the swing of its corners is in it, plus ``beside_m`` on each side.

    Args:
        ego: with the motion.
        footprint_m: (M, 2) corners in the base frame.
        beside_m: added to each side.
        sideways: whether the drive can move sideways; if not, a lateral velocity is noise.
    """
    vx, vy = ego.velocity_mps
    speed = float(np.hypot(vx, vy)) if sideways else abs(vx)
    moving = speed > STANDSTILL_MPS
    travel = (1.0, 0.0)
    if moving:
        travel = (vx / speed, vy / speed) if sideways else (float(np.sign(vx)), 0.0)
    curvature = float(np.clip(ego.yaw_rate_radps / speed, -2.0, 2.0)) if moving else 0.0
    sd = along_arc(outline(footprint_m[None], FRONT_SAMPLES)[0], travel, curvature)
    s, d = sd[:, 0], sd[:, 1]
    front_d_m, front_s_m = _front_edge(s, d)
    return Path(
        speed_mps=speed,
        travel=travel,
        curvature_per_m=curvature,
        front_d_m=front_d_m,
        front_s_m=front_s_m,
        rear_m=float(s.min()),
        right_m=float(d.min()) - beside_m,
        left_m=float(d.max()) + beside_m,
    )


def _front_edge(s: Array, d: Array) -> tuple[Array, Array]:
    """Largest s of a densely sampled outline, by d: middles of strips (K,) and s in them (K,)."""
    right, left = float(d.min()), float(d.max())
    width = max(left - right, 1e-6) / FRONT_STRIPS
    strip = np.minimum(((d - right) / width).astype(np.int64), FRONT_STRIPS - 1)
    front = np.full(FRONT_STRIPS, -np.inf)
    np.maximum.at(front, strip, s)
    middles = right + (np.arange(FRONT_STRIPS) + 0.5) * width
    filled = np.isfinite(front)
    return middles[filled], front[filled]


def outline(corners_m: Array, samples: int = 24) -> Array:
    """Points along the edges of polygons.

    Args:
        corners_m: (N, M, 2) corners.
        samples: points on each edge, its first corner included.

    Returns:
        (N, M * samples, 2).
    """
    share = np.arange(samples) / samples
    following = np.concatenate([corners_m[:, 1:], corners_m[:, :1]], axis=1)
    edges = corners_m[:, :, None] + share[:, None] * (following - corners_m)[:, :, None]
    return edges.reshape(len(corners_m), corners_m.shape[1] * samples, 2)
