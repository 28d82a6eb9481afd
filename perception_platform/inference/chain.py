"""Models in the order in which they are asked: the first that can answers, and nobody waits longer than the limit.

A chain answers or says that it cannot. Whoever asked then goes on without, as the geometric path always can.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from perception_platform.core.model_status import Assurance, ModelState, ModelStatus
from perception_platform.core.objects import ModelRef
from perception_platform.core.time import from_s, to_ms, to_s
from perception_platform.inference.worker import Job, Worker

_RUN_TIMES_KEPT = 100
_LONGEST_TEXT = 300

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
InT = TypeVar("InT")
OutT = TypeVar("OutT")


class Link(Protocol[In, Out]):
    """A model on a backend."""

    @property
    def model(self) -> ModelRef:
        """Model in use."""

    @property
    def backend(self) -> str:
        """What runs it."""

    @property
    def assurance(self) -> Assurance:
        """How its scores were calibrated, and what it says of its errors."""

    def step(self, value: In, /) -> Out:
        """Its answer; raises when the model fails."""

    def check(self) -> None:
        """Hold it against what it has to answer; raises when it does not.

        Raises:
            ModelError: says which output is off, and by how much.
        """


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """A model that could not be loaded; it is reported until someone repairs it."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class ChainRules:
    """When a model is replaced, and when it comes back.

    Attributes:
        limit_s: time that all models together may take for one answer, s.
        give_up_after: failures in a row after which a model is not asked any more.
        return_after_s: a model that was given up is tried beside the one that serves after so long, and serves again
            if its answer comes in time, s; None: it stays out.
    """

    limit_s: float
    give_up_after: int = 3
    return_after_s: float | None = None


@dataclass(slots=True)
class _Member(Generic[InT, OutT]):
    """A link and how it has fared."""

    link: Link[InT, OutT]
    worker: Worker | None
    failures_in_row: int = 0
    problem: str = ""
    out_since_ns: int | None = None
    trial: Job[float] | None = None
    run_times_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RUN_TIMES_KEPT))

    @property
    def name(self) -> str:
        return f"{self.link.model.id} on {self.link.backend}"


