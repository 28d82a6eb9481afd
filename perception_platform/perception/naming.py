"""A guess at what a thing is from the size of what is visible of it. Unknown is the honest default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of visible parts that fit a class, m.

    Attributes:
        object_class: the class.
        long_m: range of the longer side.
        short_m: range of the shorter side.
        top_m: range of the top's height above the ground.
        lowest_m: greatest height of the lowest point above the ground.
        likelihood: how often a thing of this shape is of this class; the score is built on it. Of road users it is
            the share in made-up streets and warehouses: ``perception-platform evaluate lidar-heads``.
    """

    object_class: ObjectClass
    long_m: tuple[float, float]
    short_m: tuple[float, float]
    top_m: tuple[float, float]
    lowest_m: float
    likelihood: float


ROAD_USERS = (
    ObjectClass.PERSON,
    ObjectClass.CYCLIST,
    ObjectClass.CAR,
    ObjectClass.TRUCK,
    ObjectClass.FORKLIFT,
)

# Structure's share is 0.86. It says less, so that who was once taken for a part of a wall gets a name soon.
# Later rows win. A car seen from its end shows a side 1.4 to 2 m wide and little depth; a shelf that is as long as a
# vehicle is too flat for one that shows two sides, and too high for a car that shows one.
SHAPES: tuple[Shape, ...] = (
    Shape(ObjectClass.STRUCTURE, (2.5, np.inf), (0.0, 1.2), (0.3, np.inf), np.inf, 0.6),
    Shape(ObjectClass.TRUCK, (3.5, 14.0), (1.6, 3.0), (2.1, np.inf), 1.2, 0.55),
    Shape(ObjectClass.CAR, (1.35, 2.3), (0.1, 2.3), (1.0, 2.1), 0.8, 0.32),
    Shape(ObjectClass.CAR, (2.3, 5.6), (1.2, 2.3), (1.0, 2.1), 0.8, 0.97),
    Shape(ObjectClass.CAR, (3.0, 5.0), (0.25, 1.2), (1.1, 1.7), 0.8, 0.77),
    Shape(ObjectClass.CYCLIST, (1.15, 2.0), (0.25, 0.8), (1.3, 2.0), 0.6, 0.62),
    Shape(ObjectClass.PERSON, (0.25, 1.15), (0.0, 0.9), (1.1, 2.1), 0.8, 0.51),
)

# Expected calibration error of road users' scores, in 2 000 worlds (seed 3) that the likelihoods are not from (seed 2).
SCORE_ERROR = 0.022

# Score of a thing that has no name: that there is something is sure, but not what.
_UNNAMED = 0.5
_POINTS = 8.0  # about so many show a shape


def name_by_shape(
    sizes_m: Array, top_m: Array, lowest_m: Array, num_points: Ints, piece: npt.NDArray[np.bool_]
) -> tuple[Ints, Array]:
    """Class and score of N boxes.

    Args:
        sizes_m: (N, 2) sides in the ground plane.
        top_m: (N,) height of the top above the ground.
        lowest_m: (N,) height of the lowest point above the ground.
        num_points: (N,) lidar points.
        piece: (N,) whether it is a piece of something too large for an object: structure.

    Returns:
        (N,) values of ObjectClass and (N,) scores in [0, 1], which grow with the number of points.
    """
    long_m, short_m = sizes_m.max(axis=1), sizes_m.min(axis=1)
    class_ids = np.full(len(sizes_m), int(ObjectClass.UNKNOWN), dtype=np.int64)
    likelihood = np.full(len(sizes_m), _UNNAMED)
    for shape in SHAPES:
        fits = (
            _within(long_m, shape.long_m)
            & _within(short_m, shape.short_m)
            & _within(top_m, shape.top_m)
            & (lowest_m <= shape.lowest_m)
        )
        class_ids[fits], likelihood[fits] = int(shape.object_class), shape.likelihood
    class_ids[piece], likelihood[piece] = int(ObjectClass.STRUCTURE), SHAPES[0].likelihood
    return class_ids, likelihood * _seen(num_points)


def shapes_of(class_ids: Ints, scores: Array, num_points: Ints) -> Ints:
    """(N,) rows of ``SHAPES`` that gave names with these scores; -1 where none did."""
    likelihood = scores / np.maximum(_seen(num_points), 1e-9)
    rows = np.full(len(scores), -1, dtype=np.int64)
    for row, shape in enumerate(SHAPES):
        own = (class_ids == int(shape.object_class)) & (np.abs(likelihood - shape.likelihood) < 1e-6)
        rows[own] = row
    return rows


def _seen(num_points: Ints) -> Array:
    """(N,) how much of a thing so many points show."""
    return np.asarray(1 - np.exp(-num_points / _POINTS))


def _within(values: Array, limits: tuple[float, float]) -> npt.NDArray[np.bool_]:
    return np.asarray((values >= limits[0]) & (values <= limits[1]))
