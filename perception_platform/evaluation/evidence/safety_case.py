"""A safety case in goal structuring notation, whose solutions are figures of a run.

Goals, strategies, solutions, contexts, assumptions and justifications as in the GSN Community Standard 3. A solution
names a figure and the bound that it has to keep. Where the figure is missing, stale or beyond its bound, the solution
is not supported, nor is anything that rests on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.records import refused
from perception_platform.evaluation.evidence.results import Text
from perception_platform.robot.parts import Finite, Name, Part, Positive

Kind = Literal["goal", "strategy", "solution", "context", "assumption", "justification"]
# What each kind may rest on; the rest only stands beside goals and strategies.
_RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "goal": ("goal", "strategy", "solution"),
    "strategy": ("goal", "solution"),
}
_BESIDE = ("context", "assumption", "justification")
Clause = Annotated[str, Field(pattern=r"^(UL 4600|ISO/PAS 8800|ISO 21448):\d{4} [\d.]+$")]
Stage = Literal[
    "1 safety assurance scoping",
    "2 safety requirements",
    "3 data management",
    "4 model learning",
    "5 model verification",
    "6 model deployment",
]


class Evidence(Part):
    """What a solution is bound to.

    Attributes:
        source: which document; ``gate`` is the judgement itself.
        figure: dotted way to a number in it.
        at_most: it has to be at most this.
        at_least: it has to be at least this.
        valid_days: evidence older than this is stale.
        suite_version: of the scenarios that it has to come from, for the source ``gate``.
    """

    source: Name
    figure: Text
    at_most: Finite | None = None
    at_least: Finite | None = None
    valid_days: Positive
    suite_version: int | Text | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Evidence:
        if self.at_most is None and self.at_least is None:
            raise ValueError("evidence needs at_most or at_least: a figure without a bound supports nothing")
        if self.suite_version is not None and self.source != "gate":
            raise ValueError("suite_version belongs to the source gate")
        return self


class Node(Part):
    """One element.

    Attributes:
        kind: of element.
        text: its claim.
        rests_on: what supports a goal or strategy.
        beside: contexts, assumptions and justifications it stands in.
        evidence: of a solution, and of it alone.
        amlas: stage of Assurance of Machine Learning for use in Autonomous Systems that it belongs to.
        clauses: of standards, by number.
    """

    kind: Kind
    text: Text
    rests_on: list[Text] = Field(default=[])
    beside: list[Text] = Field(default=[])
    evidence: Evidence | None = None
    amlas: Stage | None = None
    clauses: list[Clause] = Field(default=[])

    @model_validator(mode="after")
    def _is_developed(self) -> Node:
        if (self.kind == "solution") != (self.evidence is not None):
            raise ValueError("evidence belongs to a solution, and to it alone")
        if (self.kind in _RESTS_ON) != bool(self.rests_on):
            raise ValueError("goals and strategies rest on something, and they alone do")
        return self


class SafetyCase(Part):
    """A whole file.

    Attributes:
        format: of the file.
        title: of the case.
        root: the goal that all is for.
        nodes: by name.
    """

    format: Literal[1]
    title: Text
    root: Text
    nodes: dict[str, Node]

    @model_validator(mode="after")
    def _is_one_argument(self) -> SafetyCase:
        for name, node in self.nodes.items():
            for other in (*node.rests_on, *node.beside):
                if other not in self.nodes:
                    raise ValueError(f"{name} names {other}, which is not there")
            for other in node.rests_on:
                if self.nodes[other].kind not in _RESTS_ON[node.kind]:
                    raise ValueError(
                        f"{name}, a {node.kind}, can't rest on {other}, a {self.nodes[other].kind}"
                    )
            for other in node.beside:
                if self.nodes[other].kind not in _BESIDE:
                    raise ValueError(f"{other}, a {self.nodes[other].kind}, can't stand beside {name}")
        if self.root not in self.nodes or self.nodes[self.root].kind != "goal":
            raise ValueError(f"root {self.root!r} is not one of its goals")
        unreached = set(self.nodes) - set(self.order)
        if unreached:
            raise ValueError(f"{', '.join(sorted(unreached))}: nothing leads there from {self.root}")
        return self

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All nodes reached from the root, each before what it rests on.

        Raises:
            ValueError: if a node rests on itself, by whatever way.
        """
        finished: list[str] = []
        entered: set[str] = set()

        def visit(name: str) -> None:
            entered.add(name)
            for other in (*self.nodes[name].rests_on, *self.nodes[name].beside):
                if other not in entered:
                    visit(other)
                elif other not in finished:
                    raise ValueError(f"{other} rests on itself")
            finished.append(name)

        visit(self.root)
        return tuple(reversed(finished))


