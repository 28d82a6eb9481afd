"""The filter of accelerations, against what can be worked out by hand and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import chi2

from perception_platform.core.objects import ObjectClass
from perception_platform.tracking.acceleration import RampModel, RampState
from perception_platform.tracking.config import TrackerConfig

CONFIG = TrackerConfig()
MODEL = RampModel.from_config(CONFIG)
CAR = CONFIG.classes[ObjectClass.CAR]


def cars(n: int) -> np.ndarray:
    return np.full(n, int(ObjectClass.CAR))


def started(n: int = 1, sigma_m: float = 0.1) -> RampState:
    return MODEL.start(np.zeros((n, 2)), np.tile(np.eye(2) * sigma_m**2, (n, 1, 1)), cars(n))


def test_prediction_is_the_exact_solution_of_the_model() -> None:
    # Van Loan's method: transition and noise out of one matrix exponential.
    dt_s, a = 0.4, 1 / CAR.acceleration_s
    f = np.array([[0.0, 1, 0], [0, 0, 1], [0, 0, -a]])
    q = np.zeros((3, 3))
    q[2, 2] = 2 * a * CAR.acceleration_mps2**2
    both = expm(np.block([[-f, q], [np.zeros((3, 3)), f.T]]) * dt_s)
    step = both[3:, 3:].T
    state = started()
    state.mean[0] = [[1.0, 2.0, 0.5], [-1.0, 0.0, 0.3]]
    after = MODEL.predict(state, cars(1), dt_s)
    assert after.mean[0] == pytest.approx(state.mean[0] @ step.T)
    assert after.cov[0] == pytest.approx(step @ state.cov[0] @ step.T + step @ both[:3, 3:])


def test_an_update_is_the_textbook_kalman_update_and_takes_the_worse_direction_for_the_noise() -> None:
    state = MODEL.predict(started(), cars(1), 0.5)
    cov = np.array([[[0.04, 0.03], [0.03, 0.04]]])  # 0.07 along the diagonal
    after = MODEL.update(state, np.array([[0.3, -0.2]]), cov)
    p = state.cov[0]
    gain = p[:, 0] / (p[0, 0] + 0.07)
    assert after.mean[0, 0] == pytest.approx(state.mean[0, 0] + gain * 0.3)
    assert after.mean[0, 1] == pytest.approx(state.mean[0, 1] - gain * 0.2)
    assert after.cov[0] == pytest.approx(p - np.outer(gain, p[0]))


def test_a_braking_car_is_seen_to_brake() -> None:
    rng = np.random.default_rng(1)
    state = started()
    for i in range(1, 31):
        t_s = 0.1 * i
        seen = np.array([[10 * t_s - t_s**2, 0.0]]) + rng.normal(0, 0.05, (1, 2))
        state = MODEL.update(MODEL.predict(state, cars(1), 0.1), seen, np.eye(2)[None] * 0.05**2)
    acceleration, cov = state.merged(np.ones(1))
    assert acceleration[0] == pytest.approx([-2.0, 0.0], abs=3 * cov[0, 0, 0] ** 0.5)
    assert acceleration[0, 0] < -1.0


def test_covariances_of_accelerations_are_honest_where_the_world_is_as_assumed() -> None:
    rng = np.random.default_rng(2)
    n, dt_s, sigma_m = 400, 0.1, 0.1
    fade = np.exp(-dt_s / CAR.acceleration_s)
    truth = np.zeros((n, 2, 3))
    truth[..., 1] = rng.normal(0, CAR.first_speed_mps, (n, 2))
    truth[..., 2] = rng.normal(0, CAR.acceleration_mps2, (n, 2))
    state = started(n, sigma_m)
    for _ in range(30):
        for _ in range(10):  # the world goes on in finer steps
            truth[..., 0] += 0.01 * truth[..., 1] + 0.01**2 / 2 * truth[..., 2]
            truth[..., 1] += 0.01 * truth[..., 2]
            noise = CAR.acceleration_mps2 * np.sqrt(1 - fade**0.2)
            truth[..., 2] = fade**0.1 * truth[..., 2] + rng.normal(0, noise, (n, 2))
        seen = truth[..., 0] + rng.normal(0, sigma_m, (n, 2))
        state = MODEL.update(
            MODEL.predict(state, cars(n), dt_s), seen, np.tile(np.eye(2) * sigma_m**2, (n, 1, 1))
        )
    acceleration, cov = state.merged(np.ones(n))
    error = acceleration - truth[..., 2]
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(cov), error).mean()
    low, high = chi2.ppf([0.001, 0.999], 2 * n) / n
    assert low < nees < high


def test_what_surely_stands_has_no_acceleration_and_doubt_widens_the_covariance() -> None:
    state = started(2)
    state.mean[:, :, 2] = [1.0, -0.6]
    acceleration, cov = state.merged(np.array([1e-6, 0.5]))
    assert acceleration == pytest.approx(np.array([[0.0, 0.0], [0.5, -0.3]]), abs=1e-5)
    assert cov[0] == pytest.approx(np.zeros((2, 2)), abs=1e-3)
    axis = 0.5 * CAR.acceleration_mps2**2
    assert cov[1] == pytest.approx(np.array([[axis + 0.25, -0.15], [-0.15, axis + 0.09]]), abs=1e-3)
    assert np.linalg.eigvalsh(cov).min() > 0


def test_very_short_steps_keep_the_covariance_positive() -> None:
    state = started()
    for _ in range(200):
        state = MODEL.predict(state, cars(1), 1e-4)
        state = MODEL.update(state, np.zeros((1, 2)), np.eye(2)[None] * 0.01)
        assert np.linalg.eigvalsh(state.cov[0]).min() > 0
