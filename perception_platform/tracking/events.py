"""Events of tracks out of what one look made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.objects import Ints
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.tracking.table import TrackTable

Mask = npt.NDArray[np.bool_]
_HIDDEN = (TrackChange.HIDDEN, TrackReason.SIGHT_BLOCKED)
_FOUND = (TrackChange.FOUND, TrackReason.SEEN_AGAIN)


def births(born: TrackTable, rival_ids: Ints, t_ns: int) -> list[TrackEvent]:
    """Of new tracks (K,), each with the id of the track that its detection would have fitted, or 0."""
    return [
        TrackEvent(
            t_ns,
            track_id,
            TrackChange.BORN,
            TrackReason.NEAR_ONES_TAKEN if rival else TrackReason.NOTHING_NEAR,
            existence,
            rival,
        )
        for track_id, rival, existence in zip(
            born.ids.tolist(), rival_ids.tolist(), born.existence.tolist(), strict=True
        )
    ]


def confirmations(table: TrackTable, newly: Ints, t_ns: int) -> list[TrackEvent]:
    """Of the tracks of these rows, which are reported for the first time."""
    if not len(newly):
        return []
    at_once = table.first_seen_ns[newly] == t_ns
    reasons = [TrackReason.SURE_AT_ONCE if once else TrackReason.SEEN_AGAIN for once in at_once.tolist()]
    return [
        TrackEvent(t_ns, track_id, TrackChange.CONFIRMED, reason, existence)
        for track_id, reason, existence in zip(
            table.ids[newly].tolist(), reasons, table.existence[newly].tolist(), strict=True
        )
    ]


def ends(table: TrackTable, stay: Ints, aged_out: Mask, forgotten: Mask, t_ns: int) -> list[TrackEvent]:
    """Of tracks that end, which are all but the rows that stay.

    ``aged_out`` (N,) did before the look, by silence, ``forgotten`` (N,) after they were hidden long.
    """
    gone = np.ones(len(table), dtype=np.bool_)
    gone[stay] = False
    rows = gone.nonzero()[0]
    return [
        TrackEvent(t_ns, track_id, TrackChange.ENDED, _reason(sure, old, forgot), existence)
        for track_id, sure, old, forgot, existence in zip(
            table.ids[rows].tolist(),
            table.confirmed[rows].tolist(),
            aged_out[rows].tolist(),
            forgotten[rows].tolist(),
            table.existence[rows].tolist(),
            strict=True,
        )
    ]


def ended_all(table: TrackTable, reason: TrackReason, t_ns: int) -> list[TrackEvent]:
    """Of tracks that all end for one reason."""
    return [
        TrackEvent(t_ns, track_id, TrackChange.ENDED, reason, existence)
        for track_id, existence in zip(table.ids.tolist(), table.existence.tolist(), strict=True)
    ]


def renamed(event: TrackEvent, old_id: int, new_id: int) -> TrackEvent:
    """The event with a track's id in place of another."""
    track_id, other_id = (new_id if i == old_id else i for i in (event.track_id, event.other_id))
    return replace(event, track_id=track_id, other_id=other_id)


def hidings(table: TrackTable, before: Mask, t_ns: int) -> list[TrackEvent]:
    """Of tracks that went out of sight behind something, and of those that were seen again."""
    hidden = table.hidden
    rows = (hidden != before).nonzero()[0]
    if not len(rows):
        return []
    return [
        TrackEvent(t_ns, track_id, *(_HIDDEN if now else _FOUND), existence)
        for track_id, now, existence in zip(
            table.ids[rows].tolist(), hidden[rows].tolist(), table.existence[rows].tolist(), strict=True
        )
    ]


def _reason(confirmed: bool, no_frames: bool, forgotten: bool) -> TrackReason:
    if forgotten:
        return TrackReason.MEMORY_OVER
    if not confirmed:
        return TrackReason.NEVER_SURE
    return TrackReason.NO_FRAMES if no_frames else TrackReason.NOT_SEEN
