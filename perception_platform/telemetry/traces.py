"""Decisions as OpenTelemetry traces: one for each decision that rests on new data, with a span for each stage."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, Tracer, set_span_in_context
from opentelemetry.util.types import Attributes

from perception_platform.core.lineage import StageTiming
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Decision

SERVICE = "perception_platform"


class DecisionTraces:
    """Writes traces to an exporter, from a thread of the SDK's own; what it cannot keep up with is dropped.

    Args:
        robot: name of the robot.
        exporter: takes the spans.
    """

    def __init__(self, robot: str, exporter: SpanExporter) -> None:
        resource = Resource.create({"service.name": SERVICE, "service.instance.id": robot})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self._provider.get_tracer(SERVICE)

    def add(self, decision: Decision) -> None:
        """Trace a decision from the capture of its oldest sensor message until it was published."""
        stages = decision.lineage.stages
        start_ns = min(t for t in (decision.lineage.oldest_ns, decision.t_ns) if t is not None)
        end_ns = max([decision.t_ns, *(stage.published_ns for stage in stages)])
        root = self._tracer.start_span(
            "sensor_to_decision", Context(), attributes=_attributes(decision), start_time=start_ns
        )
        for stage in stages:
            self._add_stage(root, stage)
        root.end(end_ns)

    def close(self) -> None:
        """Send what is left, and end."""
        self._provider.shutdown()

    def _add_stage(self, root: Span, stage: StageTiming) -> None:
        span = self._tracer.start_span(
            stage.stage,
            set_span_in_context(root, Context()),
            attributes={
                "perception_platform.gc_seconds": to_s(stage.gc_ns),
                "perception_platform.no_core_seconds": to_s(stage.no_core_ns),
            },
            start_time=stage.received_ns,
        )
        for name, t_ns in (
            ("queued", stage.queued_ns),
            ("started", stage.started_ns),
            ("finished", stage.finished_ns),
        ):
            span.add_event(name, timestamp=t_ns)
        span.end(stage.published_ns)


def _attributes(decision: Decision) -> Attributes:
    return {
        "perception_platform.action": decision.action.name.lower(),
        "perception_platform.state": decision.state.name.lower(),
        "perception_platform.reasons": [reason.name.lower() for reason in decision.reasons],
        "perception_platform.sensors": [source.sensor for source in decision.lineage.sources],
        "perception_platform.models": [model.id for model in decision.models],
        "perception_platform.speed_limit_meters_per_second": decision.speed_limit_mps,
        "perception_platform.sequence": decision.sequence,
    }
