"""A KITTI tracking sequence as a drive of the delivery van: its motion, and all categories followed by the tracker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.geometry import Array, Transform, wrap_angle
from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.objects import Detections, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.evaluation.kitti_config import load_kitti_config
from perception_platform.evaluation.kitti_files import (
    CATEGORIES,
    KittiBoxes,
    read_detections,
    read_poses,
    read_tracks,
)
from perception_platform.evaluation.kitti_run import FRAME_NS, ego_states, frame_detections, in_base
from perception_platform.tracking.tracker import Tracker

# Of odometry: speed and turn rate are those over the last so many frames, so that they are no younger than a robot's.
MOTION_FRAMES = 2
_AXLE_FROM_CAMERA = Transform.planar(1.03, 0.06, 0.0)  # where the van's camera stands on the ground


@dataclass(frozen=True, slots=True)
class Drive:
    """One sequence.

    Attributes:
        name: of the sequence.
        egos: motion of the van's base, the middle of its rear axle, a frame.
        tracks: what the tracker knows, a frame, in the fixed frame.
        label_centers_m: (N, 3) centres of the labels in the base frame of their frames.
        labels: N labels, as in the file.
    """

    name: str
    egos: list[EgoState]
    tracks: list[Tracks]
    label_centers_m: Array
    labels: KittiBoxes


def read_drive(folder: Path, name: str, frames: int) -> Drive:
    """Follow one sequence of a folder laid out as KITTI tracking: detections_3d, ego_pose, label_02.

    Raises:
        InputError: naming the file that is missing or malformed.
    """
    poses = read_poses(folder / "ego_pose" / f"{name}.txt", frames)
    egos = moving_egos(poses, frames)
    boxes = {
        category: read_detections(path, frames)
        for category in CATEGORIES
        if (path := folder / "detections_3d" / category / f"{name}.txt").exists()
    }
    labels = read_tracks(folder / "label_02" / f"{name}.txt", frames)
    labels = labels.select(np.isin(labels.types, [*map(str.lower, CATEGORIES), "van", "truck"]))
    return Drive(name, egos, follow(boxes, egos), _AXLE_FROM_CAMERA.apply(in_base(labels)), labels)


def moving_egos(poses: Sequence[Transform], frames: int) -> list[EgoState]:
    """Pose of the rear axle a frame, with the velocity and turn rate of the frames just before it."""
    camera_from_axle = _AXLE_FROM_CAMERA.inverse()
    at = [ego.odom_from_base @ camera_from_axle for ego in ego_states(poses, frames)]
    egos = []
    for i, pose in enumerate(at):
        first, last = max(i - MOTION_FRAMES, 0), max(i, min(1, frames - 1))
        moved = at[first].inverse() @ at[last]
        dt_s = max(last - first, 1) * FRAME_NS * 1e-9
        turn_rad = float(wrap_angle(moved.yaw_rad))
        along = Transform.planar(0.0, 0.0, -turn_rad / 2).rotate(moved.translation_m[None])[0] / dt_s
        egos.append(EgoState(i * FRAME_NS, pose, (float(along[0]), float(along[1])), turn_rad / dt_s))
    return egos


def follow(boxes: dict[str, KittiBoxes], egos: Sequence[EgoState]) -> list[Tracks]:
    """Tracks of all categories together, a frame; each category has a tracker of its own, as its boxes have errors."""
    configs = {category: load_kitti_config(category) for category in boxes}
    trackers = {category: Tracker(config.tracker_config(category)) for category, config in configs.items()}

    def step(frame: int, ego: EgoState) -> Iterator[Tracks]:
        for category, tracker in trackers.items():
            seen = frame_detections(boxes[category], frame, category, configs[category].detector)
            yield _renumbered(tracker.step(ego.t_ns, _from_axle(seen), ego), CATEGORIES.index(category))

    return [_joined(ego.t_ns, list(step(frame, ego))) for frame, ego in enumerate(egos)]


def _from_axle(seen: Detections) -> Detections:
    return replace(seen, centers_m=_AXLE_FROM_CAMERA.apply(seen.centers_m))


def _renumbered(tracks: Tracks, offset: int) -> Tracks:
    return replace(tracks, ids=tracks.ids * len(CATEGORIES) + offset)


def _joined(t_ns: int, parts: Sequence[Tracks]) -> Tracks:
    arrays = [f.name for f in fields(Tracks) if isinstance(getattr(parts[0], f.name), np.ndarray)]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays
    }
    return Tracks(t_ns, "odom", lineage=Lineage((SourceStamp("velodyne", t_ns),)), **joined)
