"""Components of one sweep side by side: most in the caller's thread, in their order, some each in a thread of its own.

Which thread runs a component decides nothing: each waits for what it takes, and each result has one maker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from perception_platform.inference.worker import Job, Worker


class Task(Protocol):
    """A component in its place."""

    @property
    def takes(self) -> tuple[int, ...]:
        """Where its inputs lie among the results."""

    @property
    def makes(self) -> tuple[int, ...]:
        """Where its outputs go."""


TaskT = TypeVar("TaskT", bound=Task)


class Lanes(Generic[TaskT]):
    """A thread for each component that may run beside the others; it ends with the process, whatever it is at."""

    def __init__(self, beside: Sequence[TaskT]) -> None:
        self._workers = {task.makes: Worker("perception beside") for task in beside}

    def run(self, tasks: Sequence[TaskT], work: Callable[[TaskT], None]) -> None:
        """Run each task once, when all that makes its inputs has run; returns when all have.

        Args:
            tasks: in an order in which each comes after those that make its inputs.
            work: runs one; what goes wrong in a component stays in it.
        """
        waiting = [task for task in tasks if task.makes in self._workers]
        if not waiting:
            for task in tasks:
                work(task)
            return
        maker = {result: task.makes for task in tasks for result in task.makes}
        jobs: dict[tuple[int, ...], Job[None]] = {}
        done: set[tuple[int, ...]] = set()

        def awaited(task: TaskT) -> list[tuple[int, ...]]:
            return [maker[at] for at in task.takes if at in maker and maker[at] not in done]

        def start_what_is_ready() -> None:
            for task in [t for t in waiting if not awaited(t)]:
                waiting.remove(task)
                jobs[task.makes] = self._workers[task.makes].start(partial(work, task))

        def settle(key: tuple[int, ...]) -> None:
            job = jobs[key]
            job.finished(None)
            done.add(key)
            job.result()

        for task in tasks:
            start_what_is_ready()
            for key in awaited(task):
                settle(key)
            if task.makes in self._workers:
                start_what_is_ready()
                continue
            work(task)
            done.add(task.makes)
        for key in jobs.keys() - done:
            settle(key)
