"""Camera boxes joined with lidar objects: names for what the lidar saw, and objects that it made none of.

Nothing the lidar found is ever taken away here: a camera can name an object or add one. How far off such a one is, the
lidar's points within its box say; without any, where its box touches the ground; and what two cameras see at one place
is one object.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from perception_platform.core.geometry import Array, Transform, box_corners
from perception_platform.core.objects import Detections, Ints, ModelRef, ObjectClass, SensorKind
from perception_platform.core.sensor_data import CameraModel
from perception_platform.perception.image_boxes import box_iou
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Camera

Floats = npt.NDArray[np.floating]

_LEAST_IOU = 0.25
# Length, width and height that an object is given which only a camera saw, m.
_TYPICAL_SIZE_M: dict[int, tuple[float, float, float]] = {
    int(ObjectClass.PERSON): (0.5, 0.6, 1.7),
    int(ObjectClass.CYCLIST): (1.8, 0.6, 1.7),
    int(ObjectClass.CAR): (4.2, 1.8, 1.5),
    int(ObjectClass.TRUCK): (8.0, 2.5, 3.2),
    int(ObjectClass.FORKLIFT): (2.5, 1.2, 2.2),
}
# Standard deviations behind the range of a ground contact: of a box's sides, and of the camera's pitch on the move.
_SIDE_SIGMA_PX = 3.0
_PITCH_SIGMA_RAD = np.deg2rad(0.5)
_FARTHEST_CONTACT_M = 60.0
# Lidar points in the middle of a box give its range if so many lie within so far of one distance, the nearest such.
_MIDDLE = np.array([0.25, 0.15, 0.75, 0.85])
_FEWEST_POINTS = 3
_SPREAD_M = 0.5
_POINTS_SIGMA_M = 0.3
# Squared Mahalanobis distance: 99 % of what is the same object, and of ranges that agree, lie within (chi², 2 degrees).
_SAME = 9.21
_NO_POINTS = np.zeros((0, 3))


@dataclass(frozen=True, slots=True)
class ImageObjects:
    """Objects found in one image, as arrays over N.

    Attributes:
        sensor: the camera.
        t_ns: capture time of the image, ns.
        boxes_px: (N, 4) x1 y1 x2 y2.
        class_ids: (N,) values of ObjectClass.
        scores: (N,) in [0, 1]: how often such a box is right, as far as its model was calibrated.
        model: what found them.
        side_sigmas_px: (N, 4) standard deviations of the boxes' sides; what a ground contact is worth hangs on the
            lower one. 3 px where nothing is said.
        out_of_domain: whether the image is unlike those that the scores were calibrated on.
    """

    sensor: str
    t_ns: int
    boxes_px: Array
    class_ids: Ints
    scores: Array
    model: ModelRef
    side_sigmas_px: Array = field(default_factory=lambda: np.zeros((0, 4)))
    out_of_domain: bool = False

    def __post_init__(self) -> None:
        if len(self.side_sigmas_px) == 0:
            object.__setattr__(self, "side_sigmas_px", np.full((len(self.boxes_px), 4), _SIDE_SIGMA_PX))

    def __len__(self) -> int:
        return len(self.boxes_px)


def fuse(
    detections: Detections,
    objects: ImageObjects,
    robot: Robot,
    points_m: Floats = _NO_POINTS,
) -> Detections:
    """Lidar objects with the names a camera gives them, and then what only cameras saw.

    Args:
        detections: N objects in the base frame; those that another camera alone saw may be among them.
        objects: M objects in an image of one of the robot's cameras, taken about the same time.
        robot: where the camera is and how it images.
        points_m: (P, 3) obstacle points in the base frame, for the range of what the lidar made no object of.

    Returns:
        The N objects, in their order, and after them up to M that nothing else saw.
    """
    camera = robot.sensor(objects.sensor)
    if len(objects) == 0 or not isinstance(camera, Camera):
        return detections
    base_from_camera, model = camera.mounting.transform(), camera.intrinsics.model()
    projected_px = project_boxes(detections, base_from_camera, model)
    overlap = box_iou(projected_px, objects.boxes_px)
    overlap[_of_cameras(detections)] = 0.0  # their places are compared: boxes of typical size say little
    rows, columns = linear_sum_assignment(-overlap)
    good = overlap[rows, columns] >= _LEAST_IOU
    rows, columns = rows[good], columns[good]
    named = _named(detections, objects, rows, columns)
    placed = _placed(
        objects, np.setdiff1d(np.arange(len(objects)), columns), base_from_camera, model, points_m
    )
    merged, new = _seen_by_both(named, placed)
    return _with(merged, placed.at(new))


def _of_cameras(detections: Detections) -> npt.NDArray[np.bool_]:
    """(N,) which objects cameras alone saw."""
    return np.asarray(detections.sensors == int(SensorKind.CAMERA))


def project_boxes(detections: Detections, base_from_camera: Transform, model: CameraModel) -> Array:
    """(N, 4) bounds in the image of the detections' corners, cut at its border; NaN for those not in view."""
    corners = box_corners(detections.centers_m, detections.sizes_m, detections.yaws_rad)
    half_m = 0.5 * detections.sizes_m[:, 2]
    ends = [
        np.dstack([corners, np.repeat((detections.centers_m[:, 2] + s * half_m)[:, None], 4, 1)])
        for s in (-1, 1)
    ]
    points_m = np.concatenate(ends, axis=1).reshape(-1, 3)
    pixels = model.project(base_from_camera.inverse().apply(points_m)).reshape(-1, 8, 2)
    border = np.array([model.width_px, model.height_px], dtype=np.float64)
    low, high = np.clip(pixels.min(axis=1), 0, border), np.clip(pixels.max(axis=1), 0, border)
    boxes = np.concatenate([low, high], axis=1)
    visible = (high > low).all(axis=1)
    return np.where(visible[:, None], boxes, np.nan)


