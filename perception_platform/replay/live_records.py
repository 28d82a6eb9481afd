"""The same records from a live run: what the nodes said over DDS, put back together."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.objects import Detections, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_ms
from perception_platform.core.verdicts import Assessment, Decision
from perception_platform.replay.records import FrameCounts, Records
from perception_platform.runtime.latency import percentiles

T = TypeVar("T")
PENDING = 20  # sweeps whose other half may be on its way; two seconds at 10 Hz


class LiveRecorder:
    """Writes what a listener hears to a run's records.

    Messages of different topics overtake each other: a sweep's detections are written when its obstacle points
    are there too, and tracks when they were assessed. What stays alone is given up after two seconds.

    Args:
        records: an entered run's records.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ego: EgoState | None = None
        self._detections: OrderedDict[int, Detections] = OrderedDict()
        self._obstacles: OrderedDict[int, PointCloud] = OrderedDict()
        self._tracks: OrderedDict[int, Tracks] = OrderedDict()
        self._used: set[SourceStamp] = set()
        self._timings: set[StageTiming] = set()

    def hear(self, value: object) -> None:
        """Take in a value of the stack."""
        match value:
            case EgoState():
                self._ego = value
            case Detections():
                self._use(value.lineage)
                _keep(self._detections, value.t_ns, value)
                self._write_sweep(value.t_ns)
            case PointCloud():
                _keep(self._obstacles, value.t_ns, value)
                self._write_sweep(value.t_ns)
            case Tracks():
                _keep(self._tracks, value.t_ns, value)
            case Assessment():
                self._use(value.lineage)
                self._write_tracks(value)
            case ApplicationReport():
                self._records.application(value)
            case Decision():
                self._use(value.lineage)
                self._records.decision(value, self._ego)

    def frames(self, received: dict[str, int]) -> FrameCounts:
        """The ledger: of the frames that were played, those that a value of the stack came from.

        Args:
            received: number of frames played, by sensor.
        """
        counts = FrameCounts()
        for sensor, played in received.items():
            used = sum(source.sensor == sensor for source in self._used)
            counts.received[sensor] = played
            counts.processed[sensor] = used
            if played > used:
                counts.dropped[sensor, "not_used"] = played - used
        return counts

    def timing(self) -> dict[str, dict[str, float | int | None]]:
        """Percentiles of what each stage took at work, ms, by the nodes' own word."""
        durations_ms: dict[str, list[float]] = {}
        for timing in self._timings:
            spent_ms = to_ms(timing.finished_ns - timing.started_ns)
            durations_ms.setdefault(timing.stage, []).append(spent_ms)
        return {stage: percentiles(spent) for stage, spent in sorted(durations_ms.items())}

    def _use(self, lineage: Lineage) -> None:
        self._used.update(lineage.sources)
        self._timings.update(lineage.stages)

    def _write_sweep(self, t_ns: int) -> None:
        if t_ns in self._detections and t_ns in self._obstacles:
            self._records.detections(self._detections.pop(t_ns), self._obstacles.pop(t_ns))

    def _write_tracks(self, assessment: Assessment) -> None:
        for t_ns in [t for t in self._tracks if t <= assessment.t_ns]:
            tracks = self._tracks.pop(t_ns)
            if self._ego is not None:
                self._records.tracks(tracks, assessment.objects, self._ego)


def _keep(pending: OrderedDict[int, T], t_ns: int, value: T) -> None:
    pending[t_ns] = value
    if len(pending) > PENDING:
        pending.popitem(last=False)
