"""Hands values from node to node within one process, by reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any

Take = Callable[[Any], None]


class Exchange:
    """Who publishes and who listens in this process, by topic name.

    Values are shared, not copied: whoever gets one must not change it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._offered: Counter[str] = Counter()
        self._takers: dict[str, tuple[Take, ...]] = {}

    def offer(self, name: str) -> Callable[[], None]:
        """Say that a node of this process publishes the topic; calling the result takes that back."""
        with self._lock:
            self._offered[name] += 1

        def withdraw() -> None:
            with self._lock:
                self._offered[name] -= 1

        return withdraw

    def offers(self, name: str) -> bool:
        """Whether a node of this process publishes the topic."""
        with self._lock:
            return self._offered[name] > 0

    def listen(self, name: str, take: Take) -> Callable[[], None]:
        """Have ``take`` called with each value, in the thread that publishes it; calling the result ends that."""
        with self._lock:
            self._takers[name] = (*self._takers.get(name, ()), take)

        def leave() -> None:
            with self._lock:
                self._takers[name] = tuple(other for other in self._takers[name] if other is not take)

        return leave

    def hand_on(self, name: str, value: object) -> None:
        """Hand a value to all who listen."""
        for take in self._takers.get(name, ()):
            take(value)
