"""Bounded mailboxes between stages, and the ledger of what became of each message."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from threading import Condition, Lock
from typing import Generic, Protocol, TypeVar

from perception_platform.core.runtime_status import EdgeCount
from perception_platform.core.time import from_s

DIRECT = "direct"


class Fate(Enum):
    """What may become of a message that came in; the values are the fields of ``EdgeCount``."""

    PROCESSED = "processed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    MALFORMED = "malformed"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Edge:
    """One input of a stage.

    Attributes:
        name: of its topic.
        depth: how many wait for the stage; 1: the newest alone.
        deadline_s: older than this when its turn comes, a message is not looked at any more, s.
    """

    name: str
    depth: int = 1
    deadline_s: float = float("inf")

    @property
    def policy(self) -> str:
        """In words, as reports have it."""
        return "latest" if self.depth == 1 else f"queue of {self.depth}"


class Stamped(Protocol):
    """What a mailbox holds."""

    @property
    def t_ns(self) -> int:
        """Time of capture, ns."""


T = TypeVar("T", bound=Stamped)


class Mailbox(Generic[T]):
    """The inputs of one stage, each bounded by its edge.

    What has waited longest comes first. A full edge gives up its oldest message; in an edge that keeps the newest
    alone, that one takes the place in line of the one it supersedes.
    """

    def __init__(self, edges: Sequence[Edge]) -> None:
        self._changed = Condition(Lock())
        self._edges = {edge.name: edge for edge in edges}
        self._queues: dict[str, deque[tuple[int, T]]] = {edge.name: deque() for edge in edges}
        self._in_work: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._fates: Counter[tuple[str, Fate]] = Counter()
        self._places = 0
        self._closed = False

    def put(self, name: str, item: T) -> None:
        """Leave a message.

        Raises:
            KeyError: if the mailbox has no such edge.
        """
        with self._changed:
            queue, place = self._queues[name], self._places
            self._places += 1
            self._received[name] += 1
            if len(queue) == self._edges[name].depth:
                oldest_place, _ = queue.popleft()
                place = place if queue else oldest_place
                self._fates[name, Fate.SUPERSEDED] += 1
            queue.append((place, item))
            self._changed.notify()

    def refuse(self, name: str) -> None:
        """Count a message that is so malformed that it cannot even wait."""
        with self._changed:
            self._received[name] += 1
            self._fates[name, Fate.MALFORMED] += 1

    def take(self, clock_ns: Callable[[], int]) -> tuple[str, T] | None:
        """Wait for a message that is not too old, and take it; None once the mailbox is closed.

        Whoever takes one has to ``settle`` it.

        Args:
            clock_ns: the clock that stamps the sensors, ns.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._closed or any(self._queues.values()))
                if self._closed:
                    return None
                if taken := self._next(clock_ns()):
                    return taken

    def take_waiting(self, now_ns: int) -> list[tuple[str, T]]:
        """Take all that wait and are not too old, without waiting for more; each has to be settled."""
        taken = []
        with self._changed:
            while any(self._queues.values()):
                if one := self._next(now_ns):
                    taken.append(one)
        return taken

    def settle(self, name: str, fate: Fate) -> None:
        """Say what became of a message that was taken."""
        with self._changed:
            self._in_work[name] -= 1
            self._fates[name, fate] += 1

    def close(self) -> None:
        """Wake whoever waits, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def counts(self) -> tuple[EdgeCount, ...]:
        """The ledger, edge by edge."""
        with self._changed:
            return tuple(
                EdgeCount(
                    name,
                    edge.policy,
                    self._received[name],
                    **{fate.value: self._fates[name, fate] for fate in Fate},
                    held=len(self._queues[name]) + self._in_work[name],
                )
                for name, edge in self._edges.items()
            )

    def _next(self, now_ns: int) -> tuple[str, T] | None:
        """The first in line, or None if it was too old."""
        name = min((n for n, queue in self._queues.items() if queue), key=lambda n: self._queues[n][0][0])
        _, item = self._queues[name].popleft()
        deadline_s = self._edges[name].deadline_s
        if deadline_s != float("inf") and now_ns - item.t_ns > from_s(deadline_s):
            self._fates[name, Fate.EXPIRED] += 1
            return None
        self._in_work[name] += 1
        return name, item


class Ledger:
    """Counts messages that are used as they come, without a mailbox."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._received: Counter[str] = Counter()
        self._fates: Counter[tuple[str, Fate]] = Counter()

    def receive(self, name: str) -> None:
        """Count a message in."""
        with self._lock:
            self._received[name] += 1

    def refuse(self, name: str) -> None:
        """Count a message that is so malformed that it cannot be used."""
        with self._lock:
            self._received[name] += 1
            self._fates[name, Fate.MALFORMED] += 1

    def settle(self, name: str, fate: Fate) -> None:
        """Say what became of it."""
        with self._lock:
            self._fates[name, fate] += 1

    def counts(self) -> tuple[EdgeCount, ...]:
        """The ledger, topic by topic; what is in work right now counts as held."""
        with self._lock:
            return tuple(self._count(name) for name in self._received)

    def _count(self, name: str) -> EdgeCount:
        fates = {fate.value: self._fates[name, fate] for fate in Fate}
        received = self._received[name]
        return EdgeCount(name, DIRECT, received, **fates, held=received - sum(fates.values()))
