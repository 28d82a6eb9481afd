"""Detections held against labelled sweeps: average precision, and the errors that would change what the robot does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Detections, ObjectClass
from perception_platform.evaluation.criticality import Error, Judge, Scene
from perception_platform.evaluation.detection_ap import (
    DIFFICULTIES,
    DISTANCES_M,
    ERRORS_AT_M,
    distance_ap,
    kitti_ap,
    rank_by_distance,
    true_positive_errors,
)
from perception_platform.evaluation.kitti_files import KittiBoxes, read_objects, read_projection
from perception_platform.evaluation.kitti_run import image_boxes
from perception_platform.evaluation.lidar_frames import frame_names, read_camera_from_lidar
from perception_platform.evaluation.statistics import Rate, mean_interval
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar
from perception_platform.sensing.sweep_files import load_sweep

CATEGORIES = ("car", "pedestrian", "cyclist")
ANY = "any"
_CLASSES = {
    "car": ObjectClass.CAR,
    "van": ObjectClass.CAR,
    "truck": ObjectClass.TRUCK,
    "pedestrian": ObjectClass.PERSON,
    "person_sitting": ObjectClass.PERSON,
    "cyclist": ObjectClass.CYCLIST,
}
_NAMES = {ObjectClass.CAR: "car", ObjectClass.PERSON: "pedestrian", ObjectClass.CYCLIST: "cyclist"}
_CONFIDENCE, _RESAMPLES = 0.95, 1000
Finder = Callable[[str, "Mounting"], KittiBoxes]


@dataclass(frozen=True, slots=True)
class Mounting:
    """How a frame's camera is mounted.

    Attributes:
        frame: number of the frame.
        base_from_camera: pose of the rectified camera on the robot.
        projection: (3, 4) into the image.
    """

    frame: int
    base_from_camera: Transform
    projection: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """Labels and results of one frame, with how its camera is mounted."""

    name: str
    mounting: Mounting
    labels: KittiBoxes
    results: KittiBoxes


def evaluate_detection(
    folder: Path,
    robot: Robot,
    lidar: Lidar,
    results_dir: Path | None,
    speeds_mps: Sequence[float],
    tolerance_mps: float,
    seed: int,
) -> dict[str, Any]:
    """Average precision by category, and critical errors by speed.

    Args:
        folder: frames in the layout of the KITTI object benchmark.
        robot: what the errors are critical for, and whose lidar path is measured.
        lidar: the lidar that the sweeps are from.
        results_dir: a detector's result files in KITTI's format in place of our lidar path.
        speeds_mps: at which criticality is asked.
        tolerance_mps: allowed speeds that differ by less are the same.
        seed: of the bootstrap by frame.

    Raises:
        InputError: if there are no frames, or a file is missing or malformed.
    """
    find = _from_files(results_dir) if results_dir else _lidar_path(folder, robot, lidar)
    frames = [_frame(folder, name, number, lidar, find) for number, name in enumerate(frame_names(folder))]
    labels, results = joined([f.labels for f in frames]), joined([f.results for f in frames])
    config = RiskConfig.from_robot(robot)
    judges = [Judge(config, speed_mps, tolerance_mps) for speed_mps in speeds_mps]
    return {
        "frames": len(frames),
        "source": str(results_dir) if results_dir else "geometric lidar path",
        "robot": robot.name,
        "categories": {name: _category(labels, results, name, seed) for name in (*CATEGORIES, ANY)},
        "critical": {_name(judge.speed_mps): critical(frames, judge) for judge in judges},
    }


def _name(speed_mps: float) -> str:
    """Of a speed, without the dot that ways to a figure are made with."""
    return f"at_{speed_mps:g}_mps".replace(".", "_")


def joined(parts: Sequence[KittiBoxes]) -> KittiBoxes:
    """All boxes in one table."""
    return KittiBoxes(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(KittiBoxes)))


def _frame(folder: Path, name: str, number: int, lidar: Lidar, find: Finder) -> Frame:
    calibration = folder / "calib" / f"{name}.txt"
    base_from_camera = lidar.mounting.transform() @ read_camera_from_lidar(calibration).inverse()
    mounting = Mounting(number, base_from_camera, read_projection(calibration))
    return Frame(
        name, mounting, read_objects(folder / "label_2" / f"{name}.txt", number), find(name, mounting)
    )


def _from_files(folder: Path) -> Finder:
    """A detector's results, a file a frame; an empty one says that nothing was found."""
    if not folder.is_dir():
        raise InputError(folder, "no such folder of results")
    return lambda name, mounting: read_objects(folder / f"{name}.txt", mounting.frame)


