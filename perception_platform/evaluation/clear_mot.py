"""3D multi-object tracking metrics: CLEAR MOT at one threshold, and integrated over recall.

MOTA, MOTP: Bernardin and Stiefelhagen, Evaluating multiple object tracking performance, 2008. AMOTA and sAMOTA: Weng,
Wang, Held and Kitani, 3D multi-object tracking: a baseline and new evaluation metrics, 2020, with the rules of KITTI
for what is ignored: truncated or heavily occluded labels, neighbouring classes, boxes of at most 25 pixels, boxes in
areas that nobody labelled. The score of a trajectory is the mean of its boxes' scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.evaluation.kitti_files import KittiBoxes
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.overlap import overlaps_3d

RECALL_POINTS = 40
_MOST_OCCLUSION = 2
_LEAST_HEIGHT_PX = 25.0
_IGNORED_AREA_SHARE = 0.5
NEIGHBOURS = {"car": ("van",), "pedestrian": ("person_sitting",), "cyclist": ()}
_FORBIDDEN = 1e6

# What is counted: true positives, those with a label that counts, misses, false positives, identity switches,
# fragmentations, labels that count, and the sum of overlaps.
TP, TP_COUNTED, FN, FP, SWITCHES, FRAGMENTS, LABELS, OVERLAP = range(8)


@dataclass(frozen=True)
class Sequence:
    """Labels and results of one sequence, paired.

    Attributes:
        label_ids: (G,) identities of labels.
        label_frames: (G,) their frames.
        ignored_label: (G,) labels that count neither when found nor when missed.
        track_rows: (R,) for each result box the row of its trajectory.
        track_scores: (T,) mean score of each trajectory.
        ignored_result: (R,) boxes that count only if they match.
        pairs: (P, 2) rows of labels and of results that overlap enough.
        overlaps: (P,) their overlap in space.
    """

    label_ids: Ints
    label_frames: Ints
    ignored_label: npt.NDArray[np.bool_]
    track_rows: Ints
    track_scores: Array
    ignored_result: npt.NDArray[np.bool_]
    pairs: Ints
    overlaps: Array

    @cached_property
    def _known(self) -> dict[int, Array]:
        return {}

    @cached_property
    def _sorted_scores(self) -> Array:
        return np.sort(self.track_scores)

    @cached_property
    def _order(self) -> Ints:
        """Rows of labels, trajectory by trajectory in time."""
        return np.lexsort([self.label_frames, self.label_ids])

    def counts(self, threshold: float) -> Array:
        """(8,) what is counted when trajectories scored below the threshold are left out.

        Counts change at the scores of trajectories only, so each is worked out once.
        """
        left_out = int(np.searchsorted(self._sorted_scores, threshold, side="left"))
        if left_out not in self._known:
            self._known[left_out] = self._counted(threshold)
        return self._known[left_out]

    def true_scores(self) -> Array:
        """Scores of all true positives when no trajectory is left out."""
        _, result_rows, _ = self._matched(-np.inf)
        return self.track_scores[self.track_rows[result_rows]]

    def _matched(self, threshold: float) -> tuple[Ints, Ints, Array]:
        kept = self.track_scores[self.track_rows[self.pairs[:, 1]]] >= threshold
        pairs, overlaps = self.pairs[kept], self.overlaps[kept]
        chosen = best_pairs(pairs, overlaps, self.label_frames)
        return pairs[chosen, 0], pairs[chosen, 1], overlaps[chosen]

    def _counted(self, threshold: float) -> Array:
        labels, results, overlaps = self._matched(threshold)
        matched_label = np.full(len(self.label_ids), -1, dtype=np.int64)
        matched_label[labels] = self.track_rows[results]
        shown = self.track_scores[self.track_rows] >= threshold
        free = shown & ~self.ignored_result
        free[results] = False
        missed = (matched_label < 0) & ~self.ignored_label
        order = self._order
        switches, fragments = _switches(
            self.label_ids[order], matched_label[order], self.ignored_label[order]
        )
        return np.array(
            [
                len(labels),
                (~self.ignored_label[labels]).sum(),
                missed.sum(),
                free.sum(),
                switches,
                fragments,
                (~self.ignored_label).sum(),
                overlaps.sum(),
            ],
            dtype=np.float64,
        )


def pair_sequence(labels: KittiBoxes, results: KittiBoxes, category: str, least_overlap: float) -> Sequence:
    """Pair the labels and results of one sequence and category.

    Args:
        labels: of all types; neighbouring classes and unlabelled areas are taken from them.
        results: boxes of the category alone, with ids and scores.
        category: car, pedestrian or cyclist.
        least_overlap: intersection over union in space from which on two boxes may match.
    """
    neighbour = np.isin(labels.types, NEIGHBOURS[category])
    wanted = labels.select(((labels.types == category) | neighbour) & (labels.ids >= 0))
    areas = labels.select(labels.types == "dontcare")
    ignored_label = (
        (wanted.occlusion > _MOST_OCCLUSION) | (wanted.truncation > 0) | (wanted.types != category)
    )
    rows = same_frame(wanted.frames, results.frames)
    near = np.linalg.norm(wanted.bottoms_m[rows[:, 0]] - results.bottoms_m[rows[:, 1]], axis=1) < 12.0
    rows = rows[near]
    overlaps = overlaps_3d(space_boxes(wanted.select(rows[:, 0])), space_boxes(results.select(rows[:, 1])))
    enough = overlaps >= least_overlap
    ids, track_rows = np.unique(results.ids, return_inverse=True)
    scores = np.bincount(track_rows, weights=results.scores, minlength=len(ids))
    return Sequence(
        wanted.ids,
        wanted.frames,
        ignored_label,
        track_rows.astype(np.int64),
        scores / np.maximum(np.bincount(track_rows, minlength=len(ids)), 1),
        ignorable(results, areas, _LEAST_HEIGHT_PX),
        rows[enough],
        overlaps[enough],
    )


def matched_pairs(labels: KittiBoxes, results: KittiBoxes, category: str, least_overlap: float) -> Ints:
    """(K, 2) rows of labels, all of the category and with ids, and of results that match."""
    sequence = pair_sequence(labels, results, category, least_overlap)
    return sequence.pairs[best_pairs(sequence.pairs, sequence.overlaps, sequence.label_frames)]


def space_boxes(boxes: KittiBoxes) -> Array:
    """(N, 7) x, y, length, width, heading, z of the centre, height, in axes with z up."""
    h, w, length = boxes.sizes_m.T
    x, y, z = boxes.bottoms_m.T
    return np.column_stack([z, -x, length, w, -boxes.ry_rad - np.pi / 2, h / 2 - y, h])


def same_frame(a: Ints, b: Ints) -> Ints:
    """(P, 2) rows of all pairs of the same frame."""
    order = np.argsort(b, kind="stable")
    first, last = np.searchsorted(b[order], a, "left"), np.searchsorted(b[order], a, "right")
    count = last - first
    left = np.repeat(np.arange(len(a)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.column_stack([left, order[np.repeat(first, count) + within]])


def ignorable(results: KittiBoxes, areas: KittiBoxes, least_height_px: float) -> npt.NDArray[np.bool_]:
    """(N,) results that are no mistake if they match nothing: too small in the image, or in an unlabelled area."""
    height_px = np.abs(results.boxes_px[:, 3] - results.boxes_px[:, 1])
    ignored: npt.NDArray[np.bool_] = height_px <= least_height_px
    rows = same_frame(results.frames, areas.frames)
    own, area = results.boxes_px[rows[:, 0]], areas.boxes_px[rows[:, 1]]
    width = np.minimum(own[:, 2], area[:, 2]) - np.maximum(own[:, 0], area[:, 0])
    height = np.minimum(own[:, 3], area[:, 3]) - np.maximum(own[:, 1], area[:, 1])
    size = np.maximum((own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1]), 1e-9)
    inside = (width > 0) & (height > 0) & (width * height / size > _IGNORED_AREA_SHARE)
    ignored[rows[inside, 0]] = True
    return ignored


def best_pairs(pairs: Ints, overlaps: Array, frames_of_left: Ints) -> Ints:
    """Indices of the pairs of the assignment that matches most, and of those overlaps most.

    Args:
        pairs: (P, 2) rows that may match.
        overlaps: (P,) how much they overlap.
        frames_of_left: frame of each left row; pairs of different frames have nothing to do with each other.
    """
    if not len(pairs):
        return np.zeros(0, dtype=np.int64)
    alone = (np.bincount(pairs[:, 0])[pairs[:, 0]] == 1) & (np.bincount(pairs[:, 1])[pairs[:, 1]] == 1)
    chosen = [np.flatnonzero(alone)]
    open_pairs = np.flatnonzero(~alone)
    frames = frames_of_left[pairs[open_pairs, 0]]
    open_pairs = open_pairs[np.argsort(frames, kind="stable")]
    cuts = np.flatnonzero(np.diff(np.sort(frames))) + 1
    for group in np.split(open_pairs, cuts):
        left, i = np.unique(pairs[group, 0], return_inverse=True)
        right, j = np.unique(pairs[group, 1], return_inverse=True)
        cost = np.full((len(left), len(right)), _FORBIDDEN)
        cost[i, j] = 1 - overlaps[group]
        index = np.full(cost.shape, -1)
        index[i, j] = group
        found = index[linear_sum_assignment(cost)]
        chosen.append(found[found >= 0])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


@compiled("UniTuple(i8, 2)(i8[::1], i8[::1], b1[::1])")
def _switches(label_ids: Ints, matched: Ints, ignored: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Identity switches and fragmentations, as KITTI's evaluation counts them, of labels trajectory by trajectory."""
    switches, fragments = 0, 0
    begin = 0
    n = len(label_ids)
    while begin < n:
        end = begin + 1
        while end < n and label_ids[end] == label_ids[begin]:
            end += 1
        last = matched[begin]
        for f in range(begin + 1, end):
            if ignored[f]:
                last = -1
                continue
            if last >= 0 and matched[f] >= 0:
                if matched[f - 1] >= 0 and matched[f] != last:
                    switches += 1
                if matched[f - 1] != matched[f] and (f + 1 == end or matched[f + 1] >= 0):
                    fragments += 1
            if matched[f] >= 0:
                last = matched[f]
        begin = end
    return switches, fragments


