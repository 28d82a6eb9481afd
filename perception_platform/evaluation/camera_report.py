"""A detector held against labelled images: what it finds, how sure it is and whether it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.evaluation.calibration import (
    Method,
    calibration_error,
    fit_scores,
    held_out,
    image_range,
    reliability,
    side_sigmas,
)
from perception_platform.evaluation.camera_labels import LabelledImage, read_labels
from perception_platform.evaluation.camera_measures import Found, Matched, judge, match, share
from perception_platform.inference.backend import ModelError
from perception_platform.perception.camera_head import Detector
from perception_platform.perception.camera_regions import asked_regions
from perception_platform.perception.camera_views import Fitter, PointedImage
from perception_platform.perception.detector_config import DetectorConfig
from perception_platform.perception.fusion import ImageObjects
from perception_platform.perception.image_domain import image_measures, outside
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.load import load_detector
from perception_platform.perception.parameters import GeometryParams
from perception_platform.perception.score_calibration import calibrate
from perception_platform.robot.description import Robot
from perception_platform.sensing.sweep_files import load_sweep

# Average precision looks at boxes down to here.
_LEAST_SCORE = 0.05
# What is one thing to a robot, whatever a model and a data set call it.
_GROUPS = {"vehicle": (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.FORKLIFT)}
_NOWHERE = np.zeros((0, 4))


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Lidar sweeps of the same moments as images, by name, to point a detector to regions.

    Attributes:
        folder: of ``<image>.bin``.
        robot: says where lidar and camera are.
    """

    folder: Path
    robot: Robot


@dataclass(frozen=True, slots=True)
class Looked:
    """What a detector found in one image, and its labels."""

    objects: ImageObjects
    labels_px: Array
    label_ids: Ints
    runs: int
    measures: dict[str, float]


Progress = Callable[[int, int], None]


