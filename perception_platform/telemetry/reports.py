"""What each node, sensor and model said last, as metrics; a scrape sees a report whole or not at all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.registry import Collector

from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.runtime_status import EdgeCount, RuntimeStatus
from perception_platform.core.sensor_data import SensorHealth, SensorStatus
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action, Decision, GateState
from perception_platform.telemetry.decisions import PREFIX
from perception_platform.telemetry.totals import Totals

Report = Decision | RuntimeStatus | SensorHealth | ModelStatus
Key = tuple[str, ...]  # a counter's name and its labels

# After that long a gauge no longer says what is so: the reports come once a second, decisions many times.
SILENT_AFTER_S: dict[type, float] = {
    Decision: 1.0,
    RuntimeStatus: 5.0,
    SensorHealth: 5.0,
    ModelStatus: 5.0,
}
FATES = ("processed", "superseded", "expired", "malformed", "left_out")
LOST = "lost"  # held by a node when it died

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "messages_received": ("Messages that a node took in.", ("node", "topic")),
    "messages": ("Messages that a node is done with, by what became of them.", ("node", "topic", "fate")),
    "deadline_misses": ("Deadlines of a node's inputs that DDS reported missed.", ("node",)),
    "publishers_lost": ("Leases of a node's inputs that ran out.", ("node",)),
    "component_runs": ("Runs of a component of a node's work.", ("node", "component")),
    "component_overruns": ("Runs that took longer than the component's budget.", ("node", "component")),
    "component_failures": ("Runs that raised an error.", ("node", "component")),
    "sensor_frames_received": ("Frames or sweeps that came from a sensor.", ("sensor",)),
    "sensor_frames_dropped": ("Frames or sweeps known to be lost.", ("sensor",)),
    "sensor_packets_dropped": ("Packets known to be lost.", ("sensor",)),
    "sensor_frames_malformed": ("Frames or sweeps refused.", ("sensor",)),
    "model_runs": ("Runs of a head's model.", ("head",)),
    "model_failures": ("Errors, time-outs and outputs of a model that were not finite.", ("head",)),
}


@dataclass(frozen=True, slots=True)
class Said:
    """A report and when it came by the steady clock, s."""

    report: Report
    at_s: float


class Reports(Collector):
    """Keeps the newest report of each node, sensor and model, and the totals of what they count.

    A gauge whose reporter fell silent is left out, so that a dead gate does not go on to say that all is well.

    Args:
        clock: steady clock, s.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._said: dict[Key, Said] = {}
        self._totals: dict[Key, Totals[Key]] = {}

    def hear(self, report: Report) -> None:
        """Take in a report."""
        key = (type(report).__name__, _reporter(report))
        with self._lock:
            self._said[key] = Said(report, self._clock())
            if not isinstance(report, Decision):
                self._totals.setdefault(key, Totals()).update(*_counts(report))

    def describe(self) -> list[Metric]:
        """Nothing: what there is to tell is not known before it is said."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of it as metrics."""
        now_s = self._clock()
        with self._lock:
            totals = [counts.all() for counts in self._totals.values()]
            said = list(self._said.values())
        yield from _counters(totals)
        fresh = [s.report for s in said if now_s - s.at_s <= SILENT_AFTER_S[type(s.report)]]
        yield from _gate([r for r in fresh if isinstance(r, Decision)])
        yield from _nodes([r for r in fresh if isinstance(r, RuntimeStatus)])
        yield from _sensors([r for r in fresh if isinstance(r, SensorHealth)])
        yield from _models([r for r in fresh if isinstance(r, ModelStatus)])


def _reporter(report: Report) -> str:
    if isinstance(report, RuntimeStatus):
        return report.node
    if isinstance(report, SensorHealth):
        return report.sensor
    return report.head if isinstance(report, ModelStatus) else ""


def _counts(
    report: RuntimeStatus | SensorHealth | ModelStatus,
) -> tuple[Mapping[Key, int], Mapping[Key, int]]:
    """What a report counts, and the messages that are still in its hands."""
    if isinstance(report, SensorHealth):
        return _sensor_counts(report), {}
    if isinstance(report, ModelStatus):
        return _model_counts(report), {}
    return _node_counts(report)


def _node_counts(status: RuntimeStatus) -> tuple[Counter[Key], Counter[Key]]:
    """Edges of the same topic count together."""
    node = status.node
    counts: Counter[Key] = Counter()
    held: Counter[Key] = Counter()
    counts["deadline_misses", node] = status.deadline_misses
    counts["publishers_lost", node] = status.publishers_lost
    for edge in status.edges:
        counts["messages_received", node, edge.topic] += edge.received
        held["messages", node, edge.topic, LOST] += edge.held
        for fate in FATES:
            counts["messages", node, edge.topic, fate] += getattr(edge, fate)
    for component in status.components:
        for what in ("runs", "overruns", "failures"):
            counts["component_" + what, node, component.component] += getattr(component, what)
    return counts, held


def _sensor_counts(health: SensorHealth) -> dict[Key, int]:
    return {
        ("sensor_frames_received", health.sensor): health.frames_received,
        ("sensor_frames_dropped", health.sensor): health.frames_dropped,
        ("sensor_packets_dropped", health.sensor): health.packets_dropped,
        ("sensor_frames_malformed", health.sensor): health.malformed,
    }


