"""What decoders share: boxes as a network proposes them, activations, and errors about shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.inference.backend import ModelError, Tensor
from perception_platform.perception.detector_config import Activation, BoxFormat, BoxUnit, ImageInput


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes as a network proposes them, N of them; they overlap still.

    Attributes:
        boxes_px: (N, 4) x1 y1 x2 y2 in the network's input image.
        classes: (N,) output classes.
        scores: (N,) in [0, 1].
    """

    boxes_px: Array
    classes: Ints
    scores: Array

    def __len__(self) -> int:
        return len(self.boxes_px)

    def at(self, chosen: Ints) -> Candidates:
        """Some of them, in the order of the indices."""
        return Candidates(self.boxes_px[chosen], self.classes[chosen], self.scores[chosen])

    @classmethod
    def join(cls, parts: list[Candidates]) -> Candidates:
        """All of several."""
        return cls(
            np.concatenate([p.boxes_px for p in parts]),
            np.concatenate([p.classes for p in parts]),
            np.concatenate([p.scores for p in parts]),
        )


def expect(fits: bool, family: str, expected: str, outputs: list[Tensor]) -> None:
    """Refuse outputs that are not of a family.

    Raises:
        ModelError: names the family, what it takes and the shapes that came, all without the batch.
    """
    if not fits:
        raise ModelError(f"{family}: expected {expected}, got {[o.shape for o in outputs]}")


def sigmoid(x: Tensor) -> Array:
    """1 / (1 + e^-x), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x.astype(np.float64))))


def softmax(x: Tensor) -> Array:
    """Along the last axis."""
    weight = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))  # the largest is 1: none overflows
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def activate(x: Tensor, activation: Activation) -> Tensor:
    """What a network left to be done to its scores."""
    return x if activation == "none" else {"sigmoid": sigmoid, "softmax": softmax}[activation](x)


def surest(scores: Tensor, activation: Activation, threshold: float) -> tuple[Ints, Ints, Array]:
    """Rows of (N, C) class scores whose best reaches the threshold: (M,) rows, their classes, their scores.

    A sigmoid keeps order, so the best is found before it and few values go through it: most cells are background.
    """
    if activation == "softmax":
        scores = softmax(scores)
    raw = scores.max(axis=1)
    limit = np.log(threshold / (1 - threshold)) if activation == "sigmoid" else threshold
    rows = np.flatnonzero(raw >= limit)
    best = sigmoid(raw[rows]) if activation == "sigmoid" else raw[rows].astype(np.float64)
    return rows, scores[rows].argmax(axis=1).astype(np.int64), best


def to_corners(boxes: Array, box_format: BoxFormat) -> Array:
    """(N, 4) boxes as x1 y1 x2 y2."""
    if box_format == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    if box_format == "cxcywh":
        return np.hstack([boxes[:, :2] - 0.5 * boxes[:, 2:], boxes[:, :2] + 0.5 * boxes[:, 2:]])
    return boxes


def to_pixels(boxes: Array, unit: BoxUnit, image: ImageInput) -> Array:
    """(N, 4) boxes in pixels of the network's input."""
    return boxes * np.array([image.width_px, image.height_px] * 2) if unit == "normalised" else boxes
