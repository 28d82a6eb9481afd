"""Gate files: what a version has to prove before it ships. Named, versioned, and frozen by digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.records import refused
from perception_platform.evaluation.evidence.results import Policy, Run, Text
from perception_platform.evaluation.paired import SequentialTest
from perception_platform.robot.load import share_dir
from perception_platform.robot.parts import Name, NonNegative, Part, Positive

Event = Literal["collision", "late_stop", "false_stop"]
Probability = Annotated[float, Field(gt=0, lt=1)]
FROZEN = "frozen.yaml"


class Scope(Part):
    """Which runs count: all that fit every line. Of a list, one entry has to fit; an empty one asks for nothing."""

    in_domain: bool | None = None
    stop_expected: bool | None = None
    hazards: list[Text] = Field(default=[])
    families: list[Text] = Field(default=[])
    tags: list[Text] = Field(default=[])

    def holds(self, run: Run) -> bool:
        """Whether a run counts."""
        return (
            self.in_domain in (None, run.in_domain)
            and self.stop_expected in (None, run.stop_expected)
            and (not self.hazards or run.hazard in self.hazards)
            and (not self.families or run.family in self.families)
            and (not self.tags or not set(self.tags).isdisjoint(run.tags))
        )


class Requirement(Part):
    """A bound on how often something happens.

    Attributes:
        name: by which the safety case refers to it.
        title: for people.
        event: what must be rare.
        scope: in which runs.
        per: the bound is wanted in each hazard or family by itself, or over all runs of the scope together.
        tolerated: more events than these block, whatever the bound is; None: only the bound counts.
        at_most: what the probability has to be bounded by, at the gate's confidence.
    """

    name: Name
    title: Text
    event: Event
    scope: Scope = Scope()
    per: Literal["hazard", "family", "all"] = "all"
    tolerated: Annotated[int, Field(ge=0)] | None = None
    at_most: Probability


class Stratum(Part):
    """Runs in which one new failure blocks, whatever the rest gained."""

    name: Name
    title: Text
    scope: Scope
    events: Annotated[list[Event], Field(min_length=1)]


class Comparison(Part):
    """Candidate against baseline over all pairs.

    Attributes:
        events: what counts as a failure.
        significance: of the one-sided exact McNemar test for being worse.
        worse_share: of the disagreements lost from which on the sequential test has to find a worse version.
        miss: most the sequential test may miss one.
    """

    events: Annotated[list[Event], Field(min_length=1)]
    significance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    worse_share: Annotated[float, Field(gt=0.5, lt=1)] = 0.7
    miss: Annotated[float, Field(gt=0, lt=0.5)] = 0.1

    @property
    def sequential(self) -> SequentialTest:
        """The sequential test of these settings."""
        return SequentialTest(0.5, self.worse_share, self.significance, self.miss)


class LatencyLimit(Part):
    """Of the 99th percentile of the age of a decision's data.

    Attributes:
        p99_at_most: the most in any run, ms.
        added_at_most: the most a candidate may add to that of the baseline in any family, ms: the median of its pairs.
        except_hazards: scenarios that make data late on purpose: the first limit does not hold there.
    """

    p99_at_most: Positive
    added_at_most: NonNegative
    except_hazards: list[Text] = Field(default=[])


class TimeLost(Part):
    """How much longer than the baseline a candidate may take a run on average, s, judged from so many families on."""

    added_at_most_s: NonNegative
    least_families: Annotated[int, Field(ge=2)] = 5


class Gate(Part):
    """A whole gate file.

    Attributes:
        format: of the file.
        name: of the gate.
        version: of its requirements; they never change under the same version.
        suite: whose results it judges.
        policy: whose runs.
        confidence: of each one-sided bound.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        requirements: bounds.
        critical: strata in which one regression blocks.
        comparison: with the baseline over all runs.
        latency_ms: limits of the latency.
        time_lost: limit of what a candidate may be slower.
    """

    format: Literal[1]
    name: Name
    version: Annotated[int, Field(gt=0)]
    suite: Text
    policy: Policy = "ours"
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0)] = 0
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    requirements: Annotated[list[Requirement], Field(min_length=1)]
    critical: Annotated[list[Stratum], Field(min_length=1)]
    comparison: Comparison
    latency_ms: LatencyLimit
    time_lost: TimeLost

    @model_validator(mode="after")
    def _names_differ(self) -> Gate:
        for parts in (self.requirements, self.critical):
            names = [part.name for part in parts]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"the name {name!r} is used twice")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of all it asks for; comments and the order of keys do not count."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def gate_names() -> list[str]:
    """Names of the gates that come with the package."""
    return sorted(path.stem for path in _folder().glob("*.yaml") if path.name != FROZEN)


def load_gate(name_or_path: str) -> Gate:
    """A gate by name or by path. A named one has to be as it was frozen.

    Raises:
        InputError: naming file, field and value; or if a named gate was changed under its version.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return _read(path)
    if name_or_path not in gate_names():
        known = ", ".join(gate_names())
        raise InputError(name_or_path, f"no such gate; there are {known}, or give a path to a .yaml")
    path = _folder() / f"{name_or_path}.yaml"
    gate = _read(path)
    frozen = _yaml(_folder() / FROZEN)
    known_digest = frozen.get(f"{gate.name}-{gate.version}") if isinstance(frozen, dict) else None
    if known_digest != gate.digest:
        raise InputError(
            path,
            f"digest {gate.digest} is not what {FROZEN} has for {gate.name}-{gate.version}: "
            "what a gate asks for changes with a new version only",
            "version",
        )
    return gate


def _read(path: Path) -> Gate:
    try:
        return Gate.model_validate(_yaml(path))
    except ValidationError as error:
        raise refused(error, path) from error


def _yaml(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error


def _folder() -> Path:
    return share_dir() / "config" / "gates"
