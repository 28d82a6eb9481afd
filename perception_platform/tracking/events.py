"""Events of tracks out of what one look made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.objects import Ints
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.tracking.table import TrackTable


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


def confirmations(table: TrackTable, newly: npt.NDArray[np.bool_], t_ns: int) -> list[TrackEvent]:
    """Of the tracks that are reported for the first time."""
    rows = np.flatnonzero(newly)
    at_once = table.first_seen_ns[rows] == t_ns
    reasons = [TrackReason.SURE_AT_ONCE if once else TrackReason.SEEN_AGAIN for once in at_once.tolist()]
    return [
        TrackEvent(t_ns, track_id, TrackChange.CONFIRMED, reason, existence)
        for track_id, reason, existence in zip(
            table.ids[rows].tolist(), reasons, table.existence[rows].tolist(), strict=True
        )
    ]


def ends(
    table: TrackTable, ended: npt.NDArray[np.bool_], aged_out: npt.NDArray[np.bool_], t_ns: int
) -> list[TrackEvent]:
    """Of tracks that are not sure enough any more; ``aged_out`` (N,) says which were not even before the look."""
    rows = np.flatnonzero(ended)
    return [
        TrackEvent(t_ns, track_id, TrackChange.ENDED, _reason(sure, old), existence)
        for track_id, sure, old, existence in zip(
            table.ids[rows].tolist(),
            table.confirmed[rows].tolist(),
            aged_out[rows].tolist(),
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


def _reason(confirmed: bool, no_frames: bool) -> TrackReason:
    if not confirmed:
        return TrackReason.NEVER_SURE
    return TrackReason.NO_FRAMES if no_frames else TrackReason.NOT_SEEN
