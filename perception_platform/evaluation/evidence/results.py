"""A folder of results: ``manifest.json`` says what was to be run, ``results.jsonl`` what became of each run.

A run is one case, driven under one policy with one seed. What was not run is in the manifest and not in the results, so
that it can't be overlooked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.records import Record, file_text, parsed
from perception_platform.evaluation.evidence.trace import Trace, read_trace
from perception_platform.robot.parts import Finite, NonNegative

Policy = Literal["ours", "fixed_field", "autoware_aeb", "none"]
Text = Annotated[str, Field(min_length=1)]
EVENTS = ("collision", "late_stop", "false_stop")


def _unknown(value: Any) -> Any:
    """None for an object of which nothing is known, as runs that did not come to an end leave it."""
    return None if isinstance(value, dict) and all(v is None for v in value.values()) else value


class Events(Record):
    """What happened in a run.

    Attributes:
        collision: the robot touched something.
        impact_speed_mps: closing speed at the touch; None without one.
        min_separation_m: smallest distance to anything that could be hit; None where there was nothing.
        late_stop: a stop came later than braking at the service deceleration needs.
        false_stop: the robot stopped where nothing asked for it.
        time_lost_s: longer than the same way takes without obstacles and protection.
        peak_decel_mps2: hardest braking.
        peak_jerk_mps3: fastest change of it.
        stops: how often it came to a stand.
        struck: something else ran into the robot.
    """

    collision: bool
    impact_speed_mps: NonNegative | None
    min_separation_m: NonNegative | None
    late_stop: bool
    false_stop: bool
    time_lost_s: Finite
    peak_decel_mps2: NonNegative
    peak_jerk_mps3: NonNegative
    stops: Annotated[int, Field(ge=0)]
    struck: bool = False

    @model_validator(mode="after")
    def _impact_belongs_to_a_collision(self) -> Events:
        if self.collision != (self.impact_speed_mps is not None):
            raise ValueError("impact_speed_mps belongs to a collision, and to it alone")
        return self


class Latency(Record):
    """Sensor-to-decision latency that the run was driven with, ms."""

    p50: NonNegative
    p99: NonNegative


class Run(Record):
    """One line of ``results.jsonl``.

    Attributes:
        family: the scenario family.
        case: stable name of the case within the suite.
        policy: what protected the robot.
        seed: of all that is random in it.
        parameters: what was drawn from the family's ranges.
        tags: of the operating domain.
        hazard: what may go wrong in it.
        in_domain: whether the case lies in the stated operating domain.
        stop_expected: whether the robot has to stop in it.
        outcome: ``ok`` and ``collision`` were run to their end; ``crashed`` and ``skipped`` prove nothing.
        events: what happened; None for what did not run.
        latency_ms: as declared for the run; None for what did not run, and where nothing decided.
        trace: file in the folder that the run can be replayed from.
        error: why it crashed.
    """

    family: Text
    case: Text
    policy: Policy
    seed: Annotated[int, Field(ge=0)]
    parameters: dict[str, Finite | str]
    tags: list[str]
    hazard: Text
    in_domain: bool
    stop_expected: bool
    outcome: Literal["ok", "collision", "crashed", "skipped"]
    events: Annotated[Events | None, BeforeValidator(_unknown)]
    latency_ms: Annotated[Latency | None, BeforeValidator(_unknown)]
    trace: str | None
    error: str | None = None

    @model_validator(mode="after")
    def _outcome_and_events_agree(self) -> Run:
        if not self.ran:
            return self
        if self.events is None:
            raise ValueError(f"outcome {self.outcome!r} without events")
        if self.events.collision != (self.outcome == "collision"):
            raise ValueError(f"outcome {self.outcome!r}, but events.collision is {self.events.collision}")
        return self

    @property
    def ran(self) -> bool:
        """Whether it came to its end, so that its events count."""
        return self.outcome in ("ok", "collision")

    @property
    def key(self) -> tuple[str, int]:
        """What pairs it with the same run of another version."""
        return self.case, self.seed

    def happened(self, event: str) -> bool:
        """Whether one of EVENTS did; never a no for what crashed."""
        return self.outcome == "crashed" or (self.events is not None and bool(getattr(self.events, event)))


class Manifest(Record):
    """``manifest.json``.

    Attributes:
        suite: name of the suite.
        version: of its scenarios.
        digest: of all that defines them.
        families: number of cases of each family.
        expected_cases: names of all cases; each has to have a result.
        policies: under which each was to run, if that is said.
        stack: digest of what drove: robot files and parameters; two versions may differ in it.
        made_utc: when the runs ended; the time of the results file where it is left out.
    """

    suite: Text
    version: int | Text
    digest: Text
    families: dict[str, Annotated[int, Field(ge=0)]]
    expected_cases: list[Text]
    policies: list[Policy] = Field(default=[])
    stack: Text | None = None
    made_utc: Annotated[datetime, Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _cases_add_up(self) -> Manifest:
        if len(set(self.expected_cases)) != len(self.expected_cases):
            raise ValueError("expected_cases names a case twice")
        if sum(self.families.values()) != len(self.expected_cases):
            raise ValueError(
                f"families have {sum(self.families.values())} cases, expected_cases {len(self.expected_cases)}"
            )
        return self


@dataclass(frozen=True)
class Results:
    """A folder, read and checked.

    Attributes:
        folder: where it lies.
        manifest: what was to be run.
        runs: what was.
        made_utc: when.
    """

    folder: Path
    manifest: Manifest
    runs: tuple[Run, ...]
    made_utc: datetime

    def of(self, policy: str) -> tuple[Run, ...]:
        """The runs under a policy."""
        return tuple(run for run in self.runs if run.policy == policy)

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """Those that were run, in order of first appearance."""
        return tuple(dict.fromkeys(run.policy for run in self.runs))

    def missing(self, policy: str) -> tuple[str, ...]:
        """Expected cases of which there is no run under a policy."""
        there = {run.case for run in self.of(policy)}
        return tuple(case for case in self.manifest.expected_cases if case not in there)

    def trace(self, run: Run) -> Trace | None:
        """The trace of a run; None if it has none.

        Raises:
            InputError: naming file and field, if it is missing or malformed.
        """
        if run.trace is None:
            return None
        path = self.folder / run.trace
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise InputError(self.folder / "results.jsonl", f"{run.trace!r} is outside the folder", "trace")
        return read_trace(path)


def read_results(folder: Path) -> Results:
    """Read and check a folder.

    Raises:
        InputError: naming file, line, field and value: a file is missing, a line is malformed, a run is there twice or
            of no case of the manifest.
    """
    manifest = parsed(Manifest, file_text(folder / "manifest.json"), folder / "manifest.json")
    path = folder / "results.jsonl"
    expected, seen = set(manifest.expected_cases), set()
    runs = []
    for number, line in enumerate(file_text(path).splitlines(), start=1):
        where = f"line {number}"
        run = parsed(Run, line, path, where)
        if run.case not in expected or run.family not in manifest.families:
            raise InputError(path, f"{run.family!r}, {run.case!r} is not in the manifest", f"{where}: case")
        if (run.policy, *run.key) in seen:
            raise InputError(path, f"a second run of {run.case!r}, {run.policy}, seed {run.seed}", where)
        seen.add((run.policy, *run.key))
        runs.append(run)
    made_utc = manifest.made_utc or datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Results(folder, manifest, tuple(runs), made_utc)
