"""What a robot without a lidar can follow: people by their legs in its 2D scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from perception_platform.core.lineage import merge
from perception_platform.core.objects import Detections, Ints
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_ms
from perception_platform.perception.legs import find_people
from perception_platform.robot.description import Robot

# Scans that are taken longer apart than this are not joined: one walks 0.1 m in half of it.
_APART_NS = from_ms(150)
# Two scanners that see somebody from two sides differ by no more.
_SAME_M = 0.35


class ScanPeople:
    """People in the scans of all scanners around the first one's, which sets the pace.

    One scan cannot tell legs from those of chairs: their low scores say so, and the tracker tells who moves.
    """

    def __init__(self, robot: Robot) -> None:
        self._origins_m = {scan.name: scan.mounting.transform().translation_m for scan in robot.scans}
        self.leading = next(iter(self._origins_m), "")

    def step(self, scan: PointCloud, others: Sequence[PointCloud] = ()) -> Detections:
        """People of one moment.

        Args:
            scan: newest of the leading scanner, base frame.
            others: newest of each other scanner, base frame.
        """
        found = find_people(scan, self._origins_m[scan.sensor])
        for other in others:
            if other.sensor != scan.sensor and abs(other.t_ns - scan.t_ns) <= _APART_NS:
                found = _joined(found, find_people(other, self._origins_m[other.sensor]))
        return found


def _joined(first: Detections, more: Detections) -> Detections:
    """Those of the first, then those of the others that none of them is already."""
    apart_m = np.linalg.norm(more.centers_m[:, None, :2] - first.centers_m[None, :, :2], axis=2)
    new: Ints = np.flatnonzero(apart_m.min(axis=1, initial=np.inf) > _SAME_M)
    arrays = [f.name for f in fields(Detections) if isinstance(getattr(first, f.name), np.ndarray)]
    both: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(more, name)[new]]) for name in arrays
    }
    return replace(first, **both, lineage=merge([first.lineage, more.lineage]))
