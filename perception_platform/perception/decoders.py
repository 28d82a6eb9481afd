"""From a detector's raw output to boxes in its input image, by family. Boxes overlap still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.inference.backend import ModelError, Tensor
from perception_platform.perception.detector_config import DetectorConfig


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes as a network proposes them, N of them.

    Attributes:
        boxes_px: (N, 4) x1 y1 x2 y2 in the network's input image.
        classes: (N,) output classes.
        scores: (N,) in [0, 1].
    """

    boxes_px: Array
    classes: Ints
    scores: Array


def decode_fastestdet(outputs: list[Tensor], config: DetectorConfig) -> Candidates:
    """One grid (1, 5 + C, H, W): objectness, box offset (tanh) and size (sigmoid) relative to the image, classes.

    Score = objectness^0.6 * class^0.4, as the network was trained (FastestDet, github.com/dog-qiuqiu/FastestDet).

    Raises:
        ModelError: if the output has another shape.
    """
    if len(outputs) != 1 or outputs[0].ndim != 4 or outputs[0].shape[1] < 6:
        raise ModelError(
            f"fastestdet: expected one output (1, 5 + classes, H, W), got {[o.shape for o in outputs]}"
        )
    grid = outputs[0][0].astype(np.float64)
    _, height, width = grid.shape
    row, column = np.mgrid[0:height, 0:width]
    center_x, center_y = (column + np.tanh(grid[1])) / width, (row + np.tanh(grid[2])) / height
    size_x, size_y = _sigmoid(grid[3]), _sigmoid(grid[4])
    classes = grid[5:].argmax(axis=0)
    scores = grid[0].clip(0, 1) ** 0.6 * grid[5:].max(axis=0).clip(0, 1) ** 0.4
    sides = [center_x - size_x / 2, center_y - size_y / 2, center_x + size_x / 2, center_y + size_y / 2]
    scale = np.array([config.input.width_px, config.input.height_px] * 2)
    boxes_px = np.stack([side.ravel() for side in sides], axis=-1) * scale
    return Candidates(boxes_px, classes.ravel().astype(np.int64), scores.ravel())


def decode_distribution(outputs: list[Tensor], config: DetectorConfig) -> Candidates:
    """Pairs of (1, cells, C) class scores and (1, cells, 4 * bins) distances, one pair a stride; scores come first.

    The distance to each side is the mean of a distribution over whole strides (generalised focal loss, Li et al.,
    NeurIPS 2020).

    Raises:
        ModelError: if the outputs have another shape.
    """
    levels = len(outputs) // 2
    if levels == 0 or len(outputs) % 2 or any(o.ndim != 3 or o.shape[0] != 1 for o in outputs):
        raise ModelError(
            f"distribution: expected pairs (1, cells, classes), got {[o.shape for o in outputs]}"
        )
    parts = [_decode_level(outputs[i][0], outputs[levels + i][0], config) for i in range(levels)]
    return Candidates(
        np.concatenate([p.boxes_px for p in parts]),
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.scores for p in parts]),
    )


def _decode_level(class_scores: Tensor, distances: Tensor, config: DetectorConfig) -> Candidates:
    """One stride. Only cells that reach the threshold are decoded: the softmax is what costs."""
    cells = len(class_scores)
    stride = np.sqrt(config.input.width_px * config.input.height_px / cells)
    columns, rows = (
        int(np.ceil(config.input.width_px / stride)),
        int(np.ceil(config.input.height_px / stride)),
    )
    if len(distances) != cells or columns * rows != cells or distances.shape[1] % 4:
        raise ModelError(
            f"distribution: {cells} cells and distances {distances.shape} don't fit the input's size"
        )
    best = class_scores.max(axis=1)
    chosen = np.flatnonzero(best >= config.score_threshold)
    stride_px = config.input.width_px / columns
    bins = distances.shape[1] // 4
    logits = distances[chosen].astype(np.float64).reshape(-1, 4, bins)
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))  # the largest is 1: no logit is too large
    sides_px = (weight @ np.arange(bins)) / weight.sum(axis=-1) * stride_px
    x_px = (chosen % columns + config.cell_offset) * stride_px
    y_px = (chosen // columns + config.cell_offset) * stride_px
    boxes_px = np.stack(
        [x_px - sides_px[:, 0], y_px - sides_px[:, 1], x_px + sides_px[:, 2], y_px + sides_px[:, 3]], axis=-1
    )
    return Candidates(
        boxes_px, class_scores[chosen].argmax(axis=1).astype(np.int64), best[chosen].astype(np.float64)
    )


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


DECODERS: dict[str, Callable[[list[Tensor], DetectorConfig], Candidates]] = {
    "fastestdet": decode_fastestdet,
    "distribution": decode_distribution,
}
