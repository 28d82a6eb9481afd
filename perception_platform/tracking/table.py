"""All tracks at once: one block of memory, a row a track, a column a quantity."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.tracking.acceleration import RampState
from perception_platform.tracking.motion import MotionState
from perception_platform.tracking.occlusion import Memory

Mask = npt.NDArray[np.bool_]
Records = npt.NDArray[np.void]
Column = TypeVar("Column", bound=npt.NDArray[Any])

_TRACK = np.dtype(
    [
        ("ids", "i8"),
        ("motion_mean", "f8", (2, 4)),
        ("motion_cov", "f8", (2, 4, 4)),
        ("motion_weight", "f8", (2,)),
        ("ramp_mean", "f8", (2, 3)),
        ("ramp_cov", "f8", (3, 3)),
        ("memory_centers_m", "f8", (2,)),
        ("memory_reach_m", "f8"),
        ("memory_speed_mps", "f8"),
        ("z_m", "f8"),
        ("sizes_m", "f8", (3,)),
        ("yaws_rad", "f8"),
        ("yaw_var", "f8"),
        ("class_votes", "f8", (len(ObjectClass),)),
        ("class_ids", "i8"),
        ("existence", "f8"),
        ("confidence_s", "f8"),
        ("first_seen_ns", "i8"),
        ("last_seen_ns", "i8"),
        ("sensors_seen_ns", "i8", (3,)),
        ("hidden", "?"),
        ("confirmed", "?"),
    ],
    align=True,
)
_WORDS = _TRACK.itemsize // 8
RECORDS = numba.from_dtype(_TRACK)[::1]  # the type of ``TrackTable.tracks`` in signatures of compiled loops


class _Column(Generic[Column]):
    """One quantity of all tracks: read as a view into the block, written in place."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, table: TrackTable, owner: type) -> Column:
        return table.tracks[self._name]  # type: ignore[return-value]

    def __set__(self, table: TrackTable, values: npt.ArrayLike) -> None:
        table.tracks[self._name] = values


class TrackTable:
    """N tracks in the fixed frame. Rows are copied as a whole, so that what a look does to them costs a few copies.

    Columns are views into the block, not contiguous; assigning to one writes into the table, so a table that somebody
    else holds is copied first.

    Attributes:
        tracks: (N,) of the records.
        ids: (N,) identities, ascending.
        motion: position and velocity.
        ramp: what is known of the acceleration.
        memory: where they were when they were last seen.
        hidden: (N,) which went out of sight behind something, and were not seen since.
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

    __slots__ = ("_block", "tracks")

    ids = _Column[Ints]()
    hidden = _Column[Mask]()
    z_m = _Column[Array]()
    sizes_m = _Column[Array]()
    yaws_rad = _Column[Array]()
    yaw_var = _Column[Array]()
    class_votes = _Column[Array]()
    class_ids = _Column[Ints]()
    existence = _Column[Array]()
    confirmed = _Column[Mask]()
    confidence_s = _Column[Array]()
    first_seen_ns = _Column[Ints]()
    last_seen_ns = _Column[Ints]()
    sensors_seen_ns = _Column[Ints]()

    def __init__(self, block: Array) -> None:
        """Of the rows of a block, as another table has it."""
        self._block = block
        self.tracks = block.view(_TRACK)[:, 0]

    @classmethod
    def zeros(cls, count: int) -> TrackTable:
        """So many tracks of which nothing is said yet."""
        return cls(np.zeros((count, _WORDS)))

    def __len__(self) -> int:
        return len(self._block)

    @property
    def motion(self) -> MotionState:
        tracks = self.tracks
        return MotionState(tracks["motion_mean"], tracks["motion_cov"], tracks["motion_weight"])

    @motion.setter
    def motion(self, state: MotionState) -> None:
        tracks = self.tracks
        tracks["motion_mean"], tracks["motion_cov"], tracks["motion_weight"] = (
            state.mean,
            state.cov,
            state.weight,
        )

    @property
    def ramp(self) -> RampState:
        return RampState(self.tracks["ramp_mean"], self.tracks["ramp_cov"])

    @ramp.setter
    def ramp(self, state: RampState) -> None:
        self.tracks["ramp_mean"], self.tracks["ramp_cov"] = state.mean, state.cov

    @property
    def memory(self) -> Memory:
        tracks = self.tracks
        return Memory(
            tracks["memory_centers_m"], tracks["memory_reach_m"], tracks["memory_speed_mps"], tracks["hidden"]
        )

    @memory.setter
    def memory(self, memory: Memory) -> None:
        tracks = self.tracks
        tracks["memory_centers_m"], tracks["memory_reach_m"] = memory.centers_m, memory.reach_m
        tracks["memory_speed_mps"], tracks["hidden"] = memory.speed_mps, memory.hidden

    def copy(self) -> TrackTable:
        """These tracks, to be changed without changing this table."""
        return TrackTable(self._block.copy())

    def select(self, rows: Mask | Ints) -> TrackTable:
        """Some of the tracks, by mask or by row, copied."""
        return TrackTable(self._block[rows])

    def only(self, rows: Ints) -> TrackTable:
        """The tracks of these rows, each once and ascending; mostly that is all of them, and nothing is copied."""
        return self if len(rows) == len(self) else self.select(rows)

    def joined(self, other: TrackTable) -> TrackTable:
        """These tracks, then those."""
        return TrackTable(np.concatenate([self._block, other._block])) if len(other) else self

    def ascending(self) -> TrackTable:
        """These tracks by id; mostly they are."""
        ids = self.ids
        return self if (ids[1:] > ids[:-1]).all() else self.select(np.argsort(ids))

    def renamed(self, old_id: int, new_id: int) -> TrackTable:
        """These tracks, one of them under another id."""
        table = self.copy()
        table.ids = np.where(self.ids == old_id, new_id, self.ids)
        return table.ascending()

    def put(self, rows: Ints, changed: TrackTable) -> None:
        """Overwrite the named rows of this table."""
        self._block[rows] = changed._block
