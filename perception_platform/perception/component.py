"""What a component of the graph is: what it takes, what it gives, and the one call between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.lineage import Lineage
from perception_platform.core.model_status import ModelStatus
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import PointCloud
from perception_platform.inference.chain import Chain
from perception_platform.perception.bird_view import BirdView, LearnedBoxes
from perception_platform.perception.camera_chain import CameraChain
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Robot
from perception_platform.robot.parts import Part
from perception_platform.robot.sensors import Lidar


@dataclass(frozen=True, slots=True)
class Port:
    """What passes along an edge; both ends have to say the same.

    Attributes:
        kind: type of the value.
        shape: of an array: the length of each axis, or a letter for one that only the data tells. Axes of one letter
            are equally long, within a component and, followed along the edges, throughout the graph.
        unit: of its numbers; empty where the value's own fields say it.
        frame: ``base``, ``lidar`` or ``image``; empty where the value's own fields say it.
        head: whether it is an answer with scores: its component has to say how far it can be trusted (``Head``).
    """

    kind: type
    shape: tuple[int | str, ...] = ()
    unit: str = ""
    frame: str = ""
    head: bool = False


def array(*shape: int | str, unit: str = "", frame: str = "") -> Port:
    """The port of an array."""
    return Port(np.ndarray, shape, unit, frame)


Ports = Mapping[str, Port]

# What comes from outside: the sweep, the newest image of each camera by its name, the newest scans, and the tracks of
# the moments before, carried on to the sweep's.
SOURCES: Ports = {
    "sweep": Port(PointCloud, unit="m", frame="lidar"),
    "images": Port(dict, unit="px", frame="image"),
    "scans": Port(tuple, unit="m", frame="base"),
    "tracks": Port(Tracks, unit="m", frame="base"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What all components may know of the sweep that they work on.

    Attributes:
        t_ns: its capture time, ns.
        lidar: the lidar it is from.
        base_from_lidar: where that sits.
        lineage: of what is made from the sweep.
    """

    t_ns: int
    lidar: Lidar
    base_from_lidar: Transform
    lineage: Lineage

    @property
    def origin_m(self) -> Array:
        """(3,) where the lidar is, base frame."""
        return self.base_from_lidar.translation_m


@dataclass(frozen=True, slots=True)
class Measure:
    """What an application says of one sweep: the only output of one, on its port ``report``.

    Attributes:
        quantity: what was measured, e.g. ``gap ahead``.
        value: the measured value; infinite where there is nothing to measure.
        unit: its unit.
        point_m: (x, y) of what it was measured to, base frame; None where there is nothing.
        text: one line for people.
    """

    quantity: str
    value: float
    unit: str
    point_m: tuple[float, float] | None
    text: str


@dataclass(frozen=True)
class Setup:
    """What components are built from.

    Attributes:
        robot: the robot.
        cameras: the chain of models of each camera head.
        lidars: the chain of learned models of each lidar that has one, by its name.
        params: of the geometric path.
        geometry: the geometric path's steps, shared by the components that make it up.
    """

    robot: Robot
    cameras: Sequence[CameraChain] = ()
    lidars: Mapping[str, Chain[BirdView, LearnedBoxes]] = field(default_factory=dict)
    params: GeometryParams = field(default_factory=GeometryParams)
    geometry: GeometricPath = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "geometry", GeometricPath(self.robot, self.params))


class NoParams(Part):
    """Of a component that has no parameters."""


class Component(Protocol):
    """One component. The file that it is in has its name; the class has it in CamelCase.

    Attributes:
        inputs: what it takes, in the order of ``step``'s arguments.
        outputs: what it gives, in the order of ``step``'s results; one alone is not put in a tuple.
        params_model: what the graph's file may set.
        unneeded: of one that was built, inputs that it can do without: it gets None for them and does not wait.
    """

    inputs: ClassVar[Ports]
    outputs: ClassVar[Ports]
    params_model: ClassVar[type[Part]] = NoParams
    unneeded: frozenset[str] = frozenset()

    def __init__(self, setup: Setup, params: Any) -> None: ...

    def step(self, moment: Moment, *values: Any) -> Any:
        """Results of one sweep; what it raises is counted, and whoever needs the results goes without."""


class Head(Component, Protocol):
    """A component that answers what is there."""

    def model_status(self, t_ns: int) -> Sequence[ModelStatus]:
        """Which model gave its last answer, how it fares, and how far it can be trusted."""
