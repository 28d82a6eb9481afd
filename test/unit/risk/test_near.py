"""Points near the robot: all of a sparse cloud, a few of each place of a dense one."""

from __future__ import annotations

import numpy as np
import pytest

from perception_platform.risk.near import thinned

REACH_M, CELL_M, MOST = 5.0, 0.1, 4
PLENTY = 10**6


def places(xyz_m: np.ndarray, cell_m: float, flat: bool) -> np.ndarray:
    return np.floor((xyz_m[:, : 2 if flat else 3] + REACH_M) / cell_m)


@pytest.mark.parametrize("flat", [True, False])
def test_no_place_keeps_more_than_a_few_and_none_is_lost(flat: bool) -> None:
    xyz_m = np.random.default_rng(1).uniform(-1.0, 1.0, (20_000, 3)).astype(np.float32)
    kept = xyz_m[thinned(xyz_m, REACH_M, CELL_M, MOST, PLENTY, flat=flat)]
    before, _ = np.unique(places(xyz_m, CELL_M, flat), axis=0, return_counts=True)
    after, counts = np.unique(places(kept, CELL_M, flat), axis=0, return_counts=True)
    assert counts.max() == MOST
    assert abs(len(after) - len(before)) <= 0.01 * len(before)  # a point on a border may count to either side


def test_of_a_sparse_cloud_all_is_kept_in_its_order() -> None:
    x, y = np.meshgrid(np.arange(-4.9, 5.0, 0.2), np.arange(-4.9, 5.0, 0.2))
    xyz_m = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]).astype(np.float32)
    assert thinned(xyz_m, REACH_M, CELL_M, MOST, PLENTY, flat=True).tolist() == list(range(len(xyz_m)))


def test_what_is_far_or_no_place_at_all_is_left_out() -> None:
    odd = [(6, 0, 0), (0, -5.1, 0), (np.nan, 0, 0), (0, np.inf, 0), (0, 0, np.nan), (1, 1, 1e30), (1, 1, 0)]
    xyz_m = np.array(odd, dtype=np.float32)
    for flat in (True, False):
        assert thinned(xyz_m, REACH_M, CELL_M, MOST, PLENTY, flat=flat).tolist() == [5, 6]
    assert len(thinned(xyz_m[:0], REACH_M, CELL_M, MOST, PLENTY, flat=True)) == 0


def test_of_a_dense_cloud_so_many_are_kept_as_are_enough() -> None:
    xyz_m = np.random.default_rng(2).uniform(-4.0, 4.0, (60_000, 3)).astype(np.float32)
    whole = thinned(xyz_m, REACH_M, CELL_M, MOST, PLENTY, flat=True)
    fewer = thinned(xyz_m, REACH_M, CELL_M, MOST, 10_000, flat=True)
    assert len(fewer) <= 10_000 < len(whole)
    assert len(fewer) > 5_000
