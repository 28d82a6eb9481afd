"""Holds the edges of a graph's file against each other, and puts the components in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.objects import Detections
from perception_platform.perception.component import SOURCES, Component, Measure, Port
from perception_platform.perception.graph_file import ApplicationEntry, ComponentEntry, GraphFile
from perception_platform.robot.description import Robot

Entry = ComponentEntry | ApplicationEntry
REPORT = "report"  # the only output of an application
Axes = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Wired:
    """A component in its place.

    Attributes:
        entry: what the file says of it.
        component: its class.
        takes: results it takes, in the order of its inputs.
        makes: results it makes, in the order of its outputs.
        is_application: whether it stands under ``applications``.
    """

    entry: Entry
    component: type[Component]
    takes: tuple[str, ...]
    makes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of this use of the component."""
        return self.entry.name

    @property
    def is_application(self) -> bool:
        """Whether it stands under ``applications``."""
        return isinstance(self.entry, ApplicationEntry)

    @property
    def field(self) -> str:
        """Where it stands in the file."""
        return f"{'applications' if self.is_application else 'components'}.{self.name}"


def wire(
    source: object, file: GraphFile, classes: Mapping[str, type[Component]], robot: Robot
) -> list[Wired]:
    """Components in an order in which each has its inputs, applications last.

    Args:
        source: the file, for errors.
        file: its content.
        classes: of each ``component`` that the file names.
        robot: rates and deadlines have to fit it.

    Raises:
        InputError: names file, field and edge of the first thing that does not fit.
    """
    check = _Check(source)
    entries: list[Entry] = [*file.components, *file.applications]
    wired = [check.ports(entry, classes[entry.component]) for entry in entries]
    makers = check.makers(wired)
    check.producers(wired, makers)
    ordered = check.order(wired, makers)
    check.edges(ordered)
    check.percept(file, makers)
    check.times(file, ordered, robot)
    return ordered


