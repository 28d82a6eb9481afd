"""What a detector's scores are worth: the logistic function of score and range that its boxes were right by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.evaluation.clear_mot import best_pairs, pair_sequence
from perception_platform.evaluation.kitti_files import (
    KittiBoxes,
    read_detections,
    read_sequences,
    read_tracks,
)

_LEAST_OVERLAP = 0.25


def fit_scores(detections_dir: Path, labels_dir: Path, seqmap: Path, category: str) -> dict[str, Any]:
    """Fit ``score_scale``, ``score_per_m`` and ``score_offset`` of a category's settings to labels.

    Args:
        detections_dir: holds ``<Category>/<seq>.txt``.
        labels_dir: holds ``<seq>.txt``.
        seqmap: names of sequences and their numbers of frames.
        category: Car, Pedestrian or Cyclist.

    Returns:
        The three, and the mean log loss of boxes: with them, without the range, and by sequences left out: each
        sequence judged by what was fitted to the others.

    Raises:
        InputError: naming what is missing or malformed, or what there is too little of.
    """
    parts = {
        name: _judged(
            read_detections(detections_dir / category / f"{name}.txt", count),
            read_tracks(labels_dir / f"{name}.txt", count),
            category,
        )
        for name, count in read_sequences(seqmap).items()
    }
    features, right = _together(parts, "")
    if len(parts) < 2 or not 0 < right.sum() < len(right):
        raise InputError(labels_dir, f"no two sequences with right and wrong boxes of category {category}")
    fitted = _fit(features, right)
    flat = features * np.array([1.0, 0.0, 1.0])
    left_out = [_loss(_fit(*_together(parts, name)), x, y) * len(y) for name, (x, y) in parts.items()]
    return {
        **{name: round(float(v), 3) for name, v in zip(_NAMES, fitted, strict=True)},
        "boxes": len(right),
        "log_loss": round(_loss(fitted, features, right), 4),
        "log_loss_without_range": round(_loss(_fit(flat, right), flat, right), 4),
        "log_loss_left_out": round(sum(left_out) / len(right), 4),
    }


_NAMES = ("score_scale", "score_per_m", "score_offset")


def _judged(boxes: KittiBoxes, labels: KittiBoxes, category: str) -> tuple[Array, Array]:
    """Score, range and 1 (N, 3) of the boxes that count, and whether each is right (N,)."""
    sequence = pair_sequence(
        labels, replace(boxes, ids=np.arange(len(boxes))), category.lower(), _LEAST_OVERLAP
    )
    chosen = best_pairs(sequence.pairs, sequence.overlaps, sequence.label_frames)
    right = np.zeros(len(boxes), dtype=np.bool_)
    right[sequence.pairs[chosen, 1]] = True
    counts = right | ~sequence.ignored_result
    range_m = np.hypot(boxes.bottoms_m[:, 0], boxes.bottoms_m[:, 2])
    features = np.column_stack([boxes.scores, range_m, np.ones(len(boxes))])
    return features[counts], right[counts].astype(np.float64)


def _together(parts: Mapping[str, tuple[Array, Array]], without: str) -> tuple[Array, Array]:
    kept = [part for name, part in parts.items() if name != without]
    return np.concatenate([x for x, _ in kept]), np.concatenate([y for _, y in kept])


def _fit(features: Array, right: Array) -> Array:
    """(3,) coefficients of least log loss; features that are nought throughout get none."""
    scale = np.maximum(np.abs(features).max(axis=0), 1e-9)

    def loss(x: Array) -> tuple[float, Array]:
        logits = (features / scale) @ x
        p = 1 / (1 + np.exp(-logits))
        value = np.logaddexp(0.0, -logits) * right + np.logaddexp(0.0, logits) * (1 - right)
        return float(value.mean()), np.asarray((features / scale).T @ (p - right) / len(right))

    return np.asarray(minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B").x / scale)


def _loss(fitted: Array, features: Array, right: Array) -> float:
    if not len(right):
        return 0.0
    logits = features @ fitted
    value = np.logaddexp(0.0, -logits) * right + np.logaddexp(0.0, logits) * (1 - right)
    return float(value.mean())
