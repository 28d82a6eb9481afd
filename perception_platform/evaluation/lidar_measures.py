"""What the lidar path is measured by on a labelled sweep: near sides that boxes cover, ground called obstacle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from perception_platform.core.geometry import Array

Flags = npt.NDArray[np.bool_]

# Points this close to a label's bottom may be ground.
_ABOVE_BOTTOM_M = 0.3
# The nearest point of an object is where this share of its points is nearer: single stray returns are none.
_NEAREST = 0.02
# Its near side are its points up to so much farther; a box covers it that holds so much of it, within a margin.
_NEAR_SIDE_M = 0.5
_COVERED = 0.5
_MARGIN_M = 0.1
# Faces of boxes and labels are where points are: a margin for rounding, and one for mirrors and labels drawn tight.
_EDGE_M, _OUTSIDE_LABEL_M = 0.02, 0.3
_PART = 0.1
# The corridor's ground: planes through stretches of it, found by consensus of so many tries within a distance.
_STRETCH_M = 8.0
_TRIES = 200
_GROUND_M = 0.10
_FEWEST = 30


@dataclass(frozen=True, slots=True)
class Boxes:
    """K upright boxes: (K, 3) centres, (K, 3) length, width, height, (K,) headings."""

    centers_m: Array
    sizes_m: Array
    yaws_rad: Array

    def __len__(self) -> int:
        return len(self.centers_m)


def inside(points_m: Array, boxes: Boxes, k: int, margin_m: float = 0.0) -> Flags:
    """(N,) which of the points (N, 3) lie in one of the boxes, or at most a margin outside."""
    c, s = np.cos(boxes.yaws_rad[k]), np.sin(boxes.yaws_rad[k])
    at = points_m - boxes.centers_m[k]
    u, v = at[:, 0] * c + at[:, 1] * s, at[:, 1] * c - at[:, 0] * s
    half = 0.5 * boxes.sizes_m[k] + margin_m
    return np.asarray((np.abs(u) <= half[0]) & (np.abs(v) <= half[1]) & (np.abs(at[:, 2]) <= half[2]))


def near_side(points_m: Array, labels: Boxes, k: int) -> Array:
    """(M, 3) points on the near side of a labelled object, without those that may be ground.

    Args:
        points_m: (N, 3) points of which the lidar is the origin.
        labels: labelled boxes there.
        k: which of them.
    """
    of_object = points_m[inside(points_m, labels, k)]
    bottom_m = labels.centers_m[k, 2] - 0.5 * labels.sizes_m[k, 2]
    standing = of_object[of_object[:, 2] > bottom_m + _ABOVE_BOTTOM_M]
    if len(standing) == 0:
        return np.zeros((0, 3))
    range_m = np.hypot(standing[:, 0], standing[:, 1])
    return np.asarray(standing[range_m <= np.quantile(range_m, _NEAREST) + _NEAR_SIDE_M])


def covering(side_m: Array, boxes: Boxes) -> int | None:
    """Which box holds most of the points (M, 3) of a near side; None if none holds half of them."""
    if len(side_m) == 0 or len(boxes) == 0:
        return None
    held = [float(inside(side_m, boxes, k, _MARGIN_M).mean()) for k in range(len(boxes))]
    best = int(np.argmax(held))
    return best if held[best] >= _COVERED else None


def pieces_of(points_m: Array, labels: Boxes, k: int, boxes: Boxes, box: int) -> tuple[int, float]:
    """In how many boxes a labelled object lies, and how much of what stands in its own box belongs to it.

    Args:
        points_m: (N, 3) points of the sweep.
        labels: labelled boxes.
        k: which of them.
        boxes: what was found.
        box: the one that covers it.

    Returns:
        Boxes that hold a tenth of its points each or more; its share of the points in the covering box. Points near
        the label's bottom count nowhere: they may be ground.
    """
    standing_m = points_m[
        points_m[:, 2] > labels.centers_m[k, 2] - 0.5 * labels.sizes_m[k, 2] + _ABOVE_BOTTOM_M
    ]
    own_m = standing_m[inside(standing_m, labels, k)]
    near = np.flatnonzero(
        np.linalg.norm(boxes.centers_m[:, :2] - labels.centers_m[k, :2], axis=1)
        <= 0.5 * (np.linalg.norm(boxes.sizes_m[:, :2], axis=1) + np.linalg.norm(labels.sizes_m[k, :2]))
    )
    held = [float(inside(own_m, boxes, int(j), _EDGE_M).mean()) for j in near] if len(own_m) else []
    in_box = inside(standing_m, boxes, box, _EDGE_M)
    of_label = inside(standing_m, labels, k, _OUTSIDE_LABEL_M)
    share = float((in_box & of_label).sum() / max(in_box.sum(), 1))
    return sum(h >= _PART for h in held), share


def nearest_range_m(boxes: Boxes, k: int) -> float:
    """Horizontal range of the nearest place of a box, of which the lidar is the origin."""
    c, s = np.cos(boxes.yaws_rad[k]), np.sin(boxes.yaws_rad[k])
    x, y = boxes.centers_m[k, :2]
    u, v = x * c + y * s, y * c - x * s
    beyond = np.maximum(np.abs([u, v]) - 0.5 * boxes.sizes_m[k, :2], 0.0)
    return float(np.hypot(*beyond))


def corridor_end_m(labels: Boxes, from_m: float, to_m: float, half_width_m: float) -> float:
    """How far ahead, at most ``to_m``, a straight corridor is drivable by the labels: to the first object in it."""
    end_m = to_m
    for k in range(len(labels)):
        c, s = np.cos(labels.yaws_rad[k]), np.sin(labels.yaws_rad[k])
        half = 0.5 * labels.sizes_m[k, :2]
        beside_m = abs(s) * half[0] + abs(c) * half[1]
        ahead_m = abs(c) * half[0] + abs(s) * half[1]
        x, y = labels.centers_m[k, :2]
        if abs(y) - beside_m < half_width_m and x + ahead_m > from_m:
            end_m = min(end_m, x - ahead_m)
    return end_m


def ground_in_corridor(
    points_m: Array, from_m: float, to_m: float, half_width_m: float, seed: int
) -> tuple[Flags, Flags]:
    """(N,) which points lie in a straight corridor along x, and which of these are its ground.

    Ground is what lies close to the plane on which most points of a stretch agree: random sample consensus (Fischler
    and Bolles, 1981), independent of what is measured.
    """
    rng = np.random.default_rng(seed)
    x, y = points_m[:, 0], points_m[:, 1]
    in_corridor = (np.abs(y) < half_width_m) & (x > from_m) & (x < to_m)
    ground = np.zeros(len(points_m), dtype=np.bool_)
    for start_m in np.arange(from_m, to_m, _STRETCH_M):
        rows = np.flatnonzero(in_corridor & (x >= start_m) & (x < start_m + _STRETCH_M))
        if len(rows) >= _FEWEST:
            ground[rows] = _near_common_plane(points_m[rows], rng)
    return in_corridor, ground


def _near_common_plane(points_m: Array, rng: np.random.Generator) -> Flags:
    """(N,) which points lie close to the plane z = a x + b y + c that most of them lie close to."""
    flat = np.column_stack([points_m[:, :2], np.ones(len(points_m))])
    best = np.zeros(len(points_m), dtype=np.bool_)
    for _ in range(_TRIES):
        three = rng.choice(len(points_m), 3, replace=False)
        if abs(np.linalg.det(flat[three])) < 1e-3:
            continue
        plane = np.linalg.solve(flat[three], points_m[three, 2])
        near = np.abs(points_m[:, 2] - flat @ plane) <= _GROUND_M
        if near.sum() > best.sum():
            best = near
    return best


def binomial_bounds(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided bounds of a probability (Clopper and Pearson, 1934); 0 and 1 without trials."""
    tail = 0.5 * (1.0 - confidence)
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high
