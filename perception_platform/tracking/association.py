"""Which detection belongs to which track: one assignment over all, by likelihood against that of a new object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.extent import known_centers, view_boxes
from perception_platform.tracking.sightings import Sightings
from perception_platform.tracking.table import TrackTable

_FRAGMENT_MARGIN_M = 0.3


def associate(table: TrackTable, sightings: Sightings, config: TrackerConfig) -> tuple[Ints, Ints]:
    """Assign detections to tracks, each at most once.

    The cost of a pair is minus twice the logarithm of how much better the track explains the detection than a new
    object would, so that a wide track does not take what belongs to a sure one, and a pair that is worse than none
    is not made. Pairs outside the chi-square gate are out of the question.

    Returns:
        Rows of the table and rows of the sightings, aligned, (K,) each.
    """
    if not len(table) or not len(sightings):
        none = np.zeros(0, dtype=np.int64)
        return none, none
    distance2, log_volume = _mahalanobis(table, sightings, config)
    cost = distance2 + log_volume - 2 * np.log(_class_fit(table, sightings, config))
    cost += 2 * np.log(config.new_object_density_pm2)
    possible = (distance2 <= chi2.ppf(config.gate_probability, df=2)) & (cost < 0)
    rows, columns = linear_sum_assignment(np.where(possible, cost, 0.0))
    made = possible[rows, columns]
    return np.asarray(rows[made], dtype=np.int64), np.asarray(columns[made], dtype=np.int64)


def fragments(table: TrackTable, sightings: Sightings) -> npt.NDArray[np.bool_]:
    """(M,) which detections are pieces of a structure that is followed already.

    Walls and shelves come in a different number of pieces in every sweep. Only structure within structure counts:
    anything else in the box of a wall may be a thing of its own.
    """
    walls = table.select(table.class_ids == ObjectClass.STRUCTURE)
    if not len(walls):
        return np.zeros(len(sightings), dtype=np.bool_)
    c, s = np.cos(walls.yaws_rad)[:, None], np.sin(walls.yaws_rad)[:, None]
    offset_m = sightings.centers_m[None, :, :2] - walls.motion.merged()[0][:, None, :2]
    along = np.abs(c * offset_m[..., 0] + s * offset_m[..., 1])
    across = np.abs(c * offset_m[..., 1] - s * offset_m[..., 0])
    reach_m = walls.sizes_m[:, None] / 2 + _FRAGMENT_MARGIN_M
    inside = ((along < reach_m[..., 0]) & (across < reach_m[..., 1])).any(axis=0)
    return np.asarray(inside & (sightings.class_ids == ObjectClass.STRUCTURE))


def _mahalanobis(table: TrackTable, sightings: Sightings, config: TrackerConfig) -> tuple[Array, Array]:
    """Squared distances (N, M) and the logarithm of the volume of each innovation's covariance."""
    reference_rad = np.repeat(table.yaws_rad[:, None], len(sightings), axis=1)
    view = view_boxes(sightings, reference_rad, config.size_points)
    measured_m, measured_cov = known_centers(view, table.sizes_m[:, None, :2], config.truncation)
    mean, cov = table.motion.merged()
    innovation = measured_m - mean[:, None, :2]
    innovation_cov = cov[:, None, :2, :2] + measured_cov
    information = np.linalg.inv(innovation_cov)
    distance2 = np.einsum("nmi,nmij,nmj->nm", innovation, information, innovation)
    return distance2, np.linalg.slogdet(2 * np.pi * innovation_cov)[1]


def _class_fit(table: TrackTable, sightings: Sightings, config: TrackerConfig) -> Array:
    """(N, M) probability of the named class given the track; what has no name fits all."""
    named = table.class_votes[:, sightings.class_ids] + table.class_votes[:, [ObjectClass.UNKNOWN]]
    fit = np.where(sightings.class_ids[None] == ObjectClass.UNKNOWN, 1.0, named)
    return np.clip(fit, config.class_floor, 1.0)
