"""How much a count of events proves: exact bounds, rates by stratum, the bootstrap by recording, events still needed.

Events are counted, not frames: frames of one run are not independent. Bounds are one-sided and exact: at the stated
confidence the true probability is not beyond them, however few the trials (Clopper and Pearson, The use of confidence
or fiducial limits illustrated in the case of the binomial, 1934).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, binom

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """What the probability of an event is at most; 1 without trials."""
    _check(events, trials)
    return float(beta.ppf(confidence, events + 1, trials - events)) if events < trials else 1.0


def lower_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """What the probability of an event is at least; 0 without trials."""
    _check(events, trials)
    return float(beta.ppf(1.0 - confidence, events, trials - events + 1)) if events > 0 else 0.0


def binomial_bounds(events: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided bounds of a probability: one-sided ones that share the tail; 0 and 1 without trials."""
    one_sided = 0.5 * (1.0 + confidence)
    return lower_bound(events, trials, one_sided), upper_bound(events, trials, one_sided)


def trials_needed(at_most: float, events: int = 0, confidence: float = 0.95) -> int:
    """The fewest trials from which, with so many events among them, the probability is bounded by ``at_most``.

    Raises:
        ValueError: if the bound or the confidence is not between 0 and 1.
    """
    if not (0.0 < at_most < 1.0 and 0.0 < confidence < 1.0):
        raise ValueError(f"bound {at_most} and confidence {confidence} have to lie between 0 and 1")

    def enough(trials: int) -> bool:
        return bool(binom.cdf(events, trials, at_most) <= 1.0 - confidence)

    low, high = events, events + 1
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def further_trials(events: int, trials: int, at_most: float, confidence: float = 0.95) -> int:
    """How many more trials, all without an event, make the claim that the probability is at most ``at_most``."""
    return max(trials_needed(at_most, events, confidence) - trials, 0)


@dataclass(frozen=True, slots=True)
class Rate:
    """Events among trials, with one-sided exact bounds at a confidence.

    Attributes:
        events: how often it happened.
        trials: how often it could have.
        confidence: of each of the two bounds.
    """

    events: int
    trials: int
    confidence: float = 0.95

    @property
    def value(self) -> float | None:
        """The share; None without trials."""
        return self.events / self.trials if self.trials else None

    @property
    def at_least(self) -> float:
        """Lower bound."""
        return lower_bound(self.events, self.trials, self.confidence)

    @property
    def at_most(self) -> float:
        """Upper bound."""
        return upper_bound(self.events, self.trials, self.confidence)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "events": self.events,
            "trials": self.trials,
            "rate": self.value,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "confidence": self.confidence,
        }


def rates_by(
    rows: Iterable[Row],
    stratum: Callable[[Row], Key],
    happened: Callable[[Row], bool],
    confidence: float = 0.95,
) -> dict[Key, Rate]:
    """The rate in each stratum, in the order in which strata first appear."""
    counts: dict[Key, list[int]] = {}
    for row in rows:
        count = counts.setdefault(stratum(row), [0, 0])
        count[0] += happened(row)
        count[1] += 1
    return {key: Rate(events, trials, confidence) for key, (events, trials) in counts.items()}


def resamples(groups: int, count: int, seed: int) -> Ints:
    """(count, groups) rows of groups drawn with replacement: the bootstrap by recording (Efron, 1979)."""
    return np.random.default_rng(seed).integers(groups, size=(count, groups))


def mean_interval(
    values_by_recording: Mapping[Any, npt.ArrayLike], confidence: float, count: int, seed: int
) -> tuple[float, float, float]:
    """Mean over all values with a two-sided percentile interval of the bootstrap by recording.

    Args:
        values_by_recording: what was measured in each recording; at least one value in all.
        confidence: of the interval.
        count: of resamples.
        seed: of the resampling.

    Returns:
        Mean, lower and upper end.
    """
    groups = [np.asarray(values, dtype=np.float64) for values in values_by_recording.values()]
    sums: Array = np.array([group.sum() for group in groups])
    sizes: Array = np.array([group.size for group in groups], dtype=np.float64)
    drawn = resamples(len(groups), count, seed)
    total = np.maximum(sizes[drawn].sum(axis=1), 1.0)
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(sums[drawn].sum(axis=1) / total, [tail, 1.0 - tail])
    return float(sums.sum() / sizes.sum()), float(low), float(high)


def _check(events: int, trials: int) -> None:
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events among {trials} trials")
