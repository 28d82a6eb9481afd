"""Which points are something, held against a plain search."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.geometry import Array
from perception_platform.risk.together import first_together

LEAST, MOST = 3, 5


def plainly(xyz_m: Array, gaps_m: Array, reach_m: Array) -> list[int]:
    """The nearest point that has enough of those behind it within its reach, and these."""
    order = np.argsort(gaps_m, kind="stable").tolist()
    for k, i in enumerate(order):
        near = [j for j in order[k:] if np.linalg.norm(xyz_m[j] - xyz_m[i]) <= reach_m[i]]
        if len(near) >= LEAST:
            return near[:MOST]
    return []


@given(st.integers(0, 40), st.floats(0.05, 1.0), st.integers(0, 2**32 - 1))
def test_it_finds_what_a_plain_search_finds(count: int, reach: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    xyz_m: npt.NDArray[np.float64] = rng.uniform(0.0, 2.0, (count, 3))
    reach_m = np.full(count, reach) + 0.05 * xyz_m[:, 0]
    got = first_together(xyz_m, xyz_m[:, 0], reach_m, LEAST, MOST)
    assert got.tolist() == plainly(xyz_m, xyz_m[:, 0], reach_m)


def test_drops_in_front_of_a_wall_leave_the_wall() -> None:
    """However many there are, each by itself."""
    drops = np.array([[0.3 * i, (-1) ** i * 0.3, 0.3 * (i % 3)] for i in range(12)])
    wall = np.array([[4.0, y, z] for y in np.arange(-0.4, 0.4, 0.05) for z in (0.3, 0.4)])
    xyz_m = np.concatenate([drops, wall])
    got = first_together(xyz_m, xyz_m[:, 0], np.full(len(xyz_m), 0.25), LEAST, MOST)
    assert len(got) == MOST
    assert (got >= len(drops)).all()
