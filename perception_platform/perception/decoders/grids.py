"""Families whose outputs lie on the cells of grids over the image: FastestDet, NanoDet and PicoDet, YOLOX."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.inference.backend import ModelError, Tensor
from perception_platform.perception.decoders.common import (
    Candidates,
    activate,
    expect,
    sigmoid,
    softmax,
    surest,
    to_corners,
)
from perception_platform.perception.detector_config import (
    DetectorConfig,
    Distribution,
    FastestDet,
    ImageInput,
    Yolox,
)


def fastestdet(outputs: list[Tensor], family: FastestDet, config: DetectorConfig) -> Candidates:
    """One grid (5 + C, H, W): objectness, box offset (tanh) and size (sigmoid) relative to the image, classes.

    Score = objectness^0.6 * class^0.4, as the network was trained (FastestDet, github.com/dog-qiuqiu/FastestDet).

    Raises:
        ModelError: if the output has another shape.
    """
    fits = len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[0] >= 6
    expect(fits, family.type, "one output (5 + classes, H, W)", outputs)
    grid = outputs[0]
    columns, rows = grid.shape[2], grid.shape[1]
    scores = (grid[0].clip(0, 1) ** 0.6 * grid[5:].max(axis=0).clip(0, 1) ** 0.4).ravel()
    chosen = np.flatnonzero(scores >= config.score_threshold)
    cells = grid.reshape(grid.shape[0], -1)[:, chosen].astype(np.float64)
    center = np.stack([chosen % columns, chosen // columns]) + np.tanh(cells[1:3])
    boxes = np.vstack([center / np.array([[columns], [rows]]), sigmoid(cells[3:5])]).T
    scale = np.array([config.input.width_px, config.input.height_px] * 2)
    return Candidates(
        to_corners(boxes, "cxcywh") * scale,
        cells[5:].argmax(axis=0).astype(np.int64),
        scores[chosen].astype(np.float64),
    )


def distribution(outputs: list[Tensor], family: Distribution, config: DetectorConfig) -> Candidates:
    """Class scores and distances to the four sides of a cell's box, each the mean of a distribution over strides.

    Generalised focal loss (Li et al., NeurIPS 2020). Only cells that reach the threshold are decoded: the softmax is
    what costs.

    Raises:
        ModelError: if the outputs have other shapes, or their cells do not fit the input and the strides.
    """
    scores, distances = _split(outputs, family)
    x_px, y_px, stride_px = _cells(len(scores), family.strides, family.cell_offset, config.input, family.type)
    chosen, classes, best = surest(scores, family.activation, config.score_threshold)
    weight = softmax(distances[chosen].reshape(len(chosen), 4, distances.shape[1] // 4))
    sides_px = weight @ np.arange(weight.shape[-1]) * stride_px[chosen, None]
    corners = np.column_stack([x_px[chosen], y_px[chosen]])
    return Candidates(np.hstack([corners - sides_px[:, :2], corners + sides_px[:, 2:]]), classes, best)


def _split(outputs: list[Tensor], family: Distribution) -> tuple[Tensor, Tensor]:
    """(cells, C) class scores and (cells, 4 * bins) distances of all levels."""
    levels = len(family.strides)
    if len(outputs) == 1 and outputs[0].ndim == 2 and outputs[0].shape[1] > 4 * family.bins:
        classes = outputs[0].shape[1] - 4 * family.bins
        return outputs[0][:, :classes], outputs[0][:, classes:]
    fits = len(outputs) == 2 * levels and all(o.ndim == 2 for o in outputs)
    fits = fits and len({o.shape[1] for o in outputs[:levels]}) == 1
    fits = fits and all(o.shape[1] == outputs[-1].shape[1] for o in outputs[levels:])
    fits = fits and outputs[-1].shape[1] % 4 == 0
    fits = fits and [len(o) for o in outputs[:levels]] == [len(o) for o in outputs[levels:]]
    expect(
        fits,
        family.type,
        f"{levels} outputs (cells, classes) and {levels} of (cells, 4 * bins), or one of both",
        outputs,
    )
    return np.concatenate(outputs[:levels]), np.concatenate(outputs[levels:])


def yolox(outputs: list[Tensor], family: Yolox, config: DetectorConfig) -> Candidates:
    """(cells, 5 + C): offset of the centre and logarithm of the size in strides, objectness, classes.

    Score = objectness * class (Ge et al., YOLOX, 2021).

    Raises:
        ModelError: if the output has another shape, or its cells do not fit the input and the strides.
    """
    fits = len(outputs) == 1 and outputs[0].ndim == 2 and outputs[0].shape[1] >= 6
    expect(fits, family.type, "one output (cells, 5 + classes)", outputs)
    table = outputs[0]
    x_px, y_px, stride_px = _cells(len(table), family.strides, 0.0, config.input, family.type)
    objectness = activate(table[:, 4], family.activation)
    likely = np.flatnonzero(objectness >= config.score_threshold)  # a product is below each of its factors
    scores = activate(table[likely, 5:], family.activation) * objectness[likely, None]
    rows, classes, best = surest(scores, "none", config.score_threshold)
    chosen = likely[rows]
    stride = stride_px[chosen, None]
    center_px = np.column_stack([x_px[chosen], y_px[chosen]]) + table[chosen, :2] * stride
    size_px = np.exp(np.minimum(table[chosen, 2:4].astype(np.float64), 20.0)) * stride
    return Candidates(to_corners(np.hstack([center_px, size_px]), "cxcywh"), classes, best)


def _cells(
    count: int, strides: tuple[int, ...], offset: float, image: ImageInput, family: str
) -> tuple[Array, Array, Array]:
    """(cells,) x, y and stride of the cells of all levels, row by row, px.

    Raises:
        ModelError: if that many cells do not fit.
    """
    sizes = [(-(-image.width_px // s), -(-image.height_px // s)) for s in strides]
    cells: Ints = np.array([columns * rows for columns, rows in sizes], dtype=np.int64)
    if cells.sum() != count:
        raise ModelError(
            f"{family}: {count} cells, but strides {list(strides)} make {cells.sum()} of an input of "
            f"{image.width_px} x {image.height_px}"
        )
    stride_px = np.repeat(np.array(strides, dtype=np.float64), cells)
    index = np.arange(count) - np.repeat(np.cumsum(cells) - cells, cells)
    columns = np.repeat([c for c, _ in sizes], cells)
    return (index % columns + offset) * stride_px, (index // columns + offset) * stride_px, stride_px
