"""What one shared layer saves against a pipeline of its own for the decisions and for each application."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage
from perception_platform.core.sensor_data import Image, PointCloud
from perception_platform.core.time import from_s
from perception_platform.evaluation.lidar_bench import one_core, recorded_sweeps, simulated_sweeps, thinned
from perception_platform.perception.graph import PerceptionGraph, Step, needed
from perception_platform.perception.graph_file import ApplicationEntry
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.load import load_graph
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Model, Robot

DECISIONS, SHARED = "decisions", "shared"
_WARM_UP = 6
_LIMIT_MS = 1000.0  # of a model: one that gave up would cost nothing


@dataclass(frozen=True, slots=True)
class SharingBench:
    """What is measured.

    Attributes:
        robot: whose graph and applications.
        frames: folder of recorded sweeps; None: simulated ones.
        model: folder of a detector for the first camera; None: the geometric path alone.
        sweeps: how many are timed, one sweep period of the robot after the other.
        seed: of the simulation, of the choice of points and of the image.
    """

    robot: Robot
    frames: Path | None
    model: Path | None
    sweeps: int
    seed: int


def bench_sharing(
    bench: SharingBench, on_progress: Callable[[float], None] = lambda share: None
) -> dict[str, Any]:
    """Each pipeline in a process of its own, one after the other on one core, and then the shared layer.

    Returns:
        A row a pipeline; what the separate ones add up to; how many times as much that is as the shared layer; and
        what the geometric path takes as plain calls and as components of the graph, on the same sweeps in turn; with a
        model, a step with the camera after the lidar and beside it, by the clock on all cores.
    """
    names = [DECISIONS, *(a.wired.name for a in _graph(bench).steps if a.wired.is_application), SHARED]
    rows: dict[str, Any] = {}
    for i, name in enumerate(names):
        rows[name] = _in_a_new_process(_measure, bench, name)
        on_progress((i + 1) / len(names))
    shared, separate = rows[SHARED], [rows[name] for name in names[:-1]]
    together = {
        key: round(sum(row[key] for row in separate), 3)
        for key in ("cpu_ms_per_sweep", "arrays_peak_mb", "process_mb")
    }
    return {
        "robot": bench.robot.name,
        "sweeps": "recorded" if bench.frames else "simulated",
        "model": bench.model.name if bench.model else None,
        "pipelines": rows,
        "separate": together,
        "times_less": {key: round(value / shared[key], 2) for key, value in together.items()},
        "geometric_path": shared.pop("geometric_path"),
        "side_by_side": _in_a_new_process(_camera_beside_lidar, bench) if bench.model else None,
    }


def _in_a_new_process(work: Callable[..., dict[str, Any]], *given: object) -> dict[str, Any]:
    """Measure where nothing else is in memory."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(work, given)


def _camera_beside_lidar(bench: SharingBench) -> dict[str, Any]:
    """Time by the clock of a step with sweep and image, one head after the other and side by side, in turn."""
    graphs = {"in_turn": _graph(bench, beside=False), "side_by_side": _graph(bench)}
    images = list(_images(bench))
    times_ms: dict[str, list[float]] = {name: [] for name in graphs}
    for graph in graphs.values():
        graph.warm_up()
    for cloud in _sweeps(bench):
        for name, graph in graphs.items():
            began_ns = time.perf_counter_ns()
            graph.step(cloud, [replace(image, t_ns=cloud.t_ns) for image in images])
            times_ms[name].append((time.perf_counter_ns() - began_ns) / 1e6)
    rows = {name: np.percentile(values[_WARM_UP:], [50, 99]).round(3) for name, values in times_ms.items()}
    report: dict[str, Any] = {
        name: {"p50_ms": float(p50), "p99_ms": float(p99)} for name, (p50, p99) in rows.items()
    }
    return report | {"samples": bench.sweeps, "cores": len(os.sched_getaffinity(0))}


def _measure(bench: SharingBench, name: str) -> dict[str, Any]:
    graph, images = _graph(bench), list(_images(bench))
    graph.warm_up()
    clouds = list(_sweeps(bench))
    steps = _pipeline(graph, name)
    with one_core():
        times_ms = _times_ms(graph, steps, clouds, images)
        compared = {} if steps else {"geometric_path": _graph_against_calls(graph, bench, clouds)}
    tracemalloc.start()
    _step(graph, steps, clouds[0], images)
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    ran_ms = times_ms[times_ms > 0]
    p50, p99 = np.percentile(ran_ms, [50, 99])
    return {
        "components": [step.wired.name for step in steps] if steps else [s.wired.name for s in graph.steps],
        "cpu_ms_per_sweep": round(float(times_ms.mean()), 3),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "samples": len(ran_ms),
        "arrays_peak_mb": round(peak_mb, 2),
        "process_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
        **compared,
    }


