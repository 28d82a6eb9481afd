"""Where a value came from and what each stage cost: the latency of a decision, in parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class SourceStamp:
    """One sensor message that a value was computed from: sensor name and capture time, ns."""

    sensor: str
    t_ns: int


@dataclass(frozen=True, slots=True)
class StageTiming:
    """When one stage got its input, worked on it and passed the result on, in ns of the clock that stamps the sensors.

    Attributes:
        stage: its name.
        received_ns: the input reached the process.
        queued_ns: it lay ready in the stage's mailbox.
        started_ns: work began.
        finished_ns: work ended.
        published_ns: the result was handed to the middleware or to the next stage.
        gc_ns: of the time from receiving to publishing, what the process spent collecting garbage.
        no_core_ns: of it, what the stage's thread was ready to run and had no core.

    Raises:
        ValueError: if the five times are not in order.
    """

    stage: str
    received_ns: int
    queued_ns: int
    started_ns: int
    finished_ns: int
    published_ns: int
    gc_ns: int = 0
    no_core_ns: int = 0

    def __post_init__(self) -> None:
        times = (self.received_ns, self.queued_ns, self.started_ns, self.finished_ns, self.published_ns)
        if any(later < earlier for earlier, later in pairwise(times)):
            raise ValueError(
                f"stage {self.stage}: received, queued, started, finished, published are out of order"
            )


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
