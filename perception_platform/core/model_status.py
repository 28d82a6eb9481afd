"""How the model behind a perception head fares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from perception_platform.core.objects import ModelRef


class ModelState(IntEnum):
    """Which model serves a head (``ModelStatus.msg`` has the same numbers). Zero is the worst on purpose."""

    FAILED = 0
    FALLBACK = 1
    ACTIVE = 2


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One report about the model of one head.

    Attributes:
        t_ns: time of the report, ns.
        head: the perception head it serves.
        model: the model in use, or None.
        state: whether it is the one asked for.
        backend: what runs it, e.g. ``onnxruntime/CPUExecutionProvider``.
        run_time_p50_s: median run time over the last runs, s; NaN without runs.
        run_time_p99_s: 99th percentile of the same, s.
        runs: runs since the start.
        failures: errors, time-outs and outputs that were not finite since the start.
        text: one line for people.
    """

    t_ns: int
    head: str
    model: ModelRef | None
    state: ModelState
    backend: str
    run_time_p50_s: float
    run_time_p99_s: float
    runs: int
    failures: int
    text: str
