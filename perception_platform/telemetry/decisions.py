"""What decisions rest on, as histograms and counters: each measurement enters once, however often it is repeated."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Decision
from perception_platform.runtime.latency import Decided, DecisionLatency, measure
from perception_platform.telemetry.totals import Recent

# From what a queue costs to what no chain should ever take; finest where robots' bounds lie.
BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)
REMEMBERED = 1024  # timings and stamps: minutes of a stack's work
PREFIX = "perception_platform_"
MS_PER_S = 1000.0


class DecisionMetrics:
    """Counts decisions and where the time of what they rest on went.

    The gate decides at its own rate and repeats the lineage of the newest assessment until another one comes. Times
    are taken from a lineage when it is first seen; of those, a stage's timing and a sensor message that an earlier
    lineage had as well are left out. The parts of a stage are those of ``runtime/latency.py``.

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
            "From the capture of a sensor message until the first decision that rests on it was sent.",
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
        for latency in measure([Decided(decision.t_ns, lineage)]).decisions:  # none without sensor data
            self._count_parts(lineage, latency)
            self._count_sources(lineage, latency)
        return True

    def _count_parts(self, lineage: Lineage, latency: DecisionLatency) -> None:
        new = {stage.stage for stage in lineage.stages if self._stages.is_new(stage)}
        for part, spent_ms in latency.parts_ms.items():
            if part.stage in new:
                self._stage.labels(part.stage, part.kind).observe(spent_ms / MS_PER_S)
        for name in new:
            self._gc.labels(name).inc(latency.gc_ms[name] / MS_PER_S)
            self._no_core.labels(name).inc(latency.no_core_ms[name] / MS_PER_S)

    def _count_sources(self, lineage: Lineage, latency: DecisionLatency) -> None:
        oldest_ns = min(source.t_ns for source in lineage.sources)
        for source in filter(self._sources.is_new, lineage.sources):
            age_s = latency.total_ms / MS_PER_S - to_s(source.t_ns - oldest_ns)
            self._to_decision.labels(source.sensor).observe(max(age_s, 0.0))
