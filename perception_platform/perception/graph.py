"""The shared perception layer: components run in order on one sweep and the images around it, each result once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.model_status import ModelStatus
from perception_platform.core.objects import Percept, Tracks
from perception_platform.core.runtime_status import ComponentCount
from perception_platform.core.sensor_data import Image, PointCloud
from perception_platform.core.time import from_ms, from_s, to_s
from perception_platform.perception.bird_view import nothing_from_above
from perception_platform.perception.component import SOURCES, Component, Measure, Moment, Setup
from perception_platform.perception.graph_file import ApplicationEntry, ComponentEntry, PerceptEntry
from perception_platform.perception.lanes import Lanes
from perception_platform.perception.wiring import Wired
from perception_platform.robot.resources import ShedStep
from perception_platform.robot.sensors import Lidar

IMAGE_MAX_AGE_NS = from_ms(150)  # between an image or a scan and the sweep that it is looked at with
_RUN_TIMES_KEPT = 100


class _Absent:
    """In place of a result that nobody made: its component failed, was left out, or lacked an input itself."""


ABSENT = _Absent()
NOT_NEEDED = -1


@dataclass(slots=True, eq=False)
class Step:
    """A component in its place, and how it has fared.

    Attributes:
        wired: its place.
        component: it.
        takes: where its inputs lie among the results; ``NOT_NEEDED`` for those that it does without.
        makes: where its outputs go.
        budget_ns: time that one run may take.
        runs: since the start.
        overruns: of them, those that took longer.
        failures: of them, those that raised an error.
        problem: what the newest run raised.
        run_times_ns: of the last runs.
    """

    wired: Wired
    component: Component
    takes: tuple[int, ...]
    makes: tuple[int, ...]
    budget_ns: int
    runs: int = 0
    overruns: int = 0
    failures: int = 0
    problem: Exception | None = None
    run_times_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RUN_TIMES_KEPT))

    def run(self, moment: Moment, results: list[Any]) -> None:
        """Make its results, if it can; an error in it costs only those."""
        inputs = [None if at == NOT_NEEDED else results[at] for at in self.takes]
        if any(value is ABSENT for value in inputs):
            return
        self.runs += 1
        try:
            made = self.component.step(moment, *inputs)
            values = (made,) if len(self.makes) == 1 else made
            for at, value in zip(self.makes, values, strict=True):
                results[at] = value
            self.problem = None
        except Exception as error:
            self.failures += 1
            self.problem = error

    def took(self, run_time_ns: int) -> None:
        """Hold a run against the budget."""
        self.run_times_ns.append(run_time_ns)
        self.overruns += run_time_ns > self.budget_ns

    def hold_to_ports(self, results: list[Any]) -> None:
        """See that what it took and made is of the types and shapes that its ports say.

        Raises:
            InputError: names the component and the port.
        """
        lengths: dict[str, int] = {}
        ports = [*self.wired.component.inputs.items(), *self.wired.component.outputs.items()]
        for (name, port), at in zip(ports, (*self.takes, *self.makes), strict=True):
            if at == NOT_NEEDED:
                continue
            value = results[at]
            shape = value.shape if isinstance(value, np.ndarray) else ()
            fits = isinstance(value, port.kind) and len(shape) == len(port.shape)
            for axis, length in zip(port.shape, shape, strict=fits):
                wanted = axis if isinstance(axis, int) else lengths.setdefault(axis, length)
                fits &= wanted == length
            if not fits:
                given = f"{type(value).__name__} {shape or ''}".strip()
                said = f"{port.kind.__name__} {port.shape or ''}".strip()
                raise InputError(self.wired.entry.component, f"is {given}, the port says {said}", name)

    def count(self) -> ComponentCount:
        """How it has fared."""
        times_s = np.asarray([to_s(t) for t in list(self.run_times_ns)] or [np.nan])
        return ComponentCount(
            self.wired.name,
            to_s(self.budget_ns),
            self.runs,
            self.overruns,
            self.failures,
            float(np.percentile(times_s, 50)),
            float(np.percentile(times_s, 99)),
        )


class PerceptionGraph:
    """Sweep in, percept out. What fails costs only what it would have added, as long as the geometric path runs."""

    def __init__(
        self,
        setup: Setup,
        wired_components: Sequence[Wired],
        percept: PerceptEntry,
        params: dict[str, Any],
        clock_ns: Callable[[], int] | None = None,
        beside: bool = True,
    ) -> None:
        """Build the components.

        Args:
            setup: what they are built from.
            wired_components: in their order, as ``wire`` puts them.
            percept: which results are handed on.
            params: checked parameters by the component's name.
            clock_ns: a steady clock to time components with; nothing else depends on it.
            beside: whether those that may run beside the others do.
        """
        self._robot = setup.robot
        self._cameras = setup.cameras
        self._learned = list(setup.lidars.values())
        self._lidars = {lidar.name: (lidar, lidar.mounting.transform()) for lidar in setup.robot.lidars}
        names = [*SOURCES, *(result for wired in wired_components for result in wired.makes)]
        at = {name: i for i, name in enumerate(names)}
        built = [(wired, wired.component(setup, params[wired.name])) for wired in wired_components]
        self.steps = [
            Step(
                wired,
                component,
                _taken(wired, component, at),
                tuple(at[name] for name in wired.makes),
                from_ms(wired.entry.budget_ms),
            )
            for wired, component in built
        ]
        self._lanes = Lanes([step for step in self.steps if beside and self._is_beside(step.wired.entry)])
        self._blank: list[Any] = [ABSENT] * len(names)
        self._obstacles = at[percept.obstacles]
        self._detections = [at[name] for name in percept.detections]
        self.handed_on = (self._obstacles, *self._detections)
        self._applications = [step for step in self.steps if step.wired.is_application]
        self._served_ns: dict[str, int] = {}
        self._schedules: dict[tuple[Any, ...], list[Step]] = {}
        self._clock_ns = clock_ns
        self._sweep: tuple[Moment, list[Any], tuple[ShedStep, ...]] | None = None

    @property
    def cameras(self) -> list[str]:
        """Cameras that a head looks at, by name."""
        return sorted({camera.sensor for camera in self._cameras})

    @property
    def looks_back(self) -> bool:
        """Whether a component takes the tracks of earlier moments."""
        return any("tracks" in step.wired.takes for step in self.steps)

    @property
    def sheds(self) -> frozenset[ShedStep]:
        """Steps of the shedding ladder at which a component is left out."""
        used = [step.wired.entry for step in self.steps if self._is_used(step.wired.entry)]
        return frozenset(e.shed_at for e in used if isinstance(e, ComponentEntry) and e.shed_at)

    def warm_up(self) -> None:
        """Run all of it on made-up data: loops are compiled and models checked when the first sweep comes.

        Raises:
            Exception: what a component raises, or that it makes other arrays than it says: it would never work.
        """
        for camera in self._cameras:
            camera.chain.warm_up(self._grey(camera.sensor))
        for chain in self._learned:
            chain.warm_up(nothing_from_above())
        for lidar, _ in self._lidars.values():
            moment, results = self.begin(_made_up_sweep(lidar), ())
            for step in self.steps:
                step.run(moment, results)
                if step.problem is not None:
                    raise step.problem
                step.hold_to_ports(results)
        for step in self.steps:
            step.runs = 0

    def step(
        self,
        cloud: PointCloud,
        images: Sequence[Image] = (),
        shed: Collection[ShedStep] = (),
        scans: Sequence[PointCloud] = (),
        tracks: Tracks | None = None,
    ) -> Percept:
        """Objects and obstacle points around the robot, in its base frame: what decisions wait for.

        Args:
            cloud: a sweep in its lidar's frame.
            images: newest image of each camera, not much older than the sweep.
            shed: steps of the shedding ladder that are in force: components that are shed at them are left out.
            scans: newest scan of each 2D scanner, in the base frame; those of another moment are not looked at.
            tracks: of earlier moments, as ``predicted`` carries them on to the sweep's, in the base frame; None: none.

        Raises:
            InputError: if the robot has no such lidar.
            Exception: what a component of the geometric path raised: without it there is nothing to hand on.
        """
        self._sweep = None
        moment, results = self.begin(cloud, images, scans, tracks)
        done = self._run(self._schedule((), shed), moment, results)
        objects = next((results[at] for at in self._detections if results[at] is not ABSENT), None)
        if objects is None or results[self._obstacles] is ABSENT:
            raise next(step.problem for step in done if step.problem is not None)
        self._sweep = moment, results, tuple(shed)
        obstacles_m = results[self._obstacles]
        return Percept(objects, PointCloud(cloud.t_ns, self._robot.base_frame, cloud.sensor, obstacles_m))

    def serve(self) -> tuple[ApplicationReport, ...]:
        """What the applications say that are due, of the sweep of the last step; of each sweep once.

        It is apart from ``step`` so that no decision waits for an application.
        """
        if self._sweep is None:
            return ()
        moment, results, shed = self._sweep
        self._sweep = None
        due = self._due(moment.t_ns)
        done = self._schedule((), shed)
        self._run([step for step in self._schedule(due, shed) if step not in done], moment, results)
        return tuple(_reports(moment.t_ns, due, results))

    def model_status(self, t_ns: int) -> list[ModelStatus]:
        """How each head's model fares, the geometric path first."""
        statuses = []
        for step in self.steps:
            report = getattr(step.component, "model_status", None)
            if report is not None:
                statuses.extend(report(t_ns))
        return statuses

    def component_counts(self) -> tuple[ComponentCount, ...]:
        """How each component keeps its budget."""
        return tuple(step.count() for step in self.steps)

    def problems(self) -> dict[str, str]:
        """What the newest run of each component raised, of those that did."""
        return {s.wired.name: f"{type(s.problem).__name__}: {s.problem}" for s in self.steps if s.problem}

    def begin(
        self,
        cloud: PointCloud,
        images: Sequence[Image],
        scans: Sequence[PointCloud] = (),
        tracks: Tracks | None = None,
    ) -> tuple[Moment, list[Any]]:
        """A sweep's moment, and where its results go, with what the sensors and the tracker gave.

        Raises:
            InputError: if the robot has no such lidar.
        """
        mounted = self._lidars.get(cloud.sensor)
        if mounted is None:
            known = ", ".join(self._lidars)
            raise InputError(cloud.sensor, f"robot {self._robot.name} has no such lidar, only {known}")
        moment = Moment(cloud.t_ns, *mounted, Lineage((SourceStamp(cloud.sensor, cloud.t_ns),)))
        results = self._blank.copy()
        fresh = tuple(scan for scan in scans if abs(scan.t_ns - cloud.t_ns) <= IMAGE_MAX_AGE_NS)
        if tracks is None:
            tracks = Tracks.empty(cloud.t_ns, self._robot.base_frame)
        results[: len(SOURCES)] = cloud, {image.sensor: image for image in images}, fresh, tracks
        return moment, results

    def _run(self, steps: Sequence[Step], moment: Moment, results: list[Any]) -> Sequence[Step]:
        """Run components, each timed where there is a clock; they are returned."""
        clock_ns = self._clock_ns

        def work(step: Step) -> None:
            began_ns = clock_ns() if clock_ns else 0
            step.run(moment, results)
            if clock_ns:
                step.took(clock_ns() - began_ns)

        self._lanes.run(steps, work)
        return steps

    def _is_beside(self, entry: ComponentEntry | ApplicationEntry) -> bool:
        """Whether a component runs in a thread of its own: none that looks at images where nobody does."""
        return isinstance(entry, ComponentEntry) and entry.beside and self._is_used(entry)

    def _is_used(self, entry: ComponentEntry | ApplicationEntry) -> bool:
        return bool(self._cameras) or "images" not in entry.inputs.values()

    def _due(self, t_ns: int) -> list[Step]:
        """Applications whose turn it is, by the stamps of sweeps: half a sweep early counts as on time."""
        due = []
        slack_ns = from_s(self._robot.sweep_period_ms / 2e3)
        for step in self._applications:
            entry = step.wired.entry
            served_ns = self._served_ns.get(entry.name)
            if isinstance(entry, ApplicationEntry) and (
                served_ns is None
                or t_ns < served_ns  # the clock was set back
                or t_ns - served_ns >= from_s(1 / entry.rate_hz) - slack_ns
            ):
                self._served_ns[entry.name] = t_ns
                due.append(step)
        return due

    def _schedule(self, due: Sequence[Step], shed: Collection[ShedStep]) -> list[Step]:
        """What has to run for the percept and all that is due, each component once, without what is shed."""
        key = (*(step.wired.name for step in due), None, *sorted(shed))
        if key not in self._schedules:
            wanted = {*self.handed_on, *(at for step in due for at in step.makes)}
            self._schedules[key] = needed(self.steps, wanted, shed)
        return self._schedules[key]

    def _grey(self, sensor: str) -> Image:
        (lens,) = [camera.intrinsics for camera in self._robot.cameras if camera.name == sensor]
        return Image(0, sensor, sensor, np.full((lens.height_px, lens.width_px, 3), 128, np.uint8))


