"""How a node keeps up: what became of its inputs, and how much it sheds."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EdgeCount:
    """What became of the messages that a stage took in from one topic since it began.

    Attributes:
        topic: the topic's name.
        policy: of its mailbox: ``latest``, ``queue of N``, or ``direct`` where there is none.
        received: all that came in.
        processed: used.
        superseded: a newer one took its place before it was looked at.
        expired: too old when its turn came.
        malformed: not what it should be.
        left_out: shed on purpose, or nothing to use it with.
        held: waiting or being worked on now.
    """

    topic: str
    policy: str
    received: int = 0
    processed: int = 0
    superseded: int = 0
    expired: int = 0
    malformed: int = 0
    left_out: int = 0
    held: int = 0

    @property
    def unaccounted(self) -> int:
        """Messages that came in and have no fate: 0, or a defect."""
        fates = (self.processed, self.superseded, self.expired, self.malformed, self.left_out, self.held)
        return self.received - sum(fates)


@dataclass(frozen=True, slots=True)
class ComponentCount:
    """How one component of a stage has fared since it began.

    Attributes:
        component: its name.
        budget_s: time that one run may take, s.
        runs: runs since the start.
        overruns: of them, those that took longer.
        failures: of them, those that raised an error.
        run_time_p50_s: median over the last runs, s; NaN where none was timed.
        run_time_p99_s: 99th percentile of the same, s.
    """

    component: str
    budget_s: float
    runs: int = 0
    overruns: int = 0
    failures: int = 0
    run_time_p50_s: float = math.nan
    run_time_p99_s: float = math.nan


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """One node's report.

    Attributes:
        t_ns: time of the report, ns.
        node: its name.
        edges: its inputs.
        deadline_misses: deadlines of its inputs that the middleware reported missed, since it began.
        publishers_lost: leases of its inputs that ran out, since it began.
        shed_level: step of the shedding ladder; 0: nothing is shed.
        shed_step: its name.
        shed_reason: why it stands there.
        deadline_risk: high quantile of age / deadline of finished work; above 1: late.
        speed_factor: what is asked of the speed because of it; 1: nothing.
        components: parts of its work with a time budget each.
    """

    t_ns: int
    node: str
    edges: tuple[EdgeCount, ...] = ()
    deadline_misses: int = 0
    publishers_lost: int = 0
    shed_level: int = 0
    shed_step: str = "none"
    shed_reason: str = ""
    deadline_risk: float = 0.0
    speed_factor: float = 1.0
    components: tuple[ComponentCount, ...] = ()
