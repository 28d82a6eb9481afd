"""Two versions on the same cases, held against scipy, known answers and exact error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from perception_platform.evaluation.paired import Paired, SequentialTest, disagreements_needed

few = st.integers(0, 60)


@given(few, few)
def test_mcnemar_is_scipys_binomial_test(won: int, lost: int) -> None:
    paired = Paired(200, won, lost)
    if won + lost == 0:
        assert (paired.p_worse, paired.p_better, paired.p_different) == (1.0, 1.0, 1.0)
        return
    assert paired.p_worse == pytest.approx(binomtest(lost, won + lost, alternative="greater").pvalue)
    assert paired.p_better == pytest.approx(binomtest(won, won + lost, alternative="greater").pvalue)
    assert paired.p_different == pytest.approx(binomtest(won, won + lost).pvalue)


def test_pairs_that_agree_say_nothing() -> None:
    assert Paired(10, 1, 6).p_worse == Paired(10_000, 1, 6).p_worse


def test_published_numbers_of_disagreements() -> None:
    assert [disagreements_needed(share) for share in (0.6, 0.7, 0.8)] == [213, 53, 23]
    with pytest.raises(ValueError, match="more than half"):
        disagreements_needed(0.5)


def error_rate(test: SequentialTest, share: float, verdict: str, most: int = 4000) -> float:
    """Probability of a verdict where the candidate loses this share, by the exact walk of the evidence."""
    at = {(0, 0): 1.0}
    total = 0.0
    lost_step = math.log(test.worse / test.fair)
    won_step = math.log((1 - test.worse) / (1 - test.fair))
    fine_to, worse_from = test.limits
    for _ in range(most):
        after: dict[tuple[int, int], float] = {}
        for (lost, won), p in at.items():
            for n_lost, n_won, chance in ((lost + 1, won, share), (lost, won + 1, 1 - share)):
                evidence = n_lost * lost_step + n_won * won_step
                if evidence >= worse_from or evidence <= fine_to:
                    total += p * chance * ((evidence >= worse_from) == (verdict == "worse"))
                elif p * chance > 1e-12:
                    after[n_lost, n_won] = after.get((n_lost, n_won), 0.0) + p * chance
        at = after
        if not at:
            break
    return total


@pytest.mark.parametrize(
    "test", [SequentialTest(), SequentialTest(0.5, 0.8, 0.02, 0.2), SequentialTest(0.4, 0.6)]
)
def test_the_stated_error_rates_hold_exactly(test: SequentialTest) -> None:
    assert 0.2 * test.false_alarm < error_rate(test, test.fair, "worse") <= test.false_alarm
    assert 0.2 * test.miss < error_rate(test, test.worse, "not worse") <= test.miss


def test_they_hold_in_a_simulation_too_and_it_is_quicker_than_a_fixed_number() -> None:
    rng, test = np.random.default_rng(2), SequentialTest()
    runs = [test.run((rng.random(2000) < 0.7).tolist()) for _ in range(400)]
    assert np.mean([run.verdict == "worse" for run in runs]) > 0.88
    assert np.mean([run.used for run in runs]) < disagreements_needed(0.7)
    fair = [test.run((rng.random(2000) < 0.5).tolist()) for _ in range(400)]
    assert np.mean([run.verdict == "worse" for run in fair]) < 0.08


def test_it_stops_looking_at_the_verdict() -> None:
    found = SequentialTest().run(True for _ in iter(int, 1))
    assert found.verdict == "worse"
    assert found.used == math.ceil(math.log(20) / math.log(1.4))
    assert SequentialTest().run([True, False]).verdict == "undecided"


@pytest.mark.parametrize("settings", [(0.7, 0.5), (0.5, 1.0), (0.5, 0.7, 0.0), (0.5, 0.7, 0.05, 0.6)])
def test_settings_have_to_make_sense(settings: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="have to"):
        SequentialTest(*settings)
