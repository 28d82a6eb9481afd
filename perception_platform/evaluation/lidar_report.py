"""The geometric lidar path held against labelled sweeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage
from perception_platform.core.sensor_data import PointCloud
from perception_platform.evaluation.lidar_conditions import Condition
from perception_platform.evaluation.lidar_frames import LabelledFrame, read_frames
from perception_platform.evaluation.lidar_measures import (
    Boxes,
    Flags,
    corridor_end_m,
    covering,
    ground_in_corridor,
    inside,
    near_side,
    nearest_range_m,
    pieces_of,
)
from perception_platform.evaluation.phantoms import POINTS_THAT_STOP
from perception_platform.evaluation.statistics import binomial_bounds
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar

PEOPLE = ("Pedestrian", "Person_sitting", "Cyclist")
_RANGE_BINS_M = (0.0, 10.0, 20.0, 30.0, 40.0)
_CORRIDOR_TO_M = 30.0
# The corridor ends this far before a labelled object: bumpers and mirrors stick out of labels.
_BEFORE_OBJECT_M = 0.5
_SAME_M = 2e-4
# A box is merged that holds less of its object than this, of all that stands in it.
_OWN = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Which labelled objects count: horizontal range of their centres from the lidar, and points in them."""

    range_m: float = 40.0
    people_range_m: float = 25.0
    min_points: int = 20


# Boxes and (M, 3) obstacle points in the lidar's frame, of a sweep.
Finder = Callable[[PointCloud], tuple[Boxes, Array]]


def geometric_finder(robot: Robot, lidar: Lidar, params: GeometryParams | None = None) -> Finder:
    """The geometric path as a robot has it, with its results in the lidar's frame."""
    path = GeometricPath(robot, params or GeometryParams())
    lidar_from_base = lidar.mounting.transform().inverse()

    def find(cloud: PointCloud) -> tuple[Boxes, Array]:
        percept = path.step(cloud, lidar, Lineage())
        found = percept.detections
        turn_rad = lidar_from_base.yaw_rad
        boxes = Boxes(lidar_from_base.apply(found.centers_m), found.sizes_m, found.yaws_rad + turn_rad)
        return boxes, lidar_from_base.apply(percept.obstacles.xyz_m)

    return find


def lidar_of(robot: Robot, name: str | None) -> Lidar:
    """A robot's lidar by name, or its only one.

    Raises:
        InputError: if there is no such lidar, or several to choose from.
    """
    named = [lidar for lidar in robot.lidars if name in (None, lidar.name)]
    if len(named) != 1:
        known = ", ".join(lidar.name for lidar in robot.lidars) or "none"
        raise InputError(robot.name, f"name one of its lidars: {known}", "lidar")
    return named[0]


def evaluate_lidar(
    folder: Path,
    robot: Robot,
    lidar: Lidar,
    limits: Limits,
    find: Finder | None = None,
    condition: Condition | None = None,
) -> dict[str, Any]:
    """Recall, near-side error, cuts and merges, and ground called obstacle, with exact binomial bounds.

    Args:
        folder: frames in the layout of the KITTI object benchmark.
        robot: the robot that carries the lidar: its own body is left out.
        lidar: the lidar that the sweeps are from.
        limits: which labelled objects count.
        find: what is measured; the geometric path if it is left out.
        condition: what is done to the sweeps before; nothing if it is left out.

    Raises:
        InputError: if there are no frames, or one cannot be read.
    """
    find, condition = find or geometric_finder(robot, lidar), condition or Condition()
    objects: list[dict[str, Any]] = []
    ground = {"points": 0, "called_obstacle": 0, "corridor_points": 0}
    drops = {"points": 0, "called_obstacle": 0, "sweeps_with_phantom": 0}
    frames = 0
    for seed, recorded in enumerate(read_frames(folder, lidar.name)):
        frame = condition.made(recorded, seed)
        boxes, obstacles_m = find(frame.cloud)
        objects += _objects(frame, boxes)
        _add(ground, _ground(frame, obstacles_m, robot, lidar, seed))
        _add(drops, _drops(frame, obstacles_m, robot, lidar))
        frames += 1
    report = _report(frames, objects, ground, limits)
    return report | {"condition": asdict(condition)} | ({"drops": drops} if condition.backscatter else {})


def _add(sums: dict[str, int], counts: dict[str, int]) -> None:
    for name, count in counts.items():
        sums[name] += count


def _objects(frame: LabelledFrame, boxes: Boxes) -> list[dict[str, Any]]:
    """What became of each labelled object of a frame."""
    labels, points_m = frame.labels, frame.cloud.xyz_m.astype(np.float64)
    rows = []
    for k in range(len(labels)):
        box = covering(near_side(points_m, labels, k), boxes)
        parts, own = (0, 0.0) if box is None else pieces_of(points_m, labels, k, boxes, box)
        error_m = None if box is None else nearest_range_m(boxes, box) - nearest_range_m(labels, k)
        rows.append(
            {
                "frame": frame.name,
                "type": str(labels.types[k]),
                "range_m": round(float(np.hypot(*labels.centers_m[k, :2])), 2),
                "points": int(inside(points_m, labels, k).sum()),
                "found": box is not None,
                "near_side_error_m": None if error_m is None else round(error_m, 4),
                "boxes": parts,
                "own_share": round(own, 3),
            }
        )
    return rows


