"""Hands values from node to node within one process, by reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any

Take = Callable[[Any], None]
End = Callable[[], None]


class Exchange:
    """Who publishes and who listens in this process, by topic name.

    Values are shared, not copied: whoever gets one must not change it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._offered: Counter[str] = Counter()
        self._takers: dict[str, tuple[Take, ...]] = {}
        self._outside: dict[str, list[tuple[Take, End]]] = {}

    def offer(self, name: str) -> End:
        """Say that a node of this process publishes the topic; calling the result takes that back.

        Who listened outside stops doing so, and is not sent back there: what this process once published it will again.
        """
        with self._lock:
            self._offered[name] += 1
            outside = self._outside.pop(name, [])
        for _, end in outside:
            end()

        def withdraw() -> None:
            with self._lock:
                self._offered[name] -= 1

        return withdraw

    def listen(self, name: str, take: Take, outside: Callable[[], End]) -> End:
        """Have ``take`` called with each value, in the thread that publishes it; calling the result ends that.

        Args:
            name: of the topic.
            take: gets the values.
            outside: begins to listen to other processes, and returns what ends it: while no node here publishes the
                topic. So the order in which nodes are set up makes no difference.
        """
        with self._lock:
            self._takers[name] = (*self._takers.get(name, ()), take)
            if not self._offered[name]:
                self._outside.setdefault(name, []).append((take, outside()))

        def leave() -> None:
            with self._lock:
                self._takers[name] = tuple(other for other in self._takers[name] if other is not take)
                waiting = self._outside.get(name, [])
                mine = [end for other, end in waiting if other is take]
                self._outside[name] = [(other, end) for other, end in waiting if other is not take]
            for end in mine:
                end()

        return leave

    def hand_on(self, name: str, value: object) -> None:
        """Hand a value to all who listen."""
        for take in self._takers.get(name, ()):
            take(value)
