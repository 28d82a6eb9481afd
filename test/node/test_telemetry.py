"""The telemetry node's process: what is published over DDS is scraped over HTTP, and sent on as traces."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from perception_platform.core.verdicts import Action
from perception_platform.messages.runtime import runtime_status_to_msg
from perception_platform.messages.verdicts import decision_to_msg, health_to_msg, model_status_to_msg
from perception_platform.robot.load import robot_path
from perception_platform.ros.make import make
from test.node.conftest import Peer, Started
from test.node.feeding import Feed, Feeder
from test.unit.telemetry import said

FEW_BEATS_S = 0.05


def serves(peer: Peer, node: Started) -> str:
    """The address that a node serves at."""
    where = re.compile(r"metrics at (http://\S+)")
    peer.until(lambda: where.search(node.said()), what="the address")
    found = where.search(node.said())
    assert found
    return found[1]


def scrape(address: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(address, timeout=5.0) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


class Scraped:
    """One scrape."""

    def __init__(self, address: str) -> None:
        self.samples = scrape(address)

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples.get((f"perception_platform_{name}", frozenset(labels.items())), 0.0)


class Gate:
    """Decides at its rate: three beats on the same data, then on new data; everything goes well until told."""

    def __init__(self) -> None:
        self.sequence = 0
        self.action = Action.PROCEED

    def decide(self, _now_ns: int) -> Any:
        self.sequence += 1
        sweep = self.sequence // 3
        source = said.SourceStamp("lidar_top", said.START + sweep * said.MS)
        perception = said.stage("perception", 2 + sweep, 3 + sweep, 7 + sweep, 37 + sweep, 38 + sweep)
        beat_ms = 60 + sweep + self.sequence
        told = said.decision(
            beat_ms, sequence=self.sequence, action=self.action, sources=(source,), stages=(perception,)
        )
        return decision_to_msg(told, "base_link", make)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.fixture(scope="module")
def feeder(peer: Peer, gate: Gate) -> Iterator[Feeder]:
    counts = {"received": 102, "processed": 95, "superseded": 5, "malformed": 1, "held": 1}
    status = said.status("perception", said.edge("/lidar_top/points", **counts), shed_level=2)
    feeder = Feeder(
        {
            "decision": Feed(peer.speak("decision").publish, gate.decide, FEW_BEATS_S),
            "runtime_status": Feed(
                peer.speak("runtime_status").publish, lambda _: runtime_status_to_msg(status, make), 0.5
            ),
            "sensor_health": Feed(
                peer.speak("sensor_health").publish, lambda _: health_to_msg(said.health(), make), 0.5
            ),
            "model_status": Feed(
                peer.speak("model_status").publish, lambda _: model_status_to_msg(said.model(), make), 0.5
            ),
        }
    )
    peer.each.append(feeder.act)
    yield feeder
    peer.each.remove(feeder.act)


@pytest.fixture(scope="module")
def node(start: Callable[..., Started], feeder: Feeder) -> Iterator[Started]:
    started = start("telemetry", "robot:=amr", "port:=0")
    yield started
    assert started.process.poll() is None, started.said()
    assert started.end() == 0, started.said()


@pytest.fixture(scope="module")
def address(peer: Peer, node: Started) -> str:
    """Where it serves, once it has heard everybody."""
    where = serves(peer, node)

    def everybody_was_heard() -> bool:
        scraped = Scraped(where)
        return bool(
            scraped("decisions_total", action="proceed")
            and scraped("messages_received_total", node="perception", topic="/lidar_top/points")
            and scraped("sensor_rate_hertz", sensor="lidar_top")
            and scraped("model_runs_total", head="camera_objects")
        )

    peer.until(everybody_was_heard, what="what everybody says")
    return where


def test_it_serves_this_machine_alone(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")


def test_what_is_published_is_scraped(peer: Peer, address: str) -> None:
    scraped = Scraped(address)
    where = {"node": "perception", "topic": "/lidar_top/points"}
    fates = {fate: scraped("messages_total", fate=fate, **where) for fate in ("processed", "superseded")}
    assert fates == {"processed": 95, "superseded": 5}
    assert scraped("messages_held", **where) == 1
    assert scraped("shed_level", node="perception") == 2
    assert scraped("gate_action", perception_platform_gate_action="proceed") == 1
    assert scraped("speed_limit_meters_per_second") == 1.5
    assert scraped("sensor_status", sensor="lidar_top", perception_platform_sensor_status="degraded") == 1
    assert scraped("model_state", head="camera_objects", perception_platform_model_state="active") == 1
    assert "process_cpu_seconds_total" in {name for name, _ in scraped.samples}


def test_repeated_lineages_count_once(peer: Peer, address: str) -> None:
    before = Scraped(address)
    peer.spin(1.0)
    after = Scraped(address)

    def more(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    beats = more("decisions_total", action="proceed") + more("decisions_unheard_total")
    sweeps = more("stage_seconds_count", stage="perception", part="compute")
    assert beats > 6
    assert 1 <= sweeps <= beats / 3 + 1
    assert more("sensor_to_decision_seconds_count", sensor="lidar_top") == sweeps


def test_a_stop_shows_and_a_silent_gate_disappears(
    peer: Peer, address: str, feeder: Feeder, gate: Gate
) -> None:
    def states() -> set[str]:
        return {
            dict(labels)["perception_platform_gate_action"]
            for (name, labels), value in scrape(address).items()
            if name == "perception_platform_gate_action" and value
        }

    gate.action = Action.STOP
    peer.until(lambda: states() == {"stop"}, what="the stop")
    feeder["decision"].silent = True
    peer.until(lambda: states() == set(), what="silence")
    feeder["decision"].silent, gate.action = False, Action.PROCEED
    peer.until(lambda: states() == {"proceed"}, what="proceed")
    assert Scraped(address)("telemetry_faults_total", topic="/safety/decision", fault="deadline_missed") > 0


def test_a_malformed_report_is_counted_and_survived(peer: Peer, address: str, feeder: Feeder) -> None:
    def spoil(message: Any) -> None:
        message.speed_factor = 7.0

    feeder["runtime_status"].spoil = spoil
    fault = {"topic": "/runtime_status", "fault": "malformed"}
    peer.until(lambda: Scraped(address)("telemetry_faults_total", **fault), what="the fault")
    feeder["runtime_status"].spoil = None
    assert Scraped(address)("messages_total", node="perception", topic="/lidar_top/points", fate="processed")


def test_a_taken_port_is_refused_in_one_line(start: Callable[..., Started], peer: Peer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = start("telemetry", "robot:=amr", f"port:={port}")
        peer.until(lambda: node.process.poll() is not None, what="the refusal")
    assert node.process.returncode == 2, node.said()
    assert f"cannot serve at 127.0.0.1 port {port}: " in node.said()
    assert "Address already in use" in node.said()
    assert "Traceback" not in node.said()


@pytest.mark.parametrize(
    ("missing", "collector", "line"),
    [
        (
            "prometheus_client",
            "",
            "telemetry: prometheus_client is not installed; pip install 'perception_platform[telemetry]'",
        ),
        (
            "opentelemetry.sdk",
            "http://127.0.0.1:4318",
            "OTEL_EXPORTER_OTLP_ENDPOINT: opentelemetry is not installed; "
            "pip install 'perception_platform[otel]'",
        ),
    ],
)
def test_an_extra_that_is_not_installed_is_named_in_one_line(
    domain: dict[str, str], missing: str, collector: str, line: str
) -> None:
    without = f"import sys; sys.modules[{missing!r}] = None; from perception_platform.nodes import telemetry"
    command = [sys.executable, "-c", f"{without}; telemetry.main()"]
    done = subprocess.run(
        [*command, "--ros-args", "-p", "robot:=amr", "-p", "port:=0"],
        env=os.environ | domain | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2, done.stderr
    assert f"error: {line}\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """An OpenTelemetry collector's address, and what it was sent."""
    sent: list[ExportTraceServiceRequest] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                sent.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()
        thread.join()


