"""The last seconds of odometry, to find the state that belongs to a sweep."""

from __future__ import annotations

from collections import deque

from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s


class EgoHistory:
    """Keeps odometry of the last ``keep_s`` seconds; starts over when its stamps go backwards."""

    def __init__(self, keep_s: float = 1.0) -> None:
        self._keep_ns = from_s(keep_s)
        self._states: deque[EgoState] = deque()

    def add(self, ego: EgoState) -> None:
        """Take in the newest odometry."""
        if self._states and ego.t_ns < self._states[-1].t_ns:
            self._states.clear()
        self._states.append(ego)
        while ego.t_ns - self._states[0].t_ns > self._keep_ns:
            self._states.popleft()

    def nearest(self, t_ns: int) -> EgoState | None:
        """The state closest in time to ``t_ns``; None before the first. Another thread may add to them meanwhile."""
        return min(list(self._states), key=lambda ego: abs(ego.t_ns - t_ns), default=None)
