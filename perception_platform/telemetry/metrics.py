"""All metrics of a stack, fed with what it says."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, ProcessCollector

from perception_platform.core.verdicts import Decision
from perception_platform.telemetry.decisions import PREFIX, DecisionMetrics
from perception_platform.telemetry.reports import Report, Reports


class Metrics:
    """What a scrape of one robot's stack sees.

    Args:
        clock: steady clock, s.

    Attributes:
        registry: holds the metrics, and those of this process itself.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._decisions = DecisionMetrics(self.registry)
        self._reports = Reports(clock)
        self.registry.register(self._reports)
        self._faults = Counter(
            PREFIX + "telemetry_faults",
            "Messages that telemetry refused, and deadlines and publishers that it missed.",
            ["topic", "fault"],
            registry=self.registry,
        )

    def hear(self, said: Report) -> bool:
        """Take in what was said; whether it is the first decision on its data."""
        self._reports.hear(said)
        return isinstance(said, Decision) and self._decisions.count(said)

    def fault(self, topic: str, fault: str) -> None:
        """Count something wrong with what telemetry itself hears."""
        self._faults.labels(topic, fault).inc()
