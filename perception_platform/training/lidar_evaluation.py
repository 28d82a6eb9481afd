"""The lidar heads held against made-up worlds: what they find, and how far their scores are what they say.

An object is found if a box covers its near side (``evaluation/lidar_measures.py``). A name is right if the middle of
its box lies on a labelled object of that class, or within ``_MARGIN_M`` of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from perception_platform.core.geometry import Array, Transform, box_corners, points_in_any
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Detections, Ints, ObjectClass
from perception_platform.core.sensor_data import PointCloud, Points
from perception_platform.evaluation.calibration import (
    Flags,
    Method,
    calibration_error,
    fit_scores,
    held_out,
    reliability,
)
from perception_platform.evaluation.learned_lidar import judged_in_view
from perception_platform.evaluation.lidar_frames import read_frames
from perception_platform.evaluation.lidar_measures import Boxes, covering, inside, near_side
from perception_platform.evaluation.statistics import Rate
from perception_platform.perception.bird_view import CLASSES, BirdView, Heights, LearnedBoxes, raster
from perception_platform.perception.lidar_model import LidarHead
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.naming import ROAD_USERS, SHAPES, shapes_of
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar
from perception_platform.training.lidar_worlds import (
    WORLDS_APART,
    Truth,
    seen_from_base,
    sweep_world,
    truth_of,
)

Head = Literal["geometric", "learned"]
_MARGIN_M = 0.3
_RANGE_M = 30.0
_RANGES_M = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
_FEWEST_POINTS = 20
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Named:
    """N boxes that a head called road users.

    Attributes:
        class_ids: (N,) values of ObjectClass.
        scores: (N,) of the head.
        right: (N,) whether it is one.
        worlds: (N,) in which.
        shapes: (N,) row of ``naming.SHAPES`` that gave the name; -1 of a network.
    """

    class_ids: Ints
    scores: Array
    right: Flags
    worlds: Ints
    shapes: Ints


@dataclass(frozen=True, slots=True)
class Labelled:
    """N road users with 20 points or more in them, and what a head made of them.

    Attributes:
        class_ids: (N,) values of ObjectClass.
        ranges_m: (N,) from the lidar, horizontally.
        found: (N,) whether a box covers the near side.
        named: (N,) whether that box has the right name.
    """

    class_ids: Ints
    ranges_m: Array
    found: Flags
    named: Flags


def evaluate_in_worlds(
    robot: Robot, worlds: int, seed: int, head: LidarHead | None, done: Callable[[], None] = lambda: None
) -> dict[Head, tuple[Named, Labelled]]:
    """What the heads call road users in made-up worlds, whether they are, and which of those that are there they find.

    Args:
        robot: whose body and height the geometric path knows.
        worlds: how many.
        seed: of the set.
        head: a network beside the geometric path, if any; its scores as it gives them.
        done: told of each world.
    """
    path = GeometricPath(robot, GeometryParams())
    named: dict[Head, list[Named]] = {"geometric": [], "learned": []}
    labelled: dict[Head, list[Labelled]] = {"geometric": [], "learned": []}
    for world in range(worlds):
        swept = sweep_world(seed * WORLDS_APART + world)
        newest = seen_from_base(swept.newest, swept.lidar)
        truth = truth_of(swept, newest)
        earlier = seen_from_base(swept.earlier, swept.lidar)
        base_from_lidar = swept.lidar.mounting.transform()
        ready_m, _ = path.ready(swept.newest, swept.lidar, base_from_lidar)
        for name, found in _found(swept.newest, swept.lidar, path, head, newest, earlier):
            near = np.abs(found.centers_m[:, :2]).max(axis=1, initial=0.0) <= _RANGE_M
            rows = np.flatnonzero(near & np.isin(found.class_ids, [int(c) for c in ROAD_USERS]))
            right = _are_right(found.centers_m[rows], found.class_ids[rows], truth)
            named[name].append(found.named(rows, right, world))
            labelled[name].append(_labelled(ready_m, base_from_lidar, truth, found))
        done()
    return {name: (_joined(of), _joined(labelled[name])) for name, of in named.items() if of}


def names_in_sweeps(folder: Path, robot: Robot, lidar: Lidar, head: LidarHead | None) -> dict[Head, Named]:
    """What they call road users in labelled real sweeps, where the camera sees; KITTI object's layout.

    Raises:
        InputError: naming the file, if there are no frames, one can't be read, or the model can't be run.
    """
    path = GeometricPath(robot, GeometryParams())
    parts: dict[Head, list[Named]] = {"geometric": [], "learned": []}
    for number, frame in enumerate(read_frames(folder, lidar.name)):
        sweep = seen_from_base(frame.cloud, lidar)
        for name, found in _found(frame.cloud, lidar, path, head, sweep, sweep):
            rows, right = judged_in_view(frame, lidar, found.centers_m, found.class_ids)
            parts[name].append(found.named(rows, right, number))
    return {name: _joined(of) for name, of in parts.items() if of}


def describe(named: Named) -> dict[str, Any]:
    """Shares of right names by class and by shape, and how far scores are from them."""
    error = calibration_error(named.scores, named.right)
    return {
        "boxes": len(named.scores),
        "expected_error": None if np.isnan(error) else round(error, 4),
        "bins": reliability(named.scores, named.right) if len(named.scores) else [],
        "classes": {
            ObjectClass(c).name.lower(): _share(named, named.class_ids == c)
            for c in np.unique(named.class_ids).tolist()
        },
        "shapes": [
            {"shape": row, "class": SHAPES[row].object_class.name.lower(), "stated": SHAPES[row].likelihood}
            | _share(named, named.shapes == row)
            for row in np.unique(named.shapes[named.shapes >= 0]).tolist()
        ],
    }


def report_on(
    in_worlds: Mapping[Head, tuple[Named, Labelled]], in_sweeps: Mapping[Head, Named]
) -> dict[str, Any]:
    """What is found of names in made-up worlds and, if any, in real sweeps; and the recall in the former."""
    report = {"made-up worlds": {head: describe(named) for head, (named, _) in in_worlds.items()}}
    if in_sweeps:
        report["real sweeps"] = {head: describe(named) for head, named in in_sweeps.items()}
    return {
        **report,
        "recall": {head: recall_by_range(labelled) for head, (_, labelled) in in_worlds.items()},
    }


def recall_by_range(labelled: Labelled) -> list[dict[str, Any]]:
    """How many of the labelled objects were found and named, by range; exact bounds."""
    rows = []
    for low_m, high_m in pairwise(_RANGES_M):
        within = (labelled.ranges_m >= low_m) & (labelled.ranges_m < high_m)
        of = int(within.sum())
        found, named = (int(flags[within].sum()) for flags in (labelled.found, labelled.named))
        rows.append(
            {
                "from_m": low_m,
                "to_m": high_m,
                "found": Rate(found, of, _CONFIDENCE).as_dict(),
                "named": Rate(named, of, _CONFIDENCE).as_dict(),
            }
        )
    return rows


def fit(named: Named, method: Method, where: str) -> dict[str, Any]:
    """What goes into a network's ``model.yaml``: the fit, and its error on sweeps that it was not fitted on.

    Args:
        named: boxes with the network's own scores.
        method: how.
        where: they are from, for people.

    Raises:
        InputError: if the boxes are too few, or all right, or all wrong.
    """
    fresh = held_out(method, named.scores, named.right, named.worlds)
    worlds = int(named.worlds.max()) + 1
    return {
        **fit_scores(method, named.scores, named.right),
        "error": round(calibration_error(fresh, named.right), 4),
        "fitted_on": f"{len(named.scores)} boxes in {worlds} {where}",
    }


def _share(named: Named, rows: Flags) -> dict[str, Any]:
    rate = Rate(int(named.right[rows].sum()), int(rows.sum()), _CONFIDENCE)
    return {"right": rate.as_dict(), "score": float(named.scores[rows].mean()) if rows.any() else None}


@dataclass(frozen=True, slots=True)
class _Found:
    """What a head found in one sweep."""

    boxes: Boxes
    class_ids: Ints
    scores: Array
    shapes: Ints

    @property
    def centers_m(self) -> Array:
        """(N, 3) middles in the base frame."""
        return self.boxes.centers_m

    def named(self, rows: Ints, right: Flags, world: int) -> Named:
        """Some of them, with what is known of them."""
        where = np.full(len(rows), world, dtype=np.int64)
        return Named(self.class_ids[rows], self.scores[rows], right, where, self.shapes[rows])


def _found(
    cloud: PointCloud,
    lidar: Lidar,
    path: GeometricPath,
    head: LidarHead | None,
    sweep: Heights,
    earlier: Heights,
) -> Iterator[tuple[Head, _Found]]:
    objects = path.step(cloud, lidar, Lineage()).detections
    shapes = shapes_of(objects.class_ids, objects.scores, objects.num_points)
    yield "geometric", _Found(_boxes(objects), objects.class_ids, objects.scores, shapes)
    if head:
        boxes = head.step(BirdView(raster(sweep, earlier)))
        unknown = np.full(len(boxes), -1, dtype=np.int64)
        yield "learned", _Found(_boxes(boxes), boxes.class_ids, boxes.scores, unknown)


def _are_right(centers_m: Array, class_ids: Ints, truth: Truth) -> Flags:
    """(N,) which of the centres lie on a labelled object of their class."""
    right = np.zeros(len(centers_m), dtype=np.bool_)
    for label, class_id in enumerate(CLASSES):
        boxes, called = truth.boxes[truth.classes == label], class_ids == int(class_id)
        corners_m = box_corners(boxes[:, :2], boxes[:, 3:5] + 2 * _MARGIN_M, boxes[:, 6])
        right[called] = points_in_any(centers_m[called], corners_m)
    return right


def _labelled(xyz_m: Points, base_from_lidar: Transform, truth: Truth, found: _Found) -> Labelled:
    """Labelled objects with enough points, and whether they were found and named."""
    labels = Boxes(truth.boxes[:, :3], truth.boxes[:, 3:6], truth.boxes[:, 6])
    origin_m = np.array([*base_from_lidar.translation_m[:2], 0.0])
    points_m = xyz_m - origin_m
    labels, boxes = (replace(b, centers_m=b.centers_m - origin_m) for b in (labels, found.boxes))
    rows = []
    for k in range(len(labels)):
        # Sweeps are as the lidar turned: where the robot drove on meanwhile, a label may lie beside its points.
        if inside(points_m, labels, k).sum() < _FEWEST_POINTS:
            continue
        class_id, range_m = int(CLASSES[truth.classes[k]]), float(np.hypot(*labels.centers_m[k, :2]))
        if range_m <= _RANGE_M:
            box = covering(near_side(points_m, labels, k), boxes)
            named = box is not None and found.class_ids[box] == class_id
            rows.append((class_id, range_m, box is not None, named))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Labelled(table[:, 0].astype(np.int64), table[:, 1], table[:, 2] > 0, table[:, 3] > 0)


def _boxes(of: Detections | LearnedBoxes) -> Boxes:
    return Boxes(of.centers_m, of.sizes_m, of.yaws_rad)


_Table = TypeVar("_Table", Named, Labelled)


def _joined(parts: list[_Table]) -> _Table:
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(kind)))
