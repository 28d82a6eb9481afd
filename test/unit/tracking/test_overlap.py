"""Overlap of oriented boxes, against areas worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.tracking.overlap import generalised_overlaps, near_pairs, overlaps_3d

SQUARE = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]  # x, y, length, width, heading, z, height


def overlap(a: list[float], b: list[float]) -> float:
    return float(overlaps_3d(np.array([a]), np.array([b]))[0])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (SQUARE, 1.0),
        ([0.5, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], 0.5 / 1.5),
        ([0.0, 0.0, 1.0, 1.0, 0.0, 0.5, 1.0], 0.5 / 1.5),
        ([0.0, 0.0, 1.0, 1.0, np.pi / 2, 0.0, 1.0], 1.0),
        # A square turned by 45 degrees leaves an octagon of area 2 sqrt(2) - 2.
        ([0.0, 0.0, 1.0, 1.0, np.pi / 4, 0.0, 1.0], (2 * 2**0.5 - 2) / (2 - (2 * 2**0.5 - 2))),
        ([0.0, 0.0, 0.5, 0.5, 0.3, 0.0, 0.5], 0.125),
        ([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], 0.0),
        ([0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], 0.0),
        ([9.0, 9.0, 1.0, 1.0, 0.7, 0.0, 1.0], 0.0),
    ],
)
def test_overlap_in_space(other: list[float], expected: float) -> None:
    assert overlap(SQUARE, other) == pytest.approx(expected)
    assert overlap(other, SQUARE) == pytest.approx(expected)


def test_near_pairs_are_those_whose_circles_meet_in_order() -> None:
    a_m, b_m = np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([[3.0, 4.0], [10.0, 1.0], [0.0, 1.0]])
    rows, columns = near_pairs(a_m, np.array([4.0, 0.5]), b_m, np.array([1.1, 0.6, 0.0]))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (0, 2), (1, 1)]
    assert not near_pairs(a_m[:0], np.zeros(0), b_m, np.zeros(3))[0].size


numbers = st.floats(-3, 3)
extents = st.floats(0.3, 4)
box = st.tuples(numbers, numbers, extents, extents, numbers, numbers, extents).map(list)


@given(box, box, numbers)
def test_overlap_is_symmetric_bounded_and_independent_of_the_frame(
    a: list[float], b: list[float], turn: float
) -> None:
    value = overlap(a, b)
    assert 0 <= value <= 1 + 1e-9
    assert overlap(b, a) == pytest.approx(value, abs=1e-9)
    c, s = np.cos(turn), np.sin(turn)
    moved = [
        [c * x - s * y + 2, s * x + c * y - 1, *size, yaw + turn, z, h] for x, y, *size, yaw, z, h in (a, b)
    ]
    assert overlap(*moved) == pytest.approx(value, abs=1e-9)


def test_generalised_overlap_tells_near_from_far_where_nothing_overlaps() -> None:
    square = np.array([SQUARE[:5]] * 3)
    others = np.array([[2.0, 0, 1, 1, 0], [4.0, 0, 1, 1, 0], [0, 0, 1, 1, 0]])
    near, far, same = generalised_overlaps(square, others)
    assert near == pytest.approx(-1 / 3)  # one of the three squares of the enclosing box is empty
    assert far == pytest.approx(-3 / 5)
    assert same == pytest.approx(1)
