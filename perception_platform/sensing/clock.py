"""The time and the waiting that sources need, as one seam: tests give a clock that doesn't wait."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from perception_platform.core.time import to_s


class Clock(Protocol):
    """Tells the time that stamps sensor data, and waits."""

    @property
    def stopped(self) -> bool:
        """Whether reading has to end."""
        ...

    def now_ns(self) -> int:
        """Time now, ns since the epoch."""
        ...

    def wait_s(self, duration_s: float) -> None:
        """Wait, at most until reading has to end."""
        ...


class SystemClock:
    """The clock of this machine; ``stop`` ends every wait, from any thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Make those who read come to an end."""
        self._stop.set()

    def now_ns(self) -> int:
        """Time now, ns since the epoch."""
        return time.time_ns()

    def wait_s(self, duration_s: float) -> None:
        """Wait, at most until ``stop``."""
        self._stop.wait(max(0.0, duration_s))


class Pacer:
    """Plays recorded data at its own pace and gives it stamps of today.

    A played sensor then looks like a live one to everything behind it, which would refuse old stamps.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_ns: int | None = None

    def wait_until(self, offset_ns: int) -> int:
        """Wait until ``offset_ns`` after the first call's offset; returns the time at which that is due, ns."""
        if self._start_ns is None:
            self._start_ns = self._clock.now_ns() - offset_ns
        due_ns = self._start_ns + offset_ns
        self._clock.wait_s(to_s(due_ns - self._clock.now_ns()))
        return due_ns
