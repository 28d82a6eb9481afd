"""A learned model's boxes beside the geometric path's objects: they name and add, and never take away."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Detections, ObjectClass, SensorKind
from perception_platform.core.sensor_data import Points
from perception_platform.perception.bird_view import LearnedBoxes
from perception_platform.perception.lidar_objects import position_covariance

# An object belongs to a box that holds its middle, or nearly.
_MARGIN_M = 0.3
# A box that no object belongs to is one of its own if so many obstacle points stand in it.
_FEWEST_POINTS = 5


def name_and_add(
    objects: Detections, found: LearnedBoxes, obstacles_m: Points, origin_m: Array
) -> Detections:
    """The given objects in their order, those without a name called as the surest box that holds them; then new ones.

    Args:
        objects: of the geometric path, base frame.
        found: the model's boxes there, surest first.
        obstacles_m: (M, 3) obstacle points there.
        origin_m: (3,) where the lidar is.
    """
    if len(found) == 0:
        return objects
    class_ids, scores = objects.class_ids.copy(), objects.scores.copy()
    added = []
    for k in range(len(found)):
        held = _held(objects.centers_m, found, k, _MARGIN_M)
        nameless = held & (class_ids == int(ObjectClass.UNKNOWN))
        class_ids[nameless], scores[nameless] = found.class_ids[k], found.scores[k]
        if not held.any() and int(_held(obstacles_m, found, k, 0.0).sum()) >= _FEWEST_POINTS:
            added.append(k)
    named = replace(objects, class_ids=class_ids, scores=scores)
    return (
        _joined(named, _as_detections(named, found, np.array(added), obstacles_m, origin_m))
        if added
        else named
    )


def _held(points_m: npt.NDArray[Any], found: LearnedBoxes, k: int, margin_m: float) -> npt.NDArray[np.bool_]:
    """(N,) which points (N, 3) lie in one of the boxes, seen from above."""
    x, y = points_m[:, 0] - found.centers_m[k, 0], points_m[:, 1] - found.centers_m[k, 1]
    c, s = np.cos(found.yaws_rad[k]), np.sin(found.yaws_rad[k])
    half = found.sizes_m[k] / 2 + margin_m
    return np.asarray((np.abs(x * c + y * s) <= half[0]) & (np.abs(y * c - x * s) <= half[1]))


def _as_detections(
    like: Detections, found: LearnedBoxes, rows: npt.NDArray[np.int64], obstacles_m: Points, origin_m: Array
) -> Detections:
    centers, sizes, yaws = found.centers_m[rows], found.sizes_m[rows], found.yaws_rad[rows]
    counts = [int(_held(obstacles_m, found, int(k), 0.0).sum()) for k in rows]
    return replace(
        like,
        centers_m=centers,
        sizes_m=sizes,
        yaws_rad=yaws,
        class_ids=found.class_ids[rows],
        scores=found.scores[rows],
        sensors=np.full(len(rows), int(SensorKind.LIDAR), dtype=np.int64),
        num_points=np.array(counts, dtype=np.int64),
        position_cov_m2=position_covariance(centers, sizes, yaws, origin_m),
        image_boxes_px=np.full((len(rows), 4), np.nan),
    )


def _joined(first: Detections, second: Detections) -> Detections:
    arrays = [f.name for f in fields(Detections) if isinstance(getattr(first, f.name), np.ndarray)]
    both: dict[str, Any] = {n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in arrays}
    return replace(first, **both)
