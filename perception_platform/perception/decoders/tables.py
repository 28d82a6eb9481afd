"""Families whose outputs are lists of boxes: YOLOv5 to 11, networks that end with NMS, DETR and RT-DETR, SSD."""

from __future__ import annotations

from itertools import product

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.inference.backend import Tensor
from perception_platform.perception.decoders.common import (
    Candidates,
    activate,
    expect,
    softmax,
    surest,
    to_corners,
    to_pixels,
)
from perception_platform.perception.detector_config import (
    BoxTable,
    DetectorConfig,
    Detr,
    FinalBoxes,
    Priors,
    Ssd,
)


def box_table(outputs: list[Tensor], family: BoxTable, config: DetectorConfig) -> Candidates:
    """Centre, size, objectness (``yolov5`` only) and class scores, a box a row or a column.

    There are more boxes than numbers of a box, which tells rows from columns.

    Raises:
        ModelError: if the output has another shape.
    """
    before = 5 if family.type == "yolov5" else 4
    fits = len(outputs) == 1 and outputs[0].ndim == 2 and min(outputs[0].shape) > before
    expect(fits, family.type, f"one output (boxes, {before} + classes) or its transpose", outputs)
    table = outputs[0].T if outputs[0].shape[0] < outputs[0].shape[1] else outputs[0]
    scores = table[:, before:]
    if family.type == "yolov5":
        scores = activate(scores, family.activation) * activate(table[:, 4:5], family.activation)
    left = "none" if family.type == "yolov5" else family.activation
    rows, classes, best = surest(scores, left, config.score_threshold)
    boxes = to_corners(table[rows, :4].astype(np.float64), "cxcywh")
    return Candidates(to_pixels(boxes, family.box_unit, config.input), classes, best)


def final_boxes(outputs: list[Tensor], family: FinalBoxes, config: DetectorConfig) -> Candidates:
    """(N, 6) box, score, class; or boxes (N, 4), scores (N,) and classes (N,) apart. Empty rows have score 0.

    Raises:
        ModelError: if the outputs have other shapes.
    """
    expected = "one output (boxes, 6), or (boxes, 4), (boxes,) scores and (boxes,) classes"
    if len(outputs) == 1:
        expect(outputs[0].ndim == 2 and outputs[0].shape[1] == 6, family.type, expected, outputs)
        boxes, scores, classes = outputs[0][:, :4], outputs[0][:, 4], outputs[0][:, 5]
    else:
        n = len(outputs[0])
        fits = [o.shape for o in outputs] == [(n, 4), (n,), (n,)]
        expect(fits, family.type, expected, outputs)
        boxes, scores, classes = outputs
    rows = np.flatnonzero(scores >= config.score_threshold)
    corners = to_corners(boxes[rows].astype(np.float64), family.box_format)
    return Candidates(
        to_pixels(corners, family.box_unit, config.input),
        classes[rows].round().astype(np.int64),
        scores[rows].astype(np.float64),
    )


def detr(outputs: list[Tensor], family: Detr, config: DetectorConfig) -> Candidates:
    """(queries, C) class logits and (queries, 4) centre and size as shares of the input; or one (queries, 4 + C).

    With softmax the last class means "nothing" (Carion et al., ECCV 2020); with sigmoid there is none (RT-DETR, Zhao
    et al., CVPR 2024).

    Raises:
        ModelError: if the outputs have other shapes.
    """
    expected = "outputs (queries, classes) and (queries, 4), or one (queries, 4 + classes)"
    expect(all(o.ndim == 2 for o in outputs), family.type, expected, outputs)
    if len(outputs) == 1:
        expect(outputs[0].shape[1] > 4, family.type, expected, outputs)
        boxes, logits = outputs[0][:, :4], outputs[0][:, 4:]
    else:
        fits = len(outputs) == 2 and outputs[1].shape == (len(outputs[0]), 4)
        expect(fits, family.type, expected, outputs)
        logits, boxes = outputs
    if family.activation == "softmax":
        rows, classes, best = surest(softmax(logits)[:, :-1], "none", config.score_threshold)
    else:
        rows, classes, best = surest(logits, family.activation, config.score_threshold)
    corners = to_corners(boxes[rows].astype(np.float64), "cxcywh")
    return Candidates(to_pixels(corners, "normalised", config.input), classes, best)


def ssd(outputs: list[Tensor], family: Ssd, config: DetectorConfig) -> Candidates:
    """(N, 4) boxes or offsets from priors, and (N, C) class scores of which class 0 is background.

    Raises:
        ModelError: if the outputs have other shapes, or the priors are not as many.
    """
    fits = len(outputs) == 2 and all(o.ndim == 2 for o in outputs)
    fits = fits and outputs[0].shape == (len(outputs[1]), 4) and outputs[1].shape[1] >= 2
    expect(fits, family.type, "outputs (boxes, 4) and (boxes, 1 + classes)", outputs)
    boxes, scores = outputs[0].astype(np.float64), activate(outputs[1], family.activation)
    if family.priors is not None:
        priors = default_boxes(family.priors)
        expect(len(priors) == len(boxes), family.type, f"{len(priors)} boxes, as there are priors", outputs)
        of_center, of_size = family.variances
        center = priors[:, :2] + boxes[:, :2] * of_center * priors[:, 2:]
        size = priors[:, 2:] * np.exp(np.minimum(boxes[:, 2:] * of_size, 20.0))
        boxes = to_corners(np.hstack([center, size]), "cxcywh")
    rows, classes, best = surest(scores[:, 1:], "none", config.score_threshold)
    return Candidates(to_pixels(boxes[rows], "normalised", config.input), classes + 1, best)


def default_boxes(priors: Priors) -> Array:
    """(N, 4) centre and size of an SSD's default boxes as shares of the input.

    A cell has the small square, the square between, and for each ratio a wide and a tall box (Liu et al., ECCV 2016).
    """
    levels = zip(priors.columns, priors.rows, priors.least, priors.greatest, priors.ratios, strict=True)
    return np.concatenate([_level_boxes(*level) for level in levels])


def _level_boxes(columns: int, rows: int, least: float, greatest: float, ratios: tuple[float, ...]) -> Array:
    between = np.sqrt(least * greatest)
    sizes = [(least, least), (between, between)]
    for ratio in ratios:
        root = np.sqrt(ratio)
        sizes += [(least * root, least / root), (least / root, least * root)]
    centers = [((c + 0.5) / columns, (r + 0.5) / rows) for r, c in product(range(rows), range(columns))]
    return np.hstack([np.repeat(centers, len(sizes), axis=0), np.tile(sizes, (len(centers), 1))])
