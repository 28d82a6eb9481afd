"""Two tracks of one object: what was not seen, and lies where a track that was seen is, is that one."""

from __future__ import annotations

import math

import numpy as np
from numba import boolean, float64, int64

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.motion import merged_states
from perception_platform.tracking.overlap import generalised_overlap
from perception_platform.tracking.table import RECORDS, Mask, Records, TrackTable


def merged(
    table: TrackTable, seen: Mask, t_ns: int, config: TrackerConfig
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
            _join(table, older, partner, row)
            kept[younger] = False
            happened.append(_event(table, older, younger, t_ns))
    return table.select(kept), happened


def _duplicates(table: TrackTable, seen: Mask, config: TrackerConfig) -> tuple[Ints, Ints]:
    """Rows of unseen tracks, each once, and of the seen track that overlaps each most."""
    hits = np.count_nonzero(seen)
    if hits in (0, len(seen)) or config.merge_overlap >= 1:
        none = np.zeros(0, dtype=np.int64)
        return none, none
    log_density = 2 * math.log(config.new_object_density_pm2)
    partners = _partners(table.tracks, seen, config.merge_overlap, config.gate, log_density)
    rows = np.flatnonzero(partners >= 0)
    return rows, partners[rows]


@compiled("UniTuple(f8, 2)(f8[:], f8[:,:])")
def _apart(offset: Array, cov: Array) -> tuple[float, float]:
    """Squared Mahalanobis length of an offset (2,), and ln det 2πS of its covariance S (2, 2)."""
    x, y = offset[0], offset[1]
    xx, xy, yy = cov[0, 0], cov[0, 1], cov[1, 1]
    determinant = xx * yy - xy * xy
    distance2 = (yy * x * x - 2 * xy * x * y + xx * y * y) / determinant
    return distance2, np.log((2 * np.pi) ** 2 * determinant)


@compiled(int64[::1](RECORDS, boolean[::1], float64, float64, float64))
def _partners(tracks: Records, seen: Mask, least_overlap: float, gate: float, log_density: float) -> Ints:
    """(N,) of each unseen track the row of the seen one of its class that overlaps it most and is alike, or -1."""
    mean, cov = merged_states(tracks["motion_mean"], tracks["motion_cov"], tracks["motion_weight"])
    sizes_m, yaws_rad, class_ids = tracks["sizes_m"], tracks["yaws_rad"], tracks["class_ids"]
    n = len(mean)
    out, boxes = np.full(n, -1, dtype=np.int64), np.empty((n, 5))
    for k in range(n):
        boxes[k, :2], boxes[k, 2:4], boxes[k, 4] = mean[k, :2], sizes_m[k, :2], yaws_rad[k]
    one, two, off, total = np.empty((16, 2)), np.empty((16, 2)), np.empty(4), np.empty((4, 4))
    for a in range(n):
        most = -np.inf
        for b in range(n):
            if seen[a] or not seen[b] or class_ids[a] != class_ids[b]:
                continue
            off[:] = mean[a] - mean[b]
            reach_m = 0.5 * np.hypot(sizes_m[a, 0], sizes_m[a, 1]) + 0.5 * np.hypot(
                sizes_m[b, 0], sizes_m[b, 1]
            )
            if off[0] * off[0] + off[1] * off[1] > reach_m * reach_m:
                continue
            overlap = generalised_overlap(boxes[a], boxes[b], one, two)
            if overlap < least_overlap or overlap <= most:
                continue
            total[:] = cov[a] + cov[b]
            distance2, log_volume = _apart(off[:2], total[:2, :2])
            if distance2 + log_volume + log_density < 0 and _apart(off[2:], total[2:, 2:])[0] <= gate:
                out[a], most = b, overlap
    return out


def _join(table: TrackTable, older: int, seen: int, unseen: int) -> None:
    """Put the seen track's state into the older one's row, under its id."""
    state, both = table.select(np.array([seen])), table.select(np.array([seen, unseen]))
    state.ids = table.ids[older]
    state.existence, state.confirmed = both.existence.max(), both.confirmed.any()
    state.confidence_s, state.first_seen_ns = both.confidence_s.max(), both.first_seen_ns.min()
    state.sensors_seen_ns = both.sensors_seen_ns.max(axis=0)
    table.put(np.array([older]), state)


def _event(table: TrackTable, older: int, younger: int, t_ns: int) -> TrackEvent:
    return TrackEvent(
        t_ns,
        int(table.ids[younger]),
        TrackChange.MERGED,
        TrackReason.SAME_OBJECT,
        float(table.existence[older]),
        int(table.ids[older]),
    )