def _lidar_path(folder: Path, robot: Robot, lidar: Lidar) -> Finder:
    path = GeometricPath(robot, GeometryParams())

    def find(name: str, mounting: Mounting) -> KittiBoxes:
        sweep = load_sweep(folder / "velodyne" / f"{name}.bin", 0, lidar.name)
        return camera_boxes(path.step(sweep, lidar, Lineage()).detections, mounting)

    return find


def camera_boxes(found: Detections, mounting: Mounting) -> KittiBoxes:
    """Detections in the base frame as boxes in the camera's, those in the image alone: only there are labels."""
    camera_from_base = mounting.base_from_camera.inverse()
    length, width, height = found.sizes_m.T
    bottoms_m = camera_from_base.apply(found.centers_m - np.array([0.0, 0.0, 0.5]) * height[:, None])
    yaws = found.yaws_rad
    ahead = camera_from_base.rotate(np.column_stack([np.cos(yaws), np.sin(yaws), np.zeros_like(yaws)]))
    ry_rad = np.arctan2(-ahead[:, 2], ahead[:, 0])
    sizes_m = np.column_stack([height, width, length])
    boxes_px, visible = image_boxes(bottoms_m, sizes_m, ry_rad, mounting.projection)
    n = len(found)
    types = [_NAMES.get(ObjectClass(int(c)), "unknown") for c in found.class_ids]
    boxes = KittiBoxes(
        frames=np.full(n, mounting.frame, dtype=np.int64),
        ids=np.full(n, -1, dtype=np.int64),
        types=np.array(types, dtype=np.str_),
        truncation=np.zeros(n),
        occlusion=np.zeros(n),
        boxes_px=boxes_px,
        sizes_m=sizes_m,
        bottoms_m=bottoms_m,
        ry_rad=ry_rad,
        scores=found.scores,
    )
    return boxes.select(np.asarray(visible))


def _category(labels: KittiBoxes, results: KittiBoxes, name: str, seed: int) -> dict[str, Any]:
    """Both kinds of average precision, errors and recall; ``any`` asks for a box, whatever its name."""
    own, found = of_category(labels, name), of_category(results, name)
    ranked = {most_m: rank_by_distance(own, found, most_m) for most_m in DISTANCES_M}
    by_distance = {f"{most_m:g}": distance_ap(of) for most_m, of in ranked.items()}
    report: dict[str, Any] = {
        "labels": len(own),
        "results": len(found),
        "distance_ap": {**by_distance, "mean": _mean(list(by_distance.values()))},
        "errors": true_positive_errors(own, found, ranked[ERRORS_AT_M]),
        "recall": _recall(own, ranked[ERRORS_AT_M].label_rows, seed),
    }
    if name != ANY:
        report["kitti_ap_3d_r40"] = {d: kitti_ap(labels, found, name, d) for d in DIFFICULTIES}
    return report


def of_category(boxes: KittiBoxes, name: str) -> KittiBoxes:
    """Boxes of a category; ``any``: all but areas that nobody labelled."""
    return boxes.select(boxes.types != "dontcare" if name == ANY else boxes.types == name)


