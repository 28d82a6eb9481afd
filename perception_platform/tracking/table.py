"""All tracks at once, a column a quantity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
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
    existence: Array
    confirmed: npt.NDArray[np.bool_]
    confidence_s: Array
    first_seen_ns: Ints
    last_seen_ns: Ints
    sensors_seen_ns: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def class_ids(self) -> Ints:
        """(N,) the likeliest class of each."""
        return np.asarray(np.argmax(self.class_votes, axis=1), dtype=np.int64)

    def select(self, rows: npt.NDArray[np.bool_] | Ints) -> TrackTable:
        """Some of the tracks, by mask or by row."""
        return _made(lambda column: column[rows], self)

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


_STATES: dict[str, type[MotionState | RampState | Memory]] = {
    "motion": MotionState,
    "ramp": RampState,
    "memory": Memory,
}
_STATE_COLUMNS = {name: tuple(f.name for f in fields(kind)) for name, kind in _STATES.items()}
_COLUMNS = tuple(f.name for f in fields(TrackTable) if f.name not in _STATES)


def _made(change: Callable[..., npt.NDArray[Any]], *tables: TrackTable) -> TrackTable:
    """A table made column by column from one or more alike."""
    made: dict[str, Any] = {name: change(*[getattr(t, name) for t in tables]) for name in _COLUMNS}
    for name, kind in _STATES.items():
        states = [getattr(t, name) for t in tables]
        made[name] = kind(*[change(*[getattr(s, c) for s in states]) for c in _STATE_COLUMNS[name]])
    return TrackTable(**made)