class _Check:
    """One look at a file; each step raises at the first thing that does not fit."""

    def __init__(self, source: object) -> None:
        self._source = source

    def _refuse(self, field: str, problem: str) -> NoReturn:
        raise InputError(self._source, problem, field)

    def ports(self, entry: Entry, component: type[Component]) -> Wired:
        """The entry names each port of its component, and nothing else."""
        outputs = {REPORT: entry.name} if isinstance(entry, ApplicationEntry) else entry.outputs
        wired = Wired(
            entry,
            component,
            tuple(entry.inputs.get(port, "") for port in component.inputs),
            tuple(outputs.get(port, "") for port in component.outputs),
        )
        for what, given, declared in (
            ("inputs", entry.inputs, component.inputs),
            ("outputs", outputs, component.outputs),
        ):
            for port in declared:
                if port not in given:
                    self._refuse(f"{wired.field}.{what}.{port}", f"missing: {entry.component} has it")
            for port in given:
                if port not in declared:
                    has = ", ".join(declared) or "none"
                    self._refuse(
                        f"{wired.field}.{what}.{port}", f"{entry.component} has no such port, only {has}"
                    )
        heads = [port for port in component.outputs.values() if port.head]
        if heads and not hasattr(component, "model_status"):
            self._refuse(
                f"{wired.field}.component",
                f"{entry.component} is a head and does not say how far to trust it",
            )
        if wired.is_application and component.outputs[REPORT].kind is not Measure:
            self._refuse(
                f"{wired.field}.component", f"{entry.component} makes no report: it is no application"
            )
        return wired

    def makers(self, wired: Sequence[Wired]) -> dict[str, Wired]:
        """Who makes each result: one component."""
        makers: dict[str, Wired] = {}
        for component in wired:
            for port, result in zip(component.component.outputs, component.makes, strict=True):
                if result in SOURCES or result in makers:
                    by = makers[result].name if result in makers else "the sensors"
                    self._refuse(f"{component.field}.outputs.{port}", f"{result!r} is made by {by} already")
                makers[result] = component
        return makers

    def producers(self, wired: Sequence[Wired], makers: Mapping[str, Wired]) -> None:
        """Each result that is taken is made, and by no application."""
        for component in wired:
            for port, result in zip(component.component.inputs, component.takes, strict=True):
                made = result in SOURCES or (result in makers and not makers[result].is_application)
                if not made:
                    known = ", ".join([*SOURCES, *(r for r, m in makers.items() if not m.is_application)])
                    self._refuse(
                        f"{component.field}.inputs.{port}", f"nothing makes {result!r}; there are {known}"
                    )

    def order(self, wired: Sequence[Wired], makers: Mapping[str, Wired]) -> list[Wired]:
        """In the file's order as far as inputs allow (Kahn, "Topological sorting of large networks", CACM 1962)."""
        ready, waiting, ordered = set(SOURCES), list(wired), []
        while waiting:
            runnable = next((c for c in waiting if ready.issuperset(c.takes)), None)
            if runnable is None:
                self._refuse_cycle(waiting[0], makers, ready)
            waiting.remove(runnable)
            ordered.append(runnable)
            ready.update(runnable.makes)
        return sorted(ordered, key=lambda c: c.is_application)

    def _refuse_cycle(self, start: Wired, makers: Mapping[str, Wired], ready: set[str]) -> NoReturn:
        """Walk from one that waits to what it waits for until the way closes."""
        way: list[Wired] = [start]
        while True:
            awaited = next(result for result in way[-1].takes if result not in ready)
            maker = makers[awaited]
            if maker in way:
                circle = [*way[way.index(maker) :], maker]
                port = dict(zip(way[-1].takes, way[-1].component.inputs, strict=True))[awaited]
                self._refuse(
                    f"{way[-1].field}.inputs.{port}",
                    f"a circle: {' needs '.join(c.name for c in circle)}",
                )
            way.append(maker)

    def edges(self, ordered: Sequence[Wired]) -> None:
        """Both ends of each edge mean the same: type, unit, frame, and axes that are as long as each other."""
        made: dict[str, tuple[Port, Axes, str]] = {
            name: (port, tuple(f"{name}.{axis}" for axis in port.shape), name)
            for name, port in SOURCES.items()
        }
        for wired in ordered:
            letters: dict[str, int | str] = {}
            for (port_name, port), result in zip(wired.component.inputs.items(), wired.takes, strict=True):
                given, axes, maker = made[result]
                field = f"{wired.field}.inputs.{port_name}"
                edge = f"edge {maker} → {wired.name} ({result!r})"
                for what in ("kind", "unit", "frame"):
                    gives, takes = getattr(given, what), getattr(port, what)
                    if gives != takes:
                        self._refuse(
                            field, f"{edge}: {what} is {_named(gives)}, {wired.name} takes {_named(takes)}"
                        )
                self._axes(field, edge, port, axes, letters)
            for port, result in zip(wired.component.outputs.values(), wired.makes, strict=True):
                axes = tuple(
                    axis if isinstance(axis, int) else letters.setdefault(axis, f"{wired.name}.{axis}")
                    for axis in port.shape
                )
                made[result] = (port, axes, wired.name)

    def _axes(self, field: str, edge: str, port: Port, axes: Axes, letters: dict[str, int | str]) -> None:
        if len(axes) != len(port.shape):
            self._refuse(field, f"{edge}: has {len(axes)} axes, {len(port.shape)} are taken")
        for wanted, axis in zip(port.shape, axes, strict=True):
            meant = wanted if isinstance(wanted, int) else letters.setdefault(wanted, axis)
            if meant != axis:
                self._refuse(field, f"{edge}: an axis is as long as {axis}, {meant} is taken")

    def percept(self, file: GraphFile, makers: Mapping[str, Wired]) -> None:
        """What perception hands on is there and is what it has to be."""
        wanted = [("obstacles", file.percept.obstacles, Port(np.ndarray, ("M", 3), "m", "base"))]
        wanted += [
            ("detections", name, Port(Detections, unit="m", frame="base")) for name in file.percept.detections
        ]
        for field, result, port in wanted:
            if result not in makers:
                self._refuse(f"percept.{field}", f"nothing makes {result!r}")
            maker = makers[result]
            given = list(maker.component.outputs.values())[maker.makes.index(result)]
            for what in ("kind", "unit", "frame"):
                gives, takes = getattr(given, what), getattr(port, what)
                if gives != takes:
                    self._refuse(
                        f"percept.{field}", f"{what} of {result!r} is {_named(gives)}, not {_named(takes)}"
                    )

        self._never_shed({file.percept.obstacles, file.percept.detections[-1]}, makers)

    def _never_shed(self, results: set[str], makers: Mapping[str, Wired]) -> None:
        """What every decision rests on, and all that leads to it, is never left out."""
        for maker in [makers[result] for result in results if result in makers]:
            if isinstance(maker.entry, ComponentEntry) and maker.entry.shed_at:
                self._refuse(f"{maker.field}.shed_at", "every decision needs it: it can't be left out")
            self._never_shed(set(maker.takes), makers)

    def times(self, file: GraphFile, ordered: Sequence[Wired], robot: Robot) -> None:
        """Nobody asks for more sweeps than come, or for an answer before the work on it is done."""
        sweeps_hz = 1e3 / robot.sweep_period_ms
        spent_ms = 0.0
        for wired in ordered:
            looked_at = any(model.head == "camera_objects" for model in robot.models)
            if (
                looked_at or "images" not in wired.entry.inputs.values()
            ):  # without a model nobody looks at images
                spent_ms += wired.entry.budget_ms
            if not isinstance(wired.entry, ApplicationEntry):
                continue
            if wired.entry.rate_hz > sweeps_hz * (1 + 1e-9):
                self._refuse(
                    f"{wired.field}.rate_hz",
                    f"asks for {wired.entry.rate_hz:g} Hz; sweeps of {robot.name} come at {sweeps_hz:g} Hz",
                )
            if spent_ms > wired.entry.deadline_ms:
                self._refuse(
                    f"{wired.field}.deadline_ms",
                    f"{wired.entry.deadline_ms:g} ms can't be kept: the budgets up to it add up to {spent_ms:g} ms",
                )
        if spent_ms > robot.percept_deadline_ms:
            self._refuse(
                "components",
                f"budgets add up to {spent_ms:g} ms; latency.bound_ms of {robot.name} leaves perception "
                f"{robot.percept_deadline_ms:g} ms",
            )


def _named(value: object) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)
