"""The tracker of the chain on the boxes of a KITTI sequence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, Transform, wrap_angle
from perception_platform.core.objects import Detections, Ints, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s
from perception_platform.evaluation.kitti_config import CATEGORY_CLASSES, DetectorConfig, OutputConfig
from perception_platform.evaluation.kitti_files import KittiBoxes

FRAME_NS = from_s(0.1)
CAMERA_HEIGHT_M = 1.65
IMAGE_PX = (1242.0, 375.0)
EDGE_PX = 5.0
_BASE_FROM_CAMERA = Transform(
    np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.array([0.0, 0.0, CAMERA_HEIGHT_M])
)


class Follows(Protocol):
    """Whatever follows objects through time: the tracker, a baseline."""

    def step(self, t_ns: int, detections: Detections, ego: EgoState) -> Tracks:
        """Take in what was seen at one moment."""

    def confidences(self, ids: Ints) -> Array:
        """How far those of its newest tracks are to be trusted, to rank them by."""


@dataclass(frozen=True, slots=True)
class TrackedSequence:
    """What a tracker made of one sequence.

    Attributes:
        boxes: N boxes in the camera's frame, sorted by frame and id.
        states: (N, 6) x, y, vx, vy, ax, ay of each in the fixed frame, m, m/s and m/s².
        state_cov: (N, 6, 6) their covariance; accelerations are estimated apart from the others.
        seconds: time the tracker took.
    """

    boxes: KittiBoxes
    states: Array
    state_cov: Array
    seconds: float

    def renumbered(self, step: int, offset: int) -> TrackedSequence:
        """The same with ids times ``step`` plus ``offset``, so that several results share no id."""
        return replace(self, boxes=replace(self.boxes, ids=self.boxes.ids * step + offset))


def track_sequence(
    tracker: Follows,
    boxes: KittiBoxes,
    frames: int,
    category: str,
    detector: DetectorConfig,
    output: OutputConfig,
    projection: Array,
    poses: Sequence[Transform] | None,
) -> TrackedSequence:
    """Run a tracker over all frames of a sequence.

    Args:
        tracker: a fresh one.
        boxes: of the detector, of one category.
        frames: how many there are.
        category: Car, Pedestrian or Cyclist.
        detector: how the boxes err.
        output: which tracks are wanted.
        projection: (3, 4) of the left colour camera.
        poses: world from camera a frame; without, the camera is taken to stand.
    """
    egos = ego_states(poses, frames)
    inputs = [frame_detections(boxes, frame, category, detector) for frame in range(frames)]
    results: list[tuple[Tracks, Array]] = []
    began = time.perf_counter()
    for ego, detections in zip(egos, inputs, strict=True):
        tracks = tracker.step(ego.t_ns, detections, ego)
        results.append((tracks, tracker.confidences(tracks.ids)))
    seconds = time.perf_counter() - began
    parts = [
        _written(frame, tracks, scores, ego, output, projection)
        for frame, ((tracks, scores), ego) in enumerate(zip(results, egos, strict=True))
    ]
    joined = KittiBoxes(
        *(np.concatenate([getattr(p.boxes, name) for p in parts]) for name in KittiBoxes.__slots__)
    )
    return TrackedSequence(
        joined,
        np.concatenate([p.states for p in parts]),
        np.concatenate([p.state_cov for p in parts]),
        seconds,
    )


def ego_states(poses: Sequence[Transform] | None, frames: int) -> list[EgoState]:
    """Poses of the base, which stands on the ground below the camera, at 10 Hz; identity without poses."""
    if poses is None:
        odom_from_base = [Transform.identity()] * frames
    else:
        camera_from_base = _BASE_FROM_CAMERA.inverse()
        odom_from_base = [_BASE_FROM_CAMERA @ pose @ camera_from_base for pose in poses[:frames]]
    return [EgoState(i * FRAME_NS, pose, (0.0, 0.0), 0.0) for i, pose in enumerate(odom_from_base)]


def frame_detections(boxes: KittiBoxes, frame: int, category: str, detector: DetectorConfig) -> Detections:
    """The boxes of one frame in the base frame, with probabilities for scores and covariances by range."""
    rows = np.flatnonzero((boxes.frames == frame) & (boxes.scores >= detector.least_score))
    n = len(rows)
    height, width, length = boxes.sizes_m[rows].T
    centers_m = in_base(boxes.select(rows))
    range_m = np.hypot(centers_m[:, 0], centers_m[:, 1])
    sigma_m = detector.position_sigma_m + detector.position_sigma_share * range_m
    logits = (
        detector.score_scale * boxes.scores[rows] + detector.score_offset + detector.score_per_m * range_m
    )
    return Detections(
        frame * FRAME_NS,
        "base_link",
        centers_m=centers_m,
        sizes_m=np.column_stack([length, width, height]),
        yaws_rad=wrap_angle(-boxes.ry_rad[rows] - np.pi / 2),
        class_ids=np.full(n, CATEGORY_CLASSES[category], dtype=np.int64),
        scores=1 / (1 + np.exp(-logits)),
        sensors=np.full(n, int(SensorKind.LIDAR), dtype=np.int64),
        num_points=np.zeros(n, dtype=np.int64),
        position_cov_m2=np.eye(2) * (sigma_m**2)[:, None, None],
        image_boxes_px=boxes.boxes_px[rows],
    )


def _written(
    frame: int, tracks: Tracks, scores: Array, ego: EgoState, output: OutputConfig, projection: Array
) -> TrackedSequence:
    """The tracks of one frame that are shown, in the camera's frame."""
    unseen = tracks.t_ns - tracks.last_seen_ns
    held = (unseen <= from_s(output.hold_s)) & (scores >= output.hold_confidence)
    base_from_odom = ego.odom_from_base.inverse()
    in_base_m = base_from_odom.apply(tracks.centers_m)
    length, width, height = tracks.sizes_m.T
    bottoms_m = _BASE_FROM_CAMERA.inverse().apply(in_base_m - np.array([0.0, 0.0, 0.5]) * height[:, None])
    ry_rad = wrap_angle(-(tracks.yaws_rad + base_from_odom.yaw_rad) - np.pi / 2)
    sizes_m = np.column_stack([height, width, length])
    boxes_px, visible = image_boxes(bottoms_m, sizes_m, ry_rad, projection)
    inside = (boxes_px[:, 0] > EDGE_PX) & (boxes_px[:, 2] < IMAGE_PX[0] - 1 - EDGE_PX)
    rows = np.flatnonzero(visible & ((unseen == 0) | (held & inside)))
    n = len(rows)
    nothing = np.zeros(n)
    boxes = KittiBoxes(
        frames=np.full(n, frame, dtype=np.int64),
        ids=tracks.ids[rows],
        types=np.full(n, "", dtype=np.str_),
        truncation=nothing,
        occlusion=nothing,
        boxes_px=boxes_px[rows],
        sizes_m=sizes_m[rows],
        bottoms_m=bottoms_m[rows],
        ry_rad=ry_rad[rows],
        scores=scores[rows],
    )
    states = np.column_stack([tracks.centers_m[:, :2], tracks.velocities_mps, tracks.accelerations_mps2])
    state_cov = np.zeros((len(tracks), 6, 6))
    state_cov[:, :4, :4], state_cov[:, 4:, 4:] = tracks.state_cov, tracks.acceleration_cov
    return TrackedSequence(boxes, states[rows], state_cov[rows], 0.0)


