"""The shedding ladder: what perception leaves out, one step after the other, when its deadline is at risk."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock

from perception_platform.core.time import from_ms, from_s, to_s
from perception_platform.robot.description import Robot
from perception_platform.robot.resources import SHED_STEPS, ShedStep

NONE = "none"
_LEVELS = (NONE, *SHED_STEPS)
_NEED_MODELS: tuple[ShedStep, ...] = ("camera_rate", "optional_heads", "geometric_only")
_MOST_SAMPLES = 1000


@dataclass(frozen=True, slots=True)
class LadderConfig:
    """The robot's ladder.

    Attributes:
        steps: those that it has, in their order.
        deadline_ns: age by which a percept has to be there.
        take_within_ns: age at which work on a sweep has to begin, to be done by then.
        sweep_period_ns: time between two sweeps.
        quantile: share of the window's frames that the risk speaks of.
        window_ns: how long a frame counts.
        climb_above: risk above which the next step is due, after ``climb_after_ns``.
        climb_after_ns: how long.
        descend_below: risk below which the last step is given back, after ``descend_after_ns``.
        descend_after_ns: how long.
        camera_every: one sweep in so many looks at cameras whose rate is lowered.
        speed_factor: share of the allowed speed left at reduced speed.
    """

    steps: tuple[ShedStep, ...]
    deadline_ns: int
    take_within_ns: int
    sweep_period_ns: int
    quantile: float
    window_ns: int
    climb_above: float
    climb_after_ns: int
    descend_below: float
    descend_after_ns: int
    camera_every: int
    speed_factor: float

    @classmethod
    def from_robot(cls, robot: Robot, sheds: Collection[ShedStep] = ()) -> LadderConfig:
        """From a robot file; steps that only shed models are left out for a robot that has none.

        Args:
            robot: the robot.
            sheds: steps at which its perception leaves out other components than models.
        """
        rules = robot.shedding
        return cls(
            steps=tuple(s for s in rules.steps if robot.models or s in sheds or s not in _NEED_MODELS),
            deadline_ns=from_ms(robot.percept_deadline_ms),
            take_within_ns=from_ms(robot.percept_deadline_ms - robot.latency.perception_ms),
            sweep_period_ns=from_ms(robot.sweep_period_ms),
            quantile=rules.quantile,
            window_ns=from_s(rules.window_s),
            climb_above=rules.climb_above,
            climb_after_ns=from_s(rules.climb_after_s),
            descend_below=rules.descend_below,
            descend_after_ns=from_s(rules.descend_after_s),
            camera_every=rules.camera_every,
            speed_factor=rules.speed_factor,
        )


@dataclass(frozen=True, slots=True)
class Shedding:
    """What is shed at the moment.

    Attributes:
        level: of the step taken last, 0 (none) to 5 (reduced_speed); the same number for every robot.
        name: of that step.
        reason: why it was taken, or given back.
        since_ns: when.
        risk: share of its deadline that perception uses up; 1 and more: too late.
        in_force: all steps taken.
        config: the ladder.
    """

    level: int
    name: str
    reason: str
    since_ns: int
    risk: float
    in_force: tuple[ShedStep, ...]
    config: LadderConfig

    def drops(self, age_ns: int) -> bool:
        """Whether to drop a sweep that is this old when work on it could begin."""
        return "stale_frames" in self.in_force and age_ns > self.config.take_within_ns

    def allows_camera(self, sweep: int) -> bool:
        """Whether to look at cameras with this sweep, by its running number."""
        skips = "camera_rate" in self.in_force and sweep % self.config.camera_every != 0
        return self.learned_models and not skips

    @property
    def optional_heads(self) -> bool:
        """Whether heads of cameras that are not required run."""
        return self.learned_models and "optional_heads" not in self.in_force

    @property
    def learned_models(self) -> bool:
        """Whether any learned model runs; the geometric path always does."""
        return "geometric_only" not in self.in_force

    @property
    def speed_factor(self) -> float:
        """Share of the allowed speed to ask the gate for, up to 1."""
        return self.config.speed_factor if "reduced_speed" in self.in_force else 1.0


class Ladder:
    """Climbs one step while the deadline is at risk, comes down one while it is not; safe to use from several threads.

    Risk is measured on the oldest age that a percept reached before the next one took its place, against the age it
    may reach (age of information: Kaul, Yates and Gruteser, "Real-time status: how often should one update?", INFOCOM
    2012). So a lost frame counts for what it does, which is to make the one before it serve a sweep longer. Where no
    frame comes at all there is nothing to judge: the level stays.

    All times are ns of a steady clock.
    """

    def __init__(self, config: LadderConfig, now_ns: int) -> None:
        self._config = config
        self._lock = Lock()
        self._taken = 0
        self._since_ns = now_ns
        self._reason = ""
        self._samples: deque[tuple[int, float]] = deque(maxlen=_MOST_SAMPLES)
        self._lost_in_a_row = 0
        self._lost_at_ns = now_ns
        self._above_since_ns: int | None = None
        self._below_since_ns: int | None = None

    def finished(self, now_ns: int, age_ns: int) -> None:
        """Count a frame that was worked on; ``age_ns`` from its capture to now (from the future: 0)."""
        config = self._config
        with self._lock:
            waited_ns = max(0, age_ns) + self._lost_in_a_row * config.sweep_period_ns
            self._samples.append((now_ns, waited_ns / config.deadline_ns))
            self._lost_in_a_row = 0

    def lost(self, now_ns: int) -> None:
        """Count a frame that was superseded, or dropped because it was too old."""
        with self._lock:
            self._lost_in_a_row += 1
            self._lost_at_ns = now_ns

    def step(self, now_ns: int) -> Shedding:
        """Move if it is time to, by one step at most, and say what is shed now."""
        with self._lock:
            risk = self._risk(now_ns)
            self._move(now_ns, risk)
            name = self._config.steps[self._taken - 1] if self._taken else NONE
            return Shedding(
                _LEVELS.index(name),
                name,
                self._reason,
                self._since_ns,
                risk or 0.0,
                self._config.steps[: self._taken],
                self._config,
            )

    def _risk(self, now_ns: int) -> float | None:
        """The larger of what finished frames say and what lost ones say since; None without either."""
        config = self._config
        oldest_ns = now_ns - config.window_ns
        while self._samples and self._samples[0][0] < oldest_ns:
            self._samples.popleft()
        if self._lost_at_ns < oldest_ns:
            self._lost_in_a_row = 0
        if not self._samples and not self._lost_in_a_row:
            return None
        ratios = sorted(ratio for _, ratio in self._samples)
        of_finished = ratios[math.ceil(config.quantile * len(ratios)) - 1] if ratios else 0.0
        return max(of_finished, self._lost_in_a_row * config.sweep_period_ns / config.deadline_ns)

    def _move(self, now_ns: int, risk: float | None) -> None:
        config = self._config
        above = risk is not None and risk > config.climb_above
        below = risk is not None and risk < config.descend_below
        self._above_since_ns = _since(self._above_since_ns, above, now_ns)
        self._below_since_ns = _since(self._below_since_ns, below, now_ns)
        if self._taken < len(config.steps) and _held(self._above_since_ns, now_ns, config.climb_after_ns):
            self._go(now_ns, 1, f"risk above {config.climb_above:g} for {to_s(config.climb_after_ns):g} s")
        elif self._taken and _held(self._below_since_ns, now_ns, config.descend_after_ns):
            self._go(
                now_ns, -1, f"risk below {config.descend_below:g} for {to_s(config.descend_after_ns):g} s"
            )

    def _go(self, now_ns: int, steps: int, reason: str) -> None:
        self._taken += steps
        self._since_ns = now_ns
        self._reason = reason
        self._above_since_ns = self._below_since_ns = None


def _since(since_ns: int | None, holds: bool, now_ns: int) -> int | None:
    """Since when a condition has held without a break."""
    if not holds:
        return None
    return now_ns if since_ns is None else since_ns


def _held(since_ns: int | None, now_ns: int, long_enough_ns: int) -> bool:
    return since_ns is not None and now_ns - since_ns >= long_enough_ns