def _named(detections: Detections, objects: ImageObjects, rows: Ints, columns: Ints) -> Detections:
    """Matched objects get the camera's class and its score, which can only rise where the shape said the same."""
    class_ids, scores = detections.class_ids.copy(), detections.scores.copy()
    sensors, boxes_px = detections.sensors.copy(), detections.image_boxes_px.copy()
    known = objects.class_ids[columns] != int(ObjectClass.UNKNOWN)
    named, by = rows[known], columns[known]
    agree = class_ids[named] == objects.class_ids[by]
    scores[named] = np.maximum(objects.scores[by], np.where(agree, scores[named], 0.0))
    class_ids[named] = objects.class_ids[by]
    sensors[rows] |= int(SensorKind.CAMERA)
    boxes_px[rows] = objects.boxes_px[columns]
    return replace(detections, class_ids=class_ids, scores=scores, sensors=sensors, image_boxes_px=boxes_px)


@dataclass(frozen=True, slots=True)
class _Placed:
    """K objects of an image on the ground: (K, 2) centres with (K, 2, 2) covariances, and the rest as Detections."""

    centers_m: Array
    cov_m2: Array
    sizes_m: Array
    bearings_rad: Array
    class_ids: Ints
    scores: Array
    boxes_px: Array

    def at(self, chosen: Ints) -> _Placed:
        return _Placed(*(getattr(self, f.name)[chosen] for f in fields(self)))


