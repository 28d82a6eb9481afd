"""Where the time from capture to decision goes: one decision's latency in parts that add up, and their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_platform.core.lineage import Lineage
from perception_platform.core.time import to_ms


@dataclass(frozen=True, slots=True)
class Parts:
    """One decision's latency.

    Attributes:
        t_ns: time of the decision, ns.
        total_ms: from the oldest capture to the decision.
        parts_ms: by name, in the order in which they passed; they add up to the total.
    """

    t_ns: int
    total_ms: float
    parts_ms: dict[str, float]

    @property
    def largest(self) -> str:
        """The part that cost most."""
        return max(self.parts_ms, key=lambda name: self.parts_ms[name])


def split(lineage: Lineage, t_ns: int) -> Parts | None:
    """A decision's latency in parts: ``to X`` on the way to a stage, ``X wait`` in its queue, ``X work`` in it.

    The way to a stage holds transport and, for a stage with its own beat or one that other inputs trigger, the time
    until it looked. A stage that began before the one listed ahead of it had ended is counted from that end on, so
    that nothing counts twice.

    Args:
        lineage: of the decision.
        t_ns: time of the decision, ns.

    Returns:
        None for a decision that rests on no sensor data.
    """
    now_ns = lineage.oldest_ns
    if now_ns is None:
        return None
    total_ms = to_ms(max(t_ns - now_ns, 0))
    parts_ms: dict[str, float] = {}
    for stage in lineage.stages:
        for name, until_ns in (
            (f"to {stage.stage}", stage.queued_ns),
            (f"{stage.stage} wait", stage.started_ns),
            (f"{stage.stage} work", stage.finished_ns),
        ):
            until_ns = min(until_ns, t_ns)
            parts_ms[name] = parts_ms.get(name, 0.0) + to_ms(max(until_ns - now_ns, 0))
            now_ns = max(now_ns, until_ns)
    parts_ms["to decision"] = to_ms(max(t_ns - now_ns, 0))
    return Parts(t_ns, total_ms, parts_ms)


def percentiles(values: Sequence[float]) -> dict[str, float | int | None]:
    """p50, p90, p99 and max to three digits, and the number of samples; None where there are none."""
    if not len(values):
        return {"p50": None, "p90": None, "p99": None, "max": None, "samples": 0}
    p50, p90, p99, largest = (round(float(v), 3) for v in np.percentile(values, [50, 90, 99, 100]))
    return {"p50": p50, "p90": p90, "p99": p99, "max": largest, "samples": len(values)}


def by_part(decisions: Sequence[Parts]) -> dict[str, dict[str, float | int | None]]:
    """Percentiles of each part, in the order in which they pass; parts that never cost anything are left out."""
    names = dict.fromkeys(name for decision in decisions for name in decision.parts_ms)
    columns = {name: [d.parts_ms.get(name, 0.0) for d in decisions] for name in names}
    return {name: percentiles(values) for name, values in columns.items() if max(values) > 0}


def worst(decisions: Sequence[Parts], count: int) -> list[Parts]:
    """The ``count`` decisions with the largest latency, the worst first."""
    return sorted(decisions, key=lambda d: (-d.total_ms, d.t_ns))[:count]
