"""A mailbox between a stage that receives and one that works."""

from __future__ import annotations

from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestMailbox(Generic[T]):
    """Holds the newest item of each source; a newer one takes the place of one that nobody has taken yet.

    Sources take turns: the one whose item has waited longest comes first.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._items: dict[str, T] = {}
        self._closed = False

    def put(self, source: str, item: T) -> bool:
        """Leave an item; True if it superseded one that was never taken."""
        with self._changed:
            superseded = source in self._items
            self._items[source] = item  # a dict keeps the place of a key it has
            self._changed.notify()
            return superseded

    def take(self) -> tuple[str, T] | None:
        """Wait for an item and take it with its source; None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if self._closed:
                return None
            source = next(iter(self._items))
            return source, self._items.pop(source)

    def close(self) -> None:
        """Wake whoever waits, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
