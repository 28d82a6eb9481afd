"""Oriented boxes in the ground plane around what is visible of each cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.perception.clusters import Flags, Ints
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
    """

    angle_rad: Array
    low_m: Array
    high_m: Array

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
        return FlatBoxes(self.angle_rad[which], self.low_m[which], self.high_m[which])


@compiled("float64(float64[::1], int64, float64)")
def _keep_least(least: Array, stray: int, value: float) -> float:
    """Insert a value among the least so far, in order; returns the greatest of them."""
    k = stray
    while k > 0 and least[k - 1] > value:
        least[k] = least[k - 1]
        k -= 1
    least[k] = value
    return float(least[stray])


@compiled("void(float32[::1], float32[::1], int64[:,::1], float64[::1], float64[:,::1], float64[:,::1])")
def _bounds(x: Points, y: Points, spans: Ints, angle_rad: Array, low_m: Array, high_m: Array) -> None:
    """Bounds of each cluster's points along axes turned by its angle, without the stray ones."""
    least = np.empty((4, _MOST_STRAYS + 1))
    for k in range(len(spans)):
        c, s, begin, end = np.cos(angle_rad[k]), np.sin(angle_rad[k]), spans[k, 0], spans[k, 1]
        stray = min((end - begin) // _POINTS_PER_STRAY, _MOST_STRAYS)
        least[:, : stray + 1] = np.inf
        u_low = v_low = u_high = v_high = np.inf  # of the upper bounds the negative
        for i in range(begin, end):
            u, v = x[i] * c + y[i] * s, y[i] * c - x[i] * s
            if u < u_low:
                u_low = _keep_least(least[0], stray, u)
            if v < v_low:
                v_low = _keep_least(least[1], stray, v)
            if -u < u_high:
                u_high = _keep_least(least[2], stray, -u)
            if -v < v_high:
                v_high = _keep_least(least[3], stray, -v)
        low_m[k, 0], low_m[k, 1], high_m[k, 0], high_m[k, 1] = u_low, v_low, -u_high, -v_high


@compiled(
    "boolean(float32[::1], float32[::1], int64, int64, float64, float64[::1], float64[::1], float64, float64)"
)
def _seen_through(
    x: Points,
    y: Points,
    begin: int,
    end: int,
    angle_rad: float,
    low_m: Array,
    high_m: Array,
    x0_m: float,
    y0_m: float,
) -> bool:
    """Whether the points lie clearly nearer to the faces turned away from the lidar than to those turned to it."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    u0, v0 = x0_m * c + y0_m * s, y0_m * c - x0_m * s
    u_low, v_low, u_high, v_high = low_m[0], low_m[1], high_m[0], high_m[1]
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
    "void(float32[::1], float32[::1], int64[:,::1], float64[::1], float64[:,::1], float64[:,::1], float64, float64,"
    " boolean[::1])"
)
def _all_seen_through(
    x: Points,
    y: Points,
    spans: Ints,
    angle_rad: Array,
    low_m: Array,
    high_m: Array,
    x0_m: float,
    y0_m: float,
    through: Flags,
) -> None:
    """Whether beams passed through each cluster's box."""
    for k in range(len(spans)):
        begin, end = spans[k]
        through[k] = _seen_through(x, y, begin, end, angle_rad[k], low_m[k], high_m[k], x0_m, y0_m)


def boxes_at(x: Points, y: Points, spans: Ints, angle_rad: Array) -> FlatBoxes:
    """Boxes of K clusters at given angles; their faces lie where points are, but for a few strays.

    Args:
        x: x of the points in the base frame, cluster by cluster.
        y: their y.
        spans: (K, 2) where each cluster begins and ends.
        angle_rad: (K,) angles.
    """
    low_m, high_m = np.empty((len(angle_rad), 2)), np.empty((len(angle_rad), 2))
    _bounds(x, y, spans, angle_rad, low_m, high_m)
    return FlatBoxes(angle_rad, low_m, high_m)


def seen_through(x: Points, y: Points, spans: Ints, boxes: FlatBoxes, origin_m: Array) -> Flags:
    """(K,) whether beams passed through a box to points on its far side: a corner seen from inside.

    Args:
        x: x of the points in the base frame, cluster by cluster.
        y: their y.
        spans: (K, 2) where each cluster begins and ends.
        boxes: the clusters' boxes.
        origin_m: (3,) where the lidar is.
    """
    x0_m, y0_m = float(origin_m[0]), float(origin_m[1])
    through = np.empty(len(spans), dtype=np.bool_)
    _all_seen_through(x, y, spans, boxes.angle_rad, boxes.low_m, boxes.high_m, x0_m, y0_m, through)
    return through
