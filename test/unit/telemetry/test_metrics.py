"""What a scrape sees of what was said."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.lineage import SourceStamp
from perception_platform.core.sensor_data import SensorStatus
from perception_platform.core.verdicts import Action
from perception_platform.telemetry.metrics import Metrics
from perception_platform.telemetry.totals import Recent, Totals
from test.unit.telemetry.said import (
    MS,
    PERCEPTION,
    START,
    SWEEP,
    TRACKER,
    decision,
    edge,
    health,
    model,
    stage,
    status,
)

FATES = ("processed", "superseded", "expired", "malformed", "left_out")


class Stack:
    """Metrics with a clock that is set by hand, and what a scrape of them gives."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.metrics = Metrics(lambda: self.now_s)
        self.hear = self.metrics.hear

    def scrape(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        families = self.metrics.registry.collect()
        return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}

    def value(self, name: str, **labels: str) -> float | None:
        return self.scrape().get((f"perception_platform_{name}", frozenset(labels.items())))

    def state(self, name: str, **labels: str) -> list[str]:
        """States of a state set that hold."""
        full = f"perception_platform_{name}"
        wanted = set(labels.items())
        return [
            dict(found)[full]
            for (found_name, found), value in self.scrape().items()
            if found_name == full and value and wanted <= found
        ]


@pytest.fixture
def stack() -> Stack:
    return Stack()


def test_parts_of_a_stage_are_those_that_its_times_bound(stack: Stack) -> None:
    stack.hear(decision(60))
    parts = ("transport", "hand-over", "queue", "compute", "publish")
    seconds = {part: stack.value("stage_seconds_sum", stage="perception", part=part) for part in parts}
    assert seconds == pytest.approx(
        {"transport": 0.002, "hand-over": 0.001, "queue": 0.004, "compute": 0.030, "publish": 0.001}
    )
    assert stack.value("stage_seconds_sum", stage="tracker", part="transport") == pytest.approx(0.001)
    assert stack.value("stage_gc_seconds_total", stage="perception") == pytest.approx(0.004)


def test_a_lineage_counts_once_however_often_the_gate_repeats_it(stack: Stack) -> None:
    first = [stack.hear(decision(60 + 50 * i, sequence=1 + i)) for i in range(3)]
    assert first == [True, False, False]
    assert stack.value("decisions_total", action="proceed") == 3
    assert stack.value("stage_seconds_count", stage="perception", part="compute") == 1
    assert stack.value("stage_seconds_count", stage="safety_gate", part="compute") == 1
    assert stack.value("sensor_to_decision_seconds_count", sensor="lidar_top") == 1
    assert stack.value("sensor_to_decision_seconds_sum", sensor="lidar_top") == pytest.approx(0.0601)


def test_of_a_new_lineage_only_what_is_new_counts(stack: Stack) -> None:
    stack.hear(decision(60))
    scan = SourceStamp("scan_front", START + 30 * MS)
    risk = stage("risk", 80, 80, 80, 82, 82)
    assert stack.hear(decision(95, sources=(SWEEP, scan), stages=(PERCEPTION, TRACKER, risk)))
    assert stack.value("sensor_to_decision_seconds_count", sensor="lidar_top") == 1
    assert stack.value("sensor_to_decision_seconds_sum", sensor="scan_front") == pytest.approx(0.0651)
    assert stack.value("stage_seconds_count", stage="tracker", part="compute") == 1
    assert stack.value("stage_seconds_sum", stage="risk", part="transport") == pytest.approx(0.035)


def test_a_sensor_whose_clock_is_ahead_makes_no_negative_time(stack: Stack) -> None:
    ahead = SourceStamp("lidar_top", START + 500 * MS)
    stack.hear(decision(60, sources=(ahead,)))
    took_s = (60.1 - 7) / 1000  # the sweep was there when perception began, at 7 ms
    assert stack.value("sensor_to_decision_seconds_sum", sensor="lidar_top") == pytest.approx(
        took_s, abs=0.005
    )
    assert stack.value("stage_seconds_sum", stage="perception", part="transport") == 0
    assert stack.value("stage_seconds_sum", stage="perception", part="compute") == pytest.approx(0.030)


def test_a_decision_without_data_is_counted_and_has_no_age(stack: Stack) -> None:
    assert not stack.hear(decision(60, action=Action.STOP, sources=(), stages=()))
    assert stack.value("decisions_total", action="stop") == 1
    assert stack.value("decision_reasons_total", reason="object_in_path") == 1
    assert stack.value("decision_data_age_seconds") is None
    assert stack.value("stage_seconds_count", stage="safety_gate", part="compute") is None


def test_state_action_and_speed_are_those_of_the_newest_decision(stack: Stack) -> None:
    stack.hear(decision(60))
    stack.hear(decision(110, action=Action.STOP))
    assert stack.state("gate_action") == ["stop"]
    assert stack.state("gate_state") == ["stopped"]
    assert stack.value("speed_limit_meters_per_second") == 0
    assert stack.value("decision_data_age_seconds") == pytest.approx(0.110)


def test_decisions_that_never_came_are_known_by_their_numbers(stack: Stack) -> None:
    for sequence in (7, 8, 11, 1, 2):  # two are lost, then another gate begins
        stack.hear(decision(60, sequence=sequence))
    assert stack.value("decisions_unheard_total") == 2


