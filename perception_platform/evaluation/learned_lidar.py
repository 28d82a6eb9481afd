"""A learned lidar model held against labelled real sweeps, alone and beside the geometric path."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Detections, Ints, ObjectClass
from perception_platform.evaluation.camera_measures import share
from perception_platform.evaluation.lidar_frames import LabelledFrame, read_frames
from perception_platform.evaluation.lidar_measures import inside
from perception_platform.inference.backend import ModelError
from perception_platform.inference.chain import BrokenLink
from perception_platform.perception.bird_view import BirdView, Heights, LearnedBoxes, raster
from perception_platform.perception.learned import name_and_add
from perception_platform.perception.lidar_model import LidarHead, lidar_heads
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar

# What KITTI's labels are called here, and how near a centre has to be to be the object's, m.
_CLASSES = {
    "Car": ObjectClass.CAR,
    "Van": ObjectClass.CAR,
    "Truck": ObjectClass.TRUCK,
    "Pedestrian": ObjectClass.PERSON,
    "Person_sitting": ObjectClass.PERSON,
    "Cyclist": ObjectClass.CYCLIST,
}
_NEAR_M = {ObjectClass.PERSON: 0.7, ObjectClass.CYCLIST: 1.0, ObjectClass.CAR: 2.0, ObjectClass.TRUCK: 3.0}
_FEWEST_POINTS = 20
_RANGE_M = 30.0
# KITTI labels what the camera sees.
_HALF_VIEW_RAD = np.deg2rad(38.0)


def evaluate_learned(folder: Path, robot: Robot, lidar: Lidar, model: Path) -> dict[str, Any]:
    """What the model finds and names, and what the geometric path names without it and with it.

    Each sweep is taken for its own predecessor, as KITTI's object benchmark has single sweeps: nothing moves.

    Args:
        folder: frames in the layout of the KITTI object benchmark.
        robot: that carries the lidar.
        lidar: that the sweeps are from.
        model: folder of the model.

    Raises:
        InputError: naming the file, if there are no frames, one can't be read, or the model can't be had or run.
    """
    head = lidar_head(model)
    path = GeometricPath(robot, GeometryParams())
    rows: list[dict[str, Any]] = []
    boxes: list[tuple[ObjectClass, bool]] = []
    frames = strange = 0
    for frame in read_frames(folder, lidar.name):
        frames += 1
        try:
            without, found, fused = _seen(frame, path, lidar, head)
        except ModelError as error:
            raise InputError(model, str(error), frame.name) from error
        strange += head.assurance.out_of_domain
        rows += _labels(frame, lidar, without, found, fused)
        rows_in_view, right = judged_in_view(frame, lidar, found.centers_m, found.class_ids)
        boxes += zip(map(ObjectClass, found.class_ids[rows_in_view].tolist()), right.tolist(), strict=True)
    return {
        "frames": frames,
        "out_of_domain": strange,
        "model": head.model.id,
        "digest": head.model.digest,
        "labels": {
            name.name.lower(): {
                of: share(
                    sum(r[of] for r in rows if r["class"] == name), sum(r["class"] == name for r in rows)
                )
                for of in ("found_any_name", "found", "named_without", "named_with")
            }
            for name in _NEAR_M
        },
        "boxes_in_view": {
            name.name.lower(): share(
                sum(right for c, right in boxes if c == name), sum(c == name for c, _ in boxes)
            )
            for name in _NEAR_M
        },
    }


def bench_learned(
    folder: Path, robot: Robot, lidar: Lidar, model: Path, samples: int, threads: int
) -> dict[str, Any]:
    """Time the geometric path and the learned model on the same sweeps in turn.

    Args:
        folder: frames in the layout of the KITTI object benchmark.
        robot: that carries the lidar.
        lidar: that the sweeps are from.
        model: folder of the model.
        samples: how often each is timed, after a round of warming up.
        threads: of the model.

    Raises:
        InputError: as ``evaluate_learned``.
    """
    head, path = lidar_head(model, threads), GeometricPath(robot, GeometryParams())
    frames = list(read_frames(folder, lidar.name))
    base_from_lidar = lidar.mounting.transform()
    times_ms: dict[str, list[float]] = {
        "geometric path": [],
        "learned: view": [],
        "learned: network and boxes": [],
    }
    for i in range(len(frames) + samples):
        cloud = frames[i % len(frames)].cloud
        points_m, _ = path.ready(cloud, lidar, base_from_lidar)
        sweep = Heights(points_m, path.heights(points_m, base_from_lidar.translation_m))
        marks = [time.perf_counter()]
        path.step(cloud, lidar, Lineage())
        marks.append(time.perf_counter())
        bits = raster(sweep, sweep)
        marks.append(time.perf_counter())
        head.step(BirdView(bits))
        marks.append(time.perf_counter())
        if i >= len(frames):
            for name, took_s in zip(times_ms, np.diff(marks), strict=True):
                times_ms[name].append(1e3 * float(took_s))
    rows = {
        name: dict(zip(("p50_ms", "p99_ms"), np.percentile(t, [50, 99]).round(2).tolist(), strict=True))
        for name, t in times_ms.items()
    }
    return {"samples": samples, "threads": threads, "sweeps": len(frames), "times": rows}


def lidar_head(model: Path, threads: int = 1) -> LidarHead:
    """A learned model on the first of its backends.

    Raises:
        InputError: naming the file, if it can't be had.
    """
    head = lidar_heads(model, threads)[0]
    if isinstance(head, BrokenLink):
        raise InputError(head.name, head.problem)
    return head


def _seen(
    frame: LabelledFrame, path: GeometricPath, lidar: Lidar, head: LidarHead
) -> tuple[Detections, LearnedBoxes, Detections]:
    """The geometric path's objects, the model's boxes, and both joined."""
    base_from_lidar = lidar.mounting.transform()
    origin_m = base_from_lidar.translation_m
    points_m, intensity = path.ready(frame.cloud, lidar, base_from_lidar)
    heights_m = path.heights(points_m, origin_m)
    layers = path.layers(points_m, heights_m, intensity, origin_m)
    pieces = path.pieces(*layers[:2], origin_m)
    objects = path.objects(0, origin_m, layers, pieces, Lineage())
    sweep = Heights(points_m, heights_m)
    found = head.step(BirdView(raster(sweep, sweep)))
    return objects, found, name_and_add(objects, found, layers[0], origin_m)


def _labels(
    frame: LabelledFrame, lidar: Lidar, without: Detections, found: LearnedBoxes, fused: Detections
) -> list[dict[str, Any]]:
    """Each labelled object that counts, and who found it."""
    base_from_lidar, rows = lidar.mounting.transform(), []
    for k, kind in enumerate(frame.labels.types):
        center = base_from_lidar.apply(frame.labels.centers_m[k : k + 1])[0]
        name = _CLASSES.get(str(kind))
        if name is None or np.abs(center[:2]).max() > _RANGE_M:
            continue
        if inside(frame.cloud.xyz_m.astype(np.float64), frame.labels, k).sum() < _FEWEST_POINTS:
            continue
        rows.append(
            {
                "class": name,
                "found_any_name": _is_near(found.centers_m, center, name),
                "found": _is_near(found.centers_m[found.class_ids == int(name)], center, name),
                "named_without": _is_near(without.centers_m[without.class_ids == int(name)], center, name),
                "named_with": _is_near(fused.centers_m[fused.class_ids == int(name)], center, name),
            }
        )
    return rows


def _is_near(centers_m: Array, at_m: Array, name: ObjectClass) -> bool:
    return bool((np.linalg.norm(centers_m[:, :2] - at_m[:2], axis=1) <= _NEAR_M[name]).any())


def judged_in_view(
    frame: LabelledFrame, lidar: Lidar, centers_m: Array, class_ids: Ints
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Of boxes (N, 3) in the base frame, those named as road users where KITTI labels everything.

    Returns:
        Their K rows, and whether a label of the class is near each.
    """
    labels_m = lidar.mounting.transform().apply(frame.labels.centers_m)
    names = np.array([int(_CLASSES.get(str(kind), ObjectClass.UNKNOWN)) for kind in frame.labels.types])
    in_view = (centers_m[:, 0] > 3.0) & (np.abs(centers_m[:, :2]).max(axis=1, initial=0.0) <= _RANGE_M)
    in_view &= np.abs(np.arctan2(centers_m[:, 1], centers_m[:, 0])) < _HALF_VIEW_RAD
    rows = np.flatnonzero(in_view & np.isin(class_ids, [int(name) for name in _NEAR_M]))
    right = [
        _is_near(labels_m[names == class_ids[k]], centers_m[k], ObjectClass(int(class_ids[k]))) for k in rows
    ]
    return rows, np.array(right, dtype=np.bool_)
