"""How long the geometric lidar path takes for a sweep on one core, next to the usual baseline in the same run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage
from perception_platform.core.sensor_data import PointCloud
from perception_platform.evaluation.lidar_baseline import baseline_finder
from perception_platform.evaluation.lidar_conditions import CONDITIONS
from perception_platform.evaluation.lidar_frames import frame_names
from perception_platform.evaluation.lidar_report import Finder, Limits, evaluate_lidar, geometric_finder
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar
from perception_platform.sensing.sweep_files import load_sweep
from perception_platform.simulation.catalogue import person
from perception_platform.simulation.lidar import sweep
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids, box, cylinder, join
from perception_platform.simulation.vehicle import Trajectory
from perception_platform.simulation.world import World

POINTS = 115_000
_WARM_UP = 5
_ACCURACY = ("objects", "people", "near_side_error_m", "segmentation", "ground", "drops")
_SIMULATED = 4
_COLUMNS = 2600


def bench_lidar(
    frames: Path | None,
    robot: Robot,
    lidar: Lidar,
    samples: int,
    baseline_samples: int,
    seed: int,
    on_progress: Callable[[str, float], None] = lambda what, share: None,
) -> dict[str, Any]:
    """Time the geometric path and the baseline on the same sweeps, on one core.

    Args:
        frames: sweeps in the layout of the KITTI object benchmark; simulated ones without. Labels there give recall.
        robot: the robot that carries the lidar.
        lidar: the lidar that the sweeps are from.
        samples: how often the geometric path is timed.
        baseline_samples: how often the baseline is timed; 0 leaves it out.
        seed: of the simulation, of the choice of points and of the baseline.
        on_progress: told what is done, and which share of all is behind.
    """
    clouds = [
        thinned(c, seed)
        for c in (recorded_sweeps(frames, lidar) if frames else simulated_sweeps(lidar, seed))
    ]
    path = GeometricPath(robot, GeometryParams())
    report: dict[str, Any] = {
        "sweeps": "recorded" if frames else "simulated",
        "points": [len(c) for c in clouds],
    }
    with one_core():
        geometric = _times_ms(lambda c: path.step(c, lidar, Lineage()), clouds, samples, _WARM_UP)
        report["geometric"] = _statistics(geometric)
        if baseline_samples:
            find = baseline_finder(robot, lidar, seed)
            report["baseline"] = _statistics(_times_ms(find, clouds, baseline_samples, 1))
            report["times_faster"] = round(
                report["baseline"]["cpu_p50_ms"] / report["geometric"]["cpu_p50_ms"], 1
            )
        if frames and (frames / "label_2").is_dir():
            finders = {"geometric": geometric_finder(robot, lidar)}
            if baseline_samples:
                finders["baseline"] = baseline_finder(robot, lidar, seed)
            report["conditions"] = _compared(frames, robot, lidar, finders, on_progress)
            for name in finders:
                report[name] |= report["conditions"][0][name]
    return report


def _compared(
    frames: Path,
    robot: Robot,
    lidar: Lidar,
    finders: Mapping[str, Finder],
    on_progress: Callable[[str, float], None],
) -> list[dict[str, Any]]:
    """What each way finds on the same labels, as recorded and under harder conditions."""
    rows: list[dict[str, Any]] = []
    for condition in CONDITIONS:
        row: dict[str, Any] = {"condition": condition.name}
        for name, find in finders.items():
            on_progress(f"{name}, {condition.name}", len(rows) / len(CONDITIONS))
            row[name] = _accuracy(evaluate_lidar(frames, robot, lidar, Limits(), find, condition))
        rows.append(row)
    return rows


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on the last of its cores, which also leaves libraries no second thread."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _times_ms(
    step: Callable[[PointCloud], object], clouds: list[PointCloud], samples: int, warm_up: int
) -> Array:
    """(samples, 2) times by the clock and of the processor, over the sweeps in turn."""
    times = []
    for i in range(-warm_up, samples):
        began, began_cpu = time.perf_counter(), time.process_time()
        step(clouds[i % len(clouds)])
        times.append(((time.perf_counter() - began) * 1e3, (time.process_time() - began_cpu) * 1e3))
    return np.array(times[warm_up:])


def _statistics(times_ms: Array) -> dict[str, Any]:
    p50, p99 = np.percentile(times_ms, [50, 99], axis=0)
    return {
        "samples": len(times_ms),
        "p50_ms": round(float(p50[0]), 3),
        "p99_ms": round(float(p99[0]), 3),
        "cpu_p50_ms": round(float(p50[1]), 3),
        "cpu_p99_ms": round(float(p99[1]), 3),
    }


def _accuracy(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in _ACCURACY if name in report}


def recorded_sweeps(folder: Path, lidar: Lidar) -> list[PointCloud]:
    """Sweeps of a folder: the labelled ones in the layout of the KITTI object benchmark, else all.

    Raises:
        InputError: if it has none.
    """
    names = frame_names(folder) if (folder / "label_2").is_dir() else []
    paths = [folder / "velodyne" / f"{name}.bin" for name in names] or sorted(folder.rglob("*.bin"))
    if not paths:
        raise InputError(folder, "no .bin sweep in it")
    return [load_sweep(path, 0, lidar.name) for path in paths]


def thinned(cloud: PointCloud, seed: int) -> PointCloud:
    """A sweep without as many points, chosen at random, as it has too many; their order stays."""
    if len(cloud) <= POINTS:
        return cloud
    kept = np.sort(np.random.default_rng(seed).choice(len(cloud), POINTS, replace=False))
    intensity = None if cloud.intensity is None else cloud.intensity[kept]
    return replace(cloud, xyz_m=cloud.xyz_m[kept], intensity=intensity, ring=None, offset_s=None)


def simulated_sweeps(lidar: Lidar, seed: int) -> list[PointCloud]:
    """Sweeps of a street, from a vehicle that stands in it at several places."""
    street = World(_street(np.random.default_rng(seed)), floor_reflectivity=0.4)
    clouds = []
    for i in range(_SIMULATED):
        standing = Trajectory(np.zeros(1), np.array([[10.0 * i, 0.0, 0.0, 0.0, 0.0]]), np.zeros((1, 2)))
        clouds.append(sweep(Scene(street, standing, 0, seed), lidar, 1.0, columns=_COLUMNS))
    return clouds


def _street(rng: np.random.Generator) -> Solids:
    """House fronts with doorways, parked cars, trees and people along a street of 120 m."""
    things = []
    for side in (-1.0, 1.0):
        for x_m in np.arange(-60.0, 60.0, 12.0):
            things.append(box((x_m, side * 11.0), (11.0, 0.5, rng.uniform(6, 12)), reflectivity=0.4))
            things.append(cylinder((x_m + 3.0, side * 6.5), rng.uniform(0.2, 0.5), 8.0))
            yaw_rad = float(rng.normal(0, 0.04))
            things.append(box((x_m, side * 4.6), (4.3, 1.8, 0.7), bottom_m=0.2, yaw_rad=yaw_rad))
            things.append(box((x_m, side * 4.6), (2.2, 1.6, 0.6), bottom_m=0.9, yaw_rad=yaw_rad))
            at = _moved(person(0.0), x_m + float(rng.uniform(0, 10)), side * float(rng.uniform(7, 9)))
            things.append(at)
    return join(things)


def _moved(solids: Solids, x_m: float, y_m: float) -> Solids:
    """The same things somewhere else."""
    return replace(solids, centers_m=solids.centers_m + np.array([x_m, y_m, 0.0]))
