"""The search against a family whose failures are known in closed form."""

import json

import numpy as np
import pytest

from perception_platform.scenarios.job import Result
from perception_platform.scenarios.load import load_regressions
from perception_platform.scenarios.search import SearchOptions, exact_interval, keep, search_family
from test.unit.scenarios.families import family

UNIT = {"kind": "uniform", "low": 0.0, "high": 1.0}
CUBE = family(
    parameters={"a": UNIT, "b": UNIT, "c": UNIT},
    cruise_mps="1 + a + b + c",
    actors=[],
)
CORNER = 0.02  # probability of a failure


def corner(jobs):
    """Fails where a and b are both large; nearer to it, things come nearer."""
    for job in jobs:
        a, b = job.case.parameters["a"], job.case.parameters["b"]
        over_m = max(1 - np.sqrt(CORNER) - a, 1 - np.sqrt(CORNER) - b)
        hit = over_m < 0
        events = {
            "impact_speed_mps": 1.0 if hit else None,
            "min_separation_m": max(over_m, 0.0),
            "late_stop": False,
            "false_stop": False,
        }
        line = {
            "case": job.case.id,
            "policy": job.policy,
            "outcome": "collision" if hit else "ok",
            "events": events,
        }
        yield Result(line, [], 0.0, 0.0)


def searched(seed, budget=400, one=CUBE, **options):
    return search_family(one, SearchOptions(budget, seed, **options), corner)


def test_the_aimed_half_finds_many_more_failures_than_the_even_one():
    report = searched(0)
    even, *rounds = (sum(s.collided for s in batch.samples) for batch in report.batches)
    assert sum(rounds) > 10 * max(even, 4)
    assert report.as_json()["runs"] == 400


def test_the_weighted_estimate_is_right_and_sharper_than_even_samples():
    found = [searched(seed).as_json()["probability"] for seed in range(30)]
    weighted = np.array([f["weighted"]["estimate"] for f in found])
    assert weighted.mean() == pytest.approx(CORNER, rel=0.15)
    assert weighted.std() < 0.7 * np.array([f["exact"]["estimate"] for f in found]).std()
    covered = [f["weighted"]["low"] <= CORNER <= f["weighted"]["high"] for f in found]
    assert np.mean(covered) >= 0.8  # of intervals of 95 %, in 30 searches


def test_a_domain_that_cuts_the_ranges_makes_the_estimate_one_inside_it():
    inside = family(
        parameters={"a": UNIT, "b": UNIT, "c": UNIT},
        cruise_mps="1 + a + b + c",
        actors=[],
        domain={"a": [0.5, 1.0]},
    )
    found = [searched(seed, one=inside).as_json() for seed in range(20)]
    assert all(f["skipped_outside_domain"] > 100 for f in found)
    assert np.mean([f["probability"]["weighted"]["estimate"] for f in found]) == pytest.approx(
        2 * CORNER, rel=0.2
    )


def test_failures_are_made_small_one_parameter_after_the_other():
    report = searched(0)
    assert report.minimal
    edge = 1 - np.sqrt(CORNER)
    for case, found in report.minimal:
        assert found == "collision at 1.0 m/s"
        assert case.parameters["c"] == pytest.approx(0.5)  # it does not matter
        assert edge <= case.parameters["a"] < edge + 0.12
        assert edge <= case.parameters["b"] < edge + 0.12


def test_without_a_failure_the_bound_is_the_exact_one():
    one = family(
        parameters={"a": UNIT, "b": UNIT}, cruise_mps="1 + a + b", actors=[], domain={"a": [0.0, 0.5]}
    )
    report = searched(0, one=one, budget=100).as_json()
    assert report["failures"] == 0
    assert report["minimal"] == []
    assert report["probability"]["weighted"]["high"] == report["probability"]["exact"]["high"]
    assert report["probability"]["exact"]["high"] == pytest.approx(1 - 0.025 ** (1 / 50))  # Clopper-Pearson


def test_the_same_seed_searches_the_same_way():
    assert json.dumps(searched(5).as_json()) == json.dumps(searched(5).as_json())
    assert json.dumps(searched(5).as_json()) != json.dumps(searched(6).as_json())


def test_no_sample_says_nothing():
    assert exact_interval([])["high"] == 1.0


def test_a_kept_failure_comes_back_as_the_same_case(tmp_path):
    case, found = searched(0).minimal[0]
    keep(case, found, tmp_path)
    (back,) = load_regressions({CUBE.family: CUBE}, tmp_path)
    assert back.id == case.id