def _times_ms(
    graph: PerceptionGraph, steps: list[Step], clouds: list[PointCloud], images: list[Image]
) -> Array:
    """Processor time of each sweep, ms; 0 for those that the pipeline passes over."""
    every = _every(steps, clouds[1].t_ns - clouds[0].t_ns)
    times_ms = np.zeros(len(clouds))
    for i, cloud in enumerate(clouds):
        if i % every == 0:
            began_ns = time.process_time_ns()
            _step(graph, steps, cloud, images)
            times_ms[i] = (time.process_time_ns() - began_ns) / 1e6
    return times_ms[_WARM_UP:]


def _graph_against_calls(
    graph: PerceptionGraph, bench: SharingBench, clouds: list[PointCloud]
) -> dict[str, Any]:
    """Processor time of the geometric path as plain calls, and through the graph."""
    path, lidar = GeometricPath(bench.robot, GeometryParams()), bench.robot.lidars[0]
    ways: tuple[Callable[[PointCloud], object], ...] = (lambda c: path.step(c, lidar, Lineage()), graph.step)
    times_ms = np.zeros((len(clouds), len(ways)))
    for i, cloud in enumerate(clouds):
        for column, step in enumerate(ways):
            began_ns = time.process_time_ns()
            step(cloud)
            times_ms[i, column] = (time.process_time_ns() - began_ns) / 1e6
        graph.serve()  # lets go of the sweep, as the node does between two
    calls, through = (
        {"p50_ms": round(float(np.median(t)), 3), "p99_ms": round(float(np.percentile(t, 99)), 3)}
        for t in times_ms[_WARM_UP:].T
    )
    difference_us = float(np.median(times_ms[_WARM_UP:, 1] - times_ms[_WARM_UP:, 0])) * 1e3
    return {
        "plain_calls": calls,
        "through_the_graph": through,
        "difference_p50_us": round(difference_us, 1),
        "samples": len(clouds) - _WARM_UP,
    }


def _step(graph: PerceptionGraph, steps: list[Step], cloud: PointCloud, images: list[Image]) -> None:
    """One sweep through a pipeline; without steps, through the shared layer as a robot runs it."""
    if not steps:
        graph.step(cloud, [replace(image, t_ns=cloud.t_ns) for image in images])
        graph.serve()
        return
    moment, results = graph.begin(cloud, [replace(image, t_ns=cloud.t_ns) for image in images])
    for step in steps:
        step.run(moment, results)


def _pipeline(graph: PerceptionGraph, name: str) -> list[Step]:
    """The components that one consumer needs; none for the shared layer, which chooses them itself."""
    if name == SHARED:
        return []
    if name == DECISIONS:
        return needed(graph.steps, graph.handed_on)
    (application,) = [step for step in graph.steps if step.wired.name == name]
    return needed(graph.steps, application.makes)


def _every(steps: list[Step], period_ns: int) -> int:
    """A pipeline of its own looks at one sweep in so many, by the rate that its application asks for."""
    entry = steps[-1].wired.entry if steps else None
    if not isinstance(entry, ApplicationEntry):
        return 1
    return max(1, round(from_s(1 / entry.rate_hz) / period_ns))


def _graph(bench: SharingBench, beside: bool = True) -> PerceptionGraph:
    robot = bench.robot
    if bench.model:
        name, path = robot.cameras[0].name, str(bench.model.resolve())
        model = Model(head="camera_objects", sensor=name, path=path, limit_ms=_LIMIT_MS)
        robot = robot.model_copy(update={"models": [model]})
    return load_graph(robot, clock_ns=time.perf_counter_ns, beside=beside)


def _sweeps(bench: SharingBench) -> Iterator[PointCloud]:
    """The sweeps in turn, with stamps a sweep period apart."""
    lidar = bench.robot.lidars[0]
    made = recorded_sweeps(bench.frames, lidar) if bench.frames else simulated_sweeps(lidar, bench.seed)
    clouds = [thinned(cloud, bench.seed) for cloud in made]
    for i in range(bench.sweeps + _WARM_UP):
        yield replace(clouds[i % len(clouds)], t_ns=i * from_s(bench.robot.sweep_period_ms / 1e3))


def _images(bench: SharingBench) -> Iterator[Image]:
    """Noise in the camera's size where there is a model: its run time does not depend on what is shown."""
    rng = np.random.default_rng(bench.seed)
    for camera in bench.robot.cameras[:1] if bench.model else []:
        shape = (camera.intrinsics.height_px, camera.intrinsics.width_px, 3)
        yield Image(0, camera.name, camera.name, rng.integers(0, 256, shape, dtype=np.uint8))