def test_a_gate_that_fell_silent_says_nothing_any_more(stack: Stack) -> None:
    stack.hear(decision(60))
    stack.now_s = 0.9
    assert stack.state("gate_action") == ["proceed"]
    stack.now_s = 1.1
    assert stack.state("gate_action") == []
    assert stack.value("speed_limit_meters_per_second") is None
    assert stack.value("decisions_total", action="proceed") == 1


def test_the_ledger_is_told_by_node_topic_and_fate(stack: Stack) -> None:
    counts = {"processed": 90, "superseded": 5, "expired": 2, "malformed": 1, "left_out": 3}
    stack.hear(status("tracker", edge("/perception/detections", received=102, held=1, **counts)))
    where = {"node": "tracker", "topic": "/perception/detections"}
    assert {fate: stack.value("messages_total", fate=fate, **where) for fate in FATES} == counts
    assert stack.value("messages_received_total", **where) == 102
    assert stack.value("messages_held", **where) == 1
    assert stack.value("messages_unaccounted", **where) == 0


def test_edges_of_the_same_topic_are_added(stack: Stack) -> None:
    stack.hear(status("risk", edge("/odom", received=3, processed=3), edge("/odom", received=4, held=4)))
    assert stack.value("messages_received_total", node="risk", topic="/odom") == 7
    assert stack.value("messages_held", node="risk", topic="/odom") == 4


def test_shedding_and_misses_are_told_by_node(stack: Stack) -> None:
    shedding = {"shed_level": 2, "shed_step": "optional_heads", "deadline_risk": 0.93, "speed_factor": 0.5}
    stack.hear(status("perception", deadline_misses=4, publishers_lost=1, **shedding))
    where = {"node": "perception"}
    assert stack.value("shed_level", **where) == 2
    assert stack.value("shed_step", step="optional_heads", **where) == 1
    assert stack.value("deadline_risk_ratio", **where) == 0.93
    assert stack.value("speed_factor_ratio", **where) == 0.5
    assert stack.value("deadline_misses_total", **where) == 4
    assert stack.value("publishers_lost_total", **where) == 1
    stack.now_s = 6.0
    assert stack.value("shed_level", **where) is None
    assert stack.value("deadline_misses_total", **where) == 4


def test_sensors_and_models_are_told(stack: Stack) -> None:
    stack.hear(health())
    stack.hear(health("camera_front", status=SensorStatus.FAILED, age_s=math.inf, problems=()))
    stack.hear(model(run_time_p99_s=math.nan))
    assert stack.state("sensor_status", sensor="lidar_top") == ["degraded"]
    assert stack.state("sensor_status", sensor="camera_front") == ["failed"]
    assert stack.value("sensor_problem", sensor="lidar_top", problem="dropped_packets") == 1
    assert stack.value("sensor_frames_dropped_total", sensor="lidar_top") == 3
    assert stack.value("sensor_age_seconds", sensor="camera_front") == math.inf
    assert stack.state("model_state", head="camera_objects") == ["active"]
    assert stack.value("model_runs_total", head="camera_objects") == 300
    assert stack.value("model_run_time_seconds", head="camera_objects", quantile="0.5") == 0.012
    assert stack.value("model_run_time_seconds", head="camera_objects", quantile="0.99") is None


def test_a_fault_of_what_telemetry_hears_is_counted(stack: Stack) -> None:
    stack.metrics.fault("/safety/decision", "malformed")
    assert stack.value("telemetry_faults_total", topic="/safety/decision", fault="malformed") == 1


# Lives of a node: how many messages came between two reports, how many of them it was done with, and whether it then
# died and another took its place.
REPORTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=8)


def lives(reports: Iterable[tuple[int, int, bool]]) -> Iterable[tuple[int, int]]:
    """(received, processed) of each report."""
    received = processed = 0
    for came, done, dies in reports:
        if dies:
            received = processed = 0
        received += came
        processed = min(received, processed + done)
        yield received, processed


@settings(max_examples=50, deadline=None)
@given(REPORTS)
def test_the_ledger_adds_up_over_all_lives_of_a_node_and_never_falls(
    reports: list[tuple[int, int, bool]],
) -> None:
    stack = Stack()
    where = {"node": "tracker", "topic": "/tracks"}
    before = 0.0
    for received, processed in lives(reports):
        held = received - processed
        stack.hear(status("tracker", edge("/tracks", received=received, processed=processed, held=held)))
        samples = {
            (name.removeprefix("perception_platform_"), dict(labels).get("fate")): value
            for (name, labels), value in stack.scrape().items()
            if where.items() <= dict(labels).items()
        }
        total = samples["messages_received_total", None]
        ends = [samples["messages_total", fate] for fate in (*FATES, "lost")]
        assert total == sum(ends) + held == sum(ends) + samples["messages_held", None]
        assert before <= total
        before = total


def test_what_a_node_counted_before_it_died_is_kept() -> None:
    totals: Totals[str] = Totals()
    for received in (10, 25, 3, 4):
        totals.update({"received": received}, {"lost": 2})
    assert totals.all() == {"received": 29, "lost": 2}


def test_what_was_seen_long_ago_is_forgotten() -> None:
    recent: Recent[int] = Recent(2)
    assert [recent.is_new(i) for i in (1, 1, 2, 3, 2, 1)] == [True, False, True, True, False, True]