def _recall(labels: KittiBoxes, label_rows: np.ndarray[Any, Any], seed: int) -> dict[str, Any] | None:
    """Share of labels found within 2 m, with exact bounds, and with an interval by frame; None without labels."""
    if not len(labels):
        return None
    hit = np.zeros(len(labels))
    hit[label_rows[label_rows >= 0]] = 1.0
    by_frame = {int(frame): hit[labels.frames == frame] for frame in np.unique(labels.frames)}
    _, low, high = mean_interval(by_frame, _CONFIDENCE, _RESAMPLES, seed)
    rate = Rate(int(hit.sum()), len(hit), _CONFIDENCE)
    return {**rate.as_dict(), "interval_by_frame": [low, high]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def critical(frames: Sequence[Frame], judge: Judge) -> dict[str, Any]:
    """All errors at one speed: how many are critical, which way, and how much they ask for."""
    errors: list[tuple[Frame, Error]] = []
    changed = 0
    for frame in frames:
        labels, results = of_category(frame.labels, ANY), judged(frame)
        ranked = rank_by_distance(labels, results, ERRORS_AT_M)
        pairs = dict(
            zip(ranked.label_rows[ranked.found].tolist(), ranked.rows[ranked.found].tolist(), strict=True)
        )
        there, seen = scene(labels, frame.mounting), scene(results, frame.mounting)
        errors += [(frame, error) for error in judge.errors(there, seen, pairs)]
        changed += judge.differ(judge.asked(there), judge.asked(seen))
    wrong = [(frame, error) for frame, error in errors if error.critical]
    decels = [e.required_decel_mps2 for _, e in wrong if e.required_decel_mps2 is not None]
    return {
        "speed_mps": judge.speed_mps,
        "errors": len(errors),
        "by_kind": {kind: _kind(errors, kind) for kind in ("missed", "phantom", "displaced")},
        "critical": Rate(len(wrong), len(errors), _CONFIDENCE).as_dict(),
        "dangerous": sum(e.dangerous for _, e in wrong),
        "frames_with_another_verdict": Rate(changed, len(frames), _CONFIDENCE).as_dict(),
        "most_decel_mps2": max(decels, default=None),
        "most_lost_mps": max((e.lost_mps for _, e in wrong), default=0.0),
        "worst": [_told(frame, error) for frame, error in wrong],
    }


def judged(frame: Frame) -> KittiBoxes:
    """Results that are right or wrong by the labels: those that found one, and those named as what is labelled.

    KITTI labels road users alone. A box without a name that found none of them may well be a wall.
    """
    results = of_category(frame.results, ANY)
    ranked = rank_by_distance(of_category(frame.labels, ANY), results, ERRORS_AT_M)
    known = np.isin(results.types, CATEGORIES)
    known[ranked.rows[ranked.found]] = True
    return results.select(known)


def scene(boxes: KittiBoxes, mounting: Mounting) -> Scene:
    """Boxes in the base frame."""
    middle = boxes.bottoms_m - 0.5 * boxes.sizes_m[:, :1] * np.array([0.0, 1.0, 0.0])
    ry = boxes.ry_rad
    ahead = mounting.base_from_camera.rotate(np.column_stack([np.cos(ry), np.zeros_like(ry), -np.sin(ry)]))
    class_ids = [int(_CLASSES.get(str(name), ObjectClass.UNKNOWN)) for name in boxes.types]
    return Scene(
        mounting.base_from_camera.apply(middle),
        boxes.sizes_m[:, ::-1],
        np.arctan2(ahead[:, 1], ahead[:, 0]),
        np.array(class_ids, dtype=np.int64),
    )


def _kind(errors: Sequence[tuple[Frame, Error]], kind: str) -> dict[str, int]:
    own = [error for _, error in errors if error.kind == kind]
    return {
        "errors": len(own),
        "critical": sum(e.critical for e in own),
        "dangerous": sum(e.dangerous for e in own),
    }


def _told(frame: Frame, error: Error) -> dict[str, Any]:
    boxes = judged(frame) if error.kind == "phantom" else of_category(frame.labels, ANY)
    return {
        "frame": frame.name,
        "kind": error.kind,
        "type": str(boxes.types[error.row]),
        "ahead_m": round(float(boxes.bottoms_m[error.row, 2]), 2),
        "right": error.right.action.name.lower(),
        "wrong": error.wrong.action.name.lower(),
        "right_mps": round(error.right.allowed_mps, 2),
        "wrong_mps": round(error.wrong.allowed_mps, 2),
        "required_decel_mps2": error.required_decel_mps2,
        "dangerous": error.dangerous,
    }
