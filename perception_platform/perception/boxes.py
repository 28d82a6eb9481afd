"""Oriented boxes in the ground plane around what is visible of each cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Clusters, Flags, Ints
from perception_platform.runtime.compiled import compiled

# One point in so many, but only so many, may lie outside a box on each side: returns from two edges at once hang in the
# air in front of a face. They stay obstacle points.
_POINTS_PER_STRAY, _MOST_STRAYS = 100, 10
# A corner seen from inside has its points this much farther from the near faces than from the others; bonnets and roofs
# seen from above lie in between.
_SEEN_THROUGH = 1.5


@dataclass(frozen=True, slots=True)
class FlatBoxes:
    """Boxes in the ground plane, K of them.

    Attributes:
        angle_rad: (K,) direction of the first axis.
        low_m: (K, 2) least coordinate along the first and the second axis.
        high_m: (K, 2) greatest coordinate.
        see_through: (K,) whether beams passed through the box to points on its far side: a corner seen from inside.
    """

    angle_rad: Array
    low_m: Array
    high_m: Array
    see_through: Flags

    @property
    def extent_m(self) -> Array:
        """(K, 2) size along both axes."""
        return self.high_m - self.low_m

    @property
    def center_m(self) -> Array:
        """(K, 2) centres in the base frame."""
        u, v = 0.5 * (self.low_m + self.high_m).T
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return np.stack([u * c - v * s, u * s + v * c], axis=-1)

    def chosen(self, which: Flags) -> FlatBoxes:
        """Some of them."""
        return FlatBoxes(
            self.angle_rad[which], self.low_m[which], self.high_m[which], self.see_through[which]
        )


@compiled("void(float32[::1], float32[::1], int64, int64, float64, float64[::1])")
def _bounds(x: Points, y: Points, begin: int, end: int, angle_rad: float, bounds: Array) -> None:
    """Least u and v, greatest u and v of points in axes turned by an angle, without the stray ones."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    n = end - begin
    stray = min(n // _POINTS_PER_STRAY, _MOST_STRAYS)
    for axis in range(2):
        along = x[begin:end] * c + y[begin:end] * s if axis == 0 else y[begin:end] * c - x[begin:end] * s
        bounds[axis] = np.partition(along, stray)[stray]
        bounds[2 + axis] = np.partition(along, n - 1 - stray)[n - 1 - stray]


@compiled("boolean(float32[::1], float32[::1], int64, int64, float64, float64[::1], float64, float64)")
def _seen_through(
    x: Points, y: Points, begin: int, end: int, angle_rad: float, bounds: Array, x0_m: float, y0_m: float
) -> bool:
    """Whether the points lie clearly nearer to the faces turned away from the lidar than to those turned to it."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    u0, v0 = x0_m * c + y0_m * s, y0_m * c - x0_m * s
    u_low, v_low, u_high, v_high = bounds
    if u0 > u_low and u0 < u_high and v0 > v_low and v0 < v_high:
        return True
    to_near, to_far = 0.0, 0.0
    for i in range(begin, end):
        u, v = x[i] * c + y[i] * s, y[i] * c - x[i] * s
        near, far = np.inf, np.inf
        for at, low, high, origin in ((u, u_low, u_high, u0), (v, v_low, v_high, v0)):
            if origin <= low:
                near, far = min(near, at - low), min(far, high - at)
            elif origin >= high:
                near, far = min(near, high - at), min(far, at - low)
            else:
                far = min(far, min(at - low, high - at))
        to_near += near
        to_far += far
    return to_near > _SEEN_THROUGH * to_far


@compiled(
    "void(float32[::1], float32[::1], int64[::1], float64, float64, float64[::1], float64[:,::1], boolean[::1])"
)
def _box(
    x: Points,
    y: Points,
    starts: Ints,
    x0_m: float,
    y0_m: float,
    angle_rad: Array,
    bounds: Array,
    see_through: Flags,
) -> None:
    """Bounds of each cluster's points at its angle, and whether beams passed through them."""
    for k in range(len(starts) - 1):
        _bounds(x, y, starts[k], starts[k + 1], angle_rad[k], bounds[k])
        see_through[k] = _seen_through(x, y, starts[k], starts[k + 1], angle_rad[k], bounds[k], x0_m, y0_m)


def boxes_at(xy_m: Points, clusters: Clusters, angle_rad: Array, origin_m: Array) -> FlatBoxes:
    """Boxes of K clusters at given angles; their faces lie where points are, but for a few strays.

    Args:
        xy_m: (N, 2) points in the base frame.
        clusters: K clusters of them.
        angle_rad: (K,) angles.
        origin_m: (3,) where the lidar is.
    """
    x, y = clusters.columns(xy_m)
    bounds, see_through = np.zeros((len(clusters), 4)), np.zeros(len(clusters), dtype=np.bool_)
    _box(x, y, clusters.starts, float(origin_m[0]), float(origin_m[1]), angle_rad, bounds, see_through)
    return FlatBoxes(angle_rad, bounds[:, :2], bounds[:, 2:], see_through)
