"""What a step of the risk stage costs, for growing numbers of objects and points."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.stage import RiskStage
from perception_platform.robot.load import load_robot

OBJECTS = (0, 10, 100, 300)
POINTS = (24_000, 115_000)
SPEED_MPS, YAW_RATE_RADPS = 1.2, 0.15
LOOKS_NS = from_s(0.1)
_WARM_UP = 10
# What Nav2's collision monitor states for a cloud of 24 000 points: a polygon to stop in, and approach.
NAV2_MS = {"stop": 4.9, "approach": 20.7}


def bench_cost(
    robot: str, samples: int, seed: int, points_of: Sequence[int] = POINTS
) -> list[dict[str, Any]]:
    """Time a look of the whole stage on a robot's own zones, on made-up halls.

    Args:
        robot: name or file.
        samples: looks that are timed for each size.
        seed: of the halls.
        points_of: numbers of obstacle points.

    Returns:
        A row for each number of objects and points; ``against_nav2`` is how much of what Nav2 states for stopping in a
        polygon, on a machine of its own, the median is.
    """
    config = RiskConfig.from_robot(load_robot(robot))
    rows = []
    for points in points_of:
        for objects in OBJECTS:
            times_ms = _times_ms(config, objects, points, samples, seed)
            p50, p99 = np.percentile(times_ms, [50, 99])
            rows.append(
                {
                    "objects": objects,
                    "points": points,
                    "p50_ms": round(float(p50), 3),
                    "p99_ms": round(float(p99), 3),
                    "samples": samples,
                    "against_nav2": round(float(p50) / NAV2_MS["stop"], 3),
                }
            )
    return rows


def _times_ms(config: RiskConfig, objects: int, points: int, samples: int, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    stage = RiskStage(config)
    times_ms = []
    for look in range(samples + _WARM_UP):
        t_ns = look * LOOKS_NS
        tracks, cloud = _tracks(t_ns, objects, rng), _cloud(t_ns, points, rng)
        ego = EgoState(t_ns, Transform.identity(), (SPEED_MPS, 0.0), YAW_RATE_RADPS)
        began = time.process_time_ns()
        stage.step(tracks, [cloud], ego, now_ns=t_ns + from_s(0.05))
        times_ms.append((time.process_time_ns() - began) * 1e-6)
    return times_ms[_WARM_UP:]


def _tracks(t_ns: int, count: int, rng: np.random.Generator) -> Tracks:
    """People and vehicles all over a hall, half of them on the move."""
    moves = rng.random((count, 1)) < 0.5
    person = rng.random(count) < 0.7
    return Tracks(
        t_ns,
        "odom",
        ids=np.arange(1, count + 1),
        centers_m=np.column_stack([rng.uniform(-25, 25, (count, 2)), np.full(count, 0.9)]),
        velocities_mps=np.where(moves, rng.normal(0, 1.2, (count, 2)), 0.0),
        sizes_m=np.where(person[:, None], [0.5, 0.5, 1.7], [2.3, 1.2, 2.2]),
        yaws_rad=rng.uniform(-np.pi, np.pi, count),
        class_ids=np.where(person, int(ObjectClass.PERSON), int(ObjectClass.FORKLIFT)),
        class_scores=np.ones(count),
        existence=rng.uniform(0.6, 1.0, count),
        state_cov=np.tile(np.diag([0.05**2, 0.05**2, 0.2**2, 0.2**2]), (count, 1, 1)),
        last_seen_ns=np.full(count, t_ns),
        first_seen_ns=np.full(count, t_ns),
        sensors=np.full(count, int(SensorKind.LIDAR)),
    )


def _cloud(t_ns: int, count: int, rng: np.random.Generator) -> PointCloud:
    """Obstacle points as thick as in a hall: nearer ones more often."""
    range_m = rng.uniform(0.8, 30.0, count)
    azimuth = rng.uniform(-np.pi, np.pi, count)
    xyz = np.column_stack(
        [range_m * np.cos(azimuth), range_m * np.sin(azimuth), rng.uniform(0.1, 2.0, count)]
    )
    return PointCloud(t_ns, "base_link", "lidar_top", xyz.astype(np.float32))