def robot_that_sends_to(endpoint: str, folder: Path) -> Path:
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    robot["telemetry"] = {"otlp_endpoint": endpoint}
    file = folder / "amr.yaml"
    file.write_text(yaml.safe_dump(robot), encoding="utf-8")
    return file


def test_decisions_on_new_data_are_sent_as_traces(
    start: Callable[..., Started],
    peer: Peer,
    feeder: Feeder,
    collector: tuple[str, list[ExportTraceServiceRequest]],
    tmp_path: Path,
) -> None:
    endpoint, sent = collector
    node = start("telemetry", f"robot:={robot_that_sends_to(endpoint, tmp_path)}", "port:=0")
    address = serves(peer, node)
    work = {"stage": "perception", "part": "compute"}
    peer.until(lambda: Scraped(address)("stage_seconds_count", **work) >= 3, what="three sweeps")
    counted = Scraped(address)("stage_seconds_count", **work)
    assert node.end() == 0, node.said()
    spans = [s for request in sent for r in request.resource_spans for c in r.scope_spans for s in c.spans]
    roots = [span for span in spans if not span.parent_span_id]
    assert len(roots) >= counted  # and nothing of what waited was lost at the end
    assert len({root.trace_id for root in roots}) == len(roots)
    perceptions = [span for span in spans if span.name == "perception"]
    assert {p.end_time_unix_nano - p.start_time_unix_nano for p in perceptions} == {36 * said.MS}
    assert {span.name for span in spans} == {"sensor_to_decision", "perception", "safety_gate"}


def test_a_collector_that_is_away_costs_nothing_but_its_traces(
    start: Callable[..., Started], peer: Peer, feeder: Feeder, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    node = start("telemetry", f"robot:={robot_that_sends_to(away, tmp_path)}", "port:=0")
    address = serves(peer, node)
    heard = {"action": "proceed"}
    peer.until(lambda: Scraped(address)("decisions_total", **heard) > 20, what="decisions")
    assert node.end() == 0, node.said()
