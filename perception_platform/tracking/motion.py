"""Two motion models that interact: an object stands, or it moves at a nearly constant velocity.

Standing is a model of its own because most things stand, and a filter that only knows motion gives each of them a
little phantom speed. Method: the interacting multiple model estimator (Bar-Shalom, Li and Kirubarajan, Estimation
with Applications to Tracking and Navigation, 2001, section 11.6.6), for N objects at once. What rolls cannot move
sideways: where the heading is known, that is one more measurement, of a lateral speed of nought.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig

STANDING, MOVING = 0, 1
_MOST_LOG_ODDS = 20.0
_RESIDUAL_SPEED_MPS = 0.02  # keeps the standing model's covariance invertible


@dataclass(frozen=True, slots=True)
class MotionState:
    """Belief about N objects under the two models.

    Attributes:
        mean: (N, 2, 4) x, y, vx, vy under each model, m and m/s.
        cov: (N, 2, 4, 4) covariance under each model.
        weight: (N, 2) probability of each model.
    """

    mean: Array
    cov: Array
    weight: Array

    def moved(self, offset_m: Array) -> MotionState:
        """The same objects (N, 2) further, without having moved: their reference points are placed anew."""
        mean = self.mean.copy()
        mean[..., :2] += offset_m[:, None]
        return replace(self, mean=mean)

    def merged(self) -> tuple[Array, Array]:
        """Mean (N, 4) and covariance (N, 4, 4) over both models."""
        mean, cov = merged_states(self.mean, self.cov, self.weight)
        return mean, cov


@dataclass(frozen=True, slots=True)
class MotionModel:
    """The settings of motion as arrays over classes, ready to be looked up for N objects."""

    first_speed_mps: Array
    speed_change_mps: Array
    moving_prior: Array
    stands_for_s: Array
    moves_for_s: Array
    standing_drift_m: Array
    moving_odds_per_look: Array
    sideways_mps: Array

    @classmethod
    def from_config(cls, config: TrackerConfig) -> MotionModel:
        """Gather the settings of all classes."""
        return cls(**{f.name: config.by_class(f.name) for f in fields(cls)})

    def start(self, position_m: Array, position_cov_m2: Array, class_ids: Ints) -> MotionState:
        """States of objects seen for the first time: (N, 2) positions with (N, 2, 2) covariance, velocity unknown."""
        settings = (self.first_speed_mps, self.moving_prior)
        return MotionState(*_started(position_m, position_cov_m2, class_ids, *settings))

    def predict(self, state: MotionState, class_ids: Ints, dt_s: float) -> MotionState:
        """The states ``dt_s`` later."""
        times_s, noises = (
            (self.stands_for_s, self.moves_for_s),
            (self.standing_drift_m, self.speed_change_mps),
        )
        mixed = _mixed(state.mean, state.cov, state.weight, class_ids, *times_s, dt_s)
        _predict(*mixed[:2], class_ids, *noises, dt_s)
        return MotionState(*mixed)

    def update(
        self, state: MotionState, position_m: Array, position_cov_m2: Array, class_ids: Ints
    ) -> MotionState:
        """Kalman update of both models with one measured position an object.

        Args:
            state: N predicted states.
            position_m: (N, 2) measured positions.
            position_cov_m2: (N, 2, 2) their covariances, positive definite.
            class_ids: (N,) classes.

        Returns:
            The states after it. The models are weighed anew by how well each foresaw the measurement.
        """
        seen = (position_m, position_cov_m2, class_ids, self.moving_odds_per_look)
        return MotionState(*_updated(state.mean, state.cov, state.weight, *seen))

    def rolled(self, state: MotionState, yaws_rad: Array, yaw_var: Array, class_ids: Ints) -> MotionState:
        """The moving model told that its speed across the heading is nought, as far as the class and the heading go.

        Args:
            state: N states.
            yaws_rad: (N,) headings.
            yaw_var: (N,) their variances, rad^2.
            class_ids: (N,) classes; an infinite ``sideways_mps`` leaves an object as it is.
        """
        mean, cov = _rolled(state.mean, state.cov, yaws_rad, yaw_var, class_ids, self.sideways_mps)
        return MotionState(mean, cov, state.weight)


@compiled("Tuple((f8[:,::1], f8[:,:,::1]))(f8[:,:,:], f8[:,:,:,:], f8[:,:])")
def merged_states(mean: Array, cov: Array, weight: Array) -> tuple[Array, Array]:
    n = len(mean)
    out_mean = np.empty((n, 4))
    out_cov = np.empty((n, 4, 4))
    for k in range(n):
        w0, w1 = weight[k, 0], weight[k, 1]
        for i in range(4):
            out_mean[k, i] = w0 * mean[k, 0, i] + w1 * mean[k, 1, i]
        for i in range(4):
            for j in range(4):
                apart = (mean[k, 0, i] - mean[k, 1, i]) * (mean[k, 0, j] - mean[k, 1, j])
                out_cov[k, i, j] = w0 * cov[k, 0, i, j] + w1 * cov[k, 1, i, j] + w0 * w1 * apart
    return out_mean, out_cov


@compiled("Tuple((f8[:,:,::1], f8[:,:,:,::1], f8[:,::1]))(f8[:,:], f8[:,:,:], i8[:], f8[::1], f8[::1])")
def _started(
    position_m: Array, position_cov_m2: Array, class_ids: Ints, first_speed_mps: Array, moving_prior: Array
) -> tuple[Array, Array, Array]:
    n = len(position_m)
    mean, cov, weight = np.zeros((n, 2, 4)), np.zeros((n, 2, 4, 4)), np.empty((n, 2))
    for k in range(n):
        moving = moving_prior[class_ids[k]]
        weight[k, 0], weight[k, 1] = 1 - moving, moving
        for m in range(2):
            speed2 = (first_speed_mps[class_ids[k]] if m else _RESIDUAL_SPEED_MPS) ** 2
            for i in range(2):
                mean[k, m, i] = position_m[k, i]
                cov[k, m, i, :2] = position_cov_m2[k, i]
                cov[k, m, 2 + i, 2 + i] = speed2
    return mean, cov, weight


@compiled(
    "Tuple((f8[:,:,::1], f8[:,:,:,::1], f8[:,::1]))"
    "(f8[:,:,:], f8[:,:,:,:], f8[:,:], i8[:], f8[::1], f8[::1], f8)"
)
def _mixed(
    mean: Array,
    cov: Array,
    weight: Array,
    class_ids: Ints,
    stands_for_s: Array,
    moves_for_s: Array,
    dt_s: float,
) -> tuple[Array, Array, Array]:
    """What each model starts from, given that objects may just have changed model: dwell times are exponential."""
    out_mean, out_cov, out_weight = np.empty_like(mean), np.empty_like(cov), np.empty_like(weight)
    for k in range(len(mean)):
        starts = -np.expm1(-dt_s / stands_for_s[class_ids[k]])
        stops = -np.expm1(-dt_s / moves_for_s[class_ids[k]])
        for m in range(2):
            from_standing = weight[k, 0] * (starts if m else 1 - starts)
            from_moving = weight[k, 1] * (1 - stops if m else stops)
            total = from_standing + from_moving
            a, b = from_standing / total, from_moving / total
            out_weight[k, m] = total
            for i in range(4):
                out_mean[k, m, i] = a * mean[k, 0, i] + b * mean[k, 1, i]
                for j in range(4):
                    apart = (mean[k, 0, i] - mean[k, 1, i]) * (mean[k, 0, j] - mean[k, 1, j])
                    out_cov[k, m, i, j] = a * cov[k, 0, i, j] + b * cov[k, 1, i, j] + a * b * apart
    return out_mean, out_cov, out_weight


@compiled("void(f8[:,:,::1], f8[:,:,:,::1], i8[:], f8[::1], f8[::1], f8)")
def _predict(
    mean: Array, cov: Array, class_ids: Ints, drift_m: Array, speed_change_mps: Array, dt_s: float
) -> None:
    """Standing: position kept, no speed. Moving: constant velocity, continuous white noise acceleration (ibid., 6.2.2).

    In place.
    """
    residual2 = _RESIDUAL_SPEED_MPS**2
    for k in range(len(mean)):
        still, change2 = drift_m[class_ids[k]] ** 2 * dt_s, speed_change_mps[class_ids[k]] ** 2
        for i in range(2):
            mean[k, 0, 2 + i] = 0.0
            mean[k, 1, i] += dt_s * mean[k, 1, 2 + i]
        cov[k, 0, 2:, :] = 0.0
        cov[k, 0, :2, 2:] = 0.0
        p = cov[k, 1]
        for i in range(2):  # F P F' with F = [I, dt I; 0, I], in place: rows, then columns
            for j in range(4):
                p[i, j] += dt_s * p[2 + i, j]
        for j in range(2):
            for i in range(4):
                p[i, j] += dt_s * p[i, 2 + j]
        for i in range(2):
            cov[k, 0, i, i] += still
            cov[k, 0, 2 + i, 2 + i] = residual2
            p[i, i] += change2 * dt_s**3 / 3
            p[i, 2 + i] += change2 * dt_s**2 / 2
            p[2 + i, i] += change2 * dt_s**2 / 2
            p[2 + i, 2 + i] += change2 * dt_s


@compiled("void(f8[:,:], f8[:,::1], f8[:,:], f8[:,::1], f8[:,::1], f8[:,::1])")
def _joseph(p: Array, gain: Array, r: Array, keep: Array, half: Array, out: Array) -> None:
    """Covariance after an update in Joseph's form: it stays symmetric and positive whatever the rounding."""
    for i in range(4):
        for j in range(4):
            keep[i, j] = (1.0 if i == j else 0.0) - (gain[i, j] if j < 2 else 0.0)
    for i in range(4):
        for j in range(4):
            half[i, j] = 0.0
            for m in range(4):
                half[i, j] += keep[i, m] * p[m, j]
    for i in range(4):
        for j in range(i + 1):
            noise = gain[i, 0] * (r[0, 0] * gain[j, 0] + r[0, 1] * gain[j, 1])
            noise += gain[i, 1] * (r[1, 0] * gain[j, 0] + r[1, 1] * gain[j, 1])
            kept = 0.0
            for m in range(4):
                kept += half[i, m] * keep[j, m]
            out[i, j] = out[j, i] = kept + noise


