"""Upright boxes and cylinders as arrays: all that a simulated world is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array

Bgr = tuple[int, int, int]


class Surface(IntEnum):
    """What becomes of a laser beam on a solid: thrown back all ways; let through unless it comes square; mirrored."""

    DULL = 0
    GLASS = 1
    MIRROR = 2


@dataclass(frozen=True, slots=True)
class Solids:
    """S upright boxes and cylinders.

    Attributes:
        centers_m: (S, 3) middle of each solid.
        sizes_m: (S, 3) length along the heading, width, height; a cylinder has its diameter twice.
        yaws_rad: (S,) headings.
        is_round: (S,) whether it is a cylinder.
        reflectivity: (S,) share of the lidar's light that is thrown back, 0 to 1.
        bgr: (S, 3) colour, 0 to 255.
        surface: (S,) values of Surface.
    """

    centers_m: Array
    sizes_m: Array
    yaws_rad: Array
    is_round: npt.NDArray[np.bool_]
    reflectivity: Array
    bgr: Array
    surface: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.centers_m)

    def placed(self, x_m: float, y_m: float, yaw_rad: float) -> Solids:
        """The same solids, turned about z by ``yaw_rad`` and then moved."""
        c, s = np.cos(yaw_rad), np.sin(yaw_rad)
        x, y, _ = self.centers_m.T
        centers = self.centers_m.copy()
        centers[:, 0], centers[:, 1] = x * c - y * s + x_m, x * s + y * c + y_m
        yaws = self.yaws_rad + yaw_rad
        return Solids(centers, self.sizes_m, yaws, self.is_round, self.reflectivity, self.bgr, self.surface)


def join(parts: Sequence[Solids]) -> Solids:
    """All solids of several groups, in order; none for no groups."""
    if not parts:
        row, table = np.zeros(0), np.zeros((0, 3))
        return Solids(table, table, row, row.astype(bool), row, table, row.astype(np.int64))
    return Solids(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Solids)))


def take(solids: Solids, rows: npt.NDArray[np.int64]) -> Solids:
    """Some of the solids, by index."""
    return Solids(*(getattr(solids, f.name)[rows] for f in fields(Solids)))


def box(
    center_xy_m: tuple[float, float],
    size_m: tuple[float, float, float],
    *,
    bottom_m: float = 0.0,
    yaw_rad: float = 0.0,
    bgr: Bgr = (150, 150, 150),
    reflectivity: float = 0.3,
    surface: Surface = Surface.DULL,
) -> Solids:
    """One box that stands ``bottom_m`` above the floor."""
    center = (*center_xy_m, bottom_m + size_m[2] / 2)
    return Solids(
        np.array([center], dtype=np.float64),
        np.array([size_m], dtype=np.float64),
        np.array([yaw_rad]),
        np.array([False]),
        np.array([reflectivity]),
        np.array([bgr], dtype=np.float64),
        np.array([int(surface)]),
    )


def cylinder(
    center_xy_m: tuple[float, float],
    diameter_m: float,
    height_m: float,
    *,
    bottom_m: float = 0.0,
    bgr: Bgr = (150, 150, 150),
    reflectivity: float = 0.3,
) -> Solids:
    """One upright cylinder that stands ``bottom_m`` above the floor."""
    size = (diameter_m, diameter_m, height_m)
    one = box(center_xy_m, size, bottom_m=bottom_m, bgr=bgr, reflectivity=reflectivity)
    return replace(one, is_round=np.array([True]))


def outlines(solids: Solids, spacing_m: float = 0.01) -> list[Array]:
    """Points along each solid's ground outline, at most ``spacing_m`` apart: S arrays (N, 2), world frame."""
    return [_outline(solids, i, spacing_m) for i in range(len(solids))]


def _outline(solids: Solids, index: int, spacing_m: float) -> Array:
    length, width = solids.sizes_m[index, :2]
    if solids.is_round[index]:
        count = max(8, int(np.ceil(np.pi * length / spacing_m)))
        angle = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
        ring = np.column_stack([np.cos(angle), np.sin(angle)]) * length / 2
        return np.asarray(solids.centers_m[index, :2] + ring)
    across = np.linspace(-0.5, 0.5, max(2, int(np.ceil(width / spacing_m)) + 1)) * width
    along = np.linspace(-0.5, 0.5, max(2, int(np.ceil(length / spacing_m)) + 1)) * length
    local = np.concatenate(
        [np.column_stack([np.full_like(across, side * length / 2), across]) for side in (-1, 1)]
        + [np.column_stack([along, np.full_like(along, side * width / 2)]) for side in (-1, 1)]
    )
    c, s = np.cos(solids.yaws_rad[index]), np.sin(solids.yaws_rad[index])
    return np.asarray(local @ np.array([[c, s], [-s, c]]) + solids.centers_m[index, :2])
