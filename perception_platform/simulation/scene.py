"""A world with a vehicle driving through it: what the simulated sensors look at."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from perception_platform.core.time import from_s
from perception_platform.simulation.solids import Solids
from perception_platform.simulation.vehicle import Trajectory
from perception_platform.simulation.world import Marking


class Surroundings(Protocol):
    """What the sensors need of a world: see ``world.World``."""

    @property
    def floor_reflectivity(self) -> float:
        """Share of the lidar's light that the floor throws back."""

    @property
    def markings(self) -> Sequence[Marking]:
        """Paint on the floor."""

    def solids_at(self, t_s: float) -> Solids:
        """Everything above the floor, in the world frame; the order is the same at all times."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A world, the vehicle's drive through it, and what makes it repeatable.

    Attributes:
        world: what stands and moves around the vehicle.
        trajectory: the vehicle's drive, in seconds from the scene's start.
        start_ns: stamp of the scene's start, ns.
        seed: of all noise.
    """

    world: Surroundings
    trajectory: Trajectory
    start_ns: int
    seed: int

    def stamp_ns(self, t_s: float) -> int:
        """The stamp of a moment of the scene."""
        return self.start_ns + from_s(t_s)

    def noise(self, source: str, t_s: float) -> np.random.Generator:
        """The noise of one source at one moment: the same whatever else was drawn before."""
        return np.random.default_rng([self.seed, zlib.crc32(source.encode()), from_s(t_s)])
