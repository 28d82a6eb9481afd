"""Where the time from capture to decision goes: each decision's latency in parts that add up, and their statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from perception_platform.core.lineage import Lineage, StageTiming
from perception_platform.core.time import to_ms
from perception_platform.runtime.clock_offsets import least_gaps_ns, least_shifts_ns, out_of_order

GATE = "safety_gate"  # the stage that looks at its input at its own beat
DECISION = "decision"  # the end of a chain that does not end with the gate
MOST_BINS = 16  # of a histogram
WITHOUT_SENSOR_DATA = "without sensor data"
OUT_OF_ORDER = "on data stamped later than it was used"


class Kind(StrEnum):
    """What time was spent on, in the order in which it passes."""

    TRANSPORT = "transport"
    HAND_OVER = "hand-over"
    QUEUE = "queue"
    BEAT = "beat"
    COMPUTE = "compute"
    PUBLISH = "publish"


class Part(NamedTuple):
    """One part of a latency: what a stage's result waited for or cost."""

    stage: str
    kind: Kind

    @property
    def name(self) -> str:
        """As people read it."""
        match self.kind:
            case Kind.TRANSPORT:
                return f"to {self.stage}"
            case Kind.BEAT:
                return "wait for beat"
            case _:
                return f"{self.stage} {self.kind}"


class Decided(NamedTuple):
    """A decision: its time, ns, and where it came from."""

    t_ns: int
    lineage: Lineage


@dataclass(frozen=True, slots=True)
class DecisionLatency:
    """One decision's latency.

    Attributes:
        t_ns: time of the decision, ns.
        total_ms: from the oldest capture until the decision was sent.
        parts_ms: in the order in which they passed; none is negative, and they add up to the total.
        new: whether it is the first decision that rests on this work of the chain's first stage.
        gc_ms: what each stage's process spent collecting garbage.
        no_core_ms: how long each stage's thread was ready to run and had no core.
    """

    t_ns: int
    total_ms: float
    parts_ms: dict[Part, float]
    new: bool
    gc_ms: dict[str, float]
    no_core_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Latencies:
    """The latency of many decisions.

    Attributes:
        decisions: those that could be measured, in the order given.
        clocks_ms: by stage, at least how far its clock is behind that of the sensors (negative: ahead).
        left_out: number of decisions that could not be measured, by reason.
    """

    decisions: list[DecisionLatency]
    clocks_ms: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def new(self) -> list[DecisionLatency]:
        """The first decision on each new result: each sweep counts once."""
        return [decision for decision in self.decisions if decision.new]


def measure(decided: Iterable[Decided]) -> Latencies:
    """Take the latency of decisions apart.

    A result is decided on several times: by a gate that beats faster than sensors deliver, and when a scan has the
    same tracks assessed once more. The first of these decisions is ``new``; of the others only the total tells
    something, the age of the data. Clocks of different machines are moved by the least that leaves no part negative
    (see clock_offsets); a decision with a stamp that this does not explain is left out and counted.

    Args:
        decided: decisions in the order in which they were made.
    """
    every = list(decided)
    traced = [d for d in every if d.lineage.sources]
    shifts_ns, clocks_ms = _line_up(traced)
    known: set[Hashable] = set()
    decisions = [_latency(d, shifts_ns[i], known) for i, d in enumerate(traced) if i in shifts_ns]
    left_out = {WITHOUT_SENSOR_DATA: len(every) - len(traced), OUT_OF_ORDER: len(traced) - len(decisions)}
    return Latencies(decisions, clocks_ms, {why: count for why, count in left_out.items() if count})


def percentiles(values: Sequence[float]) -> dict[str, float | int | None]:
    """p50, p90, p99 and max to three digits, and the number of samples; None where there are none."""
    if not len(values):
        return {"p50": None, "p90": None, "p99": None, "max": None, "samples": 0}
    p50, p90, p99, largest = (round(float(v), 3) for v in np.percentile(values, [50, 90, 99, 100]))
    return {"p50": p50, "p90": p90, "p99": p99, "max": largest, "samples": len(values)}


def by_part(decisions: Iterable[DecisionLatency]) -> dict[Part, list[float]]:
    """What each part took in each decision that has it, ms; in the order in which the parts pass."""
    samples: dict[Part, list[float]] = {}
    for decision in decisions:
        for part, spent_ms in decision.parts_ms.items():
            samples.setdefault(part, []).append(spent_ms)
    return samples


def worst(decisions: Iterable[DecisionLatency], count: int) -> list[DecisionLatency]:
    """The ``count`` decisions with the largest latency, the worst first."""
    return sorted(decisions, key=lambda d: (-d.total_ms, d.t_ns))[:count]


