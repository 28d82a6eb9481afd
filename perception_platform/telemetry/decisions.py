"""What decisions rest on, as histograms and counters: each measurement enters once, however often it is repeated."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram

from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Decision
from perception_platform.telemetry.totals import Recent

# From what a queue costs to what no chain should ever take; finest where robots' bounds lie.
BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)
REMEMBERED = 1024  # timings and stamps: minutes of a stack's work
PREFIX = "perception_platform_"


class DecisionMetrics:
    """Counts decisions and where the time of what they rest on went.

    The gate decides at its own rate and repeats the lineage of the newest assessment until another one comes. Times
    are taken from a lineage when it is first seen; of those, a stage's timing and a sensor message that an earlier
    lineage had as well are left out.

    Args:
        registry: takes the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._data = Lineage()
        self._sequence: int | None = None
        self._stages: Recent[StageTiming] = Recent(REMEMBERED)
        self._sources: Recent[SourceStamp] = Recent(REMEMBERED)
        self._to_decision = Histogram(
            PREFIX + "sensor_to_decision_seconds",
            "From the capture of a sensor message to the first decision that rests on it.",
            ["sensor"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._stage = Histogram(
            PREFIX + "stage_seconds",
            "Time of a message on the way to a stage and in it; the parts follow each other.",
            ["stage", "part"],
            buckets=BUCKETS_S,
            registry=registry,
        )

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, documentation, labels, registry=registry)

        self._gc = counter(
            "stage_gc_seconds", "Time in which garbage collection held up a stage's messages.", "stage"
        )
        self._no_core = counter(
            "stage_no_core_seconds", "Time in which a stage with work to do was given no core.", "stage"
        )
        self._decisions = counter("decisions", "Decisions heard.", "action")
        self._reasons = counter("decision_reasons", "Decisions that gave this reason.", "reason")
        self._unheard = counter("decisions_unheard", "Decisions that never arrived here, by their numbers.")

    def count(self, decision: Decision) -> bool:
        """Take in a decision; whether it is the first one on its data."""
        self._decisions.labels(decision.action.name.lower()).inc()
        for reason in decision.reasons:
            self._reasons.labels(reason.name.lower()).inc()
        if self._sequence is not None and decision.sequence > self._sequence:  # else: another gate
            self._unheard.inc(decision.sequence - self._sequence - 1)
        self._sequence = decision.sequence
        return self._count_times(decision)

    def _count_times(self, decision: Decision) -> bool:
        lineage = decision.lineage
        data = Lineage(lineage.sources, lineage.stages[:-1])  # the last one is the gate's beat
        if data == self._data:
            return False
        self._data = data
        for source in filter(self._sources.is_new, lineage.sources):
            age_s = to_s(max(decision.t_ns - source.t_ns, 0))
            self._to_decision.labels(source.sensor).observe(age_s)
        for stage, before_ns in _with_predecessors(lineage):
            if self._stages.is_new(stage):
                self._count_stage(stage, before_ns)
        return True

    def _count_stage(self, stage: StageTiming, before_ns: int) -> None:
        name = stage.stage
        parts_ns = {
            "transport": max(stage.received_ns - before_ns, 0),
            "receive": stage.queued_ns - stage.received_ns,
            "queue": stage.started_ns - stage.queued_ns,
            "work": stage.finished_ns - stage.started_ns,
            "publish": stage.published_ns - stage.finished_ns,
        }
        for part, duration_ns in parts_ns.items():
            self._stage.labels(name, part).observe(to_s(duration_ns))
        self._gc.labels(name).inc(to_s(stage.gc_ns))
        self._no_core.labels(name).inc(to_s(stage.no_core_ns))


def _with_predecessors(lineage: Lineage) -> Iterator[tuple[StageTiming, int]]:
    """Each stage and when its input set out: the stage before it published, or the oldest sensor captured, ns."""
    before_ns = lineage.oldest_ns
    for stage in lineage.stages:
        yield stage, stage.received_ns if before_ns is None else before_ns
        before_ns = stage.published_ns
