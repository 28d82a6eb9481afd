"""Two tracks of one object: what was not seen, and lies where a track that was seen is, is that one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.tracking.association import apart
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.overlap import generalised_overlaps, near_pairs
from perception_platform.tracking.table import TrackTable


def merged(
    table: TrackTable, seen: npt.NDArray[np.bool_], t_ns: int, config: TrackerConfig
) -> tuple[TrackTable, list[TrackEvent]]:
    """The tracks without duplicates. The older identity stays, with the state of the track that was seen.

    Two tracks are one object if their classes are the same, their boxes overlap by ``merge_overlap`` and their
    velocities differ by no more than their covariances explain. A track that may be anywhere is no duplicate: as in
    the association, one object has to explain the two better than a new one would.

    Args:
        table: (N,) tracks after a look.
        seen: (N,) which of them it saw.
        t_ns: time of the look.
        config: bounds.
    """
    unseen, partners = _duplicates(table, seen, config)
    if not len(unseen):
        return table, []
    happened = []
    kept = np.ones(len(table), dtype=np.bool_)
    for row, partner in zip(unseen.tolist(), partners.tolist(), strict=True):
        if kept[row] and kept[partner]:
            older, younger = min(row, partner), max(row, partner)
            table = _with_identity(table, older, partner, row)
            kept[younger] = False
            happened.append(_event(table, older, younger, t_ns))
    return table.select(kept), happened


def _duplicates(table: TrackTable, seen: npt.NDArray[np.bool_], config: TrackerConfig) -> tuple[Ints, Ints]:
    """Rows of unseen tracks, each once, and of the seen track that overlaps each most."""
    misses, hits = (~seen).nonzero()[0], seen.nonzero()[0]
    if not len(misses) or not len(hits) or config.merge_overlap >= 1:
        return misses[:0], hits[:0]
    mean, cov = table.motion.merged()
    a, b = _near(table, mean, misses, hits)
    if len(a):
        boxes = np.column_stack([mean[:, :2], table.sizes_m[:, :2], table.yaws_rad])
        overlap = generalised_overlaps(boxes[a], boxes[b])
        same = (overlap >= config.merge_overlap) & _alike(mean, cov, a, b, config)
        a, b, overlap = a[same], b[same], overlap[same]
        best_first = np.lexsort((b, -overlap, a))
        a, first = np.unique(a[best_first], return_index=True)
        b = b[best_first][first]
    return a, b


def _near(table: TrackTable, mean: Array, misses: Ints, hits: Ints) -> tuple[Ints, Ints]:
    """Pairs of rows of one class whose boxes may overlap."""
    reach_m = 0.5 * np.hypot(table.sizes_m[:, 0], table.sizes_m[:, 1])
    rows, columns = near_pairs(mean[misses, :2], reach_m[misses], mean[hits, :2], reach_m[hits])
    a, b = misses[rows], hits[columns]
    alike = table.class_ids[a] == table.class_ids[b]
    return a[alike], b[alike]


def _alike(mean: Array, cov: Array, a: Ints, b: Ints, config: TrackerConfig) -> npt.NDArray[np.bool_]:
    """(K,) which pairs have one velocity, and places that one object explains better than two would."""
    distance2, log_volume = apart(mean[a, :2] - mean[b, :2], cov[a, :2, :2] + cov[b, :2, :2])
    speeds2, _ = apart(mean[a, 2:] - mean[b, 2:], cov[a, 2:, 2:] + cov[b, 2:, 2:])
    cost = distance2 + log_volume + 2 * np.log(config.new_object_density_pm2)
    return np.asarray((cost < 0) & (speeds2 <= config.gate))


def _with_identity(table: TrackTable, older: int, seen: int, unseen: int) -> TrackTable:
    """The table with the seen track's state in the older one's row, under its id."""
    state = table.select(np.array([seen]))
    both = table.select(np.array([seen, unseen]))
    joined = replace(
        state,
        ids=table.ids[older : older + 1],
        existence=both.existence.max(keepdims=True),
        confirmed=np.array([both.confirmed.any()]),
        confidence_s=both.confidence_s.max(keepdims=True),
        first_seen_ns=both.first_seen_ns.min(keepdims=True),
        sensors_seen_ns=both.sensors_seen_ns.max(axis=0, keepdims=True),
    )
    return table.put(np.array([older]), joined)  # of two tracks at least


def _event(table: TrackTable, older: int, younger: int, t_ns: int) -> TrackEvent:
    return TrackEvent(
        t_ns,
        int(table.ids[younger]),
        TrackChange.MERGED,
        TrackReason.SAME_OBJECT,
        float(table.existence[older]),
        int(table.ids[older]),
    )