def _placed(
    objects: ImageObjects, left: Ints, base_from_camera: Transform, model: CameraModel, points_m: Floats
) -> _Placed:
    """The people and vehicles that can be placed: by lidar points, else by where they touch the ground."""
    left = left[np.isin(objects.class_ids[left], list(_TYPICAL_SIZE_M))]
    boxes_px = objects.boxes_px[left]
    near_m, cov_m2 = ground_contact(boxes_px, base_from_camera, model, objects.side_sigmas_px[left, 3])
    measured_m, measured_cov_m2 = range_by_points(boxes_px, base_from_camera, model, points_m)
    apart = _mahalanobis_sq(measured_m - near_m, cov_m2 + measured_cov_m2)
    better = np.isfinite(measured_m[:, 0]) & ~(apart > _SAME)  # NaN where nothing contradicts
    near_m[better], cov_m2[better] = measured_m[better], measured_cov_m2[better]
    sizes_m = np.array([_TYPICAL_SIZE_M[int(c)] for c in objects.class_ids[left]]).reshape(-1, 3)
    bearings_rad = np.arctan2(*(near_m - base_from_camera.translation_m[:2]).T[::-1])
    # What is seen is the object's near side.
    ahead_m = 0.5 * sizes_m[:, :1] * np.stack([np.cos(bearings_rad), np.sin(bearings_rad)], axis=-1)
    placed = _Placed(
        near_m + ahead_m,
        cov_m2,
        sizes_m,
        bearings_rad,
        objects.class_ids[left],
        objects.scores[left],
        boxes_px,
    )
    return placed.at(np.flatnonzero(np.isfinite(near_m).all(axis=1)))


def _mahalanobis_sq(difference_m: Array, cov_m2: Array) -> Array:
    """(...,) squared distances of (..., 2) differences; NaN where one is."""
    known = np.asarray(np.isfinite(difference_m).all(axis=-1))
    safe = np.where(known[..., None, None], cov_m2, np.eye(2))
    solved = np.linalg.solve(safe, np.where(known[..., None], difference_m, 0.0)[..., None])[..., 0]
    return np.where(known, (difference_m * solved).sum(axis=-1), np.nan)


def _seen_by_both(detections: Detections, placed: _Placed) -> tuple[Detections, Ints]:
    """Objects of other cameras joined with those of the same class and place, and which of the placed are new.

    Two sightings make one by their covariances, as a Kalman filter's update does.
    """
    others = np.flatnonzero(_of_cameras(detections))
    apart = _mahalanobis_sq(
        detections.centers_m[others, None, :2] - placed.centers_m[None],
        detections.position_cov_m2[others, None] + placed.cov_m2[None],
    )
    apart[detections.class_ids[others, None] != placed.class_ids[None]] = np.inf
    rows, columns = linear_sum_assignment(np.minimum(apart, 1e6))
    same = apart[rows, columns] <= _SAME
    own, by = others[rows[same]], columns[same]
    centers_m, cov_m2 = detections.centers_m.copy(), detections.position_cov_m2.copy()
    gain = cov_m2[own] @ np.linalg.inv(cov_m2[own] + placed.cov_m2[by])
    step_m = placed.centers_m[by] - centers_m[own, :2]
    centers_m[own, :2] += (gain @ step_m[..., None])[..., 0]
    cov_m2[own] -= gain @ cov_m2[own]
    cov_m2[own] = 0.5 * (cov_m2[own] + cov_m2[own].swapaxes(-1, -2))
    scores = detections.scores.copy()
    scores[own] = np.maximum(scores[own], placed.scores[by])
    merged = replace(detections, centers_m=centers_m, position_cov_m2=cov_m2, scores=scores)
    return merged, np.setdiff1d(np.arange(len(placed.scores)), by)


def _with(detections: Detections, placed: _Placed) -> Detections:
    """The objects and after them what only a camera saw."""
    n = len(placed.scores)
    return replace(
        detections,
        centers_m=np.vstack(
            [detections.centers_m, np.column_stack([placed.centers_m, 0.5 * placed.sizes_m[:, 2]])]
        ),
        sizes_m=np.vstack([detections.sizes_m, placed.sizes_m]),
        yaws_rad=np.concatenate([detections.yaws_rad, placed.bearings_rad]),
        class_ids=np.concatenate([detections.class_ids, placed.class_ids]),
        scores=np.concatenate([detections.scores, placed.scores]),
        sensors=np.concatenate([detections.sensors, np.full(n, int(SensorKind.CAMERA), dtype=np.int64)]),
        num_points=np.concatenate([detections.num_points, np.zeros(n, dtype=np.int64)]),
        position_cov_m2=np.concatenate([detections.position_cov_m2, placed.cov_m2]),
        image_boxes_px=np.vstack([detections.image_boxes_px, placed.boxes_px]),
    )


