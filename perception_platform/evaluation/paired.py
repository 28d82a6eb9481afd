"""Two versions on the same cases: only the cases on which they disagree say which is better.

A case that both pass, or both fail, says nothing. Among n disagreements, the number that the candidate loses is
binomial with share 1/2 where neither is better: exact McNemar (McNemar, Note on the sampling error of the difference
between correlated proportions, 1947). The sequential test is Wald's probability ratio test (Sequential Analysis, 1947).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np
from scipy.stats import binom

_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Paired:
    """Outcome of a paired comparison.

    Attributes:
        pairs: cases that both versions ran.
        only_baseline_failed: disagreements that the candidate wins.
        only_candidate_failed: disagreements that it loses.
    """

    pairs: int
    only_baseline_failed: int
    only_candidate_failed: int

    @property
    def disagreements(self) -> int:
        """Cases that one of the two failed, and the other did not."""
        return self.only_baseline_failed + self.only_candidate_failed

    @property
    def p_worse(self) -> float:
        """Probability of so many losses or more if the candidate were no worse; small speaks against it."""
        return float(binom.sf(self.only_candidate_failed - 1, self.disagreements, 0.5))

    @property
    def p_better(self) -> float:
        """Probability of so many wins or more if the candidate were no better; small speaks for it."""
        return float(binom.sf(self.only_baseline_failed - 1, self.disagreements, 0.5))

    @property
    def p_different(self) -> float:
        """Two-sided: probability of so uneven a split if neither were better."""
        return min(1.0, 2.0 * min(self.p_worse, self.p_better))


def disagreements_needed(share: float, significance: float = 0.05, power: float = 0.9) -> int:
    """The fewest disagreements of which a version that wins this share is found better, at this power.

    By the one-sided exact test, as ``p_better`` has it.

    Raises:
        ValueError: if the share is not between 1/2 and 1.
    """
    if not 0.5 < share < 1.0:
        raise ValueError(f"a better version wins more than half of the disagreements, not {share}")
    for start in count(1, _CHUNK):
        n = np.arange(start, start + _CHUNK)
        least_wins = binom.isf(significance, n, 0.5) + 1
        enough = n[binom.sf(least_wins - 1, n, share) >= power]
        if len(enough):
            break
    return int(enough[0])


@dataclass(frozen=True, slots=True)
class Sequential:
    """Where a sequential test stands.

    Attributes:
        verdict: worse, not worse, or undecided so far.
        used: disagreements looked at up to the verdict.
        evidence: logarithm of the likelihood ratio of worse to not worse.
        worse_from: the verdict is worse from this evidence on.
        fine_to: the verdict is not worse from this evidence down.
    """

    verdict: Literal["worse", "not worse", "undecided"]
    used: int
    evidence: float
    worse_from: float
    fine_to: float


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """Wald's test on disagreements, with stated error rates however often one looks.

    Attributes:
        fair: share of disagreements that a candidate loses which is no worse.
        worse: share from which on it must be found.
        false_alarm: most a fair candidate may be called worse.
        miss: most a worse one may be called fine.

    Raises:
        ValueError: if the shares are not in order between 0 and 1, or an error rate is not between 0 and 1/2.
    """

    fair: float = 0.5
    worse: float = 0.7
    false_alarm: float = 0.05
    miss: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.fair < self.worse < 1.0:
            raise ValueError(f"shares {self.fair} and {self.worse} have to be in order between 0 and 1")
        if not (0.0 < self.false_alarm < 0.5 and 0.0 < self.miss < 0.5):
            raise ValueError(f"error rates {self.false_alarm} and {self.miss} have to lie between 0 and 1/2")

    @property
    def limits(self) -> tuple[float, float]:
        """Evidence at which the verdict is not worse, and worse.

        The logarithms of ``miss`` and of 1 / ``false_alarm``: a likelihood ratio exceeds 1 / a with probability a at
        most (Ville, 1939), so that the stated rates hold exactly; Wald's own limits only hold them nearly.
        """
        return math.log(self.miss), -math.log(self.false_alarm)

    def run(self, lost: Iterable[bool]) -> Sequential:
        """The verdict on disagreements in a fixed order: whether the candidate lost each."""
        fine_to, worse_from = self.limits
        if_lost = math.log(self.worse / self.fair)
        if_won = math.log((1.0 - self.worse) / (1.0 - self.fair))
        evidence, used = 0.0, 0
        for is_lost in lost:
            evidence += if_lost if is_lost else if_won
            used += 1
            if evidence >= worse_from:
                return Sequential("worse", used, evidence, worse_from, fine_to)
            if evidence <= fine_to:
                return Sequential("not worse", used, evidence, worse_from, fine_to)
        return Sequential("undecided", used, evidence, worse_from, fine_to)
