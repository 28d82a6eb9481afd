"""Two motion models that interact: an object stands, or it moves at a nearly constant velocity.

Standing is a model of its own because most things stand, and a filter that only knows motion gives each of them a
little phantom speed. Method: the interacting multiple model estimator (Bar-Shalom, Li and Kirubarajan, Estimation
with Applications to Tracking and Navigation, 2001, section 11.6.6), for N objects at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
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
        mean = np.einsum("nk,nki->ni", self.weight, self.mean)
        return mean, _spread(self.weight, self.mean - mean[:, None], self.cov)


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

    @classmethod
    def from_config(cls, config: TrackerConfig) -> MotionModel:
        """Gather the settings of all classes."""
        return cls(**{f.name: config.by_class(f.name) for f in fields(cls)})

    def start(self, position_m: Array, position_cov_m2: Array, class_ids: Ints) -> MotionState:
        """States of objects seen for the first time: (N, 2) positions with (N, 2, 2) covariance, velocity unknown."""
        n = len(position_m)
        mean = np.zeros((n, 2, 4))
        mean[..., :2] = position_m[:, None]
        cov = np.zeros((n, 2, 4, 4))
        cov[..., :2, :2] = position_cov_m2[:, None]
        speed_mps = np.stack([np.full(n, _RESIDUAL_SPEED_MPS), self.first_speed_mps[class_ids]], axis=1)
        cov[..., 2, 2] = cov[..., 3, 3] = speed_mps**2
        moving = self.moving_prior[class_ids]
        return MotionState(mean, cov, np.stack([1 - moving, moving], axis=1))

    def predict(self, state: MotionState, class_ids: Ints, dt_s: float) -> MotionState:
        """The states ``dt_s`` later."""
        mixed = _mix(state, self._transition(class_ids, dt_s))
        step = np.zeros((2, 4, 4))
        step[:, :2, :2] = np.eye(2)
        step[MOVING, :2, 2:] = dt_s * np.eye(2)
        step[MOVING, 2:, 2:] = np.eye(2)
        mean = np.einsum("kij,nkj->nki", step, mixed.mean)
        cov = step @ mixed.cov @ step.transpose(0, 2, 1) + self._noise(class_ids, dt_s)
        return MotionState(mean, cov, mixed.weight)

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
        innovation = position_m[:, None] - state.mean[..., :2]
        innovation_cov = state.cov[..., :2, :2] + position_cov_m2[:, None]
        information = np.linalg.inv(innovation_cov)
        gain = state.cov[..., :, :2] @ information
        mean = state.mean + np.einsum("nkij,nkj->nki", gain, innovation)
        # Joseph's form: stays symmetric and positive whatever the rounding.
        keep = np.broadcast_to(np.eye(4), state.cov.shape).copy()
        keep[..., :, :2] -= gain
        cov = keep @ state.cov @ _transposed(keep) + gain @ position_cov_m2[:, None] @ _transposed(gain)
        distance2 = np.einsum("nki,nkij,nkj->nk", innovation, information, innovation)
        log_likelihood = -0.5 * (distance2 + np.linalg.slogdet(innovation_cov)[1])
        for_moving = log_likelihood[:, MOVING] - log_likelihood[:, STANDING]
        odds = state.weight[:, MOVING] / state.weight[:, STANDING]
        odds = odds * np.exp(
            np.clip(for_moving, -_MOST_LOG_ODDS, np.log(self.moving_odds_per_look[class_ids]))
        )
        # Neither model may die out for good: an object that stood for an hour can still start.
        moving = np.clip(odds / (1 + odds), 1e-6, 1 - 1e-6)
        return MotionState(mean, cov, np.stack([1 - moving, moving], axis=1))

    def _transition(self, class_ids: Ints, dt_s: float) -> Array:
        """(N, 2, 2) probability of going from one model (row) to another: exponential dwell times."""
        starts = -np.expm1(-dt_s / self.stands_for_s[class_ids])
        stops = -np.expm1(-dt_s / self.moves_for_s[class_ids])
        return np.stack([np.stack([1 - starts, starts], -1), np.stack([stops, 1 - stops], -1)], axis=1)

    def _noise(self, class_ids: Ints, dt_s: float) -> Array:
        """(N, 2, 4, 4) process noise; of the moving model: continuous white noise acceleration (ibid., 6.2.2)."""
        noise = np.zeros((len(class_ids), 2, 4, 4))
        diagonal = np.arange(2)
        noise[:, STANDING, diagonal, diagonal] = (self.standing_drift_m[class_ids] ** 2 * dt_s)[:, None]
        noise[:, STANDING, 2 + diagonal, 2 + diagonal] = _RESIDUAL_SPEED_MPS**2
        density = (self.speed_change_mps[class_ids] ** 2)[:, None]
        noise[:, MOVING, diagonal, diagonal] = density * dt_s**3 / 3
        noise[:, MOVING, diagonal, 2 + diagonal] = density * dt_s**2 / 2
        noise[:, MOVING, 2 + diagonal, diagonal] = density * dt_s**2 / 2
        noise[:, MOVING, 2 + diagonal, 2 + diagonal] = density * dt_s
        return noise


def _mix(state: MotionState, transition: Array) -> MotionState:
    """What each model starts the step from, given that objects may just have changed model."""
    joint = transition * state.weight[:, :, None]
    weight = joint.sum(axis=1)
    share = joint / weight[:, None]
    mean = np.einsum("nij,nid->njd", share, state.mean)
    apart = state.mean[:, :, None] - mean[:, None]
    cov = np.stack([_spread(share[:, :, j], apart[:, :, j], state.cov) for j in (STANDING, MOVING)], axis=1)
    return MotionState(mean, cov, weight)


def _spread(weight: Array, apart: Array, cov: Array) -> Array:
    """(N, 4, 4) covariance of a mixture with (N, 2) weights whose means lie (N, 2, 4) apart from the common one."""
    return np.asarray(np.einsum("nk,nkij->nij", weight, cov + apart[..., :, None] * apart[..., None, :]))


def _transposed(matrices: Array) -> Array:
    return np.swapaxes(matrices, -1, -2)
