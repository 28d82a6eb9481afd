"""What a look of the risk stage costs, and the beat of the gate that costs most, for growing numbers of points."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s, to_s
from perception_platform.core.verdicts import GateState
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.stage import RiskStage
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from perception_platform.robot.zones import Zone
from perception_platform.safety.config import GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import GateInputs, Seen

OBJECTS = (0, 10, 100, 300)
POINTS = (24_000, 115_000)
SPEED_MPS, YAW_RATE_RADPS = 1.2, 0.15
LOOKS_NS = from_s(0.1)
_WARM_UP = 10
# What Nav2's collision monitor states for a cloud of 24 000 points: a polygon to stop in, and approach.
NAV2_MS = {"stop": 4.9, "approach": 20.7}
APPROACH = Zone(
    name="approach",
    polygon_m=[(6.0, 1.0), (0.0, 1.0), (0.0, -1.0), (6.0, -1.0)],
    action="approach",
    least_time_s=2.0,
    min_points=4,
)
ESCAPE_POINTS = (2_500, 24_000)  # all of them near enough for the gate to mind
ESCAPE: tuple[float, float, float] = (-0.3, 0.0, 0.0)
WALL_M = 0.3  # ahead of the front, where it is in the stop zone


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
    return [
        {
            "objects": objects,
            "points": points,
            **_row(_times_ms(config, objects, points, samples, seed)[0], NAV2_MS["stop"]),
        }
        for points in points_of
        for objects in OBJECTS
    ]


def bench_approach(robot: str, samples: int, seed: int, points: int = POINTS[0]) -> dict[str, Any]:
    """Time a look of the stage that has one zone of the action ``approach``; arguments as of ``bench_cost``.

    Returns:
        A row; ``against_nav2`` is how much of what Nav2 states for its approach the median is.

    Raises:
        RuntimeError: if nothing was found in the zone: that look would cost less.
    """
    config = RiskConfig.from_robot(load_robot(robot).model_copy(update={"zones": [APPROACH]}))
    times_ms, found = _times_ms(config, 0, points, samples, seed)
    if APPROACH.name not in found:
        raise RuntimeError(f"nothing was found in the zone among {points} points")
    return {"points": points, **_row(times_ms, NAV2_MS["approach"])}


def bench_escape(
    robot: str, samples: int, seed: int, points_of: Sequence[int] = ESCAPE_POINTS
) -> list[dict[str, Any]]:
    """Time beats of the gate that prove an escape: back from a wall ahead, between walls on both sides.

    Args:
        robot: name or file.
        samples: beats that are timed for each size.
        seed: of the noise on the walls.
        points_of: numbers of obstacle points.

    Returns:
        A row for each number of points; ``worst_of_period`` is how much of the gate's period the longest took.

    Raises:
        RuntimeError: if a beat did not let the robot out.
    """
    described = load_robot(robot)
    period_ms = to_s(GateConfig.from_robot(described).period_ns) * 1e3
    rows = []
    for points in points_of:
        times_ms = _escape_times_ms(described, points, samples, seed)
        rows.append({"points": points, **_row(times_ms), "worst_ms": round(max(times_ms), 3)})
        rows[-1]["worst_of_period"] = round(max(times_ms) / period_ms, 3)
    return rows


def _row(times_ms: list[float], nav2_ms: float | None = None) -> dict[str, Any]:
    p50, p99 = np.percentile(times_ms, [50, 99])
    row = {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3), "samples": len(times_ms)}
    return row if nav2_ms is None else row | {"against_nav2": round(float(p50) / nav2_ms, 3)}


def _escape_times_ms(robot: Robot, points: int, samples: int, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    config, risk = GateConfig.from_robot(robot), RiskConfig.from_robot(robot)
    gate = SafetyGate(config)
    gate.reset()
    times_ms = []
    for beat in range(samples + _WARM_UP):
        now_ns = from_s(1.0) + beat * config.period_ns
        ego = EgoState(now_ns, Transform.identity(), (0.0, 0.0), 0.0)
        cloud = _between_walls(now_ns, points, config, rng)
        verdict = assess(Tracks.empty(now_ns, "odom"), [cloud], ego, risk, now_ns=now_ns)
        clouds = {name: Seen(replace(cloud, sensor=name), 0.0) for name in config.gap_sensors[:1]}
        clouds |= {
            n: Seen(replace(cloud, sensor=n, xyz_m=cloud.xyz_m[:0]), 0.0) for n in config.gap_sensors[1:]
        }
        inputs = GateInputs(Seen(verdict, 0.0), Seen(ego, 0.0), clouds, command=Seen(ESCAPE, 0.0))
        began = time.process_time_ns()
        decision = gate.step(now_ns, inputs)
        times_ms.append((time.process_time_ns() - began) * 1e-6)
        if beat >= _WARM_UP and decision.state is not GateState.ESCAPING:
            raise RuntimeError(f"no escape in beat {beat} with {points} points, but {decision.state.name}")
    return times_ms[_WARM_UP:]


def _between_walls(t_ns: int, count: int, config: GateConfig, rng: np.random.Generator) -> PointCloud:
    """A third of the points on each of three walls, 1 cm of noise: ahead, left and right, not beyond the rear."""
    low_m, high_m = config.footprint_m.min(axis=0), config.footprint_m.max(axis=0)
    half_m = high_m[1] + config.beside_m + 0.05
    side = rng.integers(0, 3, count)
    along_m = rng.uniform(low_m[0], high_m[0] + WALL_M, count)
    x_m = np.where(side == 0, high_m[0] + WALL_M, along_m) + rng.normal(0.0, 0.01, count)
    y_m = np.where(side == 0, rng.uniform(-half_m, half_m, count), (2 * side - 3) * half_m)
    y_m = y_m + rng.normal(0.0, 0.01, count)
    xyz_m = np.column_stack([x_m, y_m, rng.uniform(0.1, 1.0, count)])
    return PointCloud(t_ns, "base_link", "walls", xyz_m.astype(np.float32))


def _times_ms(
    config: RiskConfig, objects: int, points: int, samples: int, seed: int
) -> tuple[list[float], set[str]]:
    """How long each look took, ms, and the zones in which something was found."""
    rng = np.random.default_rng(seed)
    stage, times_ms = RiskStage(config), []
    found: set[str] = set()
    for look in range(samples + _WARM_UP):
        t_ns = look * LOOKS_NS
        tracks, cloud = _tracks(t_ns, objects, rng), _cloud(t_ns, points, rng)
        ego = EgoState(t_ns, Transform.identity(), (SPEED_MPS, 0.0), YAW_RATE_RADPS)
        began = time.process_time_ns()
        assessment = stage.step(tracks, [cloud], ego, now_ns=t_ns + from_s(0.05))
        times_ms.append((time.process_time_ns() - began) * 1e-6)
        found |= {finding.zone for finding in assessment.findings}
    return times_ms[_WARM_UP:], found


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
