"""A thread that runs one job after the other and may be left behind with one that hangs."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Work that was handed to a worker."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done = Event()
        self._result: T | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Do it, whatever comes of it."""
        try:
            self._result = self._work()
        except Exception as error:
            self._error = error
        finally:
            self._done.set()

    def finished(self, within_s: float | None = 0.0) -> bool:
        """Whether it is done, now or within so long; None waits for it."""
        return self._done.wait(within_s)

    def result(self) -> T:
        """What it returned; raises what it raised. Only for one that is done."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set where nothing was raised


class Worker:
    """Runs jobs in a daemon thread of its own, so that one that never ends holds up neither its caller nor the exit."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Job[Any]] = SimpleQueue()
        self._last: Job[Any] | None = None
        Thread(target=self._loop, name=name, daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether it still works on its last job."""
        return self._last is not None and not self._last.finished()

    def start(self, work: Callable[[], T]) -> Job[T]:
        """Hand it a job."""
        job = Job(work)
        self._last = job
        self._jobs.put(job)
        return job

    def _loop(self) -> None:
        while True:
            self._jobs.get().run()