def histogram(values_ms: Sequence[float]) -> list[tuple[float, float, int]]:
    """Numbers of values in bins of equal, round width: (from, to, count), ms.

    The bins go up to the 99th percentile; what is beyond is in one more, which ends at the largest value.

    Args:
        values_ms: at least one value, none negative.
    """
    low_ms, p99_ms, largest_ms = np.percentile(values_ms, [0, 99, 100])
    width_ms = _round_width((p99_ms - low_ms) / (MOST_BINS - 4))
    edges = width_ms * np.arange(np.floor(low_ms / width_ms), np.floor(p99_ms / width_ms) + 2)
    counts, _ = np.histogram(values_ms, np.append(edges, np.inf))
    bins = [*zip(edges[:-1], edges[1:], counts[:-1], strict=True), (edges[-1], largest_ms, counts[-1])]
    return [
        (round(float(a), 3), round(float(b), 3), int(n)) for a, b, n in bins[: None if counts[-1] else -1]
    ]


def _round_width(least: float) -> float:
    """The smallest of 0.1, 0.2, 0.5, 1, 2, 5, … that is not smaller."""
    tens = 10.0 ** np.floor(np.log10(max(least, 0.1)))
    return float(next(tens * step for step in (1, 2, 5, 10) if tens * step >= least))


def _line_up(traced: Sequence[Decided]) -> tuple[dict[int, list[int]], dict[str, float]]:
    """What moves the stamps of each decision's stages, ns, and of each stage the most that it was moved, ms.

    Returns:
        The first by index of the decision; one whose stamps are out of order is missing.
    """
    chains: dict[tuple[str, ...], list[int]] = {}
    for i, decided in enumerate(traced):
        chains.setdefault(tuple(s.stage for s in _stages(decided)), []).append(i)
    shifts_ns: dict[int, list[int]] = {}
    clocks_ms: dict[str, float] = {}
    for chain, members in chains.items():
        gaps_ns = np.array([_gaps_ns(traced[i]) for i in members], dtype=np.int64)
        wrong = out_of_order(gaps_ns)
        if wrong.all():
            continue
        shifts = least_shifts_ns(least_gaps_ns(gaps_ns[~wrong]))
        shifts_ns |= {i: shifts for i, skip in zip(members, wrong, strict=True) if not skip}
        for stage, shift_ns in zip(chain, shifts, strict=True):
            clocks_ms[stage] = max(clocks_ms.get(stage, 0.0), to_ms(shift_ns), key=abs)
    return shifts_ns, clocks_ms


def _stages(decided: Decided) -> tuple[StageTiming, ...]:
    """The stages up to the gate's sending of the decision, or else up to the decision's own time."""
    stages = decided.lineage.stages
    if stages and stages[-1].stage == GATE:
        return stages
    return (*stages, StageTiming(DECISION, *[decided.t_ns] * 5))


def _captured_ns(decided: Decided) -> int:
    return min(source.t_ns for source in decided.lineage.sources)


def _gaps_ns(decided: Decided) -> list[int]:
    """Of each link, from sending until the receiver first can have used it, each by the clock of its own side, ns.

    Work cannot begin before its input was sent. That an input was received is no such bound, because another one
    may have woken the stage: a scan wakes risk, which then uses tracks that came later. The gate is woken by its
    own beat, and what it received is the very result that it decides on.
    """
    sent_ns, gaps_ns = _captured_ns(decided), []
    for stage in _stages(decided):
        gaps_ns.append((stage.received_ns if stage.stage == GATE else stage.started_ns) - sent_ns)
        sent_ns = stage.published_ns
    return gaps_ns


def _latency(decided: Decided, shifts_ns: Sequence[int], known: set[Hashable]) -> DecisionLatency:
    """One decision, with each stage's clock moved; ``known`` keeps what earlier decisions rested on."""
    stages, captured_ns = _stages(decided), _captured_ns(decided)
    result: Hashable = stages[0] if len(stages) > 1 else decided.lineage.sources
    new = result not in known
    known.add(result)
    reached_ns = captured_ns
    spent_ns: Counter[Part] = Counter()
    for stage, shift_ns in zip(stages, shifts_ns, strict=True):
        for part, until_ns in _milestones(stage):
            spent_ns[part] += max(until_ns + shift_ns - reached_ns, 0)
            reached_ns = max(reached_ns, until_ns + shift_ns)
    return DecisionLatency(
        decided.t_ns,
        to_ms(reached_ns - captured_ns),
        {part: to_ms(spent) for part, spent in spent_ns.items()},
        new,
        {s.stage: to_ms(s.gc_ns) for s in stages},
        {s.stage: to_ms(s.no_core_ns) for s in stages},
    )


def _milestones(stage: StageTiming) -> list[tuple[Part, int]]:
    """The parts of a stage, each with the time at which it ended, ns."""
    waits = Kind.BEAT if stage.stage == GATE else Kind.QUEUE
    parts = [
        (Part(stage.stage, Kind.TRANSPORT), stage.received_ns),
        (Part(stage.stage, Kind.HAND_OVER), stage.queued_ns),
        (Part(stage.stage, waits), stage.started_ns),
        (Part(stage.stage, Kind.COMPUTE), stage.finished_ns),
        (Part(stage.stage, Kind.PUBLISH), stage.published_ns),
    ]
    return parts[:1] if stage.stage == DECISION else parts
