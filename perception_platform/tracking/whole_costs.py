"""The costs of pairs where detections are boxes of whole objects: all of association.py's formula in one compiled loop.

What is measured does not hang on the track there, so that nothing has to be laid out pair by pair.
"""

from __future__ import annotations

import numpy as np
from numba import float64, int64

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.motion import merged_states
from perception_platform.tracking.overlap import generalised_overlap
from perception_platform.tracking.sightings import Sightings
from perception_platform.tracking.table import RECORDS, Records, TrackTable

_UNKNOWN = int(ObjectClass.UNKNOWN)


def whole_costs(table: TrackTable, sightings: Sightings, config: TrackerConfig) -> Array:
    """(N, M) what it costs to give a detection to a track; zero where that is no better than not to."""
    settings = (
        config.gate,
        2 * np.log(config.new_object_density_pm2),
        config.class_floor,
        config.overlap_weight,
        config.overlap_gate,
    )
    seen = (sightings.centers_m, sightings.sizes_m, sightings.yaws_rad)
    likely = (sightings.position_cov_m2, sightings.class_ids)
    return np.asarray(_costs_of_tracks(table.tracks, *seen, *likely, *settings))


@compiled("f8[:,::1](f8[:,:], f8[:,:], f8[:])")
def _boxes(centers_m: Array, sizes_m: Array, yaws_rad: Array) -> Array:
    """(N, 5) x, y, length, width and heading."""
    out = np.empty((len(centers_m), 5))
    for k in range(len(centers_m)):
        out[k, :2], out[k, 2:4], out[k, 4] = centers_m[k, :2], sizes_m[k, :2], yaws_rad[k]
    return out


@compiled("f8[::1](f8[:,::1], f8[:,:,:], f8)")
def _reach(boxes: Array, cov: Array, gate: float) -> Array:
    """(N,) beyond the sum of which two can neither be within the gate nor overlap: cheap to ask of all pairs."""
    out = np.empty(len(boxes))
    for k in range(len(boxes)):
        out[k] = np.sqrt(gate * (cov[k, 0, 0] + cov[k, 1, 1])) + np.hypot(boxes[k, 2], boxes[k, 3])
    return out


@compiled("f8[:,::1](f8[:,::1], f8[:,:,:], f8[:,:], f8[:,::1], f8[:,:,:], i8[:], f8, f8, f8, f8, f8)")
def _costs(
    tracks: Array,
    cov: Array,
    votes: Array,
    seen: Array,
    seen_cov: Array,
    named: Ints,
    gate: float,
    log_density: float,
    class_floor: float,
    overlap_weight: float,
    overlap_gate: float,
) -> Array:
    costs = np.zeros((len(tracks), len(seen)))
    track_reach, seen_reach = _reach(tracks, cov, gate), _reach(seen, seen_cov, gate)
    one, two, box = np.empty((16, 2)), np.empty((16, 2)), np.empty(5)
    for i in range(len(tracks)):
        for j in range(len(seen)):
            x, y = seen[j, 0] - tracks[i, 0], seen[j, 1] - tracks[i, 1]
            if x * x + y * y > (track_reach[i] + seen_reach[j]) ** 2:
                continue
            xx, xy = cov[i, 0, 0] + seen_cov[j, 0, 0], cov[i, 0, 1] + seen_cov[j, 0, 1]
            yy = cov[i, 1, 1] + seen_cov[j, 1, 1]
            determinant = xx * yy - xy * xy
            distance2 = (yy * x * x - 2 * xy * x * y + xx * y * y) / determinant
            fit = 1.0
            if named[j] != _UNKNOWN:
                fit = min(max(votes[i, named[j]] + votes[i, _UNKNOWN], class_floor), 1.0)
            cost = min(distance2, gate) + np.log((2 * np.pi) ** 2 * determinant)
            cost += log_density - 2 * np.log(fit)
            possible = distance2 <= gate
            if overlap_weight > 0:
                box[:] = seen[j]
                box[4] += np.pi * np.round((tracks[i, 4] - seen[j, 4]) / np.pi)
                overlap = generalised_overlap(tracks[i], box, one, two)
                cost -= overlap_weight * overlap
                possible |= overlap > overlap_gate
            if possible:
                costs[i, j] = min(cost, 0.0)
    return costs


@compiled(
    float64[:, ::1](
        RECORDS,
        float64[:, :],
        float64[:, :],
        float64[:],
        float64[:, :, :],
        int64[:],
        float64,
        float64,
        float64,
        float64,
        float64,
    )
)
def _costs_of_tracks(
    tracks: Records,
    centers_m: Array,
    sizes_m: Array,
    yaws_rad: Array,
    cov_m2: Array,
    class_ids: Ints,
    gate: float,
    log_density: float,
    class_floor: float,
    overlap_weight: float,
    overlap_gate: float,
) -> Array:
    """``_costs`` of tracks as the table has them."""
    mean, cov = merged_states(tracks["motion_mean"], tracks["motion_cov"], tracks["motion_weight"])
    boxes = _boxes(mean, tracks["sizes_m"], tracks["yaws_rad"])
    seen = _boxes(centers_m, sizes_m, yaws_rad)
    bounds = (gate, log_density, class_floor, overlap_weight, overlap_gate)
    return _costs(boxes, cov, tracks["class_votes"], seen, cov_m2, class_ids, *bounds)
