"""Where a value came from and what each stage cost: the latency of a decision, in parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SourceStamp:
    """One sensor message that a value was computed from: sensor name and capture time, ns."""

    sensor: str
    t_ns: int


@dataclass(frozen=True, slots=True)
class StageTiming:
    """When one stage got its input, began and ended, in ns of the clock that stamps the sensors.

    Raises:
        ValueError: if the three times are not in order.
    """

    stage: str
    queued_ns: int
    started_ns: int
    finished_ns: int

    def __post_init__(self) -> None:
        if not self.queued_ns <= self.started_ns <= self.finished_ns:
            raise ValueError(f"stage {self.stage}: queued, started, finished are out of order")


@dataclass(frozen=True, slots=True)
class Lineage:
    """The sensor stamps a value came from and the stages it passed, oldest first."""

    sources: tuple[SourceStamp, ...] = ()
    stages: tuple[StageTiming, ...] = ()

    @property
    def oldest_ns(self) -> int | None:
        """Capture time of the oldest sensor message in it, or None without sources."""
        return min((s.t_ns for s in self.sources), default=None)

    def then(self, stage: StageTiming) -> Lineage:
        """The same lineage with one more stage passed."""
        return replace(self, stages=(*self.stages, stage))

    def age_ns(self, now_ns: int) -> int | None:
        """Time since the oldest capture, ns, never negative; None without sources."""
        oldest_ns = self.oldest_ns
        return None if oldest_ns is None else max(0, now_ns - oldest_ns)


def merge(lineages: Iterable[Lineage]) -> Lineage:
    """The lineage of a value made from several: sources and stages, without repeats, in time order."""
    parts = tuple(lineages)
    sources = {s for lineage in parts for s in lineage.sources}
    stages = {s for lineage in parts for s in lineage.stages}
    return Lineage(
        tuple(sorted(sources, key=lambda s: (s.t_ns, s.sensor))),
        tuple(sorted(stages, key=lambda s: (s.finished_ns, s.started_ns, s.stage))),
    )
