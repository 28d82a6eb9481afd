"""All tracks at once, a column a quantity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.tracking.acceleration import RampState
from perception_platform.tracking.motion import MotionState
from perception_platform.tracking.occlusion import Memory


@dataclass(frozen=True, slots=True)
class TrackTable:
    """N tracks in the fixed frame.

    Attributes:
        ids: (N,) identities, ascending.
        motion: position and velocity.
        ramp: what is known of the acceleration.
        memory: where they were when they were last seen.
        z_m: (N,) heights of the centres.
        sizes_m: (N, 3) length, width, height.
        yaws_rad: (N,) headings.
        yaw_var: (N,) their variances, rad^2.
        class_votes: (N, classes) class probabilities.
        class_ids: (N,) the likeliest class of each.
        existence: (N,) probability that there is an object.
        confirmed: (N,) which have been sure enough to be reported.
        confidence_s: (N,) integral of the confidence of its detections over the time of its life, s.
        first_seen_ns: (N,) capture time of the first measurement.
        last_seen_ns: (N,) of the newest one.
        sensors_seen_ns: (N, 3) of the newest one of each kind of sensor.
    """

    ids: Ints
    motion: MotionState
    ramp: RampState
    memory: Memory
    z_m: Array
    sizes_m: Array
    yaws_rad: Array
    yaw_var: Array
    class_votes: Array
    class_ids: Ints
    existence: Array
    confirmed: npt.NDArray[np.bool_]
    confidence_s: Array
    first_seen_ns: Ints
    last_seen_ns: Ints
    sensors_seen_ns: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: npt.NDArray[np.bool_] | Ints) -> TrackTable:
        """Some of the tracks, by mask or by row."""
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return _joined_up([column[rows] for column in _columns(self)])

    def where(self, mask: npt.NDArray[np.bool_]) -> TrackTable:
        """The tracks for which the mask holds; mostly that is all of them, and nothing is copied."""
        return self if mask.all() else self.select(mask)

    def joined(self, other: TrackTable) -> TrackTable:
        """These tracks, then those."""
        return _made(lambda a, b: np.concatenate([a, b]), self, other) if len(other) else self

    def ascending(self) -> TrackTable:
        """These tracks by id; mostly they are."""
        return self if (np.diff(self.ids) > 0).all() else self.select(np.argsort(self.ids))

    def renamed(self, old_id: int, new_id: int) -> TrackTable:
        """These tracks, one of them under another id."""
        ids = np.where(self.ids == old_id, new_id, self.ids)
        return replace(self, ids=ids).ascending()

    def put(self, rows: Ints, changed: TrackTable) -> TrackTable:
        """These tracks, with the named rows, ascending, replaced."""
        if len(rows) == len(self):
            return changed

        def overwrite(column: npt.NDArray[Any], new: npt.NDArray[Any]) -> npt.NDArray[Any]:
            column = column.copy()
            column[rows] = new
            return column

        return _made(overwrite, self, changed)


_STATES = {"motion": MotionState, "ramp": RampState, "memory": Memory}


def _paths() -> list[str]:
    """Of all columns, those of the states among them, in the order in which a table is made."""
    return [
        path
        for f in fields(TrackTable)
        for path in (
            [f"{f.name}.{g.name}" for g in fields(_STATES[f.name])] if f.name in _STATES else [f.name]
        )
    ]


_columns: Callable[[TrackTable], tuple[npt.NDArray[Any], ...]] = attrgetter(*_paths())


def _made(change: Callable[..., npt.NDArray[Any]], *tables: TrackTable) -> TrackTable:
    """A table made column by column from one or more alike."""
    return _joined_up([change(*columns) for columns in zip(*map(_columns, tables), strict=True)])


def _joined_up(columns: list[npt.NDArray[Any]]) -> TrackTable:
    """A table of its columns."""
    (ids, mean, cov, weight, ramp_mean, ramp_cov, centers_m, reach_m, speed_mps, hidden, *rest) = columns
    motion, ramp = MotionState(mean, cov, weight), RampState(ramp_mean, ramp_cov)
    return TrackTable(ids, motion, ramp, Memory(centers_m, reach_m, speed_mps, hidden), *rest)