@compiled("void(f8[:], f8[::1], f8, f8[::1])")
def _reweighed(weight: Array, log_likelihood: Array, most: float, out: Array) -> None:
    """Bayes' rule on the odds of moving. Neither model may die out for good: what stood for an hour can still start."""
    for_moving = min(max(log_likelihood[1] - log_likelihood[0], -_MOST_LOG_ODDS), np.log(most))
    odds = weight[1] / weight[0] * np.exp(for_moving)
    out[1] = min(max(odds / (1 + odds), 1e-6), 1 - 1e-6)
    out[0] = 1 - out[1]


@compiled(
    "Tuple((f8[:,:,::1], f8[:,:,:,::1], f8[:,::1]))"
    "(f8[:,:,:], f8[:,:,:,:], f8[:,:], f8[:,:], f8[:,:,:], i8[:], f8[::1])"
)
def _updated(
    mean: Array,
    cov: Array,
    weight: Array,
    measured: Array,
    measured_cov: Array,
    class_ids: Ints,
    most_odds: Array,
) -> tuple[Array, Array, Array]:
    n = len(mean)
    out_mean, out_cov, out_weight = np.empty_like(mean), np.empty_like(cov), np.empty_like(weight)
    gain, keep, half, log_likelihood = np.empty((4, 2)), np.empty((4, 4)), np.empty((4, 4)), np.empty(2)
    for k in range(n):
        r = measured_cov[k]
        for m in range(2):
            p = cov[k, m]
            a, b, d = p[0, 0] + r[0, 0], p[0, 1] + r[0, 1], p[1, 1] + r[1, 1]
            det = a * d - b * b
            x, y = measured[k, 0] - mean[k, m, 0], measured[k, 1] - mean[k, m, 1]
            log_likelihood[m] = -0.5 * ((d * x * x - 2 * b * x * y + a * y * y) / det + np.log(det))
            for i in range(4):
                gain[i, 0] = (p[i, 0] * d - p[i, 1] * b) / det
                gain[i, 1] = (p[i, 1] * a - p[i, 0] * b) / det
                out_mean[k, m, i] = mean[k, m, i] + gain[i, 0] * x + gain[i, 1] * y
            _joseph(p, gain, r, keep, half, out_cov[k, m])
        _reweighed(weight[k], log_likelihood, most_odds[class_ids[k]], out_weight[k])
    return out_mean, out_cov, out_weight


