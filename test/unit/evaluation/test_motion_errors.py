"""Errors of motion against truth made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.evaluation.kitti_run import ego_states
from perception_platform.evaluation.motion_errors import label_states, motion_errors, summary
from test.unit.evaluation.boxes import boxes


def test_velocity_of_labels_is_over_ground_and_unknown_at_the_ends() -> None:
    # The camera goes ahead with 10 m/s, and so does the car before it.
    egos = ego_states([Transform(np.eye(3), np.array([0.0, 0.0, 1.0 * i])) for i in range(7)], 7)
    states = label_states(boxes([(i, 4, 0.0) for i in range(7)]), egos)
    assert np.isnan(states[[0, 1, 5, 6], 2]).all()
    assert states[2:5, 2:4] == pytest.approx(np.tile([10.0, 0.0], (3, 1)))
    assert states[:, 0] == pytest.approx(20.0 + np.arange(7))


def test_acceleration_of_labels_is_that_of_the_parabola_through_them() -> None:
    n = 16
    ahead_m = 0.5 * 3.0 * (0.1 * np.arange(n)) ** 2  # the camera speeds up with 3 m/s², and the car with it
    egos = ego_states([Transform(np.eye(3), np.array([0.0, 0.0, z])) for z in ahead_m], n)
    states = label_states(boxes([(i, 4, 0.0) for i in range(n)]), egos)
    assert np.isnan(states[[5, 10], 4]).all()
    assert states[6:10, 4:] == pytest.approx(np.tile([3.0, 0.0], (4, 1)))


def test_nees_is_the_squared_error_in_units_of_the_covariance() -> None:
    truth = np.array([[0.0, 0, 0, 2.0, 0, 1.0], [0, 0, np.nan, 0, 0, 0]])
    states = np.array([[0.3, 0.4, 0, 3.0, 0.5, 1.0], [9, 9, 9, 9, 9, 9]])
    cov = np.tile(np.diag([0.25, 0.25, 0.5, 0.5, 0.25, 1.0]), (2, 1, 1))
    found = motion_errors(truth, states, cov, np.array([1, 2]))
    assert found.nees == pytest.approx(np.array([[1.0, 2.0, 1.0]]))
    # Along the true motion, which is along y, the speed is 1 m/s too high.
    assert found.errors[0] == pytest.approx([0.4, -0.3, 1.0, 0.0, 0.0, -0.5])
    assert found.trajectories == 1


def test_honest_errors_fall_into_the_band() -> None:
    rng = np.random.default_rng(2)
    n = 400
    cov = np.tile(np.diag([0.1, 0.2, 0.5, 1.0, 1.0, 1.0]), (n, 1, 1))
    states = rng.multivariate_normal(np.zeros(6), cov[0], n)
    truth = np.zeros((n, 6))
    truth[:100, 4:] = np.nan  # at the ends of labels
    found = summary([motion_errors(truth, states, cov, np.arange(n))])
    low, high = found["nees_band_95"]  # type: ignore[misc]
    assert low < found["nees_position"] < high  # type: ignore[operator]
    assert found["share_within_95_position"] == pytest.approx(0.95, abs=0.04)
    dishonest = summary([motion_errors(truth, 2 * states, cov, np.arange(n))])
    assert dishonest["nees_position"] > high  # type: ignore[operator]
    assert found["velocity_rmse_mps"] == pytest.approx(1.5**0.5, rel=0.1)
    assert low < found["nees_acceleration"] < high  # type: ignore[operator]
    assert found["acceleration_samples"] == n - 100


def test_nothing_is_said_of_what_a_tracker_does_not_estimate() -> None:
    cov = np.zeros((3, 6, 6))
    cov[:, :4, :4] = np.eye(4)
    found = summary([motion_errors(np.zeros((3, 6)), np.zeros((3, 6)), cov, np.arange(3))])
    assert found["nees_velocity"] == 0
    assert not any("acceleration" in name for name in found)
