"""Which detection belongs to which track: one assignment over all, by likelihood against that of a new object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass, SensorKind
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.extent import View, body_heights, known_centers, view_boxes
from perception_platform.tracking.overlap import generalised_overlaps, near_pairs
from perception_platform.tracking.sightings import Sightings
from perception_platform.tracking.table import TrackTable
from perception_platform.tracking.whole_costs import whole_costs

_FRAGMENT_MARGIN_M = 0.3
_STRUCTURE, _CAMERA = int(ObjectClass.STRUCTURE), int(SensorKind.CAMERA)


@dataclass(frozen=True, slots=True)
class Association:
    """Which of M detections belong to which of N tracks.

    Attributes:
        rows: (K,) rows of the table, ascending.
        columns: (K,) rows of the sightings, aligned.
        costs: (N, M) of all pairs; zero where a pair is no better than none.
    """

    rows: Ints
    columns: Ints
    costs: Array

    def rivals(self, columns: Ints) -> Ints:
        """(L,) for detections that were left over, the row of the track that fits best, or -1 if none does."""
        return np.asarray(_cheapest(self.costs, columns))


@compiled("i8[::1](f8[:,::1], i8[::1])")
def _cheapest(costs: Array, columns: Ints) -> Ints:
    """The row of the lowest cost of each of the columns, the first of several; -1 where none is below nought."""
    out = np.full(len(columns), -1, dtype=np.int64)
    for k in range(len(columns)):
        least = 0.0
        for row in range(len(costs)):
            if costs[row, columns[k]] < least:
                out[k], least = row, costs[row, columns[k]]
    return out


def associate(table: TrackTable, sightings: Sightings, sureness: Array, config: TrackerConfig) -> Association:
    """Assign detections to tracks, each at most once.

    The cost of a pair is minus twice the logarithm of how much better the track explains the detection than a new
    object would, so that a wide track does not take what belongs to a sure one, and a pair that is worse than none
    is not made. Pairs outside the gate are out of the question. Confident detections choose first; weak ones, and those
    of a camera alone, are offered to the tracks that are left (Zhang et al., ByteTrack, 2022).

    Args:
        table: N tracks, predicted to the time of the detections.
        sightings: M detections.
        sureness: (M,) how sure it is that each is there.
        config: gates and weights.

    """
    if not len(table) or not len(sightings):
        none = np.zeros(0, dtype=np.int64)
        return Association(none, none, np.zeros((len(table), len(sightings))))
    costs = (whole_costs if config.whole_boxes else pair_costs)(table, sightings, config)
    by_camera = sightings.sensors == _CAMERA
    confident = (sureness >= config.confident_from) & ~by_camera
    rows, columns = _assigned(np.where(confident, costs, 0.0))
    if confident.all():
        return Association(rows, columns, costs)
    left = np.where(confident, 0.0, costs)
    left[rows] = 0.0
    if not (left < 0).any():
        return Association(rows, columns, costs)
    late_rows, late_columns = _assigned(left)
    rows, columns = np.concatenate([rows, late_rows]), np.concatenate([columns, late_columns])
    order = np.argsort(rows)
    return Association(rows[order], columns[order], costs)


def _assigned(costs: Array) -> tuple[Ints, Ints]:
    """Pairs of the cheapest assignment; only negative costs are worth a pair."""
    rows, columns = linear_sum_assignment(costs)
    made = costs[rows, columns] < 0
    if not made.all():
        rows, columns = rows[made], columns[made]
    return rows.astype(np.int64, copy=False), columns.astype(np.int64, copy=False)


def pair_costs(table: TrackTable, sightings: Sightings, config: TrackerConfig) -> Array:
    """(N, M) what it costs to give a visible part to a track; zero where that is no better than not to."""
    mean, cov = table.motion.merged()
    near = _near(table, sightings, mean, cov, config)
    sizes_m = table.sizes_m[near[0], :2]
    bodies_m = body_heights(table)[near[0]]
    view = view_boxes(sightings.select(near[1]), table.yaws_rad[near[0]], bodies_m, config)
    distance2, log_volume = _mahalanobis(view, sizes_m, mean[near[0]], cov[near[0]])
    cost = (
        np.minimum(distance2, config.gate)
        + log_volume
        - 2 * np.log(_class_fit(table, sightings, near, config))
    )
    cost += 2 * np.log(config.new_object_density_pm2)
    possible = distance2 <= config.gate
    if config.overlap_weight:
        tracks = np.column_stack([mean[near[0], :2], sizes_m, table.yaws_rad[near[0]]])
        seen = np.column_stack([view.centers_m, view.sizes_m, view.yaws_rad])
        overlap = generalised_overlaps(tracks, seen)
        cost -= config.overlap_weight * overlap
        possible |= overlap > config.overlap_gate
    costs = np.zeros((len(table), len(sightings)))
    costs[near] = np.where(possible, np.minimum(cost, 0.0), 0.0)
    return costs


def _near(
    table: TrackTable, sightings: Sightings, mean: Array, cov: Array, config: TrackerConfig
) -> tuple[Ints, Ints]:
    """Rows and columns of the pairs that can be within the gate: a bound that is cheap for all pairs."""
    gate = np.sqrt(config.gate)
    track_reach_m = gate * np.sqrt(cov[:, 0, 0] + cov[:, 1, 1]) + np.hypot(
        table.sizes_m[:, 0], table.sizes_m[:, 1]
    )
    sigma2 = sightings.position_cov_m2[:, 0, 0] + sightings.position_cov_m2[:, 1, 1]
    seen_reach_m = gate * np.sqrt(sigma2) + np.hypot(sightings.sizes_m[:, 0], sightings.sizes_m[:, 1])
    return near_pairs(mean[:, :2], track_reach_m, sightings.centers_m[:, :2], seen_reach_m)


def fragments(table: TrackTable, sightings: Sightings) -> npt.NDArray[np.bool_]:
    """(M,) which detections are pieces of a structure that is followed already.

    Walls and shelves come in a different number of pieces in every sweep. Only structure within structure counts:
    anything else in the box of a wall may be a thing of its own.
    """
    if _STRUCTURE not in sightings.class_ids.tolist() or _STRUCTURE not in table.class_ids.tolist():
        return np.zeros(len(sightings), dtype=np.bool_)
    structure = sightings.class_ids == _STRUCTURE
    rows = np.flatnonzero(table.class_ids == _STRUCTURE)
    pieces = structure.nonzero()[0]
    walls_m, pieces_m = table.motion.merged()[0][rows, :2], sightings.centers_m[pieces, :2]
    reach_m = table.sizes_m[rows, :2] / 2 + _FRAGMENT_MARGIN_M
    a, b = near_pairs(walls_m, np.hypot(*reach_m.T), pieces_m, np.zeros(len(pieces)))
    yaws_rad, offset_m = table.yaws_rad[rows[a]], pieces_m[b] - walls_m[a]
    c, s = np.cos(yaws_rad), np.sin(yaws_rad)
    along = np.abs(c * offset_m[:, 0] + s * offset_m[:, 1])
    across = np.abs(c * offset_m[:, 1] - s * offset_m[:, 0])
    inside = np.zeros(len(sightings), dtype=np.bool_)
    inside[pieces[b[(along < reach_m[a, 0]) & (across < reach_m[a, 1])]]] = True
    return inside


def seen_twice(sightings: Sightings, pairs: Association) -> npt.NDArray[np.bool_]:
    """(M,) which detections are a camera's alone and fit a track that another sensor's detection was given to.

    Where lidar and camera disagree about an object so far that their boxes were not joined, it is still one.
    """
    if _CAMERA not in sightings.sensors.tolist():
        return np.zeros(len(sightings), dtype=np.bool_)
    taken = np.zeros(len(pairs.costs), dtype=np.bool_)
    taken[pairs.rows] = sightings.sensors[pairs.columns] != _CAMERA
    fits = (pairs.costs[taken] < 0).any(axis=0)
    return np.asarray(fits & (sightings.sensors == _CAMERA))


def _mahalanobis(view: View, known_m: Array, mean: Array, cov: Array) -> tuple[Array, Array]:
    """Squared distances (K,) of pairs, row by row, and the logarithm of the volume of each innovation's covariance."""
    measured_m, measured_cov = known_centers(view, known_m)
    return apart(measured_m - mean[:, :2], cov[:, :2, :2] + measured_cov)


def apart(offset: Array, cov: Array) -> tuple[Array, Array]:
    """(K,) squared Mahalanobis lengths of offsets (K, 2), and ln det 2πS of their covariances S (K, 2, 2)."""
    x, y = offset.T
    xx, xy, yy = cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]
    determinant = xx * yy - xy**2
    distance2 = (yy * x**2 - 2 * xy * x * y + xx * y**2) / determinant
    return distance2, np.log((2 * np.pi) ** 2 * determinant)


def _class_fit(
    table: TrackTable, sightings: Sightings, near: tuple[Ints, Ints], config: TrackerConfig
) -> Array:
    """(K,) probability of the named class given the track, of pairs; what has no name fits all."""
    named = sightings.class_ids[near[1]]
    fit = table.class_votes[near[0], named] + table.class_votes[near[0], ObjectClass.UNKNOWN]
    return np.clip(np.where(named == ObjectClass.UNKNOWN, 1.0, fit), config.class_floor, 1.0)