@compiled(
    "Tuple((f8[:,:,::1], f8[:,:,:,::1]))(f8[:,:,:], f8[:,:,:,:], f8[:], f8[:], i8[:], f8[::1])",
    finite=False,
)
def _rolled(
    mean: Array, cov: Array, yaws_rad: Array, yaw_var: Array, class_ids: Ints, sideways_mps: Array
) -> tuple[Array, Array]:
    mean, cov = mean.copy(), cov.copy()
    gain = np.empty(4)
    for k in range(len(mean)):
        sideways = sideways_mps[class_ids[k]]
        if not np.isfinite(sideways):
            continue
        p = cov[k, 1]
        s, c = -np.sin(yaws_rad[k]), np.cos(yaws_rad[k])
        ahead2 = (c * mean[k, 1, 2] - s * mean[k, 1, 3]) ** 2
        lateral = s * mean[k, 1, 2] + c * mean[k, 1, 3]
        for i in range(4):
            gain[i] = s * p[i, 2] + c * p[i, 3]
        # A heading that is off lets the speed ahead show sideways.
        total = s * gain[2] + c * gain[3] + sideways**2 + ahead2 * yaw_var[k]
        for i in range(4):
            mean[k, 1, i] -= gain[i] * lateral / total
        for i in range(4):
            for j in range(4):
                p[i, j] -= gain[i] * gain[j] / total
    return mean, cov
