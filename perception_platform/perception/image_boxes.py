"""Boxes x1 y1 x2 y2 in images: areas and overlaps."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array


def box_area(boxes_px: Array) -> Array:
    """(N,) areas, px²."""
    return np.asarray(np.prod(boxes_px[:, 2:] - boxes_px[:, :2], axis=-1))


def box_intersection(a_px: Array, b_px: Array) -> Array:
    """(N, M) areas that two boxes share, px²; NaN where one is NaN."""
    low = np.maximum(a_px[:, None, :2], b_px[None, :, :2])
    high = np.minimum(a_px[:, None, 2:], b_px[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0.0), axis=-1))


def box_iou(a_px: Array, b_px: Array) -> Array:
    """(N, M) intersection over union; 0 where a box is NaN or has no area."""
    inter = box_intersection(a_px, b_px)
    union = box_area(a_px)[:, None] + box_area(b_px)[None] - inter
    return np.asarray(np.nan_to_num(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)))