def in_base(boxes: KittiBoxes) -> Array:
    """(N, 3) centres of boxes in the base frame."""
    half = np.array([0.0, 0.0, 0.5]) * boxes.sizes_m[:, 0:1]
    return _BASE_FROM_CAMERA.apply(boxes.bottoms_m) + half


def write_states(path: Path, tracked: TrackedSequence) -> None:
    """Estimates in the fixed frame, row by row as in the result file.

    Columns: x, y, vx, vy, ax, ay, then the upper triangle of their covariance.
    """
    rows, columns = np.triu_indices(6)
    table = np.column_stack([tracked.states, tracked.state_cov[:, rows, columns]])
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(f"{value:.6g}" for value in row) for row in table.tolist()]
    path.write_text("\n".join(lines) + ("\n" if lines else ""), encoding="utf-8")


def read_states(path: Path, count: int) -> tuple[Array, Array]:
    """States (N, 6) and covariances (N, 6, 6) as written beside a result file of ``count`` boxes.

    Raises:
        InputError: if the file is missing or does not fit the results.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = np.array([[float(v) for v in line.split(",")] for line in text.splitlines()])
    except (OSError, ValueError) as error:
        raise InputError(path, str(error)) from error
    rows, columns = np.triu_indices(6)
    width = 6 + len(rows)
    table = table.reshape(-1, width) if table.size == width * count else table
    if table.shape != (count, width):
        raise InputError(
            path, f"expected {count} lines of {width} numbers, as there are boxes in the results"
        )
    cov = np.zeros((count, 6, 6))
    cov[:, rows, columns] = cov[:, columns, rows] = table[:, 6:]
    return table[:, :6], cov


def image_boxes(bottoms_m: Array, sizes_m: Array, ry_rad: Array, projection: Array) -> tuple[Array, Array]:
    """Boxes in the image (N, 4) around projected corners, and which of them (N,) are in the image at all."""
    height, width, length = sizes_m.T
    along = np.array([1, 1, -1, -1, 1, 1, -1, -1]) / 2 * length[:, None]
    across = np.array([1, -1, -1, 1, 1, -1, -1, 1]) / 2 * width[:, None]
    c, s = np.cos(ry_rad)[:, None], np.sin(ry_rad)[:, None]
    x = c * along + s * across + bottoms_m[:, 0:1]
    y = np.array([0, 0, 0, 0, -1, -1, -1, -1]) * height[:, None] + bottoms_m[:, 1:2]
    z = c * across - s * along + bottoms_m[:, 2:3]
    depth = np.maximum(z, 0.1)
    u = (projection[0, 0] * x + projection[0, 2] * depth + projection[0, 3]) / depth
    v = (projection[1, 1] * y + projection[1, 2] * depth + projection[1, 3]) / depth
    low, high = np.zeros(2), np.array(IMAGE_PX) - 1
    first = np.clip(np.column_stack([u.min(axis=1), v.min(axis=1)]), low, high)
    last = np.clip(np.column_stack([u.max(axis=1), v.max(axis=1)]), low, high)
    visible = (bottoms_m[:, 2] > 0.1) & (last > first).all(axis=1)
    return np.column_stack([first, last]), visible