@dataclass(frozen=True, slots=True)
class Document:
    """A source of figures.

    Attributes:
        content: as read from JSON.
        made_utc: when it was made.
    """

    content: Any
    made_utc: datetime


@dataclass(frozen=True, slots=True)
class State:
    """How a node stands.

    Attributes:
        supported: whether it holds.
        why: what it rests on, or what is wrong.
        value: the figure of a solution, if there is one.
    """

    supported: bool
    why: str
    value: float | None = None


def examine(case: SafetyCase, documents: Mapping[str, Document], now_utc: datetime) -> dict[str, State]:
    """How each node stands on the evidence there is."""
    states: dict[str, State] = {}
    for name in reversed(case.order):
        node = case.nodes[name]
        if node.evidence is not None:
            states[name] = _hold(node.evidence, documents, now_utc)
            continue
        broken = [other for other in node.rests_on if not states[other].supported]
        why = f"not supported: {', '.join(broken)}" if broken else ""
        states[name] = State(not broken, why)
    return {name: states[name] for name in case.order}


def _hold(evidence: Evidence, documents: Mapping[str, Document], now_utc: datetime) -> State:
    document = documents.get(evidence.source)
    if document is None:
        return State(False, f"missing: no {evidence.source} was given")
    value = _figure(document.content, evidence.figure)
    if value is None:
        return State(False, f"missing: {evidence.source} has no number {evidence.figure}")
    stale = _stale(evidence, document, now_utc)
    if stale:
        return State(False, stale, value)
    if evidence.at_most is not None and value > evidence.at_most:
        return State(False, f"{value:.4g}, and at most {evidence.at_most:g} is wanted", value)
    if evidence.at_least is not None and value < evidence.at_least:
        return State(False, f"{value:.4g}, and at least {evidence.at_least:g} is wanted", value)
    wanted = [f"at most {evidence.at_most:g}"] if evidence.at_most is not None else []
    wanted += [f"at least {evidence.at_least:g}"] if evidence.at_least is not None else []
    return State(True, f"{value:.4g}, {' and '.join(wanted)} wanted", value)


def _stale(evidence: Evidence, document: Document, now_utc: datetime) -> str | None:
    """What makes it too old, of other scenarios, or from a clock that is not ours."""
    age = now_utc - document.made_utc
    if age < -timedelta(hours=1):
        return f"stale: made at {document.made_utc:%Y-%m-%d %H:%M} UTC, which is still to come"
    if age > timedelta(days=evidence.valid_days):
        return f"stale: {age.days} days old, {evidence.valid_days:g} are allowed"
    if evidence.suite_version is not None:
        version = document.content.get("candidate", {}).get("version")
        if version != evidence.suite_version:
            return f"stale: of suite version {version}, {evidence.suite_version} is wanted"
    return None


def _figure(content: Any, way: str) -> float | None:
    """The number at a dotted way; None if there is none, NaN included."""
    for step in way.split("."):
        content = content.get(step) if isinstance(content, dict) else None
    if isinstance(content, bool) or not isinstance(content, int | float):
        return None
    return float(content) if math.isfinite(content) else None


def load_safety_case(path: Path) -> SafetyCase:
    """Read and check a file.

    Raises:
        InputError: naming file, node and what is wrong with it.
    """
    try:
        return SafetyCase.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    except ValidationError as error:
        raise refused(error, path) from error