def _taken(wired: Wired, component: Component, at: dict[str, int]) -> tuple[int, ...]:
    """Where a component's inputs lie among the results."""
    ports = zip(wired.component.inputs, wired.takes, strict=True)
    return tuple(NOT_NEEDED if port in component.unneeded else at[result] for port, result in ports)


def needed(steps: Sequence[Step], wanted: Collection[int], shed: Collection[ShedStep] = ()) -> list[Step]:
    """The steps that lead to some results, in their order, without those that are shed.

    Args:
        steps: all, in their order.
        wanted: where the results lie.
        shed: steps of the shedding ladder that are in force.
    """
    open_ends, chosen = set(wanted), []
    for step in reversed(steps):
        entry = step.wired.entry
        is_shed = isinstance(entry, ComponentEntry) and entry.shed_at in shed
        if not is_shed and not open_ends.isdisjoint(step.makes):
            open_ends.update(step.takes)
            chosen.append(step)
    return chosen[::-1]


def _reports(t_ns: int, due: Sequence[Step], results: Sequence[Any]) -> Iterator[ApplicationReport]:
    """Of the applications that could be served."""
    for step in due:
        said, entry = results[step.makes[0]], step.wired.entry
        if isinstance(said, Measure) and isinstance(entry, ApplicationEntry):
            measured = (said.quantity, said.value, said.unit, said.point_m, said.text)
            yield ApplicationReport(t_ns, entry.name, *measured, entry.rate_hz, entry.deadline_ms / 1e3)


def _made_up_sweep(lidar: Lidar) -> PointCloud:
    """A floor and a wall 5 m ahead, in the lidar's frame as if it were level."""
    floor = np.stack(np.meshgrid(np.arange(1.0, 10, 0.2), np.arange(-5.0, 5, 0.2)), -1).reshape(-1, 2)
    wall = np.stack(np.meshgrid(np.arange(-1.0, 1, 0.1), np.arange(0.1, 1.5, 0.1)), -1).reshape(-1, 2)
    below_m = lidar.mounting.xyz_m[2]
    xyz_m = np.vstack(
        [
            np.column_stack([floor, np.full(len(floor), -below_m)]),
            np.column_stack([np.full(len(wall), 5.0), wall[:, 0], wall[:, 1] - below_m]),
        ]
    )
    return PointCloud(0, lidar.name, lidar.name, xyz_m.astype(np.float32))
