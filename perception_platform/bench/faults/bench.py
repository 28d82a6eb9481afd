"""All faults, in an order of chance: so the same process is not killed twice in a row, and none has a lucky moment."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, get_args

import numpy as np

from perception_platform.bench.faults.rig import REPORT_S, START_WITHIN_S, Rig, Setup, running
from perception_platform.bench.faults.scene import BASE_ROBOT
from perception_platform.bench.faults.table import Fault, fault_table
from perception_platform.bench.faults.trial import Try, attempt
from perception_platform.core.errors import InputError
from perception_platform.robot.load import load_robot

MOST_GROWN_BYTES = 64 << 20  # over all tries of a fault
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried: each fault so many times (None: its own number), and overload for so long, s."""

    times: int | None
    load_s: float

    def tries(self, fault: Fault) -> int:
        """Of this fault."""
        return self.times or fault.tries


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
    keys = [fault.key for fault in known if not only or fault.key in only]
    total = sum(effort.tries(fault) for fault in known if fault.key in keys)
    load, refused = os.getloadavg()[0], 0
    tries: list[Try] = []
    faults: dict[str, Fault] = {}

    def tell(what: str) -> None:
        progress(len(tries), total, what)

    rng = Random(seed)
    for setup in get_args(Setup):
        turns = [f.key for f in known if f.setup == setup and f.key in keys for _ in range(effort.tries(f))]
        rng.shuffle(turns)
        while turns:
            tell(f"starting the robot ({setup})")
            with running(setup, pace) as rig:
                table = {fault.key: fault for fault in fault_table(rig.robot, effort.load_s)}
                faults |= table
                _take_turns(rig, table, turns, tries, rng, tell)
                refused += rig.ears.refused
    return {
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "load_before": load},
        "robot": BASE_ROBOT,
        "pace": pace,
        "seed": seed,
        "late_decisions_refused": refused,
        "faults": [summary(faults[key], [t for t in tries if t.fault == key]) for key in keys],
    }


def _take_turns(
    rig: Rig,
    table: Mapping[str, Fault],
    turns: list[str],
    tries: list[Try],
    rng: Random,
    tell: Callable[[str], None],
) -> None:
    """Try what is in ``turns`` on a robot that drives, until none is left or it does not drive any more."""
    while True:
        fault = table[turns.pop()]
        tell(fault.what)
        tries.append(attempt(rig, fault, rng))
        rig.make_whole()
        if not turns or not rig.until(rig.drives, START_WITHIN_S):
            break
    rig.wait(REPORT_S)  # until each node has reported on what came last
    tries[-1] = replace(tries[-1], unaccounted=rig.ears.reports.unaccounted)


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
        "wrong": [{"why": t.why, "story": t.story} for t in tries if t.story or t.why],
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
        whys = dict.fromkeys(wrong["why"] for wrong in row["wrong"] if wrong["why"])
        found.append(f"unsafe {row['tries'] - row['safe']} times: {'; '.join(whys)}")
    if row["recovered"] < row["tries"]:
        found.append(f"did not recover {row['tries'] - row['recovered']} times")
    if row["unaccounted"]:
        found.append(f"{row['unaccounted']} messages unaccounted for")
    if row["grown_bytes"] > MOST_GROWN_BYTES:
        found.append(f"memory grew by {row['grown_bytes'] >> 20} MiB")
    return found
