"""Whether what a base hears keeps it safe: decisions, silences and their times, without ROS and without a clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perception_platform.core.verdicts import Action, Reason


@dataclass(frozen=True, slots=True)
class Heard:
    """One decision as it reached the base.

    Attributes:
        at_s: when, by the steady clock, s.
        action: what it asks for.
        age_s: how old the oldest data behind it was on arrival, s; infinite without any.
        reasons: of its findings, strictest first.
    """

    at_s: float
    action: Action
    age_s: float
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class AgeBounds:
    """The oldest data that the robot may drive on, s: freely, and at a limited speed."""

    proceed_s: float
    limit_s: float

    def breaks(self, heard: Heard) -> bool:
        """Whether a decision lets the robot drive on older data."""
        bounds_s = {Action.PROCEED: self.proceed_s, Action.LIMIT: self.limit_s}
        return heard.action in bounds_s and not heard.age_s <= bounds_s[heard.action]


def safe_since(heard: Iterable[Heard], from_s: float, strictest: Action) -> float | None:
    """Since when each decision has asked for that or for something stricter, s; None if the last one does not.

    Args:
        heard: in the order of arrival.
        from_s: when the fault began; decisions that came before do not count.
        strictest: what is asked for at least.
    """
    since_s: float | None = None
    for one in heard:
        if one.at_s < from_s:
            continue
        if one.action > strictest:
            since_s = None
        elif since_s is None:
            since_s = one.at_s
    return since_s


def first_proceed(heard: Iterable[Heard], from_s: float) -> float | None:
    """When the robot was first let drive on freely, s; None if it was not."""
    return next((one.at_s for one in heard if one.at_s >= from_s and one.action is Action.PROCEED), None)


def stale_drives(heard: Iterable[Heard], bounds: AgeBounds) -> list[Heard]:
    """Decisions that let the robot drive on data older than the bounds."""
    return [one for one in heard if bounds.breaks(one)]


def longest_gap_s(at_s: Sequence[float], from_s: float, to_s: float) -> float:
    """The longest time without any of these moments, within a span of time, s."""
    within = [from_s, *(t for t in at_s if from_s <= t <= to_s), to_s]
    return max(after - before for before, after in pairwise(within))


def story(heard: Iterable[Heard], from_s: float) -> list[str]:
    """What was decided, and when it changed, in words; times from the fault's beginning, s."""
    lines: list[str] = []
    before: tuple[Action, tuple[Reason, ...]] | None = None
    for one in heard:
        if (one.action, one.reasons) != before:
            reasons = ", ".join(reason.name.lower() for reason in one.reasons)
            text = f"{one.at_s - from_s:+.3f} s {one.action.name.lower()} {reasons}".rstrip()
            lines.append(f"{text}, data {one.age_s:.3f} s old")
            before = (one.action, one.reasons)
    return lines
