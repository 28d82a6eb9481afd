"""Decisions as traces: real times, one parent, what is needed to find the slow stage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perception_platform.core.lineage import SourceStamp
from perception_platform.core.verdicts import Action
from perception_platform.telemetry.traces import DecisionTraces
from test.unit.telemetry.said import MS, PERCEPTION, START, decision


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> Iterator[DecisionTraces]:
    made = DecisionTraces("amr", exporter)
    yield made
    made.close()


def spans(traces: DecisionTraces, exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    traces.close()
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_decision_spans_from_capture_until_it_was_published(
    traces: DecisionTraces, exporter: InMemorySpanExporter
) -> None:
    traces.add(decision(60, action=Action.STOP))
    root = spans(traces, exporter)["sensor_to_decision"]
    assert root.parent is None
    assert (root.start_time, root.end_time) == (START, START + round(60.1 * MS))
    assert root.resource.attributes["service.instance.id"] == "amr"
    assert root.attributes is not None
    assert root.attributes["perception_platform.action"] == "stop"
    assert root.attributes["perception_platform.reasons"] == ("object_in_path",)
    assert root.attributes["perception_platform.sensors"] == ("lidar_top",)


def test_each_stage_is_a_child_with_its_times(traces: DecisionTraces, exporter: InMemorySpanExporter) -> None:
    traces.add(decision(60))
    found = spans(traces, exporter)
    assert set(found) == {"sensor_to_decision", "perception", "tracker", "safety_gate"}
    root, perception = found.pop("sensor_to_decision"), found["perception"]
    assert {s.parent.span_id for s in found.values() if s.parent} == {root.context.span_id}
    assert (perception.start_time, perception.end_time) == (PERCEPTION.received_ns, PERCEPTION.published_ns)
    assert {e.name: e.timestamp for e in perception.events} == {
        "queued": PERCEPTION.queued_ns,
        "started": PERCEPTION.started_ns,
        "finished": PERCEPTION.finished_ns,
    }
    assert perception.attributes == {
        "perception_platform.gc_seconds": 0.004,
        "perception_platform.no_core_seconds": 0.0,
    }


def test_every_decision_is_a_trace_of_its_own(traces: DecisionTraces, exporter: InMemorySpanExporter) -> None:
    for t_ms in (60, 160):
        traces.add(decision(t_ms))
    traces.close()
    roots = [span for span in exporter.get_finished_spans() if span.parent is None]
    assert len({root.context.trace_id for root in roots}) == 2


def test_a_stamp_from_the_future_makes_no_span_that_ends_before_it_begins(
    traces: DecisionTraces, exporter: InMemorySpanExporter
) -> None:
    ahead = SourceStamp("lidar_top", START + 500 * MS)
    traces.add(decision(60, sources=(ahead,)))
    root = spans(traces, exporter)["sensor_to_decision"]
    assert root.start_time is not None
    assert root.end_time is not None
    assert root.start_time <= root.end_time
