"""Accelerations: beside the motion models, a filter that only this is asked of.

Position, velocity and an acceleration that is correlated over a time constant (Singer, Estimating optimal tracking
filter performance for manned maneuvering targets, 1970). Both axes have the measurements' worse direction for their
noise, so that they share one covariance: it is never too small, and whoever turns the fixed frame turns the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig

_STANDING_MPS2 = 0.02  # keeps the covariance of what surely stands invertible


@dataclass(frozen=True, slots=True)
class RampState:
    """Belief about N objects, the two axes alike.

    Attributes:
        mean: (N, 2, 3) position, velocity and acceleration along x and along y, m, m/s and m/s².
        cov: (N, 3, 3) covariance of each axis.
    """

    mean: Array
    cov: Array

    def moved(self, offset_m: Array) -> RampState:
        """The same objects (N, 2) further, without having moved."""
        mean = self.mean.copy()
        mean[..., 0] += offset_m
        return replace(self, mean=mean)

    def merged(self, moving: Array) -> tuple[Array, Array]:
        """Accelerations (N, 2) and their covariance (N, 2, 2), of what moves with a probability (N,), else stands."""
        mean, cov = merged_ramps(self.mean, self.cov, moving)
        return mean, cov


@dataclass(frozen=True, slots=True)
class RampModel:
    """The settings of acceleration as arrays over classes."""

    first_speed_mps: Array
    acceleration_mps2: Array
    acceleration_s: Array

    @classmethod
    def from_config(cls, config: TrackerConfig) -> RampModel:
        """Gather the settings of all classes."""
        return cls(
            config.by_class("first_speed_mps"),
            config.by_class("acceleration_mps2"),
            config.by_class("acceleration_s"),
        )

    def start(self, position_m: Array, position_cov_m2: Array, class_ids: Ints) -> RampState:
        """States of objects seen for the first time: (N, 2) positions with (N, 2, 2) covariance."""
        settings = (self.first_speed_mps, self.acceleration_mps2)
        return RampState(*_started(position_m, position_cov_m2, class_ids, *settings))

    def predict(self, state: RampState, class_ids: Ints, dt_s: float) -> RampState:
        """The states ``dt_s`` later."""
        settings = (self.acceleration_mps2, self.acceleration_s)
        return RampState(*_predicted(state.mean, state.cov, class_ids, *settings, dt_s))

    def update(self, state: RampState, position_m: Array, position_cov_m2: Array) -> RampState:
        """Kalman update with measured positions (N, 2) of covariance (N, 2, 2)."""
        return RampState(*_updated(state.mean, state.cov, position_m, position_cov_m2))


@compiled("f8[::1](f8[:,:,:])")
def _worse(cov_m2: Array) -> Array:
    """(N,) the larger eigenvalue of covariances (N, 2, 2)."""
    out = np.empty(len(cov_m2))
    for k in range(len(cov_m2)):
        a, b, d = cov_m2[k, 0, 0], cov_m2[k, 0, 1], cov_m2[k, 1, 1]
        out[k] = (a + d) / 2 + np.hypot((a - d) / 2, b)
    return out


@compiled("Tuple((f8[:,:,::1], f8[:,:,::1]))(f8[:,:], f8[:,:,:], i8[:], f8[::1], f8[::1])")
def _started(
    position_m: Array, position_cov_m2: Array, class_ids: Ints, first_speed_mps: Array, sigma_mps2: Array
) -> tuple[Array, Array]:
    n = len(position_m)
    mean, cov = np.zeros((n, 2, 3)), np.zeros((n, 3, 3))
    mean[:, :, 0] = position_m
    cov[:, 0, 0] = _worse(position_cov_m2)
    for k in range(n):
        cov[k, 1, 1], cov[k, 2, 2] = first_speed_mps[class_ids[k]] ** 2, sigma_mps2[class_ids[k]] ** 2
    return mean, cov


@compiled("Tuple((f8[:,::1], f8[:,:,::1]))(f8[:,:,:], f8[:,:,:], f8[:])")
def merged_ramps(mean: Array, cov: Array, moving: Array) -> tuple[Array, Array]:
    out_mean, out_cov = np.empty((len(mean), 2)), np.empty((len(mean), 2, 2))
    for k in range(len(mean)):
        p = moving[k]
        axis = p * cov[k, 2, 2] + (1 - p) * _STANDING_MPS2**2
        for i in range(2):
            out_mean[k, i] = p * mean[k, i, 2]
            for j in range(2):
                out_cov[k, i, j] = axis * (i == j) + p * (1 - p) * (mean[k, i, 2] * mean[k, j, 2])
    return out_mean, out_cov


@compiled("Tuple((f8[:,:,::1], f8[:,:,::1]))(f8[:,:,:], f8[:,:,:], i8[:], f8[::1], f8[::1], f8)")
def _predicted(
    mean: Array, cov: Array, class_ids: Ints, sigma_mps2: Array, time_s: Array, dt_s: float
) -> tuple[Array, Array]:
    """Transition and process noise of the model, worked out for each object (ibid.)."""
    out_mean, out_cov = np.empty_like(mean), np.empty_like(cov)
    f, q, half = np.eye(3), np.empty((3, 3)), np.empty((3, 3))
    f[0, 1] = dt_s
    for k in range(len(mean)):
        a, sigma = 1 / time_s[class_ids[k]], sigma_mps2[class_ids[k]]
        x, e = a * dt_s, np.exp(-a * dt_s)
        f[0, 2], f[1, 2], f[2, 2] = (x - 1 + e) / a**2, (1 - e) / a, e
        q[0, 0] = (1 - e**2 + 2 * x + 2 * x**3 / 3 - 2 * x**2 - 4 * x * e) / a**4
        q[0, 1] = q[1, 0] = (e**2 + 1 - 2 * e + 2 * x * e - 2 * x + x**2) / a**3
        q[0, 2] = q[2, 0] = (1 - e**2 - 2 * x * e) / a**2
        q[1, 1] = (4 * e - 3 - e**2 + 2 * x) / a**2
        q[1, 2] = q[2, 1] = (e**2 + 1 - 2 * e) / a
        q[2, 2] = 1 - e**2
        for i in range(3):
            for axis in range(2):
                out_mean[k, axis, i] = 0.0
                for m in range(3):
                    out_mean[k, axis, i] += f[i, m] * mean[k, axis, m]
            for j in range(3):
                half[i, j] = 0.0
                for m in range(3):
                    half[i, j] += f[i, m] * cov[k, m, j]
        for i in range(3):
            for j in range(i + 1):
                value = 0.0
                for m in range(3):
                    value += half[i, m] * f[j, m]
                out_cov[k, i, j] = out_cov[k, j, i] = value + sigma**2 * q[i, j]
    return out_mean, out_cov


@compiled("Tuple((f8[:,:,::1], f8[:,:,::1]))(f8[:,:,:], f8[:,:,:], f8[:,:], f8[:,:,:])")
def _updated(mean: Array, cov: Array, measured: Array, measured_cov: Array) -> tuple[Array, Array]:
    """Joseph's form, as the covariance keeps its sign whatever the rounding."""
    out_mean, out_cov = np.empty_like(mean), np.empty_like(cov)
    gain, half = np.empty(3), np.empty((3, 3))
    variances = _worse(measured_cov)
    for k in range(len(mean)):
        p, variance = cov[k], variances[k]
        total = p[0, 0] + variance
        for i in range(3):
            gain[i] = p[i, 0] / total
        for axis in range(2):
            off = measured[k, axis] - mean[k, axis, 0]
            for i in range(3):
                out_mean[k, axis, i] = mean[k, axis, i] + gain[i] * off
        for i in range(3):
            for j in range(3):
                half[i, j] = p[i, j] - gain[i] * p[0, j]
        for i in range(3):
            for j in range(i + 1):
                value = half[i, j] - half[i, 0] * gain[j] + gain[i] * variance * gain[j]
                out_cov[k, i, j] = out_cov[k, j, i] = value
    return out_mean, out_cov