@dataclass(frozen=True, slots=True)
class MotScores:
    """Metrics of one category at one least overlap, as fractions; nought in all without labels.

    Attributes:
        samota: scaled MOTA, averaged over the recall points; what recall is not reached counts nought.
        amota: MOTA, averaged likewise.
        mota: at the threshold where it is best.
        motp: mean overlap of the true positives there.
        switches: identity switches there.
        fragments: fragmentations there.
        recall: there.
        precision: there.
        threshold: the score it is at.
        labels: how many labels count.
        curve: recall and scaled MOTA, before it is cut to 0 and 1, at each recall point that is reached.
    """

    samota: float
    amota: float
    mota: float
    motp: float
    switches: int
    fragments: int
    recall: float
    precision: float
    threshold: float
    labels: int
    curve: tuple[tuple[float, float], ...] = ()


def mot_scores(sequences: list[Sequence]) -> MotScores:
    """Metrics over sequences; one may be in the list more than once, as a bootstrap has it."""
    everything = np.sum([s.counts(-np.inf) for s in sequences], axis=0)
    scores = np.sort(np.concatenate([s.true_scores() for s in sequences]))[::-1]
    thresholds, recalls = recall_thresholds(np.ascontiguousarray(scores), everything[TP] + everything[FN])
    if not everything[LABELS] or not len(thresholds):
        return MotScores(0.0, 0.0, 0.0, 0.0, 0, 0, 0.0, 0.0, 0.0, int(everything[LABELS]))
    counts = np.array([np.sum([s.counts(t) for s in sequences], axis=0) for t in thresholds])
    errors = counts[:, FN] + counts[:, FP] + counts[:, SWITCHES]
    mota = 1 - errors / counts[:, LABELS]
    scaled = 1 - (errors - (1 - recalls) * counts[:, LABELS]) / (recalls * counts[:, LABELS])
    best = int(np.argmax(mota))
    at = counts[best]
    return MotScores(
        samota=float(np.clip(scaled, 0, 1).sum() / RECALL_POINTS),
        amota=float(mota.sum() / RECALL_POINTS),
        mota=float(mota[best]),
        motp=float(at[OVERLAP] / max(at[TP], 1)),
        switches=int(at[SWITCHES]),
        fragments=int(at[FRAGMENTS]),
        recall=float(at[TP] / max(at[TP] + at[FN], 1)),
        precision=float(at[TP] / max(at[TP] + at[FP], 1)),
        threshold=float(thresholds[best]),
        labels=int(at[LABELS]),
        curve=tuple(zip(recalls.tolist(), scaled.tolist(), strict=True)),
    )


def recall_thresholds(scores: Array, labels: float) -> tuple[Array, Array]:
    """Scores at which the recall comes nearest to 1/40, 2/40, …, as far as it gets, and those recalls.

    Args:
        scores: of the true positives, falling.
        labels: how many there are to find.
    """
    thresholds, recalls = [], []
    current = 0.0
    for i, score in enumerate(scores.tolist()):
        here, beyond = (i + 1) / labels, (i + 2) / labels
        if i + 1 < len(scores) and beyond - current < current - here:
            continue
        thresholds.append(score)
        recalls.append(current)
        current += 1 / RECALL_POINTS
    return np.array(thresholds[1:]), np.array(recalls[1:])
