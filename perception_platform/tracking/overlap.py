"""Which boxes are near each other, and how much they overlap, in the ground plane and in space: compiled loops."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.runtime.compiled import compiled

# A box: x, y of the centre, length along the heading, width, heading; in space also z of the centre and the height.


def near_pairs(a_m: Array, a_reach_m: Array, b_m: Array, b_reach_m: Array) -> tuple[Ints, Ints]:
    """Rows of a and of b whose circles meet, in order: what saves the exact question for most pairs.

    Args:
        a_m: (N, 2) centres.
        a_reach_m: (N,) radii.
        b_m: (M, 2) centres.
        b_reach_m: (M,) radii.
    """
    a, b = np.array([*a_m.T, a_reach_m]), np.array([*b_m.T, b_reach_m])
    rows, columns = np.nonzero(_circles_meet(a, b))
    return rows, columns


def generalised_overlaps(a: Array, b: Array) -> Array:
    """Generalised overlap in the ground plane of K pairs of boxes: 1 where they are the same, towards -1 far apart.

    Intersection over union, less the share of the enclosing box that neither fills (Rezatofighi et al., Generalized
    intersection over union, 2019; the enclosing box is taken along the heading of ``a``).

    Args:
        a: (K, 5) x, y, length, width, m, and heading, rad.
        b: (K, 5) likewise.
    """
    return np.asarray(_generalised(np.ascontiguousarray(a), np.ascontiguousarray(b)))


def overlaps_3d(a: Array, b: Array) -> Array:
    """Intersection over union in space of K pairs of upright boxes.

    Args:
        a: (K, 7) x, y, length, width, m, heading, rad, z of the centre, height, m.
        b: (K, 7) likewise.
    """
    return np.asarray(_in_space(np.ascontiguousarray(a), np.ascontiguousarray(b)))


@compiled("b1[:,::1](f8[:,::1], f8[:,::1])")
def _circles_meet(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    """(N, M) for circles (3, N) and (3, M): x, y, radius."""
    meet = np.empty((a.shape[1], b.shape[1]), dtype=np.bool_)
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            x, y, reach = a[0, i] - b[0, j], a[1, i] - b[1, j], a[2, i] + b[2, j]
            meet[i, j] = x * x + y * y <= reach * reach
    return meet


@compiled("int64(f8[:,::1], int64, f8[:,::1], f8, f8, f8)")
def _clip(polygon: Array, n: int, out: Array, nx: float, ny: float, limit: float) -> int:
    """Cut a convex polygon of n corners down to where nx x + ny y <= limit; number of corners left in ``out``."""
    m = 0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        here = nx * polygon[i, 0] + ny * polygon[i, 1] - limit
        there = nx * polygon[j, 0] + ny * polygon[j, 1] - limit
        if here <= 0:
            out[m, 0], out[m, 1] = polygon[i, 0], polygon[i, 1]
            m += 1
        if (here < 0 and there > 0) or (here > 0 and there < 0):
            t = here / (here - there)
            out[m, 0] = polygon[i, 0] + t * (polygon[j, 0] - polygon[i, 0])
            out[m, 1] = polygon[i, 1] + t * (polygon[j, 1] - polygon[i, 1])
            m += 1
    return m


@compiled("void(f8[::1], f8[::1], f8[:,::1])")
def _corners_in(a: Array, b: Array, out: Array) -> None:
    """Corners of b in the axes of a, counter-clockwise, into the first four rows."""
    c, s = np.cos(a[4]), np.sin(a[4])
    x, y = b[0] - a[0], b[1] - a[1]
    x, y = c * x + s * y, c * y - s * x
    c, s = np.cos(b[4] - a[4]), np.sin(b[4] - a[4])
    for i in range(4):
        u = b[2] / 2 if i in (0, 3) else -b[2] / 2
        v = b[3] / 2 if i < 2 else -b[3] / 2
        out[i, 0] = x + c * u - s * v
        out[i, 1] = y + s * u + c * v


@compiled("f8(f8[::1], f8[::1], f8[:,::1], f8[:,::1])")
def _shared_area(a: Array, b: Array, one: Array, two: Array) -> float:
    """Area that two boxes share, by clipping b's corners, in a's own axes, with a's four sides."""
    reach = 0.5 * (np.hypot(a[2], a[3]) + np.hypot(b[2], b[3]))
    if (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 >= reach**2:
        return 0.0
    _corners_in(a, b, one)
    n = _clip(one, 4, two, 1.0, 0.0, a[2] / 2)
    n = _clip(two, n, one, -1.0, 0.0, a[2] / 2)
    n = _clip(one, n, two, 0.0, 1.0, a[3] / 2)
    n = _clip(two, n, one, 0.0, -1.0, a[3] / 2)
    area = 0.0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        area += one[i, 0] * one[j, 1] - one[j, 0] * one[i, 1]
    return max(0.5 * area, 0.0)


@compiled("f8(f8[::1], f8[::1], f8[:,::1], f8[:,::1])")
def generalised_overlap(a: Array, b: Array, one: Array, two: Array) -> float:
    """Of one pair, for compiled loops; ``one`` and ``two`` (16, 2) are room to work in."""
    shared = _shared_area(a, b, one, two)
    union = a[2] * a[3] + b[2] * b[3] - shared
    _corners_in(a, b, one)
    enclosing = 1.0
    for axis in range(2):
        low, high = -a[2 + axis] / 2, a[2 + axis] / 2
        for i in range(4):
            low, high = min(low, one[i, axis]), max(high, one[i, axis])
        enclosing *= high - low
    return float(shared / union - (enclosing - union) / enclosing)


@compiled("f8[::1](f8[:,::1], f8[:,::1])")
def _generalised(a: Array, b: Array) -> Array:
    overlap = np.empty(len(a))
    one, two = np.empty((16, 2)), np.empty((16, 2))
    for k in range(len(a)):
        overlap[k] = generalised_overlap(a[k], b[k], one, two)
    return overlap


@compiled("f8[::1](f8[:,::1], f8[:,::1])")
def _in_space(a: Array, b: Array) -> Array:
    overlap = np.zeros(len(a))
    one, two = np.empty((16, 2)), np.empty((16, 2))
    for k in range(len(a)):
        low = max(a[k, 5] - a[k, 6] / 2, b[k, 5] - b[k, 6] / 2)
        high = min(a[k, 5] + a[k, 6] / 2, b[k, 5] + b[k, 6] / 2)
        if high <= low:
            continue
        shared = _shared_area(a[k], b[k], one, two) * (high - low)
        volume = a[k, 2] * a[k, 3] * a[k, 6] + b[k, 2] * b[k, 3] * b[k, 6]
        overlap[k] = shared / (volume - shared)
    return overlap
