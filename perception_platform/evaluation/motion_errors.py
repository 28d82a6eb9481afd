"""Errors of velocity and the honesty of covariances, against labels moved to the fixed frame.

The true velocity is the central difference of label positions over 0.4 s. NEES, the error squared in units of its own
covariance, is chi-square distributed if the covariance is right (Bar-Shalom, Li and Kirubarajan, 2001, section 5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.core.sensor_data import EgoState
from perception_platform.evaluation.kitti_files import KittiBoxes
from perception_platform.evaluation.kitti_run import in_base

_HALF_SPAN_FRAMES = 2
_FRAME_S = 0.1
PROBABILITIES = tuple(round(0.05 * i, 2) for i in range(1, 20))


@dataclass(frozen=True, slots=True)
class MotionErrors:
    """Errors of K estimates whose truth is known.

    Attributes:
        errors: (K, 4) estimate less truth of x, y, vx, vy, in axes along and across the true motion where it
            moves, m and m/s.
        nees: (K, 2) of position and of velocity, two degrees of freedom each.
        trajectories: how many labelled trajectories they are of.
    """

    errors: Array
    nees: Array
    trajectories: int


def label_states(labels: KittiBoxes, egos: Sequence[EgoState]) -> Array:
    """(N, 4) x, y, vx, vy of labels in the fixed frame; NaN velocities where a neighbour in time is missing."""
    positions = np.array(
        [
            egos[frame].odom_from_base.apply(center[None])[0, :2]
            for frame, center in zip(labels.frames.tolist(), in_base(labels), strict=True)
        ]
    ).reshape(-1, 2)
    row_of = {
        key: row for row, key in enumerate(zip(labels.ids.tolist(), labels.frames.tolist(), strict=True))
    }
    velocities = np.full((len(labels), 2), np.nan)
    for (track_id, frame), row in row_of.items():
        before, after = (row_of.get((track_id, frame + d)) for d in (-_HALF_SPAN_FRAMES, _HALF_SPAN_FRAMES))
        if before is not None and after is not None:
            span_s = 2 * _HALF_SPAN_FRAMES * _FRAME_S
            velocities[row] = (positions[after] - positions[before]) / span_s
    return np.column_stack([positions, velocities])


def motion_errors(truth: Array, states: Array, cov: Array, label_ids: Ints) -> MotionErrors:
    """Compare K matched pairs.

    Args:
        truth: (K, 4) of labels; rows with NaN are left out.
        states: (K, 4) of tracks.
        cov: (K, 4, 4) their covariance.
        label_ids: (K,) identities of the labels.
    """
    known = np.isfinite(truth).all(axis=1)
    error, cov, truth = (states - truth)[known], cov[known], truth[known]
    nees = np.column_stack(
        [
            np.einsum("ki,ki->k", e, np.linalg.solve(c, e[..., None])[..., 0])
            for e, c in ((error[:, :2], cov[:, :2, :2]), (error[:, 2:], cov[:, 2:, 2:]))
        ]
    )
    return MotionErrors(_turned(error, truth), nees, len(np.unique(label_ids[known])))


def _turned(error: Array, truth: Array) -> Array:
    """Errors along and across the true velocity."""
    speed = np.hypot(truth[:, 2], truth[:, 3])
    moving = speed > 0.5
    c = np.where(moving, truth[:, 2] / np.maximum(speed, 0.5), 1.0)
    s = np.where(moving, truth[:, 3] / np.maximum(speed, 0.5), 0.0)
    x, y, vx, vy = error.T
    return np.column_stack([c * x + s * y, c * y - s * x, c * vx + s * vy, c * vy - s * vx])


def summary(parts: Sequence[MotionErrors]) -> dict[str, float | int | list[float]]:
    """RMSE and bias of velocity, and mean NEES with its 95 % band, over sequences.

    Errors of one object in successive frames are not independent, so that the band is that of as many samples as
    there are trajectories.
    """
    errors = np.concatenate([p.errors for p in parts])
    nees = np.concatenate([p.nees for p in parts])
    n = sum(p.trajectories for p in parts)
    if not n:
        return {"samples": 0, "trajectories": 0}
    band = [float(chi2.ppf(q, 2 * n) / n) for q in (0.025, 0.975)]
    inside = (nees <= chi2.ppf(0.95, 2)).mean(axis=0)
    return {
        "samples": len(errors),
        "trajectories": n,
        "velocity_rmse_mps": float(np.sqrt((errors[:, 2:] ** 2).sum(axis=1).mean())),
        "velocity_bias_along_mps": float(errors[:, 2].mean()),
        "velocity_bias_across_mps": float(errors[:, 3].mean()),
        "velocity_median_error_mps": float(np.median(np.hypot(errors[:, 2], errors[:, 3]))),
        "nees_position": float(nees[:, 0].mean()),
        "nees_velocity": float(nees[:, 1].mean()),
        "nees_band_95": band,
        "nees_position_quantiles": np.quantile(nees[:, 0], PROBABILITIES).tolist(),
        "nees_velocity_quantiles": np.quantile(nees[:, 1], PROBABILITIES).tolist(),
        "share_within_95_position": float(inside[0]),
        "share_within_95_velocity": float(inside[1]),
    }