def evaluate_camera(
    folder: Path,
    images: Path,
    labels: Path,
    names: Sequence[str] = (),
    sweeps: Sweeps | None = None,
    method: Method | None = None,
    threads: int = 1,
    progress: Progress = lambda done, of: None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A report, and what to write into the model's file if a calibration was asked for.

    Args:
        folder: of the model.
        images: folder of images.
        labels: as ``read_labels`` takes them.
        names: of YOLO's classes.
        sweeps: to point the model to regions.
        method: of the calibration to fit.
        threads: of the model.
        progress: told of images done and in all.

    Raises:
        InputError: naming file, field and value.
    """
    detector = load_detector(folder, threads)
    config = detector.config
    raw = config.model_copy(
        update={"calibration": None, "score_threshold": min(_LEAST_SCORE, config.score_threshold)}
    )
    labelled = read_labels(images, labels, names)
    looked = []
    try:
        for entry in _look(detector.with_config(raw), labelled, sweeps):
            looked.append(entry)
            progress(len(looked), len(labelled))
    except ModelError as error:
        raise InputError(folder, str(error), labelled[len(looked)].path.name) from error
    classes = _judged_classes(config, looked)
    matched = {name: match([_found(entry, ids) for entry in looked]) for name, ids in classes.items()}
    pooled = _pooled([m for name, m in matched.items() if name not in _GROUPS] or list(matched.values()))
    report = {
        "model": detector.model.id,
        "digest": detector.model.digest,
        "images": len(looked),
        "runs_per_image": round(float(np.mean([entry.runs for entry in looked])), 2),
        "score_threshold": config.score_threshold,
        "classes": {name: judge(m, config.score_threshold) for name, m in matched.items()},
        "calibration": _calibration(pooled, config, method),
    }
    if config.calibration:
        strange = [outside(entry.measures, config.calibration) for entry in looked]
        report["out_of_domain"] = share(sum(strange), len(strange))
    return report, _fitted(pooled, looked, config, method) if method else None


def _look(detector: Detector, labelled: list[LabelledImage], sweeps: Sweeps | None) -> Iterator[Looked]:
    fitter = Fitter(detector.config.input)
    path = GeometricPath(sweeps.robot, GeometryParams()) if sweeps else None
    for image in labelled:
        bgr, labels_px = image.read()
        asked_px = _asked(path, sweeps, image.path.stem) if path and sweeps else _NOWHERE
        pointed = PointedImage(0, "", image.path.stem, bgr, asked_px)
        (objects,) = detector.detect([pointed])
        height_px, width_px = bgr.shape[:2]
        whole = np.array([0, 0, width_px, height_px])
        fitter.fit(bgr, whole, fitter.tensor(1)[0])
        yield Looked(
            objects, labels_px, image.class_ids, detector.runs(pointed), image_measures(fitter.canvas)
        )


def _asked(path: GeometricPath, sweeps: Sweeps, name: str) -> Array:
    """(N, 4) where the geometric path's objects are in the image of the robot's first camera."""
    robot = sweeps.robot
    if not (robot.lidars and robot.cameras):
        raise InputError(robot.name, "has no lidar or no camera to look from")
    lidar, camera = robot.lidars[0], robot.cameras[0]
    cloud = load_sweep(sweeps.folder / f"{name}.bin", 0, lidar.name)
    percept = path.step(cloud, lidar, Lineage())
    return asked_regions(percept.detections, camera)


def _judged_classes(config: DetectorConfig, looked: list[Looked]) -> dict[str, tuple[int, ...]]:
    """Classes that the model finds and the labels have, and groups of several.

    Raises:
        InputError: if there are none.
    """
    labelled = set(np.concatenate([entry.label_ids for entry in looked]).tolist())
    finds = set(config.class_map.values())
    classes: dict[str, tuple[int, ...]] = {
        ObjectClass(c).name.lower(): (c,) for c in sorted(finds & labelled)
    }
    for name, members in _GROUPS.items():
        ids = tuple(int(m) for m in members)
        if len((finds | labelled) & set(ids)) > 1 and finds & set(ids) and labelled & set(ids):
            classes[name] = ids
    if not classes:
        raise InputError(config.id, "finds none of the classes that are labelled", "classes")
    return classes


def _found(entry: Looked, class_ids: tuple[int, ...]) -> Found:
    of_class = np.isin(entry.objects.class_ids, class_ids)
    order = np.flatnonzero(of_class)[np.argsort(-entry.objects.scores[of_class], kind="stable")]
    return Found(
        entry.objects.boxes_px[order],
        entry.objects.scores[order],
        entry.labels_px[np.isin(entry.label_ids, class_ids)],
        entry.labels_px[entry.label_ids < 0],
    )


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Judged boxes of all classes."""

    scores: Array
    right: np.ndarray[Any, np.dtype[np.bool_]]
    errors: Array
    image: Ints


def _pooled(parts: list[Matched]) -> _Pooled:
    return _Pooled(
        np.concatenate([p.scores for p in parts]),
        np.concatenate([p.right[0] for p in parts]),
        np.concatenate([p.errors for p in parts]),
        np.concatenate([p.image for p in parts]),
    )


def _delivered(pooled: _Pooled, threshold: float) -> _Pooled:
    used = pooled.scores >= threshold
    return _Pooled(pooled.scores[used], pooled.right[used], pooled.errors[used], pooled.image[used])


def _calibration(pooled: _Pooled, config: DetectorConfig, method: Method | None) -> dict[str, Any]:
    """Reliability of the boxes that it delivers: as they are, as its file calibrates them, as a new fit would."""
    used = _delivered(pooled, config.score_threshold)
    report = {"boxes": len(used.scores), "raw": _reliability(used.scores, used.right)}
    if config.calibration:
        report["calibrated"] = _reliability(calibrate(used.scores, config.calibration), used.right)
    if method:
        fresh = held_out(method, used.scores, used.right, used.image)
        report["held_out"] = {"method": method, **_reliability(fresh, used.right)}
    return report


def _reliability(scores: Array, right: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    error = calibration_error(scores, right)
    return {
        "expected_error": None if np.isnan(error) else round(error, 4),
        "bins": reliability(scores, right),
    }


def _fitted(pooled: _Pooled, looked: list[Looked], config: DetectorConfig, method: Method) -> dict[str, Any]:
    """What goes into the model's file."""
    used = _delivered(pooled, config.score_threshold)
    fresh = held_out(method, used.scores, used.right, used.image)
    return {
        **fit_scores(method, used.scores, used.right),
        "side_sigma": side_sigmas(used.errors),
        "image_range": image_range([entry.measures for entry in looked]),
        "error": round(calibration_error(fresh, used.right), 4),
        "fitted_on": f"{len(used.scores)} boxes of score {config.score_threshold} and above in {len(looked)} images",
    }
