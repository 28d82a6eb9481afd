"""Camera boxes joined with lidar objects: names for what the lidar saw, and objects that only the camera saw.

Nothing the lidar found is ever taken away here: a camera can name an object or add one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from perception_platform.core.geometry import Array, Transform, box_corners
from perception_platform.core.objects import Detections, Ints, ModelRef, ObjectClass, SensorKind
from perception_platform.core.sensor_data import CameraModel
from perception_platform.robot.description import Camera, Robot

_LEAST_IOU = 0.25
# Length, width and height that an object is given which only a camera saw, m.
_TYPICAL_SIZE_M: dict[int, tuple[float, float, float]] = {
    int(ObjectClass.PERSON): (0.5, 0.6, 1.7),
    int(ObjectClass.CYCLIST): (1.8, 0.6, 1.7),
    int(ObjectClass.CAR): (4.2, 1.8, 1.5),
    int(ObjectClass.TRUCK): (8.0, 2.5, 3.2),
    int(ObjectClass.FORKLIFT): (2.5, 1.2, 2.2),
}
# Standard deviations behind the range of a ground contact: of the box's bottom, and of the camera's pitch on the move.
_BOTTOM_SIGMA_PX = 3.0
_PITCH_SIGMA_RAD = np.deg2rad(0.5)
_FARTHEST_CONTACT_M = 60.0


@dataclass(frozen=True, slots=True)
class ImageObjects:
    """Objects found in one image, as arrays over N.

    Attributes:
        sensor: the camera.
        t_ns: capture time of the image, ns.
        boxes_px: (N, 4) x1 y1 x2 y2.
        class_ids: (N,) values of ObjectClass.
        scores: (N,) in [0, 1].
        model: what found them.
    """

    sensor: str
    t_ns: int
    boxes_px: Array
    class_ids: Ints
    scores: Array
    model: ModelRef

    def __len__(self) -> int:
        return len(self.boxes_px)


def fuse(detections: Detections, objects: ImageObjects, robot: Robot) -> Detections:
    """Lidar objects with the names a camera gives them, and then what only the camera saw.

    Args:
        detections: N objects in the base frame.
        objects: M objects in an image of one of the robot's cameras, taken about the same time.
        robot: where the camera is and how it images.

    Returns:
        The N objects, in their order, and after them up to M that have no lidar object.
    """
    camera = robot.sensor(objects.sensor)
    if len(objects) == 0 or not isinstance(camera, Camera):
        return detections
    base_from_camera, model = camera.mounting.transform(), camera.intrinsics.model()
    projected_px = project_boxes(detections, base_from_camera, model)
    overlap = _iou(projected_px, objects.boxes_px)
    rows, columns = linear_sum_assignment(-overlap)
    good = overlap[rows, columns] >= _LEAST_IOU
    rows, columns = rows[good], columns[good]
    left = np.setdiff1d(np.arange(len(objects)), columns)
    named = _named(detections, objects, rows, columns)
    return _with_camera_only(named, objects, left, base_from_camera, model)


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


def _iou(a_px: Array, b_px: Array) -> Array:
    """(N, M) intersection over union of boxes x1 y1 x2 y2; 0 where one is NaN."""
    low = np.maximum(a_px[:, None, :2], b_px[None, :, :2])
    high = np.minimum(a_px[:, None, 2:], b_px[None, :, 2:])
    inter = np.prod(np.maximum(high - low, 0.0), axis=-1)
    area_a, area_b = (np.prod(b[:, 2:] - b[:, :2], axis=-1) for b in (a_px, b_px))
    union = area_a[:, None] + area_b[None] - inter
    return np.asarray(np.nan_to_num(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)))


def _named(detections: Detections, objects: ImageObjects, rows: Ints, columns: Ints) -> Detections:
    """Matched objects get the camera's class and score where it is surer than the shape was."""
    class_ids, scores = detections.class_ids.copy(), detections.scores.copy()
    sensors, boxes_px = detections.sensors.copy(), detections.image_boxes_px.copy()
    known = objects.class_ids[columns] != int(ObjectClass.UNKNOWN)
    named, by = rows[known], columns[known]
    class_ids[named], scores[named] = objects.class_ids[by], np.maximum(objects.scores[by], scores[named])
    sensors[rows] |= int(SensorKind.CAMERA)
    boxes_px[rows] = objects.boxes_px[columns]
    return replace(detections, class_ids=class_ids, scores=scores, sensors=sensors, image_boxes_px=boxes_px)


def _with_camera_only(
    detections: Detections, objects: ImageObjects, left: Ints, base_from_camera: Transform, model: CameraModel
) -> Detections:
    """Add people and vehicles without a lidar object, where their boxes touch the ground."""
    typical = np.array([int(c) in _TYPICAL_SIZE_M for c in objects.class_ids[left]], dtype=np.bool_)
    left = left[typical]
    contact_m, cov_m2 = ground_contact(objects.boxes_px[left], base_from_camera, model)
    seen = np.isfinite(contact_m).all(axis=1)
    left, contact_m, cov_m2 = left[seen], contact_m[seen], cov_m2[seen]
    n = len(left)
    sizes_m = np.array([_TYPICAL_SIZE_M[int(c)] for c in objects.class_ids[left]]).reshape(n, 3)
    bearing_rad = np.arctan2(*(contact_m - base_from_camera.translation_m[:2]).T[::-1])
    # The box's bottom is the object's near side.
    ahead_m = 0.5 * sizes_m[:, :1] * np.stack([np.cos(bearing_rad), np.sin(bearing_rad)], axis=-1)
    return replace(
        detections,
        centers_m=np.vstack(
            [detections.centers_m, np.column_stack([contact_m + ahead_m, 0.5 * sizes_m[:, 2]])]
        ),
        sizes_m=np.vstack([detections.sizes_m, sizes_m]),
        yaws_rad=np.concatenate([detections.yaws_rad, bearing_rad]),
        class_ids=np.concatenate([detections.class_ids, objects.class_ids[left]]),
        scores=np.concatenate([detections.scores, objects.scores[left]]),
        sensors=np.concatenate([detections.sensors, np.full(n, int(SensorKind.CAMERA), dtype=np.int64)]),
        num_points=np.concatenate([detections.num_points, np.zeros(n, dtype=np.int64)]),
        position_cov_m2=np.concatenate([detections.position_cov_m2, cov_m2]),
        image_boxes_px=np.vstack([detections.image_boxes_px, objects.boxes_px[left]]),
    )


def ground_contact(boxes_px: Array, base_from_camera: Transform, model: CameraModel) -> tuple[Array, Array]:
    """Where the rays through the middle of the boxes' bottoms meet the ground plane z = 0 of the base frame.

    Args:
        boxes_px: (N, 4) x1 y1 x2 y2.
        base_from_camera: mounting of the camera's optical frame.
        model: its pinhole.

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
    pixel_rad = _BOTTOM_SIGMA_PX / model.matrix[1, 1]
    sigma_along_m = range_m**2 / origin_m[2] * np.hypot(pixel_rad, _PITCH_SIGMA_RAD)
    sigma_across_m = 0.1 + range_m * pixel_rad
    unit = offset_m / np.maximum(range_m, 1e-9)[:, None]
    outer = unit[:, :, None] * unit[:, None, :]
    across = np.eye(2)[None] - outer
    return contact_m, sigma_along_m[:, None, None] ** 2 * outer + sigma_across_m[:, None, None] ** 2 * across
