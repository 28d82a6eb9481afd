"""What happened to a track and why: its birth, its confirmation, its end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TrackChange(IntEnum):
    """What happened (``TrackEvent.msg`` has the same numbers)."""

    BORN = 1
    CONFIRMED = 2
    MERGED = 3
    HIDDEN = 4
    FOUND = 5
    ENDED = 6


class TrackReason(IntEnum):
    """Why (``TrackEvent.msg`` has the same numbers).

    Births: no track was near the detection, or those that were had a better one. Confirmations: one sure detection,
    or repeated ones. Ends: never confirmed; not seen where it should have been; no frames came; hidden for longer
    than is remembered; stamps ran backwards; a late measurement showed that there was nothing.
    """

    NOTHING_NEAR = 1
    NEAR_ONES_TAKEN = 2
    SURE_AT_ONCE = 3
    SEEN_AGAIN = 4
    SAME_OBJECT = 5
    SIGHT_BLOCKED = 6
    NEVER_SURE = 7
    NOT_SEEN = 8
    NO_FRAMES = 9
    MEMORY_OVER = 10
    CLOCK_SET_BACK = 11
    REVISED = 12


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """One change in the life of a track.

    Attributes:
        t_ns: time of the look that brought it.
        track_id: whose.
        change: what happened.
        reason: why.
        existence: probability that there is an object, after it.
        other_id: the track that took part in it (had the better detection, is the same object); 0 for none.
    """

    t_ns: int
    track_id: int
    change: TrackChange
    reason: TrackReason
    existence: float
    other_id: int = 0