def range_by_points(
    boxes_px: Array, base_from_camera: Transform, model: CameraModel, points_m: Floats
) -> tuple[Array, Array]:
    """Where the nearest lidar points are that several lie together in the middle of a box.

    Args:
        boxes_px: (N, 4) x1 y1 x2 y2.
        base_from_camera: mounting of the camera's optical frame.
        model: its pinhole.
        points_m: (P, 3) obstacle points, base frame.

    Returns:
        (N, 2) positions, m, NaN without enough points, and (N, 2, 2) covariances, m².
    """
    pixels = model.project(base_from_camera.inverse().apply(points_m))
    low = boxes_px[:, :2] + _MIDDLE[:2] * (boxes_px[:, 2:] - boxes_px[:, :2])
    high = boxes_px[:, :2] + _MIDDLE[2:] * (boxes_px[:, 2:] - boxes_px[:, :2])
    inside = np.asarray(((pixels >= low[:, None]) & (pixels <= high[:, None])).all(axis=-1))
    range_m = np.hypot(*(points_m[:, :2] - base_from_camera.translation_m[:2]).T)
    place_m = np.full((len(boxes_px), 2), np.nan)
    for i, points in enumerate(inside):  # few boxes have no lidar object
        by_range = np.flatnonzero(points)[np.argsort(range_m[points], kind="stable")]
        sorted_m = range_m[by_range]
        together = (
            sorted_m[_FEWEST_POINTS - 1 :] - sorted_m[: max(len(sorted_m) - _FEWEST_POINTS + 1, 0)]
            <= _SPREAD_M
        )
        if together.any():
            nearest_m = sorted_m[together.argmax()]
            chosen = by_range[(sorted_m >= nearest_m) & (sorted_m <= nearest_m + _SPREAD_M)]
            place_m[i] = points_m[chosen, :2].mean(axis=0)
    return place_m, np.tile(_POINTS_SIGMA_M**2 * np.eye(2), (len(boxes_px), 1, 1))


def ground_contact(
    boxes_px: Array, base_from_camera: Transform, model: CameraModel, lower_sigmas_px: Array
) -> tuple[Array, Array]:
    """Where the rays through the middle of the boxes' bottoms meet the ground plane z = 0 of the base frame.

    Args:
        boxes_px: (N, 4) x1 y1 x2 y2.
        base_from_camera: mounting of the camera's optical frame.
        model: its pinhole.
        lower_sigmas_px: (N,) standard deviations of the boxes' lower sides.

    Returns:
        (N, 2) positions, m, NaN for boxes cut off at the image's lower border, above the horizon or too far; and
        (N, 2, 2) covariances, m²: along the ray, an angular error moves the contact by range²/height times it.
    """
    bottom_px = np.column_stack(
        [0.5 * (boxes_px[:, 0] + boxes_px[:, 2]), boxes_px[:, 3], np.ones(len(boxes_px))]
    )
    rays = base_from_camera.rotate(bottom_px @ np.linalg.inv(model.matrix).T)
    origin_m = base_from_camera.translation_m
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(rays[:, 2] < 0, -origin_m[2] / rays[:, 2], np.nan)
    offset_m = rays[:, :2] * along[:, None]
    range_m = np.hypot(offset_m[:, 0], offset_m[:, 1])
    whole = (boxes_px[:, 3] < model.height_px - 1) & (range_m < _FARTHEST_CONTACT_M)
    contact_m = np.where(whole[:, None], origin_m[:2] + offset_m, np.nan)
    pixel_rad = lower_sigmas_px / model.matrix[1, 1]
    sigma_along_m = range_m**2 / origin_m[2] * np.hypot(pixel_rad, _PITCH_SIGMA_RAD)
    sigma_across_m = 0.1 + range_m * pixel_rad
    unit = offset_m / np.maximum(range_m, 1e-9)[:, None]
    outer = unit[:, :, None] * unit[:, None, :]
    across = np.eye(2)[None] - outer
    return contact_m, sigma_along_m[:, None, None] ** 2 * outer + sigma_across_m[:, None, None] ** 2 * across
