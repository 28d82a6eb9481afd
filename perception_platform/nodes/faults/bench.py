"""All faults, in an order of chance: so the same process is not killed twice in a row, and none has a lucky moment."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, get_args

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.nodes.faults.rig import REPORT_S, START_WITHIN_S, Rig, Setup, running
from perception_platform.nodes.faults.scene import BASE_ROBOT
from perception_platform.nodes.faults.table import Fault, fault_table
from perception_platform.nodes.faults.trial import Try, attempt
from perception_platform.robot.load import load_robot

MOST_GROWN_BYTES = 64 << 20  # over all tries of a fault
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried: each fault so many times (None: its own number), and overload for so long, s."""

    times: int | None
    load_s: float


def bench_faults(
    pace: float, seed: int, only: Collection[str], effort: Effort, progress: Progress
) -> dict[str, Any]:
    """Try the faults on a robot's real processes.

    Args:
        pace: how many times as fast its sensors and gate run.
        seed: of the order and the moments.
        only: keys of the faults to try; all if empty.
        effort: how much.
        progress: called with tries done, tries in all, and what is tried.

    Returns:
        ``machine``, ``seed`` and ``faults``, one row each as ``summary`` makes it.

    Raises:
        InputError: if there is no such fault, or the robot does not drive.
    """
    known = fault_table(load_robot(BASE_ROBOT), effort.load_s)
    unknown = set(only) - {fault.key for fault in known}
    if unknown:
        raise InputError(
            ", ".join(sorted(unknown)), f"no such fault; there are {', '.join(f.key for f in known)}"
        )
    wanted = [replace(f, tries=effort.times or f.tries) for f in known if not only or f.key in only]
    total, load, done = sum(f.tries for f in wanted), os.getloadavg()[0], 0
    rows: list[dict[str, Any]] = []

    def step(what: str) -> None:
        nonlocal done
        progress(done, total, what)
        done += 1

    for setup in get_args(Setup):
        keys = {f.key: f.tries for f in wanted if f.setup == setup}
        if keys:
            progress(done, total, f"starting the robot ({setup})")
            with running(setup, pace) as rig:
                faults = [
                    replace(f, tries=keys[f.key])
                    for f in fault_table(rig.robot, effort.load_s)
                    if f.key in keys
                ]
                tries = _try_all(rig, faults, Random(seed), step)
            rows += [summary(fault, [t for t in tries if t.fault == fault.key]) for fault in faults]
    order = [f.key for f in known]
    return {
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "load_before": load},
        "robot": BASE_ROBOT,
        "pace": pace,
        "seed": seed,
        "faults": sorted(rows, key=lambda row: order.index(row["fault"])),
    }


def _try_all(rig: Rig, faults: Sequence[Fault], rng: Random, step: Callable[[str], None]) -> list[Try]:
    turns = [fault for fault in faults for _ in range(fault.tries)]
    rng.shuffle(turns)
    tries = []
    for fault in turns:
        step(fault.what)
        tries.append(attempt(rig, fault, rng))
        rig.make_whole()
    rig.until(rig.drives, START_WITHIN_S)
    rig.wait(REPORT_S)  # until each node has reported on what came last
    unaccounted = rig.ears.reports.unaccounted
    return [*tries[:-1], replace(tries[-1], unaccounted=unaccounted)]


def summary(fault: Fault, tries: Sequence[Try]) -> dict[str, Any]:
    """One row of the report; times in s, memory in bytes, None for what never came."""
    measured = [t.measured_s for t in tries if t.measured_s is not None]
    recovered = [t.recovered_s for t in tries if t.recovered_s is not None]
    return {
        "fault": fault.key,
        "what": fault.what,
        "must": fault.must,
        "measures": "age of data" if fault.proof == "fresh" else "time to safe",
        "tries": len(tries),
        "safe": sum(t.safe for t in tries),
        "bound_s": fault.bound_s,
        **_spread("measured", measured),
        "recovered": len(recovered),
        "recovers_within_s": fault.recovers_s,
        **_spread("recovery", recovered),
        "grown_bytes": sum(t.grown_bytes for t in tries),
        "unaccounted": max(t.unaccounted for t in tries),
        "wrong": sorted({t.why for t in tries if t.why}),
    }


def _spread(name: str, values: Sequence[float]) -> dict[str, float | None]:
    return {
        f"{name}_p50_s": float(np.median(values)) if values else None,
        f"{name}_max_s": max(values, default=None),
    }


def failures(row: dict[str, Any]) -> list[str]:
    """What is wrong in a row of the report, in words; nothing if the fault is survived as it has to be."""
    found = []
    if row["safe"] < row["tries"]:
        found.append(f"unsafe {row['tries'] - row['safe']} times: {'; '.join(row['wrong'][:3])}")
    if row["recovered"] < row["tries"]:
        found.append(f"did not recover {row['tries'] - row['recovered']} times")
    if row["unaccounted"]:
        found.append(f"{row['unaccounted']} messages unaccounted for")
    if row["grown_bytes"] > MOST_GROWN_BYTES:
        found.append(f"memory grew by {row['grown_bytes'] >> 20} MiB")
    return found
