"""All sequences and categories of a KITTI tracking folder through the tracker, into result files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.evaluation.baseline import BaselineTracker
from perception_platform.evaluation.kitti_config import KittiConfig, load_kitti_config
from perception_platform.evaluation.kitti_files import (
    CATEGORIES,
    KittiBoxes,
    above,
    kitti_lines,
    read_detections,
    read_poses,
    read_projection,
    read_sequences,
    write_tracks,
)
from perception_platform.evaluation.kitti_run import Follows, TrackedSequence, track_sequence, write_states
from perception_platform.replay.records import write_json
from perception_platform.tracking.tracker import Tracker

# Gate, detections until shown, misses until the end: by size and speed.
_BASELINES: dict[str, tuple[float, int, int]] = {
    "Car": (4.0, 3, 2),
    "Pedestrian": (1.5, 1, 4),
    "Cyclist": (2.0, 3, 4),
}


def track_kitti(
    detections_dir: Path,
    calib_dir: Path,
    seqmap: Path,
    out_dir: Path,
    ego_dir: Path | None = None,
    baseline: bool = False,
) -> dict[str, dict[str, Any]]:
    """Track every category there are detections of and write the results.

    Args:
        detections_dir: holds ``<Category>/<seq>.txt``.
        calib_dir: holds ``<seq>.txt``.
        seqmap: names of sequences and their numbers of frames.
        out_dir: for ``<Category>/data/<seq>.txt``, ``<Category>/confident/<seq>.txt`` with the trajectories that are
            sure enough, ``<Category>/states/<seq>.csv``, ``data/<seq>.txt`` with all categories, and ``timing.json``.
            Ids differ between categories.
        ego_dir: holds ``<seq>.txt``, poses; without, the camera is taken to stand.
        baseline: run the plain filter in place of the tracker.

    Returns:
        What is in ``timing.json``: frames and seconds by category, of the tracker alone.

    Raises:
        InputError: naming what is missing or malformed.
    """
    frames = read_sequences(seqmap)
    categories = [c for c in CATEGORIES if (detections_dir / c).is_dir()]
    if not categories:
        raise InputError(detections_dir, f"none of the folders {', '.join(CATEGORIES)} in it")
    timing: dict[str, dict[str, Any]] = {}
    results: dict[str, dict[str, KittiBoxes]] = {name: {} for name in frames}
    for category in categories:
        config = load_kitti_config(category, with_ego=ego_dir is not None)
        seconds = 0.0
        for name, count in frames.items():
            tracked = _sequence(category, name, count, config, detections_dir, calib_dir, ego_dir, baseline)
            write_tracks(out_dir / category / "data" / f"{name}.txt", tracked.boxes, category)
            sure = above(tracked.boxes, config.output.confident_from)
            write_tracks(out_dir / category / "confident" / f"{name}.txt", sure, category)
            write_states(out_dir / category / "states" / f"{name}.csv", tracked)
            results[name][category] = tracked.boxes
            seconds += tracked.seconds
        timing[category] = {"frames": sum(frames.values()), "seconds": round(seconds, 4)}
    for name, by_category in results.items():
        _write_together(out_dir / "data" / f"{name}.txt", by_category)
    write_json(out_dir / "timing.json", timing)
    return timing


def _sequence(
    category: str,
    name: str,
    count: int,
    config: KittiConfig,
    detections_dir: Path,
    calib_dir: Path,
    ego_dir: Path | None,
    baseline: bool,
) -> TrackedSequence:
    tracker: Follows = (
        BaselineTracker(*_BASELINES[category]) if baseline else Tracker(config.tracker_config(category))
    )
    path = detections_dir / category / f"{name}.txt"
    poses = None if ego_dir is None else read_poses(ego_dir / f"{name}.txt", count)
    projection = read_projection(calib_dir / f"{name}.txt")
    boxes = read_detections(path, count)
    tracked = track_sequence(
        tracker, boxes, count, category, config.detector, config.output, projection, poses
    )
    return tracked.renumbered(len(CATEGORIES), CATEGORIES.index(category))


def _write_together(path: Path, by_category: Mapping[str, KittiBoxes]) -> None:
    """One file of all categories, by frame and id."""
    lines: list[tuple[int, int, str]] = []
    for category, boxes in by_category.items():
        lines += zip(boxes.frames.tolist(), boxes.ids.tolist(), kitti_lines(boxes, category), strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for _, _, line in sorted(lines)), encoding="utf-8")
