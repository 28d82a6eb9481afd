"""Average precision of 3D boxes: by distance as nuScenes has it, by overlap in space as KITTI has it.

Results are taken in falling order of score; each takes the nearest label that is still free. By distance: Caesar et
al., nuScenes: a multimodal dataset for autonomous driving, 2020. By overlap at 40 recall points: Simonelli et al.,
Disentangling monocular 3D object detection, 2019; the precision at a recall is the best at that recall or a higher one.
KITTI's own program samples at most 41 thresholds instead, so that few labels never reach its full score; with many the
two agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.core.objects import Ints
from perception_platform.evaluation.clear_mot import (
    NEIGHBOURS,
    RECALL_POINTS,
    ignorable,
    same_frame,
    space_boxes,
)
from perception_platform.evaluation.kitti_files import KittiBoxes
from perception_platform.tracking.overlap import overlaps_3d

Flags = npt.NDArray[np.bool_]

DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
ERRORS_AT_M = 2.0
LEAST_OVERLAP = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
# Least height in the image, most occlusion and most truncation of labels that count.
DIFFICULTIES = {"easy": (40.0, 0, 0.15), "moderate": (25.0, 1, 0.30), "hard": (25.0, 2, 0.50)}
# Recall and precision below these are noise and left out of the average by distance.
_LEAST_RECALL, _LEAST_PRECISION = 0.1, 0.1


@dataclass(frozen=True, slots=True)
class Ranked:
    """Results of a category in falling order of score, and what became of each.

    Attributes:
        rows: (D,) which results, those that neither count as right nor as wrong left out.
        label_rows: (D,) the label that each found; -1 for none.
        labels: how many labels count.
    """

    rows: Ints
    label_rows: Ints
    labels: int

    @property
    def found(self) -> Flags:
        """(D,) which are right."""
        return np.asarray(self.label_rows >= 0)

    def curve(self) -> tuple[Array, Array]:
        """(D,) recall and (D,) precision down to each result."""
        right = np.cumsum(self.found)
        return right / max(self.labels, 1), right / np.arange(1, len(right) + 1)


def rank(
    scores: Array, pairs: Ints, closeness: Array, ignored_labels: Flags, ignored_results: Flags
) -> Ranked:
    """Let results choose labels.

    Args:
        scores: (R,) of the results.
        pairs: (P, 2) rows of labels and of results that are close enough.
        closeness: (P,) the larger, the better they fit.
        ignored_labels: (G,) labels that count neither when found nor when missed.
        ignored_results: (R,) results that are no mistake when they find nothing.
    """
    order = np.lexsort((-closeness, ignored_labels[pairs[:, 0]], pairs[:, 1]))
    choices = pairs[order, 0]
    starts = np.searchsorted(pairs[order, 1], np.arange(len(scores) + 1))
    label_of = np.full(len(scores), -1, dtype=np.int64)
    taken = np.zeros(len(ignored_labels), dtype=np.bool_)
    falling = np.argsort(-scores, kind="stable")
    for row in falling.tolist():
        mine = choices[starts[row] : starts[row + 1]]
        free = mine[~taken[mine]]
        if len(free):
            label_of[row] = free[0]
            taken[free[0]] = True
    chose = label_of >= 0
    counts = ~ignored_results
    counts[chose] = ~ignored_labels[label_of[chose]]
    kept = falling[counts[falling]]
    return Ranked(kept, label_of[kept], int((~ignored_labels).sum()))


def rank_by_distance(labels: KittiBoxes, results: KittiBoxes, most_m: float) -> Ranked:
    """Labels and results of one category match up to a distance of their centres on the ground."""
    pairs = same_frame(labels.frames, results.frames)
    apart_m = distance_m(labels, results, pairs)
    near = apart_m < most_m
    nothing = np.zeros(len(labels), dtype=np.bool_), np.zeros(len(results), dtype=np.bool_)
    return rank(results.scores, pairs[near], -apart_m[near], *nothing)


def distance_m(labels: KittiBoxes, results: KittiBoxes, pairs: Ints) -> Array:
    """(P,) distance on the ground of the centres of pairs of a label and a result."""
    apart = labels.bottoms_m[pairs[:, 0]] - results.bottoms_m[pairs[:, 1]]
    return np.asarray(np.hypot(apart[:, 0], apart[:, 2]))


def distance_ap(ranked: Ranked) -> float | None:
    """nuScenes' average precision, above 10 % recall and 10 % precision; None without labels."""
    if not ranked.labels:
        return None
    recall, precision = ranked.curve()
    if not len(recall):
        return 0.0
    at = np.linspace(0, 1, 101)
    sampled = np.interp(at, recall, precision, right=0.0)[round(100 * _LEAST_RECALL) + 1 :]
    return float(np.maximum(sampled - _LEAST_PRECISION, 0.0).mean() / (1.0 - _LEAST_PRECISION))


def kitti_ap(labels: KittiBoxes, results: KittiBoxes, category: str, difficulty: str) -> float | None:
    """KITTI's 3D average precision at 40 recall points; None without labels.

    Args:
        labels: of all types: neighbouring classes and unlabelled areas neither count nor cost.
        results: of the category.
        category: car, pedestrian or cyclist.
        difficulty: easy, moderate or hard.
    """
    height_px, occlusion, truncation = DIFFICULTIES[difficulty]
    wanted = labels.select(np.isin(labels.types, (category, *NEIGHBOURS[category])))
    areas = labels.select(labels.types == "dontcare")
    ignored_labels = (
        (wanted.types != category)
        | (wanted.boxes_px[:, 3] - wanted.boxes_px[:, 1] < height_px)
        | (wanted.occlusion > occlusion)
        | (wanted.truncation > truncation)
    )
    pairs = same_frame(wanted.frames, results.frames)
    overlap = overlaps_3d(space_boxes(wanted.select(pairs[:, 0])), space_boxes(results.select(pairs[:, 1])))
    enough = overlap >= LEAST_OVERLAP[category]
    too_small = ignorable(results, areas, height_px)
    return overlap_ap(rank(results.scores, pairs[enough], overlap[enough], ignored_labels, too_small))


def overlap_ap(ranked: Ranked) -> float | None:
    """Mean over recalls of 1/40, 2/40, … of the best precision at that recall or beyond; None without labels."""
    if not ranked.labels:
        return None
    recall, precision = ranked.curve()
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    at = np.arange(1, RECALL_POINTS + 1) / RECALL_POINTS
    return float(best[np.searchsorted(recall, at - 1e-9)].mean())


def true_positive_errors(labels: KittiBoxes, results: KittiBoxes, ranked: Ranked) -> dict[str, float] | None:
    """Mean errors of what was found; None where nothing was.

    Translation on the ground, m; scale as 1 less the overlap of the sizes alone; orientation, rad, of the heading.
    nuScenes averages them over recalls; here it is the plain mean.
    """
    found = ranked.found
    own, other = labels.select(ranked.label_rows[found]), results.select(ranked.rows[found])
    if not len(own):
        return None
    rows = np.repeat(np.arange(len(own))[:, None], 2, axis=1)
    shared = np.minimum(own.sizes_m, other.sizes_m).prod(axis=1)
    union = own.sizes_m.prod(axis=1) + other.sizes_m.prod(axis=1) - shared
    return {
        "translation_m": float(distance_m(own, other, rows).mean()),
        "scale": float((1.0 - shared / union).mean()),
        "orientation_rad": float(np.abs(wrap_angle(own.ry_rad - other.ry_rad)).mean()),
    }
