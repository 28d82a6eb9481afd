"""The stack in the loop: it stops for what is in the way, lets pass what is not, and says so in events."""

import json

import pytest

from perception_platform.scenarios.cases import Case, case_at
from perception_platform.scenarios.closed_loop import SETTLED_S
from perception_platform.scenarios.job import Job, run_case, run_job
from perception_platform.scenarios.load import load_families
from test.unit.scenarios.families import family, middle

FREE = {"actors": [{"thing": "block", "path_m": [["at", 3.0]]}], "stop_expected": False}


def line_of(case: Case, policy: str = "ours") -> dict:
    return run_job(Job(case, policy)).line


def test_the_stack_stops_for_a_block_that_no_protection_runs_into():
    ours, none = line_of(middle()), line_of(middle(), "none")
    assert ours["outcome"] == "ok"
    assert ours["events"]["stops"] == 1
    assert not ours["events"]["false_stop"]
    assert ours["events"]["min_separation_m"] > 0.3
    assert none["outcome"] == "collision"
    assert none["events"]["impact_speed_mps"] == pytest.approx(1.2)


def test_the_baselines_see_the_block_through_the_same_perception():
    for policy in ("fixed_field", "autoware_aeb"):
        line = line_of(middle(), policy)
        assert line["outcome"] == "ok", policy
        assert line["events"]["stops"] >= 1
        assert line["latency_ms"]["p50"] > 0


def test_a_block_beside_the_way_costs_no_time():
    events = line_of(middle(**FREE))["events"]
    assert events["stops"] == 0
    assert events["time_lost_s"] < 0.5


def test_the_same_case_gives_the_same_bytes_and_another_seed_others():
    case = middle()
    one, same = (run_job(Job(case, "ours", trace=True)) for _ in range(2))
    assert json.dumps(one.line) == json.dumps(same.line)
    assert json.dumps(one.trace) == json.dumps(same.trace)
    other = run_job(Job(Case(case.family, 4, case.parameters), "ours", trace=True))
    assert other.trace[1:] != one.trace[1:]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "dropout", "from_s": 1.0},
        {"kind": "time_jump", "from_s": 1.0, "amount": 1.0},
        {"kind": "late", "from_s": 1.0, "amount": 0.6},
    ],
)
def test_a_lidar_that_fails_stops_the_robot_and_that_is_no_false_stop(fault):
    events = line_of(middle(**FREE, faults=[fault]))["events"]
    assert events["stops"] >= 1
    assert not events["false_stop"]
    assert events["time_lost_s"] > 1.0


def test_a_robot_that_a_fault_stopped_drives_on_when_health_has_forgotten_it():
    """Not before 3 s after its end, which a run must not take for standing for ever."""
    fault = {"kind": "time_jump", "from_s": 1.0, "for_s": 1.3, "amount": 1.0}
    result = run_job(Job(middle(**FREE, faults=[fault]), "ours", trace=True))
    moments = result.trace[1:]
    stood = [m["t_s"] for m in moments if m["speed_mps"] == 0.0]
    assert min(stood) < 2.3 + SETTLED_S < max(stood)
    assert any(m["t_s"] > max(stood) and m["speed_mps"] > 0.5 for m in moments)


def test_latency_that_is_declared_is_in_the_decisions():
    outcome = run_case(Job(middle(), "ours"))
    assert 50.0 <= outcome.latency_ms["p50"] <= 200.0  # 50 ms of stages, and up to a sweep of waiting
    assert outcome.simulation_s < outcome.total_s


def test_actors_wait_for_their_trigger():
    spec = {"thing": "block", "path_m": [[6.0, 3.0], [6.0, 0.0]], "speed_mps": 3.0}
    for trigger, collides in ({"robot_within_m": "at"}, True), ({"robot_within_m": "-10 * at"}, False):
        one = family(actors=[spec | {"trigger": trigger}])
        assert (line_of(case_at(one, 0, [0.5]), "none")["outcome"] == "collision") is collides


def test_a_run_that_cannot_be_is_crashed_and_never_a_pass():
    line = line_of(middle(actors=[{"thing": "block", "path_m": [[6, 3], [6, 0]], "speed_mps": "at - at"}]))
    assert line["outcome"] == "crashed"
    assert line["events"]["collision"] is None
    assert "0.0 m/s" in line["error"]


def test_a_result_has_all_that_the_evaluation_reads():
    line = line_of(middle(), "none")
    assert set(line) == {
        "family", "case", "policy", "seed", "parameters", "tags", "hazard", "in_domain", "stop_expected", "outcome",
        "events", "latency_ms", "trace",
    }  # fmt: skip
    assert {"collision", "impact_speed_mps", "min_separation_m", "late_stop", "false_stop"} <= set(
        line["events"]
    )
    assert {"time_lost_s", "peak_decel_mps2", "peak_jerk_mps3", "stops"} <= set(line["events"])
    json.dumps(line, allow_nan=False)


@pytest.mark.parametrize("name", ["glare_at_gate", "rain_alone", "mirror_beside_lane", "dense_crowd"])
def test_families_with_the_rarer_parts_of_the_simulation_run_to_an_end(name):
    one = load_families()[name]
    short = one.model_copy(update={"duration_s": 2.0})
    assert line_of(case_at(short, 0, [0.5] * len(one.parameters)))["outcome"] == "ok"
