"""One case with one policy, as a job that any process can do: all it needs comes with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.load import load_graph
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from perception_platform.scenarios.cases import Case
from perception_platform.scenarios.closed_loop import ClosedLoop, Outcome
from perception_platform.scenarios.events import no_events
from perception_platform.scenarios.policies import PolicyName
from perception_platform.scenarios.setup import set_up


@dataclass(frozen=True)
class Job:
    """A case, who judges, and whether a trace is wanted."""

    case: Case
    policy: PolicyName = "ours"
    trace: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others of a suite."""
        return self.case.id, self.policy


@dataclass(frozen=True)
class Result:
    """What a job came to.

    Attributes:
        line: as in ``results.jsonl``.
        trace: lines for pictures.
        seconds: processor time it took.
        simulated_s: length of the run.
    """

    line: dict[str, Any]
    trace: list[dict[str, Any]]
    seconds: float
    simulated_s: float


@lru_cache(maxsize=8)
def robot_and_graph(name: str) -> tuple[Robot, PerceptionGraph]:
    """A robot with its perception, warmed up, once a process."""
    robot = load_robot(name)
    graph = load_graph(robot)
    graph.warm_up()
    return robot, graph


def run_case(job: Job) -> Outcome:
    """Drive it.

    Raises:
        ValueError: if the case has a value that makes no sense.
    """
    robot, graph = robot_and_graph(job.case.family.robot)
    return ClosedLoop(set_up(job.case, robot), graph, job.policy, trace=job.trace).run()


def run_job(job: Job) -> Result:
    """Drive it; whatever goes wrong is a crashed run, never a pass."""
    try:
        outcome = run_case(job)
    except Exception as error:
        line = {
            **_head(job),
            "outcome": "crashed",
            "events": no_events(),
            "latency_ms": {"p50": None, "p99": None},
        }
        return Result(
            {**line, "trace": None, "error": f"{type(error).__name__}: {error}"[:300]}, [], 0.0, 0.0
        )
    line = {
        **_head(job),
        "outcome": outcome.outcome,
        "events": outcome.events,
        "latency_ms": outcome.latency_ms,
    }
    return Result({**line, "trace": None}, outcome.trace, outcome.total_s, outcome.simulated_s)


def _head(job: Job) -> dict[str, Any]:
    case, family = job.case, job.case.family
    return {
        "family": family.family,
        "case": case.id,
        "policy": job.policy,
        "seed": case.seed,
        "parameters": dict(case.parameters),
        "tags": list(family.tags),
        "hazard": family.hazard,
        "in_domain": case.in_domain,
        "stop_expected": family.stop_expected,
    }
