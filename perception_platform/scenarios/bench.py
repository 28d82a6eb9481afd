"""How fast scenarios run on this machine: the simulation against real time, and two processes against one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from perception_platform.runtime.latency import percentiles
from perception_platform.scenarios.cases import Case, draw
from perception_platform.scenarios.job import Job, run_case
from perception_platform.scenarios.load import load_families
from perception_platform.scenarios.runners import ONE_THREAD, Workers
from perception_platform.scenarios.suite import random_cases

CROWD, CARRIER = "dense_crowd", "forklift"  # 15 people, and a robot with a lidar of 32 beams
COLUMNS = 1024  # firings a turn, as an Ouster OS1-32 has at 10 Hz
NIGHT_S, NIGHTLY_RUNS = 10 * 3600, 1_000_000


def bench_simulation(runs: int, seed: int, on_run: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Drive a robot with a 32-beam lidar through 15 walking people; processor time of one core against real time.

    Returns:
        For the simulation alone, the closed loop of our stack, and the closed loop of every policy: how many times as
        fast as real time, by percentile over the runs (the lower the slower: p1 is near the worst).
    """
    _one_thread()
    family = load_families()[CROWD].model_copy(update={"robot": CARRIER, "lidar_columns": COLUMNS})
    run_case(Job(draw(family, seed, runs)))  # loops are compiled and caches filled
    alone, loop = [], []
    for index in range(runs):
        outcome = run_case(Job(draw(family, seed, index)))
        alone.append(outcome.simulated_s / outcome.simulation_s)
        loop.append(outcome.simulated_s / outcome.total_s)
        on_run()
    return {
        "beams": 32,
        "columns": COLUMNS,
        "actors": 15,
        "times_real_time": {"simulation": _spread(alone), "closed_loop": _spread(loop)},
    }


def bench_scale(runs: int, seed: int, on_run: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The same jobs by one process and by two, from starting them to the last result.

    Both are started afresh, so both pay for starting. ``efficiency`` is the share of twice one process's speed that two
    reach.

    Args:
        runs: jobs, spread evenly over the families.
        seed: of the cases.
        on_run: told of each run.
    """
    families = list(load_families().values())
    cases = random_cases(families, -(-runs // len(families)), seed)
    jobs = [Job(case, "ours") for case in _spread_out(cases, runs)]
    walls_s, cpu_s, simulated_s = {}, [], []
    for count in (1, 2):
        began = time.perf_counter()
        for result in Workers(count)(jobs):
            if count == 1:
                cpu_s.append(result.seconds)
                simulated_s.append(result.simulated_s)
            on_run()
        walls_s[count] = time.perf_counter() - began
    per_run_s = float(np.mean(cpu_s))
    return {
        "runs": len(jobs),
        "wall_s": {str(count): round(wall_s, 2) for count, wall_s in walls_s.items()},
        "efficiency": round(walls_s[1] / (2 * walls_s[2]), 3),
        "processor_s_per_run": _seconds(cpu_s),
        "simulated_s_per_run": round(float(np.mean(simulated_s)), 2),
        "a_million_a_night": {
            "hours": NIGHT_S / 3600,
            "core_hours": round(NIGHTLY_RUNS * per_run_s / 3600),
            "cores": int(np.ceil(NIGHTLY_RUNS * per_run_s / NIGHT_S)),
        },
    }


def _one_thread() -> None:
    """One core: the loops are compiled for one, and numpy's products are told to keep to it."""
    os.environ.update(ONE_THREAD)


def _spread_out(cases: Sequence[Case], count: int) -> list[Case]:
    """``count`` of them, evenly spaced."""
    rows = np.linspace(0, len(cases) - 1, count).round().astype(int)
    return [cases[row] for row in rows]


def _spread(factors: list[float]) -> dict[str, float]:
    low, middle = np.percentile(factors, (1, 50))
    return {"p50": round(float(middle), 2), "p1": round(float(low), 2), "samples": len(factors)}


def _seconds(values: list[float]) -> dict[str, Any]:
    return {"mean": round(float(np.mean(values)), 3), **percentiles(values)}