class Chain(Generic[InT, OutT]):
    """Asks one model after the other for an answer.

    With a clock each model runs in a thread of its own, which is left behind when the limit is over. Without one, as
    in lockstep replay, it runs in the caller's and takes what it takes: the same input gives the same answer.
    """

    def __init__(
        self,
        head: str,
        links: Sequence[Link[InT, OutT] | BrokenLink],
        rules: ChainRules,
        clock_ns: Callable[[], int] | None = None,
    ) -> None:
        """Join models.

        Args:
            head: the perception head that they serve, for reports.
            links: in the order in which they are asked.
            rules: when one is replaced.
            clock_ns: a steady clock; None: no limit, and nothing is timed.
        """
        self.head = head
        self._rules = rules
        self._clock_ns = clock_ns
        self._first = links[0] if links else None
        self._broken = [link for link in links if isinstance(link, BrokenLink)]
        self._members = [
            _Member(link, Worker(f"model {head}"[:15]) if clock_ns else None)
            for link in links
            if not isinstance(link, BrokenLink)
        ]
        self._served: _Member[InT, OutT] | None = None
        self._has_run = False
        self._runs = self._failures = 0

    def warm_up(self, value: InT) -> None:
        """Check each model's golden outputs and run it once, without a limit; one that fails is out from the start."""
        for member in self._members:
            try:
                member.link.check()
                member.link.step(value)
            except Exception as error:
                member.problem = _said(error)
                member.out_since_ns = 0

    def run(self, t_ns: int, value: InT) -> OutT | None:
        """An answer, or None where no model can give one in time.

        Args:
            t_ns: time of the input; when a model comes back is counted by it.
            value: the input.
        """
        answer, served = self._first_answer(t_ns, value)
        self._runs += 1
        self._served, self._has_run = (
            served,
            True,
        )  # in one go: another thread may ask for the status meanwhile
        return answer

    def _first_answer(self, t_ns: int, value: InT) -> tuple[OutT | None, _Member[InT, OutT] | None]:
        """Ask one after the other; the answer and who gave it."""
        until_ns = self._clock_ns() + from_s(self._rules.limit_s) if self._clock_ns else 0
        for member in self._members:
            if member.out_since_ns is not None and not self._is_back(member, t_ns, value):
                continue
            if self._clock_ns and self._clock_ns() >= until_ns:
                break  # that an earlier one used up the time is no fault of this one
            try:
                answer = self._ask(member, value, until_ns)
            except Exception as error:
                self._failed(member, t_ns, _said(error))
                continue
            member.failures_in_row, member.problem = 0, ""
            return answer, member
        return None, None

    def status(self, t_ns: int, out_of_domain: str = "") -> ModelStatus:
        """Which model serves, and why not an earlier one.

        Args:
            t_ns: time of the report.
            out_of_domain: why the newest input is unlike what models are made for, or empty.
        """
        member = self._served if self._has_run else self._next()
        asked = self._members and member is self._members[0] and self._first is self._members[0].link
        state = ModelState.FAILED if member is None else ModelState.ACTIVE if asked else ModelState.FALLBACK
        times_s = np.asarray(list(member.run_times_s) if member and member.run_times_s else [np.nan])
        return ModelStatus(
            t_ns,
            self.head,
            member.link.model if member else None,
            state,
            member.link.backend if member else "",
            float(np.percentile(times_s, 50)),
            float(np.percentile(times_s, 99)),
            self._runs,
            self._failures,
            self._text(member)[:_LONGEST_TEXT],
            replace(
                member.link.assurance if member else Assurance(),
                out_of_domain=bool(out_of_domain),
                reason=out_of_domain,
            ),
        )

    def _next(self) -> _Member[InT, OutT] | None:
        return next((m for m in self._members if m.out_since_ns is None), None)

    def _text(self, serving: _Member[InT, OutT] | None) -> str:
        troubles = [f"{link.name}: {link.problem}" for link in self._broken]
        for member in self._members:
            if member.problem:
                out = "out, " if member.out_since_ns is not None else ""
                troubles.append(f"{member.name}: {out}{member.problem}")
        runs = "runs" if serving else "the geometric path alone"
        return "; ".join([runs, *troubles])

    def _ask(self, member: _Member[InT, OutT], value: InT, until_ns: int) -> OutT:
        """One run of a model, in its own thread where there is a clock.

        Raises:
            TimeoutError: if the time is up before it answers.
        """
        if self._clock_ns is None or member.worker is None:
            return member.link.step(value)
        if member.worker.busy:
            raise TimeoutError("still at an earlier input")
        began_ns = self._clock_ns()
        job = member.worker.start(lambda: member.link.step(value))
        if not job.finished(max(0.0, to_s(until_ns - began_ns))):
            raise TimeoutError(f"no answer within {to_ms(max(0, until_ns - began_ns)):.0f} ms")
        answer = job.result()
        member.run_times_s.append(to_s(self._clock_ns() - began_ns))
        return answer

    def _failed(self, member: _Member[InT, OutT], t_ns: int, problem: str) -> None:
        self._failures += 1
        member.failures_in_row += 1
        member.problem = problem
        if member.failures_in_row >= self._rules.give_up_after:
            member.out_since_ns = t_ns

    def _is_back(self, member: _Member[InT, OutT], t_ns: int, value: InT) -> bool:
        """Whether a model that was given up serves again; a trial of it is begun when it is time."""
        after_s = self._rules.return_after_s
        if member.trial is not None:
            if not member.trial.finished():
                return False
            trial, member.trial = member.trial, None
            try:
                took_s = trial.result()
            except Exception as error:
                member.problem = _said(error)
                took_s = np.inf
            if took_s <= self._rules.limit_s:
                member.out_since_ns, member.failures_in_row, member.problem = None, 0, ""
                return True
            member.out_since_ns = t_ns
            return False
        waited_ns = abs(t_ns - (member.out_since_ns or 0))
        if after_s is None or waited_ns < from_s(after_s):
            return False
        if member.worker is not None and member.worker.busy:
            return False
        member.trial = self._try(member, value)
        return self._clock_ns is None and self._is_back(member, t_ns, value)

    def _try(self, member: _Member[InT, OutT], value: InT) -> Job[float]:
        """Check and run a model beside the one that serves; the job's result is how long it took, s."""
        clock_ns = self._clock_ns

        def work() -> float:
            member.link.check()
            began_ns = clock_ns() if clock_ns else 0
            member.link.step(value)
            return to_s(clock_ns() - began_ns) if clock_ns else 0.0

        if member.worker is not None:
            return member.worker.start(work)
        job = Job(work)
        job.run()
        return job


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
