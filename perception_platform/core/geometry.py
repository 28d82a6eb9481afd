"""Rigid transforms, boxes and polygons. Right-handed frames: x ahead, y left, z up (REP 103)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def wrap_angle(angle_rad: npt.ArrayLike) -> Array:
    """Angles brought into [-pi, pi), rad."""
    return np.asarray((np.asarray(angle_rad) + np.pi) % (2 * np.pi) - np.pi)


@dataclass(frozen=True, slots=True)
class Transform:
    """A rigid transform ``a_from_b``: takes points given in frame b to frame a.

    Attributes:
        rotation: (3, 3) rotation matrix.
        translation_m: (3,) origin of b in a, m.
    """

    rotation: Array
    translation_m: Array

    @classmethod
    def identity(cls) -> Transform:
        """The transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_xyz_rpy(cls, xyz_m: Sequence[float], rpy_rad: Sequence[float]) -> Transform:
        """From a translation and fixed-axis roll, pitch, yaw (URDF's convention)."""
        roll, pitch, yaw = rpy_rad
        cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (np.cos, np.sin))
        rotation = np.array(
            [
                [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                [-sp, cp * sr, cp * cr],
            ]
        )
        return cls(rotation, np.asarray(xyz_m, dtype=np.float64))

    @classmethod
    def planar(cls, x_m: float, y_m: float, yaw_rad: float) -> Transform:
        """A motion in the ground plane."""
        return cls.from_xyz_rpy((x_m, y_m, 0.0), (0.0, 0.0, yaw_rad))

    @classmethod
    def from_quaternion(cls, xyz_m: Sequence[float], xyzw: Sequence[float]) -> Transform:
        """From a translation and a quaternion (x, y, z, w), normalised here.

        Raises:
            ValueError: if the quaternion is zero or not finite.
        """
        q = np.asarray(xyzw, dtype=np.float64)
        norm = float(np.linalg.norm(q))
        if not np.isfinite(norm) or norm < 1e-9:
            raise ValueError(f"not a rotation: quaternion {tuple(xyzw)}")
        x, y, z, w = q / norm
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(rotation, np.asarray(xyz_m, dtype=np.float64))

    def quaternion_xyzw(self) -> Array:
        """The rotation as a unit quaternion (x, y, z, w), w >= 0 (Shepperd's method)."""
        r = self.rotation
        four = np.array(
            [
                1 + r[0, 0] - r[1, 1] - r[2, 2],
                1 - r[0, 0] + r[1, 1] - r[2, 2],
                1 - r[0, 0] - r[1, 1] + r[2, 2],
                1 + r[0, 0] + r[1, 1] + r[2, 2],
            ]
        )
        rows = np.array(
            [
                [four[0], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]],
                [r[0, 1] + r[1, 0], four[1], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]],
                [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], four[2], r[1, 0] - r[0, 1]],
                [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], four[3]],
            ]
        )
        q: Array = rows[int(np.argmax(four))]
        q = q / np.linalg.norm(q)
        return -q if q[3] < 0 else q

    @property
    def yaw_rad(self) -> float:
        """Heading of b's x axis in a's ground plane."""
        return float(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))

    def apply(self, points_m: npt.NDArray[np.floating]) -> Array:
        """Points of shape (N, 3) from b to a."""
        return np.asarray(points_m @ self.rotation.T + self.translation_m, dtype=np.float64)

    def rotate(self, vectors: npt.NDArray[np.floating]) -> Array:
        """Vectors of shape (N, 3) from b to a: no translation."""
        return np.asarray(vectors @ self.rotation.T, dtype=np.float64)

    def inverse(self) -> Transform:
        """``b_from_a``."""
        return Transform(self.rotation.T, -self.rotation.T @ self.translation_m)

    def __matmul__(self, other: Transform) -> Transform:
        """``a_from_b @ b_from_c = a_from_c``."""
        return Transform(
            self.rotation @ other.rotation, self.rotation @ other.translation_m + self.translation_m
        )


def box_corners(centers_m: Array, sizes_m: Array, yaws_rad: Array) -> Array:
    """Ground-plane corners of oriented boxes.

    Args:
        centers_m: (N, 2 or more) box centres.
        sizes_m: (N, 2 or more) length along the heading, width across it.
        yaws_rad: (N,) headings.

    Returns:
        (N, 4, 2) corners, counter-clockwise from front-left.
    """
    half = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    local = half[None] * sizes_m[:, None, :2]
    c, s = np.cos(yaws_rad)[:, None], np.sin(yaws_rad)[:, None]
    x = local[..., 0] * c - local[..., 1] * s
    y = local[..., 0] * s + local[..., 1] * c
    return np.stack([x, y], axis=-1) + centers_m[:, None, :2]


def points_in_polygon(
    points_m: npt.NDArray[np.floating], polygon_m: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Which of the (N, 2) points lie inside the (M, 2) simple polygon (even-odd rule)."""
    low, high = polygon_m.min(axis=0, keepdims=True), polygon_m.max(axis=0, keepdims=True)
    inside = np.ones(len(points_m), dtype=np.bool_)
    for i in range(2):
        inside &= (points_m[:, i] >= low[:, i]) & (points_m[:, i] <= high[:, i])
    near = np.flatnonzero(inside)
    if not len(near):
        return inside
    x, y = points_m[near, 0:1], points_m[near, 1:2]
    x0, y0 = polygon_m.T
    x1, y1 = np.concatenate([polygon_m[1:], polygon_m[:1]]).T
    crosses = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    hit = x < (x1 - x0) * (y - y0) / rise + x0
    inside[near] = (crosses & hit).sum(axis=1) % 2 == 1
    return np.asarray(inside)


def points_in_any(
    points_m: npt.NDArray[np.floating], polygons_m: Sequence[Array] | Array
) -> npt.NDArray[np.bool_]:
    """Which of the points (N, 2 or more) lie in any of the polygons."""
    inside = np.zeros(len(points_m), dtype=np.bool_)
    for polygon_m in polygons_m if len(points_m) else ():
        inside |= points_in_polygon(points_m[:, :2], polygon_m)
    return inside


def one_a_voxel(points_m: npt.NDArray[np.floating], size_m: float) -> npt.NDArray[np.intp]:
    """Rows of the first of the points (N, 3) in each cube of a grid, cube by cube; for places within 2^20 cubes."""
    cube = np.floor(points_m / size_m).astype(np.int64) + (1 << 20)
    return np.unique((cube[:, 0] << 42) | (cube[:, 1] << 21) | cube[:, 2], return_index=True)[1]
