"""How long a step of the tracker takes, for growing numbers of objects, next to the baseline in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Detections, ObjectClass, SensorKind
from perception_platform.core.sensor_data import EgoState
from perception_platform.evaluation.baseline import BaselineTracker
from perception_platform.evaluation.kitti_config import load_kitti_config
from perception_platform.evaluation.kitti_run import FRAME_NS, Follows
from perception_platform.tracking.tracker import Tracker

SAMPLES = {10: 300, 100: 200, 200: 150, 1000: 60}
_WARM_UP = 20
_AREA_PER_OBJECT_M2 = 150.0  # a busy car park


def bench_tracking(seed: int, samples_of: Mapping[int, int] = SAMPLES) -> list[dict[str, Any]]:
    """Time a frame of the tracker on the chain's clusters, on whole boxes, and of the baseline on the same scenes.

    Args:
        seed: of the scenes.
        samples_of: how many frames are timed for each number of objects.

    Returns:
        A row for each tracker and number of objects.
    """
    makers: dict[str, Callable[[], Follows]] = {
        "baseline": BaselineTracker,
        "clusters": Tracker,
        "boxes": lambda: Tracker(load_kitti_config("Car").tracker_config("Car")),
    }
    rows: list[dict[str, Any]] = []
    for objects, samples in samples_of.items():
        scene = _scene(objects, samples + _WARM_UP, seed)
        base_ms = 0.0
        for name, make in makers.items():
            times_ms = _times_ms(make(), scene)[_WARM_UP:]
            p50, p99 = np.percentile(times_ms, [50, 99])
            base_ms = float(p50) if name == "baseline" else base_ms
            rows.append(
                {
                    "tracker": name,
                    "objects": objects,
                    "p50_ms": round(float(p50), 4),
                    "p99_ms": round(float(p99), 4),
                    "frames_per_s": round(1e3 / float(np.mean(times_ms)), 1),
                    "samples": samples,
                    "speed_against_baseline": round(base_ms / float(p50), 3),
                }
            )
    return rows


def _times_ms(tracker: Follows, scene: list[Detections]) -> Array:
    times = []
    for detections in scene:
        ego = EgoState(detections.t_ns, Transform.identity(), (0.0, 0.0), 0.0)
        began = time.perf_counter()
        tracker.step(detections.t_ns, detections, ego)
        times.append((time.perf_counter() - began) * 1e3)
    return np.array(times)


def _scene(objects: int, frames: int, seed: int) -> list[Detections]:
    """Cars on a square, half of them driving, seen with noise; one in twenty is missed in a frame."""
    rng = np.random.default_rng(seed)
    side_m = np.sqrt(objects * _AREA_PER_OBJECT_M2)
    start_m = rng.uniform(-side_m / 2, side_m / 2, (objects, 2))
    yaws_rad = rng.uniform(-np.pi, np.pi, objects)
    speed_mps = np.where(rng.random(objects) < 0.5, rng.uniform(2, 8, objects), 0.0)
    velocity_mps = speed_mps[:, None] * np.column_stack([np.cos(yaws_rad), np.sin(yaws_rad)])
    scene = []
    for frame in range(frames):
        seen = np.flatnonzero(rng.random(objects) > 0.05)
        n = len(seen)
        at_m = start_m + velocity_mps * frame * FRAME_NS * 1e-9 + rng.normal(0, 0.08, (objects, 2))
        scene.append(
            Detections(
                frame * FRAME_NS,
                "base_link",
                centers_m=np.column_stack([at_m[seen], np.full(n, 0.8)]),
                sizes_m=np.tile([4.2, 1.8, 1.6], (n, 1)),
                yaws_rad=yaws_rad[seen],
                class_ids=np.full(n, ObjectClass.CAR, dtype=np.int64),
                scores=rng.uniform(0.5, 1.0, n),
                sensors=np.full(n, int(SensorKind.LIDAR), dtype=np.int64),
                num_points=np.full(n, 60, dtype=np.int64),
                position_cov_m2=np.tile(np.eye(2) * 0.08**2, (n, 1, 1)),
                image_boxes_px=np.full((n, 4), np.nan),
            )
        )
    return scene
