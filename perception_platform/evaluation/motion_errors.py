"""Errors of velocity and the honesty of covariances, against labels moved to the fixed frame.

NEES, the error squared in units of its own
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
_CURVE_FRAMES = 6
_FRAME_S = 0.1
_MOVING_MPS = 0.5
PROBABILITIES = tuple(round(0.05 * i, 2) for i in range(1, 20))


@dataclass(frozen=True, slots=True)
class MotionErrors:
    """Errors of K estimates whose truth is known.

    Attributes:
        errors: (K, 6) estimate less truth of x, y, vx, vy, ax, ay, in axes along and across the true motion where it
            moves, m, m/s and m/s²; NaN accelerations where the truth is not known.
        nees: (K, 3) of position, velocity and acceleration, two degrees of freedom each; NaN where that cannot be
            said.
        trajectories: how many labelled trajectories they are of.
    """

    errors: Array
    nees: Array
    trajectories: int


def label_states(labels: KittiBoxes, egos: Sequence[EgoState]) -> Array:
    """(N, 6) x, y, vx, vy, ax, ay of labels in the fixed frame; NaN where neighbours in time are missing.

    Velocities are central differences over 0.4 s; accelerations are those of the parabola through 1.2 s, by least
    squares, since second differences of labels are mostly noise.
    """
    positions = np.array(
        [
            egos[frame].odom_from_base.apply(center[None])[0, :2]
            for frame, center in zip(labels.frames.tolist(), in_base(labels), strict=True)
        ]
    ).reshape(-1, 2)
    velocities = label_velocities(labels, positions)
    return np.column_stack([positions, velocities, _derivative(labels, positions, _parabola_weights())])


def label_velocities(labels: KittiBoxes, positions_m: Array) -> Array:
    """(N, 2) of labels at positions (N, 2) in the fixed frame; NaN where neighbours in time are missing."""
    return _derivative(labels, positions_m, _difference_weights())


def _difference_weights() -> Array:
    weights = np.zeros(2 * _HALF_SPAN_FRAMES + 1)
    weights[[0, -1]] = np.array([-1.0, 1.0]) / (2 * _HALF_SPAN_FRAMES * _FRAME_S)
    return weights


def _parabola_weights() -> Array:
    t_s = _FRAME_S * np.arange(-_CURVE_FRAMES, _CURVE_FRAMES + 1)
    return np.asarray(2 * np.linalg.pinv(np.stack([np.ones_like(t_s), t_s, t_s**2], axis=1))[2])


def _derivative(labels: KittiBoxes, positions: Array, weights: Array) -> Array:
    """(N, 2) weighted sums over the frames around each label; NaN where one with a weight is missing."""
    row_of = {
        key: row for row, key in enumerate(zip(labels.ids.tolist(), labels.frames.tolist(), strict=True))
    }
    used = np.flatnonzero(weights)
    offsets = (used - len(weights) // 2).tolist()
    derivative = np.full((len(labels), 2), np.nan)
    for (track_id, frame), row in row_of.items():
        around = [row_of[key] for o in offsets if (key := (track_id, frame + o)) in row_of]
        if len(around) == len(offsets):
            derivative[row] = weights[used] @ positions[around]
    return derivative


def motion_errors(truth: Array, states: Array, cov: Array, label_ids: Ints) -> MotionErrors:
    """Compare K matched pairs.

    Args:
        truth: (K, 6) of labels; rows whose position or velocity is NaN are left out.
        states: (K, 6) of tracks.
        cov: (K, 6, 6) their covariance; all nought for what a tracker does not estimate.
        label_ids: (K,) identities of the labels.
    """
    known = np.isfinite(truth[:, :4]).all(axis=1)
    error, cov, truth = (states - truth)[known], cov[known], truth[known]
    nees = np.column_stack([_nees(error[:, i : i + 2], cov[:, i : i + 2, i : i + 2]) for i in (0, 2, 4)])
    return MotionErrors(_turned(error, truth), nees, len(np.unique(label_ids[known])))


def _nees(error: Array, cov: Array) -> Array:
    """(K,) squared errors (K, 2) in units of their covariance; NaN where there is none."""
    given = np.linalg.det(cov) > 0
    cov = np.where(given[:, None, None], cov, np.eye(2))
    nees = np.einsum("ki,ki->k", error, np.linalg.solve(cov, error[..., None])[..., 0])
    return np.where(given, nees, np.nan)


def _turned(error: Array, truth: Array) -> Array:
    """Errors along and across the true velocity."""
    speed = np.hypot(truth[:, 2], truth[:, 3])
    moving = speed > _MOVING_MPS
    c = np.where(moving, truth[:, 2] / np.maximum(speed, _MOVING_MPS), 1.0)
    s = np.where(moving, truth[:, 3] / np.maximum(speed, _MOVING_MPS), 0.0)
    pairs = [(error[:, i], error[:, i + 1]) for i in (0, 2, 4)]
    return np.column_stack([part for x, y in pairs for part in (c * x + s * y, c * y - s * x)])


def summary(parts: Sequence[MotionErrors]) -> dict[str, float | int | list[float]]:
    """RMSE and bias of velocity and acceleration, and mean NEES with its 95 % band, over sequences.

    Errors of one object in successive frames are not independent, so that the band is that of as many samples as
    there are trajectories.
    """
    errors = np.concatenate([p.errors for p in parts])
    nees = np.concatenate([p.nees for p in parts])
    n = sum(p.trajectories for p in parts)
    if not n:
        return {"samples": 0, "trajectories": 0}
    band = [float(chi2.ppf(q, 2 * n) / n) for q in (0.025, 0.975)]
    report: dict[str, float | int | list[float]] = {
        "samples": len(errors),
        "trajectories": n,
        "velocity_rmse_mps": float(np.sqrt((errors[:, 2:4] ** 2).sum(axis=1).mean())),
        "velocity_bias_along_mps": float(errors[:, 2].mean()),
        "velocity_bias_across_mps": float(errors[:, 3].mean()),
        "velocity_median_error_mps": float(np.median(np.hypot(errors[:, 2], errors[:, 3]))),
        "nees_band_95": band,
    }
    for i, name in enumerate(("position", "velocity")):
        report |= _honesty(nees[:, i], name)
    known = np.isfinite(errors[:, 4]) & np.isfinite(nees[:, 2])
    if known.any():
        report["acceleration_samples"] = int(known.sum())
        report["acceleration_rmse_mps2"] = float(np.sqrt((errors[known, 4:] ** 2).sum(axis=1).mean()))
        report |= _honesty(nees[known, 2], "acceleration")
    return report


def _honesty(nees: Array, name: str) -> dict[str, float | int | list[float]]:
    return {
        f"nees_{name}": float(nees.mean()),
        f"nees_{name}_quantiles": np.quantile(nees, PROBABILITIES).tolist(),
        f"share_within_95_{name}": float((nees <= chi2.ppf(0.95, 2)).mean()),
    }
