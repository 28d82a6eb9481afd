"""Which points are something: those that lie near each other. Drops of rain lie anywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import Points
from perception_platform.runtime.compiled import compiled

Rows = npt.NDArray[np.int64]


def first_together(xyz_m: Points, gaps_m: Array, reach_m: Array, least: int, most: int) -> Rows:
    """Rows of the nearest points that are something together.

    Args:
        xyz_m: points (N, 3).
        gaps_m: (N,) how far along the path each is.
        reach_m: (N,) others that far from it are of the same thing.
        least: so many of a thing are something.
        most: so many of them are enough to be told.

    Returns:
        (K,) rows by rising gap; none if nothing is there.
    """
    order = np.argsort(gaps_m, kind="stable")
    sorted_m = np.ascontiguousarray(xyz_m[order], dtype=np.float64)
    return np.asarray(order[_first_together(sorted_m, gaps_m[order], reach_m[order], least, most)])


@compiled("i8[::1](f8[:,::1], f8[::1], f8[::1], i8, i8)")
def _first_together(xyz_m: Array, gaps_m: Array, reach_m: Array, least: int, most: int) -> Rows:
    rows = np.empty(most, dtype=np.int64)
    for i in range(len(gaps_m)):
        rows[0], found = i, 1
        for j in range(i + 1, len(gaps_m)):
            if found == most or gaps_m[j] - gaps_m[i] > reach_m[i]:
                break
            x, y, z = xyz_m[j, 0] - xyz_m[i, 0], xyz_m[j, 1] - xyz_m[i, 1], xyz_m[j, 2] - xyz_m[i, 2]
            if x * x + y * y + z * z <= reach_m[i] * reach_m[i]:
                rows[found] = j
                found += 1
        if found >= least:
            return rows[:found].copy()
    return rows[:0].copy()
