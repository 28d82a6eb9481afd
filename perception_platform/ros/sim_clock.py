"""Replayed time between the ticks of ``/clock``."""

from __future__ import annotations

from threading import Lock


class SimClock:
    """Carries time on between two ticks by a steady clock, never further than one tick.

    A paused player therefore stops the time of every node, and time runs backwards only if the player's does.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._tick_ns = 0
        self._seen_steady_ns = 0
        self._period_ns = 0
        self._latest_ns = 0

    def tick(self, t_ns: int, steady_ns: int) -> None:
        """Take a tick of the player's clock, received at ``steady_ns``."""
        with self._lock:
            jumped_back = t_ns < self._tick_ns
            self._period_ns = 0 if jumped_back or not self._tick_ns else t_ns - self._tick_ns
            self._tick_ns, self._seen_steady_ns = t_ns, steady_ns
            self._latest_ns = t_ns if jumped_back else max(t_ns, self._latest_ns)

    def now_ns(self, steady_ns: int) -> int:
        """The player's time at ``steady_ns``; 0 before the first tick."""
        with self._lock:
            since_ns = min(max(0, steady_ns - self._seen_steady_ns), self._period_ns)
            self._latest_ns = max(self._latest_ns, self._tick_ns + since_ns)
            return self._latest_ns
