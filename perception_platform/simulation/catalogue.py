"""The things a warehouse is made of, each in its own frame: x ahead, on the floor at the origin."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.simulation.solids import Bgr, Solids, box, cylinder, join

STEEL: Bgr = (150, 95, 40)
BOARD: Bgr = (110, 140, 175)
WOOD: Bgr = (95, 150, 190)
CARTONS: tuple[Bgr, ...] = ((90, 135, 175), (80, 120, 160), (120, 160, 195))
PANELS: tuple[Bgr, ...] = ((175, 180, 182), (160, 168, 172))
VEST: Bgr = (40, 210, 240)
TROUSERS: Bgr = (90, 60, 40)
SKIN: Bgr = (140, 170, 220)
TRUCK: Bgr = (30, 160, 230)
DARK: Bgr = (45, 45, 45)


@dataclass(frozen=True, slots=True)
class Body:
    """Something that may move, in its own frame.

    Attributes:
        standing: its solids while it stands.
        swing: (S,) how far ahead each of them gets, as a share of a leg's swing; 0 for what only moves with the rest.
    """

    standing: Solids
    swing: Array

    @classmethod
    def rigid(cls, solids: Solids) -> Body:
        """One without legs."""
        return cls(solids, np.zeros(len(solids)))

    def __call__(self, travelled_m: float) -> Solids:
        """Its solids after a way."""
        centers = self.standing.centers_m.copy()
        centers[:, 0] += self.swing * swing_m(travelled_m)
        return replace(self.standing, centers_m=centers)


def swing_m(travelled_m: float) -> float:
    """How far ahead of the trunk a walker's leg is: one cycle each 1.5 m."""
    return 0.22 * math.sin(2 * math.pi * travelled_m / 1.5)


def person(travelled_m: float, *, height_m: float = 1.75) -> Solids:
    """A walker after a way; see ``walker``."""
    return walker(height_m)(travelled_m)


@lru_cache(maxsize=256)
def walker(height_m: float = 1.75) -> Body:
    """A walker: two legs, trunk, arms and head.

    Args:
        height_m: body height. Proportions after Winter, Biomechanics and Motor Control of Human Movement.
    """
    leg, trunk = 0.49 * height_m, 0.34 * height_m
    parts, swing = [], []
    for side in (-1, 1):
        parts.append(cylinder((0.0, side * 0.10), 0.15, leg, bgr=TROUSERS))
        parts.append(cylinder((0.0, side * 0.24), 0.09, 0.32 * height_m,
                              bottom_m=0.48 * height_m, bgr=VEST, reflectivity=0.5))  # fmt: skip
        swing += [side, -side * 0.8]
    parts.append(box((0.0, 0.0), (0.24, 0.38, trunk), bottom_m=leg, bgr=VEST, reflectivity=0.6))
    parts.append(cylinder((0.0, 0.0), 0.18, 0.15 * height_m, bottom_m=0.85 * height_m, bgr=SKIN))
    return Body(join(parts), np.array([*swing, 0.0, 0.0]))


def wall(length_m: float) -> Solids:
    """A wall across the x axis, 3 m high and 0.2 m thick, in panels of about 2 m."""
    count = max(1, round(length_m / 2.0))
    width = length_m / count
    panels = []
    for i in range(count):
        center = (0.0, (i - (count - 1) / 2) * width)
        panels.append(box(center, (0.2, width, 3.0), bgr=PANELS[i % 2], reflectivity=0.6))
    return join(panels)


def shelf_bay(seed: int) -> Solids:
    """One bay of a rack, 2 x 0.8 m: posts, boards at three levels, and cartons whose sizes the seed draws."""
    length_m, depth_m, post = 2.0, 0.8, 0.08
    rng = np.random.default_rng(seed)
    posts = [
        box(
            (sx * (length_m - post) / 2, sy * (depth_m - post) / 2),
            (post, post, 2.7),
            bgr=STEEL,
            reflectivity=0.4,
        )
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    stock = []
    for level_m in (0.12, 1.10, 2.05):
        stock.append(box((0.0, 0.0), (length_m, depth_m, 0.06), bottom_m=level_m - 0.06, bgr=BOARD))
        for x in (-0.5, 0.5):
            size = (rng.uniform(0.5, 0.85), rng.uniform(0.5, 0.74), rng.uniform(0.35, 0.8))
            colour = CARTONS[int(rng.integers(len(CARTONS)))]
            stock.append(
                box((x * length_m * 0.48, 0.0), size, bottom_m=level_m, bgr=colour, reflectivity=0.5)
            )
    return join(posts + stock)


def pallet(*, load_m: float = 0.0) -> Solids:
    """A 1.2 x 0.8 m pallet (EPAL 1): boards on three runners, with a load of that height on it."""
    parts = [box((0.0, y), (1.2, 0.10, 0.10), bgr=WOOD) for y in (-0.35, 0.0, 0.35)]
    parts.append(box((0.0, 0.0), (1.2, 0.8, 0.044), bottom_m=0.10, bgr=WOOD))
    if load_m > 0:
        parts.append(
            box((0.0, 0.0), (1.16, 0.78, load_m), bottom_m=0.144, bgr=(190, 200, 205), reflectivity=0.5)
        )
    return join(parts)


def forklift() -> Solids:
    """A counterbalance truck: body, counterweight, overhead guard on four posts, mast and forks."""
    parts = [
        box((-0.15, 0.0), (2.0, 1.1, 0.75), bottom_m=0.15, bgr=TRUCK, reflectivity=0.5),
        box((-0.95, 0.0), (0.5, 1.1, 1.0), bottom_m=0.15, bgr=DARK, reflectivity=0.2),
        box((-0.15, 0.0), (1.3, 1.0, 0.06), bottom_m=2.1, bgr=DARK, reflectivity=0.2),
        box((0.95, 0.0), (0.18, 0.8, 2.1), bottom_m=0.05, bgr=DARK, reflectivity=0.2),
    ]
    parts += [
        box((x, y), (0.07, 0.07, 1.2), bottom_m=0.9, bgr=DARK) for x in (-0.75, 0.45) for y in (-0.45, 0.45)
    ]
    parts += [box((1.55, y), (1.1, 0.12, 0.05), bottom_m=0.06, bgr=STEEL) for y in (-0.25, 0.25)]
    return join(parts)
