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
    near = _near(table, sightings, config)
    distance2, log_volume = _mahalanobis(table.select(near[0]), sightings.select(near[1]), config)
    cost = distance2 + log_volume - 2 * np.log(_class_fit(table, sightings, near, config))
    cost += 2 * np.log(config.new_object_density_pm2)
    possible = (distance2 <= chi2.ppf(config.gate_probability, df=2)) & (cost < 0)
    costs = np.zeros((len(table), len(sightings)))
    costs[near[0][possible], near[1][possible]] = cost[possible]
    rows, columns = linear_sum_assignment(costs)
    made = costs[rows, columns] < 0
    return np.asarray(rows[made], dtype=np.int64), np.asarray(columns[made], dtype=np.int64)


def _near(table: TrackTable, sightings: Sightings, config: TrackerConfig) -> tuple[Ints, Ints]:
    """Rows and columns of the pairs that can be within the gate: a bound that is cheap for all pairs."""
    mean, cov = table.motion.merged()
    gate = np.sqrt(chi2.ppf(config.gate_probability, df=2))
    track_reach_m = gate * np.sqrt(cov[:, 0, 0] + cov[:, 1, 1]) + np.hypot(*table.sizes_m[:, :2].T)
    sigma2 = np.trace(sightings.position_cov_m2, axis1=1, axis2=2)
    seen_reach_m = gate * np.sqrt(sigma2) + np.hypot(*sightings.sizes_m[:, :2].T)
    offset_m = sightings.centers_m[None, :, :2] - mean[:, None, :2]
    distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
    rows, columns = np.nonzero(distance_m <= track_reach_m[:, None] + seen_reach_m)
    return rows.astype(np.int64), columns.astype(np.int64)


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
    """Squared distances (K,) of pairs, row by row, and the logarithm of the volume of each innovation's covariance."""
    view = view_boxes(sightings, table.yaws_rad, config)
    measured_m, measured_cov = known_centers(view, table.sizes_m[:, :2])
    mean, cov = table.motion.merged()
    innovation = measured_m - mean[:, :2]
    innovation_cov = cov[:, :2, :2] + measured_cov
    distance2 = np.einsum("ki,kij,kj->k", innovation, np.linalg.inv(innovation_cov), innovation)
    return distance2, np.linalg.slogdet(2 * np.pi * innovation_cov)[1]


def _class_fit(
    table: TrackTable, sightings: Sightings, near: tuple[Ints, Ints], config: TrackerConfig
) -> Array:
    """(K,) probability of the named class given the track, of pairs; what has no name fits all."""
    named = sightings.class_ids[near[1]]
    fit = table.class_votes[near[0], named] + table.class_votes[near[0], ObjectClass.UNKNOWN]
    return np.clip(np.where(named == ObjectClass.UNKNOWN, 1.0, fit), config.class_floor, 1.0)