def _corridor(frame: LabelledFrame, robot: Robot, lidar: Lidar) -> tuple[float, float, float]:
    """Where the corridor ahead begins and ends, and half its width, in the lidar's frame."""
    footprint_m = robot.footprint - lidar.mounting.transform().translation_m[:2]
    from_m, half_width_m = float(footprint_m[:, 0].max()), float(np.abs(footprint_m[:, 1]).max())
    free_to_m = corridor_end_m(frame.labels, from_m, _CORRIDOR_TO_M, half_width_m + _BEFORE_OBJECT_M)
    return from_m, free_to_m - _BEFORE_OBJECT_M, half_width_m


def _ground(
    frame: LabelledFrame, obstacles_m: Array, robot: Robot, lidar: Lidar, seed: int
) -> dict[str, int]:
    """Points of the corridor ahead, those of its ground, and how many of these were called obstacles."""
    points_m = frame.cloud.xyz_m.astype(np.float64)
    in_corridor, ground = ground_in_corridor(points_m, *_corridor(frame, robot, lidar), seed)
    return {
        "points": int(ground.sum()),
        "called_obstacle": int(_among(points_m[ground], obstacles_m).sum()),
        "corridor_points": int(in_corridor.sum()),
    }


def _drops(frame: LabelledFrame, obstacles_m: Array, robot: Robot, lidar: Lidar) -> dict[str, int]:
    """Drops in the air, how many were called obstacles, and whether enough of them for a stop in the corridor."""
    if frame.drops is None:
        return {}
    points_m = frame.cloud.xyz_m[frame.drops].astype(np.float64)
    called_m = points_m[_among(points_m, obstacles_m)]
    from_m, to_m, half_width_m = _corridor(frame, robot, lidar)
    ahead = (called_m[:, 0] > from_m) & (called_m[:, 0] < to_m) & (np.abs(called_m[:, 1]) < half_width_m)
    return {
        "points": len(points_m),
        "called_obstacle": len(called_m),
        "sweeps_with_phantom": int(ahead.sum() >= POINTS_THAT_STOP),
    }


def _among(points_m: Array, others_m: Array) -> Flags:
    """(N,) which of the points are among the others, which were in another frame meanwhile and rounded there."""
    if len(points_m) == 0 or len(others_m) == 0:
        return np.zeros(len(points_m), dtype=np.bool_)
    apart_m, _ = cKDTree(others_m).query(points_m, distance_upper_bound=_SAME_M)
    return np.asarray(np.isfinite(apart_m))


def _report(
    frames: int, objects: list[dict[str, Any]], ground: dict[str, int], limits: Limits
) -> dict[str, Any]:
    counted = [o for o in objects if o["range_m"] <= limits.range_m and o["points"] >= limits.min_points]
    people = [o for o in counted if o["type"] in PEOPLE and o["range_m"] <= limits.people_range_m]
    errors_m = np.abs([o["near_side_error_m"] for o in counted if o["found"]])
    return {
        "frames": frames,
        "limits": {
            "range_m": limits.range_m,
            "people_range_m": limits.people_range_m,
            "min_points": limits.min_points,
        },
        "objects": _recall(counted),
        "people": _recall(people),
        "by_type": {name: _recall([o for o in counted if o["type"] == name]) for name in _types(counted)},
        "by_range": {
            f"{low:g}-{high:g} m": _recall([o for o in counted if low <= o["range_m"] < high])
            for low, high in pairwise(_RANGE_BINS_M)
        },
        "near_side_error_m": {
            "samples": len(errors_m),
            "median": _rounded(np.median(errors_m)) if len(errors_m) else None,
            "p95": _rounded(np.percentile(errors_m, 95)) if len(errors_m) else None,
        },
        "segmentation": _segmentation(counted),
        "ground": _share(ground),
        "missed": [o for o in counted if not o["found"]],
    }


def _segmentation(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the found objects, how many lie in several boxes, and how many in a box that is mostly something else."""
    found = [o for o in objects if o["found"]]
    return {
        "found": len(found),
        "cut": sum(o["boxes"] > 1 for o in found),
        "merged": sum(o["own_share"] < _OWN for o in found),
    }


def _types(objects: list[dict[str, Any]]) -> list[str]:
    return sorted({o["type"] for o in objects})


def _recall(objects: list[dict[str, Any]]) -> dict[str, Any]:
    found = sum(o["found"] for o in objects)
    low, high = binomial_bounds(found, len(objects))
    recall = _rounded(found / len(objects)) if objects else None
    return {
        "found": found,
        "labelled": len(objects),
        "recall": recall,
        "interval_95": [_rounded(low), _rounded(high)],
    }


def _share(ground: dict[str, int]) -> dict[str, Any]:
    called, points = ground["called_obstacle"], ground["points"]
    low, high = binomial_bounds(called, points)
    share = called / points if points else None
    return {**ground, "share": share, "interval_95": [low, high]}


def _rounded(value: float) -> float:
    return round(float(value), 4)
