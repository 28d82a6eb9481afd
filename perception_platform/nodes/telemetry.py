"""Serves what the stack says about itself as Prometheus metrics, and sends its decisions as OpenTelemetry traces.

It hears only what is published anyway, in a process of its own and of low priority: nothing is added to the others.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from perception_platform.core.errors import InputError
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.process import run
from perception_platform.ros.watch import Trouble

if TYPE_CHECKING:
    from perception_platform.telemetry.metrics import Metrics
    from perception_platform.telemetry.reports import Report
    from perception_platform.telemetry.traces import DecisionTraces

HEARD = ("decision", "runtime_status", "sensor_health", "model_status")
LOW_PRIORITY = 10  # niceness
ROBOTS_OWN_PORT = -1
# Of OpenTelemetry's own, with which all its other variables apply.
OTLP_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
OTLP_TIMEOUT_S = 2.0  # a collector that is away must not keep the node from ending


class TelemetryNode(PlatformNode):
    """Listens, counts and answers scrapes.

    Parameters: ``host`` and ``port`` that metrics are served at, in place of the robot file's; port 0 takes a free one.
    """

    def __init__(self) -> None:
        super().__init__("telemetry")
        self.declare_parameter("host", "")
        self.declare_parameter("port", ROBOTS_OWN_PORT)

    def set_up(self) -> None:
        """Begin to count at nought, and serve."""
        self._metrics = _new_metrics()
        self._traces = self._new_traces()
        for key in HEARD:
            self.subscribe(key, self._hear)
        self._serve()

    def on_trouble(self, trouble: Trouble) -> None:
        """Tell who scrapes."""
        self._metrics.fault(trouble.topic.of(trouble.sensor), trouble.kind)

    def _hear(self, said: Report) -> None:
        if self._metrics.hear(said) and self._traces:
            self._traces.add(said)

    def _serve(self) -> None:
        """Answer scrapes in threads of their own.

        Raises:
            InputError: if the address is not ours or the port is taken.
        """
        from prometheus_client import start_http_server

        host = self.get_parameter("host").value or str(self.robot.telemetry.host)
        port = self.get_parameter("port").value
        port = self.robot.telemetry.port if port == ROBOTS_OWN_PORT else port
        try:
            server, thread = start_http_server(port, host, self._metrics.registry)
        except (OSError, OverflowError) as error:
            raise InputError(
                "telemetry", f"cannot serve at {host} port {port}: {error}", "host, port"
            ) from error
        self.let_go_later(thread.join)
        self.let_go_later(server.server_close)
        self.let_go_later(server.shutdown)
        shown = f"[{host}]" if ":" in host else host
        self.get_logger().info(f"metrics at http://{shown}:{server.server_port}/metrics")

    def _new_traces(self) -> DecisionTraces | None:
        """Where traces go; None where neither the environment nor the robot file names a collector.

        Raises:
            InputError: if one is named and the extra is not installed.
        """
        named = next((v for v in OTLP_VARIABLES if os.environ.get(v)), None)
        base = self.robot.telemetry.otlp_endpoint
        if named is None and base is None:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            from perception_platform.telemetry.traces import DecisionTraces
        except ModuleNotFoundError as error:
            raise _not_installed(error, named or "telemetry.otlp_endpoint", "otel") from error
        endpoint = None if named else f"{base.rstrip('/')}/v1/traces"  # None: as the variables say
        traces = DecisionTraces(self.robot.name, OTLPSpanExporter(endpoint, timeout=OTLP_TIMEOUT_S))
        self.let_go_later(traces.close)
        return traces


def _new_metrics() -> Metrics:
    try:
        from perception_platform.telemetry.metrics import Metrics
    except ModuleNotFoundError as error:
        raise _not_installed(error, "telemetry", "telemetry") from error
    return Metrics(time.monotonic)


def _not_installed(error: ModuleNotFoundError, asked_by: str, extra: str) -> InputError:
    package = (error.name or "").partition(".")[0]
    return InputError(asked_by, f"{package} is not installed; pip install 'perception_platform[{extra}]'")


def main() -> None:
    """Run the node."""
    os.nice(LOW_PRIORITY)
    sys.exit(run(TelemetryNode))


if __name__ == "__main__":
    main()
