"""Boxes in images held against labelled ones: matching, average precision, recall by size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.evaluation.statistics import binomial_bounds
from perception_platform.perception.image_boxes import box_area, box_intersection, box_iou

IOUS = np.arange(0.5, 0.96, 0.05)
# COCO's: areas in px².
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
_RECALLS = np.linspace(0, 1, 101)
_IN_IGNORED = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes of one class in one image, surest first, and what they are held against.

    Attributes:
        boxes_px: (N, 4) x1 y1 x2 y2.
        scores: (N,) as the network gives them.
        labels_px: (M, 4) labelled boxes of the class.
        ignored_px: (K, 4) regions in which nothing is judged.
    """

    boxes_px: Array
    scores: Array
    labels_px: Array
    ignored_px: Array


@dataclass(frozen=True, slots=True)
class Matched:
    """Boxes and labels of one class in all images.

    Attributes:
        scores: (N,) of the boxes that are judged.
        right: (len(IOUS), N) whether a box has a label of its own at that overlap.
        errors: (N, 4) of a box's sides, as shares of its height; NaN where it is wrong at IoU 0.5.
        image: (N,) index of the image.
        label_scores: (M,) score of the box that found a label at IoU 0.5, 0 for none.
        label_areas_px2: (M,) size of each label.
    """

    scores: Array
    right: npt.NDArray[np.bool_]
    errors: Array
    image: Ints
    label_scores: Array
    label_areas_px2: Array


def match(images: list[Found]) -> Matched:
    """Hold each image's boxes against its labels: the surest takes the best label that is left, as COCO does.

    A box without a label of which half lies in an ignored region is not judged.
    """
    parts = [_match_image(found, i) for i, found in enumerate(images)]
    return Matched(
        *(np.concatenate([getattr(p, name) for p in parts], axis=axis) for name, axis in _AXES.items())
    )


_AXES = {"scores": 0, "right": 1, "errors": 0, "image": 0, "label_scores": 0, "label_areas_px2": 0}


def _match_image(found: Found, index: int) -> Matched:
    overlap = box_iou(found.boxes_px, found.labels_px)
    taken = np.array([_assign(overlap, least) for least in IOUS])
    at_half = taken[0]
    ignored = (
        box_intersection(found.boxes_px, found.ignored_px)
        / np.maximum(box_area(found.boxes_px), 1e-9)[:, None]
    )
    judged = (at_half >= 0) | ~(ignored >= _IN_IGNORED).any(axis=1)
    label_scores = np.zeros(len(found.labels_px))
    label_scores[at_half[at_half >= 0]] = found.scores[at_half >= 0]
    errors = np.full((len(found.boxes_px), 4), np.nan)
    hit = at_half >= 0
    heights_px = found.boxes_px[hit, 3:] - found.boxes_px[hit, 1:2]
    errors[hit] = (found.boxes_px[hit] - found.labels_px[at_half[hit]]) / heights_px
    return Matched(
        found.scores[judged],
        taken[:, judged] >= 0,
        errors[judged],
        np.full(int(judged.sum()), index, dtype=np.int64),
        label_scores,
        box_area(found.labels_px),
    )


def _assign(overlap: Array, least: float) -> Ints:
    """(N,) label of each box, -1 for none; rows come surest first."""
    taken = np.full(len(overlap), -1, dtype=np.int64)
    free = np.ones(overlap.shape[1], dtype=np.bool_)
    for i, row in enumerate(overlap):
        candidates = np.where(free, row, 0.0)
        if len(candidates) and candidates.max() >= least:
            taken[i] = candidates.argmax()
            free[taken[i]] = False
    return taken


def average_precision(scores: Array, right: npt.NDArray[np.bool_], labels: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or beyond, as COCO defines it; NaN without labels."""
    if labels == 0:
        return float("nan")
    hits = right[np.argsort(-scores, kind="stable")]
    if len(hits) == 0:
        return 0.0
    true = np.cumsum(hits)
    precision = np.maximum.accumulate((true / np.arange(1, len(hits) + 1))[::-1])[::-1]
    at = np.searchsorted(true / labels, _RECALLS - 1e-12)
    return float(np.append(precision, 0.0)[at].mean())


def judge(matched: Matched, threshold: float) -> dict[str, Any]:
    """AP, and recall and precision at the threshold that is in use, with exact binomial bounds."""
    labels = len(matched.label_scores)
    used = matched.scores >= threshold
    right = int(matched.right[0, used].sum())
    aps = [average_precision(matched.scores, right_at, labels) for right_at in matched.right]
    found = matched.label_scores >= threshold
    sizes = {}
    for name, (low, high) in SIZES.items():
        of_size = (matched.label_areas_px2 >= low) & (matched.label_areas_px2 < high)
        sizes[name] = share(int((found & of_size).sum()), int(of_size.sum()))
    return {
        "ap50": _rounded(aps[0]),
        "ap": _rounded(float(np.mean(aps))),
        "recall": share(int(found.sum()), labels),
        "precision": share(right, int(used.sum())),
        "recall_by_size": sizes,
        "curve": _curve(matched, labels),
    }


def share(part: int, of: int) -> dict[str, Any]:
    """A share with its exact 95 % bounds; None where there is nothing."""
    low, high = binomial_bounds(part, of)
    return {"count": part, "of": of, "share": _rounded(part / of) if of else None, "interval_95": [low, high]}


def _curve(matched: Matched, labels: int, points: int = 50) -> list[list[float]]:
    """Recall and precision at IoU 0.5 over falling scores, for plots."""
    order = np.argsort(-matched.scores, kind="stable")
    true = np.cumsum(matched.right[0, order])
    at: Ints = (
        np.unique(np.linspace(0, len(order) - 1, points).astype(np.int64))
        if len(order) and labels
        else np.zeros(0, np.int64)
    )
    return [[_rounded(true[i] / labels), _rounded(true[i] / (i + 1))] for i in at]


def _rounded(value: float) -> float:
    return round(float(value), 4)
