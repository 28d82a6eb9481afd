"""The two interacting motion models, against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perception_platform.core.objects import ObjectClass
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.motion import MOVING, STANDING, MotionModel, MotionState

MODEL = MotionModel.from_config(TrackerConfig())
PERSON = np.array([int(ObjectClass.PERSON)])
COV = np.eye(2)[None] * 0.05**2


def started() -> MotionState:
    return MODEL.start(np.zeros((1, 2)), COV, PERSON)


def test_a_new_object_has_unknown_velocity_and_the_prior_of_its_class() -> None:
    state = started()
    person = TrackerConfig().classes[ObjectClass.PERSON]
    assert state.weight[0, MOVING] == pytest.approx(person.moving_prior)
    assert state.cov[0, MOVING, 2, 2] == pytest.approx(person.first_speed_mps**2)
    assert state.merged()[0][0, 2:] == pytest.approx([0, 0])


def test_one_long_step_equals_many_short_ones_of_the_moving_model() -> None:
    # Weights pinned to moving: then the prediction is the plain continuous-noise Kalman prediction.
    state = started()
    state = MotionState(state.mean + np.array([0, 0, 1.0, 0]), state.cov, np.array([[1e-12, 1 - 1e-12]]))
    sure = np.full(7, 1e12)
    model = MotionModel(
        MODEL.first_speed_mps, MODEL.speed_change_mps, MODEL.moving_prior, sure, sure, MODEL.standing_drift_m,
        MODEL.moving_odds_per_look, MODEL.sideways_mps,
    )  # fmt: skip
    once = model.predict(state, PERSON, 1.0)
    many = state
    for _ in range(10):
        many = model.predict(many, PERSON, 0.1)
    assert many.mean[0, MOVING] == pytest.approx(once.mean[0, MOVING])
    assert many.cov[0, MOVING] == pytest.approx(once.cov[0, MOVING], rel=1e-6)
    density = TrackerConfig().classes[ObjectClass.PERSON].speed_change_mps ** 2
    expected = COV[0, 0, 0] + TrackerConfig().classes[ObjectClass.PERSON].first_speed_mps ** 2 + density / 3
    assert once.cov[0, MOVING, 0, 0] == pytest.approx(expected)


def test_update_of_a_single_model_is_the_textbook_kalman_update() -> None:
    state = started()
    measured = np.array([[0.3, -0.1]])
    after = MODEL.update(state, measured, COV, PERSON)
    prior = state.cov[0, STANDING, :2, :2]
    gain = prior @ np.linalg.inv(prior + COV[0])
    assert after.mean[0, STANDING, :2] == pytest.approx(gain @ measured[0])
    assert after.cov[0, STANDING, :2, :2] == pytest.approx((np.eye(2) - gain) @ prior)


def test_models_are_weighed_by_likelihood_up_to_the_bound_per_look() -> None:
    state = MODEL.predict(started(), PERSON, 0.1)
    before = state.weight[0, MOVING] / state.weight[0, STANDING]
    far = MODEL.update(state, np.array([[0.4, 0.0]]), COV, PERSON)
    after = far.weight[0, MOVING] / far.weight[0, STANDING]
    assert after / before == pytest.approx(TrackerConfig().classes[ObjectClass.PERSON].moving_odds_per_look)
    here = MODEL.update(state, np.zeros((1, 2)), COV, PERSON)
    assert here.weight[0, MOVING] < state.weight[0, MOVING]


def test_covariances_stay_symmetric_and_positive_over_a_long_run() -> None:
    rng = np.random.default_rng(5)
    state = started()
    for dt_s in rng.uniform(0.01, 1.0, 200):
        state = MODEL.predict(state, PERSON, float(dt_s))
        state = MODEL.update(state, rng.normal(0, 0.5, (1, 2)), COV, PERSON)
        assert np.abs(state.cov - np.swapaxes(state.cov, -1, -2)).max() < 1e-9
        assert np.linalg.eigvalsh(state.cov).min() > 0
        assert state.weight.sum() == pytest.approx(1)


def test_moving_a_reference_point_leaves_velocity_and_weights_alone() -> None:
    state = MODEL.predict(started(), PERSON, 0.1)
    moved = state.moved(np.array([[1.0, 2.0]]))
    assert moved.mean[..., :2] == pytest.approx(state.mean[..., :2] + np.array([1.0, 2.0]))
    assert (moved.mean[..., 2:] == state.mean[..., 2:]).all()
    assert (moved.weight == state.weight).all()
