"""Why a decision took longer than others: the part that is furthest above its own median, and what it waited for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from perception_platform.runtime.latency import DecisionLatency, Part, by_part

GARBAGE, PREEMPTION = "GC", "preemption"
_WORDS = {GARBAGE: "collecting garbage", PREEMPTION: "without a core"}
# Garbage or a missing core is called the cause from half of what is unusual on, and from 1 ms on.
_EXPLAINS, _WORTH_SAYING_MS = 0.5, 1.0


@dataclass(frozen=True, slots=True)
class Usual:
    """Medians, ms: of each part, and of what each stage lost to garbage collection and to missing cores."""

    parts_ms: Mapping[Part, float]
    gc_ms: Mapping[str, float]
    no_core_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a decision slow.

    Attributes:
        kind: ``GC``, ``preemption``, or the part's kind: transport, hand-over, queue, beat, compute, publish.
        part: the part that is furthest above its median.
        took_ms: what it took.
        usual_ms: its median.
        text: the same in words.
    """

    kind: str
    part: Part
    took_ms: float
    usual_ms: float
    text: str


def usual(decisions: Iterable[DecisionLatency]) -> Usual:
    """Medians over the new results among decisions."""
    new = [decision for decision in decisions if decision.new]
    return Usual(
        {part: median(samples) for part, samples in by_part(new).items()},
        _medians([decision.gc_ms for decision in new]),
        _medians([decision.no_core_ms for decision in new]),
    )


def cause(decision: DecisionLatency, usual: Usual) -> Cause:
    """The cause of a decision's latency, held against what is usual.

    Garbage collection or missing cores are named where their own excess explains at least half of the part's.
    """

    def excess_ms(part: Part) -> float:
        return decision.parts_ms[part] - usual.parts_ms.get(part, 0.0)

    part = max(decision.parts_ms, key=lambda p: (excess_ms(p), decision.parts_ms[p]))
    took_ms, usual_ms = decision.parts_ms[part], usual.parts_ms.get(part, 0.0)
    text = f"{part.name} {took_ms:.0f} ms (median {usual_ms:.0f})"
    stolen_ms = {
        PREEMPTION: (decision.no_core_ms, usual.no_core_ms),
        GARBAGE: (decision.gc_ms, usual.gc_ms),
    }
    unusual_ms = {
        kind: lost.get(part.stage, 0.0) - lost_usually.get(part.stage, 0.0)
        for kind, (lost, lost_usually) in stolen_ms.items()
    }
    thief = max(unusual_ms, key=lambda kind: unusual_ms[kind])
    if unusual_ms[thief] >= max(_EXPLAINS * excess_ms(part), _WORTH_SAYING_MS):
        lost_ms = stolen_ms[thief][0][part.stage]
        return Cause(thief, part, took_ms, usual_ms, f"{text}: {lost_ms:.0f} ms {_WORDS[thief]}")
    return Cause(part.kind, part, took_ms, usual_ms, text)


def _medians(lost_ms: list[dict[str, float]]) -> dict[str, float]:
    stages = dict.fromkeys(stage for lost in lost_ms for stage in lost)
    return {stage: median(lost[stage] for lost in lost_ms if stage in lost) for stage in stages}
