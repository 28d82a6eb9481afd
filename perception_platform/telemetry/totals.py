"""Counts that outlive who counted them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Totals(Generic[K]):
    """Sums of what one reporter counted since it began, over all its lives: they never fall.

    A reporter that starts again counts from 0. It is known by a count that fell, which is how Prometheus tells; what
    it had counted before is then kept.
    """

    def __init__(self) -> None:
        self._kept: Counter[K] = Counter()
        self._counts: Counter[K] = Counter()
        self._unfinished: Counter[K] = Counter()

    def update(self, counts: Mapping[K, int], unfinished: Mapping[K, int] | None = None) -> None:
        """Take in a report.

        Args:
            counts: what the reporter counted since it began.
            unfinished: what it was about to count; if it never reports that, it counts under these keys.
        """
        if any(counts.get(key, 0) < before for key, before in self._counts.items()):
            self._kept.update(self._counts)
            self._kept.update(self._unfinished)
        self._counts = Counter(counts)
        self._unfinished = Counter(unfinished or {})

    def all(self) -> dict[K, int]:
        """Every total so far."""
        keys = {**self._kept, **self._counts, **self._unfinished}
        return {key: self._kept[key] + self._counts[key] for key in keys}


class Recent(Generic[K]):
    """Remembers the last ``limit`` different items that were new."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: dict[K, None] = {}

    def is_new(self, item: K) -> bool:
        """Whether the item has not been seen before; it has been from now on."""
        if item in self._items:
            return False
        self._items[item] = None
        if len(self._items) > self._limit:
            del self._items[next(iter(self._items))]
        return True
