"""What a graph's file may say: components with their edges, what perception's result is, and who asks for more."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, field_validator

from perception_platform.robot.parts import Name, Part, Positive
from perception_platform.robot.resources import ShedStep

ModuleName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$")]


class ComponentEntry(Part):
    """One component.

    Attributes:
        name: of this use of it; errors and reports say it.
        component: name of one that comes along, or the dotted name of a module of one's own.
        inputs: for each of its inputs the result that it takes.
        outputs: for each of its outputs the name of the result that it makes.
        budget_ms: time that one run may take; longer ones are counted.
        shed_at: step of the shedding ladder at which it is left out; none: it always runs.
        beside: it runs in a thread of its own, beside those that do not wait for it.
        params: what it can be set to.
    """

    name: Name
    component: ModuleName
    inputs: dict[str, Name]
    outputs: Annotated[dict[str, Name], Field(min_length=1)]
    budget_ms: Positive
    shed_at: ShedStep | None = None
    beside: bool = False
    params: dict[str, Any] = Field(default={})


class ApplicationEntry(Part):
    """One application: a component whose only output is its report.

    Attributes:
        name: of the application.
        component: as above.
        inputs: the results that it asks for.
        rate_hz: how often.
        deadline_ms: age that the sweep may have when its report is there.
        budget_ms: time that one run may take.
        params: what it can be set to.
    """

    name: Name
    component: ModuleName
    inputs: dict[str, Name]
    rate_hz: Positive
    deadline_ms: Positive
    budget_ms: Positive = 1.0
    params: dict[str, Any] = Field(default={})


class PerceptEntry(Part):
    """What tracker, risk and gate get with every sweep.

    Attributes:
        obstacles: the result that holds all points that stand in the way.
        detections: results that hold the objects: the first one that is there is taken.
    """

    obstacles: Name
    detections: Annotated[list[Name], Field(min_length=1)]


EntryT = TypeVar("EntryT", ComponentEntry, ApplicationEntry)


class GraphFile(Part):
    """A whole file."""

    version: Literal[1]
    components: Annotated[list[ComponentEntry], Field(min_length=1)]
    percept: PerceptEntry
    applications: list[ApplicationEntry] = Field(default=[])

    @field_validator("components", "applications")
    @classmethod
    def _names_differ(cls, entries: list[EntryT]) -> list[EntryT]:
        names = [entry.name for entry in entries]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} is used twice")
        return entries
