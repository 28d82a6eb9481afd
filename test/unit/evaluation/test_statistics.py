"""What counts prove, held against scipy and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from perception_platform.evaluation.statistics import (
    Rate,
    binomial_bounds,
    further_trials,
    lower_bound,
    mean_interval,
    rates_by,
    resamples,
    trials_needed,
    upper_bound,
)

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.floats(0.5, 0.999)


@given(counts, confidences)
def test_bounds_are_scipys_exact_ones(count: tuple[int, int], confidence: float) -> None:
    events, trials = count
    below = binomtest(events, trials, alternative="less").proportion_ci(confidence, "exact")
    above = binomtest(events, trials, alternative="greater").proportion_ci(confidence, "exact")
    both = binomtest(events, trials).proportion_ci(confidence, "exact")
    assert upper_bound(events, trials, confidence) == pytest.approx(below.high, abs=1e-9)
    assert lower_bound(events, trials, confidence) == pytest.approx(above.low, abs=1e-9)
    assert binomial_bounds(events, trials, confidence) == pytest.approx((both.low, both.high), abs=1e-9)


@pytest.mark.parametrize("probability", [0.003, 0.05, 0.4])
def test_a_bound_is_wrong_no_more_often_than_it_says(probability: float) -> None:
    """Exact, over all outcomes of the binomial, in place of a draw."""
    trials = 137
    outcomes = np.arange(trials + 1)
    wrong = np.array([upper_bound(k, trials) < probability for k in range(trials + 1)])
    assert binom.pmf(outcomes, trials, probability)[wrong].sum() <= 0.05


def test_a_bound_is_wrong_no_more_often_in_a_simulation() -> None:
    rng = np.random.default_rng(4)
    events = rng.binomial(60, 0.1, size=2000)
    wrong = np.mean([upper_bound(int(k), 60) < 0.1 for k in events])
    assert wrong < 0.06


def test_nothing_seen_proves_nothing() -> None:
    assert (upper_bound(0, 0), lower_bound(0, 0)) == (1.0, 0.0)
    assert Rate(0, 0).value is None
    with pytest.raises(ValueError, match="4 events among 3 trials"):
        upper_bound(4, 3)


def test_published_numbers_of_events_without_a_failure() -> None:
    assert [trials_needed(p) for p in (0.01, 0.001, 0.0001)] == [299, 2995, 29956]


@given(st.floats(0.002, 0.7), st.integers(0, 12), confidences)
def test_the_trials_needed_are_the_fewest(at_most: float, events: int, confidence: float) -> None:
    trials = trials_needed(at_most, events, confidence)
    assert upper_bound(events, trials, confidence) <= at_most + 1e-9
    assert trials == events + 1 or upper_bound(events, trials - 1, confidence) > at_most - 1e-9


@given(counts, st.floats(0.01, 0.5))
def test_so_many_more_trials_make_the_claim(count: tuple[int, int], at_most: float) -> None:
    events, trials = min(count[0], 20), max(count[1], 20)
    further = further_trials(events, trials, at_most)
    assert upper_bound(events, trials + further) <= at_most + 1e-9


def test_a_bound_has_to_be_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        trials_needed(0.0)


def test_rates_are_counted_in_each_stratum() -> None:
    rows = [("a", True), ("b", False), ("a", False), ("a", False)]
    rates = rates_by(rows, lambda row: row[0], lambda row: row[1])
    assert {name: (rate.events, rate.trials) for name, rate in rates.items()} == {"a": (1, 3), "b": (0, 1)}
    assert rates["a"].as_dict()["at_most"] == upper_bound(1, 3)


def test_the_bootstrap_is_by_recording() -> None:
    """Values that are alike within a recording are no more evidence than one of them."""
    rng = np.random.default_rng(0)
    level = rng.normal(size=12)
    alike = {k: np.full(50, level[k]) for k in range(12)}
    single = {k: level[k : k + 1] for k in range(12)}
    assert mean_interval(alike, 0.9, 500, 3) == pytest.approx(mean_interval(single, 0.9, 500, 3))
    independent = {k: rng.normal(size=50) for k in range(12)}
    _, low, high = mean_interval(independent, 0.9, 500, 3)
    _, alike_low, alike_high = mean_interval(alike, 0.9, 500, 3)
    assert alike_high - alike_low > 3 * (high - low)


def test_the_bootstraps_interval_holds_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(300):
        values = {k: rng.normal(rng.normal(), 0.3, size=5) for k in range(30)}
        _, low, high = mean_interval(values, 0.9, 300, trial)
        held += low <= 0.0 <= high
    assert 0.84 < held / 300 < 0.95


def test_resamples_repeat_with_the_seed() -> None:
    assert (resamples(7, 5, 2) == resamples(7, 5, 2)).all()
    assert (resamples(7, 5, 2) != resamples(7, 5, 3)).any()
