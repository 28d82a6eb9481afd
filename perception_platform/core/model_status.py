"""How the model behind a perception head fares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from perception_platform.core.objects import ModelRef


class ModelState(IntEnum):
    """Which model serves a head (``ModelStatus.msg`` has the same numbers). Zero is the worst on purpose."""

    FAILED = 0
    FALLBACK = 1
    ACTIVE = 2


@dataclass(frozen=True, slots=True)
class Assurance:
    """How far the answers of a head can be trusted, beyond their scores.

    Attributes:
        calibration: how its scores were calibrated: none, shapes (shares by shape), temperature, isotonic.
        calibration_error: expected calibration error on data it was not calibrated with; NaN where not measured.
        uncertainty: what it says of the error of each answer.
        out_of_domain: whether the newest input is unlike what it was made for.
        reason: why, or empty.
    """

    calibration: str = "none"
    calibration_error: float = math.nan
    uncertainty: str = ""
    out_of_domain: bool = False
    reason: str = ""


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
        assurance: how far its answers can be trusted.
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
    assurance: Assurance = Assurance()
