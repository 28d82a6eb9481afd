"""Clocks of different machines, held against cause and effect: nothing is used before it was sent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

_FAR_OUT = 3.0  # interquartile ranges below the lower quartile: Tukey's outer fence (1977)
_QUICK = 10.0  # percent of the gaps that may be quicker than the one that is taken for the least
_JITTER_NS = 10_000_000  # what clocks of a network waver; less is never out of order


def out_of_order(gaps_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which chains hold a stamp that no constant offset of a clock explains, such as one single stamp of the future.

    Args:
        gaps_ns: (N, K) of N chains, from the sending over each of K links until the receiver first can have used
            it, each by the clock of its own side, ns.

    Returns:
        (N,) whether a gap is negative and far below what the same link shows otherwise.
    """
    lower, upper = np.percentile(gaps_ns, [25, 75], axis=0)
    fences_ns = np.minimum(lower - np.maximum(_FAR_OUT * (upper - lower), _JITTER_NS), 0.0)
    wrong: npt.NDArray[np.bool_] = (gaps_ns < fences_ns).any(axis=1)
    return wrong


def least_gaps_ns(gaps_ns: npt.NDArray[np.int64]) -> list[int]:
    """The least gap of each link, but for the quickest tenth of them.

    Of clocks that differ by a constant it is nearly the least of all. Replayed time is not the same in all processes at
    once; the very least would move every decision by the worst moment of it.

    Args:
        gaps_ns: (N, K) as for out_of_order.
    """
    least: list[int] = np.percentile(gaps_ns, _QUICK, axis=0, method="lower").tolist()
    return least


def least_shifts_ns(least_gaps_ns: Sequence[int]) -> list[int]:
    """By how much the stamps of each receiver have to move at least, so that no least gap is negative.

    As many clocks as can be right at once are taken to be right, with the sensors' and, of several such sets, one that
    holds the last receiver's, whose stamp ends the total. The others move as little as cause and effect allow:
    what is found of an offset is a lower bound, and shows only as far as a gap would be negative.

    In terms of the times at which an input would reach each receiver without any waiting, right clocks are a longest
    subsequence of these times that does not decrease.

    Args:
        least_gaps_ns: the least gap of each link of the chain, in its order.

    Returns:
        Of each link's receiver, ns: positive where its clock is behind that of the sensors, negative where ahead.
    """
    reached_ns = [0, *accumulate(least_gaps_ns)]
    right = _longest_in_order(reached_ns)
    shifts, low_ns = [], 0
    for i, at_ns in enumerate(reached_ns):
        next_right_ns = min((reached_ns[k] for k in right if k >= i), default=None)
        moved_ns = max(at_ns, low_ns) if next_right_ns is None else min(max(at_ns, low_ns), next_right_ns)
        shifts.append(moved_ns - at_ns)
        low_ns = moved_ns
    return shifts[1:]


def _longest_in_order(values: Sequence[int]) -> set[int]:
    """Indices of a longest subsequence that begins with the first value and does not decrease."""
    best: list[list[int]] = [[0]]  # by its last index; empty where the first value is too large
    for i, value in enumerate(values[1:], start=1):
        before = [chain for k, chain in enumerate(best) if chain and values[k] <= value]
        best.append([*max(before, key=len), i] if before else [])
    longest: list[int] = max(reversed(best), key=len)
    return set(longest)
