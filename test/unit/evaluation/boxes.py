"""Boxes of made-up sequences in KITTI's camera frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception_platform.evaluation.kitti_files import KittiBoxes

Row = tuple[int, int, float]  # frame, id, x


def boxes(
    rows: Sequence[Row],
    kind: str = "car",
    score: float | Sequence[float] = 1.0,
    truncation: float = 0.0,
    occlusion: float = 0.0,
    height_px: float = 80.0,
    z_m: float = 20.0,
) -> KittiBoxes:
    """Cars of 4 m along x, side by side as far as their x differ."""
    n = len(rows)
    x_m = np.array([row[2] for row in rows], dtype=np.float64)
    left_px = 600 + 30 * x_m
    return KittiBoxes(
        frames=np.array([row[0] for row in rows], dtype=np.int64),
        ids=np.array([row[1] for row in rows], dtype=np.int64),
        types=np.full(n, kind),
        truncation=np.full(n, truncation),
        occlusion=np.full(n, occlusion),
        boxes_px=np.column_stack(
            [left_px, np.full(n, 100.0), left_px + 100, np.full(n, 100.0 + height_px)]
        ).reshape(-1, 4),
        sizes_m=np.tile([1.5, 1.8, 4.0], (n, 1)),
        bottoms_m=np.column_stack([x_m, np.full(n, 1.6), np.full(n, z_m)]).reshape(-1, 3),
        ry_rad=np.zeros(n),
        scores=np.broadcast_to(np.asarray(score, dtype=np.float64), n).copy(),
    )


def together(*parts: KittiBoxes) -> KittiBoxes:
    """All of them in one."""
    return KittiBoxes(*(np.concatenate([getattr(p, name) for p in parts]) for name in KittiBoxes.__slots__))