def _model_counts(status: ModelStatus) -> dict[Key, int]:
    return {("model_runs", status.head): status.runs, ("model_failures", status.head): status.failures}


def _counters(totals: Iterable[dict[Key, int]]) -> Iterator[Metric]:
    families = {
        name: CounterMetricFamily(PREFIX + name, text, labels=labels)
        for name, (text, labels) in COUNTERS.items()
    }
    for counts in totals:
        for (name, *labels), total in counts.items():
            families[name].add_metric(labels, total)
    yield from families.values()


def _gate(decisions: list[Decision]) -> Iterator[Metric]:
    def gauge(name: str, text: str, value: Callable[[Decision], float]) -> Metric:
        return _gauge(name, text, (), [((), value(d)) for d in decisions])

    yield gauge("speed_limit_meters_per_second", "Highest speed allowed.", lambda d: d.speed_limit_mps)
    yield gauge("speed_output_meters_per_second", "Forward speed let through.", lambda d: d.output_mps[0])
    yield gauge("gate_latched", "Whether a stop waits to be reset by hand.", lambda d: d.latched)
    yield gauge(
        "decision_data_age_seconds",
        "Age of the oldest sensor data that the newest decision rests on.",
        lambda d: to_s(d.latency_ns) if d.latency_ns >= 0 else math.nan,
    )
    yield _states(
        "gate_state", "State of the safety gate.", (), GateState, [((), d.state) for d in decisions]
    )
    yield _states("gate_action", "What the robot has to do.", (), Action, [((), d.action) for d in decisions])


def _nodes(statuses: list[RuntimeStatus]) -> Iterator[Metric]:
    def gauge(name: str, text: str, value: Callable[[RuntimeStatus], float]) -> Metric:
        return _gauge(name, text, ("node",), [((s.node,), value(s)) for s in statuses])

    def of_edges(name: str, text: str, value: Callable[[EdgeCount], int]) -> Metric:
        sums: Counter[tuple[str, ...]] = Counter()
        for status in statuses:
            for edge in status.edges:
                sums[status.node, edge.topic] += value(edge)
        return _gauge(name, text, ("node", "topic"), sums.items())

    yield gauge("shed_level", "Step of the shedding ladder; 0: nothing is shed.", lambda s: s.shed_level)
    steps = [((s.node, s.shed_step), 1) for s in statuses]
    yield _gauge("shed_step", "The step of the shedding ladder, by its name.", ("node", "step"), steps)
    yield gauge(
        "deadline_risk_ratio",
        "High quantile of age over deadline of finished work; above 1: late.",
        lambda s: s.deadline_risk,
    )
    yield gauge(
        "speed_factor_ratio", "Share of the speed that a node asks to be left.", lambda s: s.speed_factor
    )
    yield of_edges("messages_held", "Messages waiting or being worked on.", lambda edge: edge.held)
    yield of_edges(
        "messages_unaccounted", "Messages without a fate: 0, or a defect.", lambda edge: edge.unaccounted
    )


def _sensors(healths: list[SensorHealth]) -> Iterator[Metric]:
    def gauge(name: str, text: str, value: Callable[[SensorHealth], float]) -> Metric:
        return _gauge(name, text, ("sensor",), [((h.sensor,), value(h)) for h in healths])

    yield gauge("sensor_rate_hertz", "Measured rate of a sensor.", lambda h: h.rate_hz)
    yield gauge("sensor_age_seconds", "Age of a sensor's newest data.", lambda h: h.age_s)
    status = [((h.sensor,), h.status) for h in healths]
    yield _states("sensor_status", "How far to trust a sensor.", ("sensor",), SensorStatus, status)
    problems = [((h.sensor, p.name.lower()), 1) for h in healths for p in h.problems]
    yield _gauge("sensor_problem", "What is wrong with a sensor.", ("sensor", "problem"), problems)


def _models(statuses: list[ModelStatus]) -> Iterator[Metric]:
    state = [((s.head,), s.state) for s in statuses]
    yield _states("model_state", "Which model serves a perception head.", ("head",), ModelState, state)
    run_times = [
        ((s.head, quantile), run_time_s)
        for s in statuses
        for quantile, run_time_s in (("0.5", s.run_time_p50_s), ("0.99", s.run_time_p99_s))
    ]
    yield _gauge(
        "model_run_time_seconds", "Run time of a model over its last runs.", ("head", "quantile"), run_times
    )


def _gauge(
    name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    """A gauge; what is not a number is left out."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, sample in samples:
        if not math.isnan(sample):
            family.add_metric(values, sample)
    return family


def _states(
    name: str,
    text: str,
    labels: tuple[str, ...],
    states: type[IntEnum],
    samples: Iterable[tuple[tuple[str, ...], IntEnum]],
) -> Metric:
    """A state set: 1 for the state that holds, 0 for all others of the kind."""
    family = StateSetMetricFamily(PREFIX + name, text, labels=labels)
    for values, current in samples:
        family.add_metric(values, {state.name.lower(): state is current for state in states})
    return family
