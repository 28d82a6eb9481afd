"""The costs of pairs where detections are boxes of whole objects: all of association.py's formula in one compiled loop.

What is measured does not hang on the track there, so that nothing has to be laid out pair by pair.
"""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.overlap import generalised_overlap
from perception_platform.tracking.sightings import Sightings
from perception_platform.tracking.table import TrackTable

_UNKNOWN = int(ObjectClass.UNKNOWN)


def whole_costs(table: TrackTable, sightings: Sightings, config: TrackerConfig) -> Array:
    """(N, M) what it costs to give a detection to a track; zero where that is no better than not to."""
    mean, cov = table.motion.merged()
    tracks = np.column_stack([mean[:, :2], table.sizes_m[:, :2], table.yaws_rad])
    seen = np.column_stack([sightings.centers_m[:, :2], sightings.sizes_m[:, :2], sightings.yaws_rad])
    settings = (
        config.gate,
        2 * np.log(config.new_object_density_pm2),
        config.class_floor,
        config.overlap_weight,
        config.overlap_gate,
    )
    position_cov = np.ascontiguousarray(sightings.position_cov_m2)
    return _costs(tracks, cov, table.class_votes, seen, position_cov, sightings.class_ids, *settings)


@compiled("f8[:,::1](f8[:,::1], f8[:,:,::1], f8[:,::1], f8[:,::1], f8[:,:,::1], i8[::1], f8, f8, f8, f8, f8)")
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
    one, two, box = np.empty((16, 2)), np.empty((16, 2)), np.empty(5)
    for i in range(len(tracks)):
        for j in range(len(seen)):
            x, y = seen[j, 0] - tracks[i, 0], seen[j, 1] - tracks[i, 1]
            xx, xy = cov[i, 0, 0] + seen_cov[j, 0, 0], cov[i, 0, 1] + seen_cov[j, 0, 1]
            yy = cov[i, 1, 1] + seen_cov[j, 1, 1]
            reach = (
                np.sqrt(gate * (xx + yy))
                + np.hypot(tracks[i, 2], tracks[i, 3])
                + np.hypot(seen[j, 2], seen[j, 3])
            )
            if x * x + y * y > reach * reach:
                continue
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
