"""The swept path: straight, on an arc, and backing up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState
from perception_platform.risk.path import along_arc, outline, predict_path

FOOTPRINT = np.array([[0.5, 0.3], [-0.4, 0.3], [-0.4, -0.3], [0.5, -0.3]])


def ego(vx_mps: float, yaw_rate_radps: float = 0.0) -> EgoState:
    return EgoState(0, Transform.identity(), (vx_mps, 0.0), yaw_rate_radps)


def test_straight_path_is_the_footprint_with_its_margin() -> None:
    path = predict_path(ego(1.0), FOOTPRINT, 0.1)
    assert path.front_s_m == pytest.approx(0.5)
    assert path.rear_m == pytest.approx(-0.4)
    assert (path.right_m, path.left_m) == pytest.approx((-0.4, 0.4))
    assert path.in_band(path.coordinates(np.array([[2.0, 0.39], [2.0, 0.41], [-1.0, 0.0]]))).tolist() == [
        True,
        False,
        False,
    ]


def test_backing_up_looks_behind() -> None:
    path = predict_path(ego(-0.5), FOOTPRINT, 0.1)
    assert path.front_s_m == pytest.approx(0.4)
    inside = path.in_band(path.coordinates(np.array([[-2.0, 0.0], [2.0, 0.0]])))
    assert inside.tolist() == [True, False]


@pytest.mark.parametrize("vx_mps", [1.0, -1.0])
@pytest.mark.parametrize("yaw_rate_radps", [0.0, 0.001, 0.6, -0.6, 1.9, -1.9])
def test_the_cheap_question_keeps_every_point_of_the_band(vx_mps: float, yaw_rate_radps: float) -> None:
    path = predict_path(ego(vx_mps, yaw_rate_radps), FOOTPRINT, 0.1)
    points_m = np.random.default_rng(1).uniform(-6, 6, (20_000, 3)).astype(np.float32)
    across_m = path.coordinates(points_m)[:, 1]
    may = path.may_be_in_band(points_m)
    assert may[path.in_band(path.coordinates(points_m))].all()
    assert not may[(across_m < path.right_m - 0.01) | (across_m > path.left_m + 0.01)].any()


@pytest.mark.parametrize("vx", [1.0, -1.0])
@pytest.mark.parametrize("yaw_rate", [0.5, -0.5])
def test_a_robot_that_keeps_turning_meets_the_point_at_the_predicted_way(vx: float, yaw_rate: float) -> None:
    """Drive the robot along its arc for a time and see where its own origin got to: s is the way, d is zero."""
    t_s = 1.2
    moved = ego(vx, yaw_rate)
    heading = yaw_rate * t_s
    radius = vx / yaw_rate
    point = np.array([[radius * np.sin(heading), radius * (1 - np.cos(heading))]])
    path = predict_path(moved, FOOTPRINT, 0.0)
    s, d = path.coordinates(point)[0]
    assert (s, d) == pytest.approx((abs(vx) * t_s, 0.0), abs=1e-9)


def test_corners_swing_out_of_the_straight_band_on_an_arc() -> None:
    straight, turning = (predict_path(ego(1.0, w), FOOTPRINT, 0.0) for w in (0.0, 1.0))
    assert turning.left_m - turning.right_m > straight.left_m - straight.right_m


@given(st.floats(-1.5, 1.5), st.floats(0.0, 3.0), st.floats(-0.5, 0.5))
def test_left_and_right_turns_mirror_each_other(curvature: float, x: float, y: float) -> None:
    here = along_arc(np.array([[x, y]]), (1.0, 0.0), curvature)[0]
    mirrored = along_arc(np.array([[x, -y]]), (1.0, 0.0), -curvature)[0]
    assert here == pytest.approx(mirrored * [1, -1], abs=1e-6)


def test_outline_walks_the_edges() -> None:
    square = np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
    points = outline(square, samples=2)[0]
    assert points.tolist() == [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]]


@pytest.mark.parametrize("yaw_rate", [1.0, -1.0])
def test_on_an_arc_the_gap_is_measured_from_the_part_of_the_front_that_arrives(yaw_rate: float) -> None:
    """Points just ahead of each front corner are ahead, however far the other corner has swung round."""
    path = predict_path(ego(0.5, yaw_rate), FOOTPRINT, 0.0)
    close = path.coordinates(np.array([[0.55, 0.25], [0.55, 0.0], [0.55, -0.25]]))
    assert path.in_band(close).all()
    assert path.gap_m(close) == pytest.approx([0.05] * 3, abs=0.04)


@given(st.floats(-1.0, 1.0), st.floats(0.8, 2.0))
def test_driving_on_takes_the_front_to_where_the_gap_says(yaw_rate: float, vx: float) -> None:
    """Move the footprint along its arc: its front edge covers just that way in path coordinates."""
    path = predict_path(ego(vx, yaw_rate), FOOTPRINT, 0.0)
    t_s = 0.5
    moved = ego(vx, yaw_rate).at(int(t_s * 1e9)).odom_from_base
    front = np.array([[0.5, y, 0.0] for y in (-0.2, 0.0, 0.2)])
    there = path.coordinates(moved.apply(front)[:, :2])
    assert path.gap_m(there) == pytest.approx([vx * t_s] * 3, abs=0.05)


# --- robots that move sideways --------------------------------------------------------------------------------


def sideways(vx_mps: float, vy_mps: float, yaw_rate_radps: float = 0.0) -> EgoState:
    return EgoState(0, Transform.identity(), (vx_mps, vy_mps), yaw_rate_radps)


def test_an_omnidirectional_robot_sweeps_where_it_goes() -> None:
    path = predict_path(sideways(0.0, 0.5), FOOTPRINT, 0.1, sideways=True)
    inside = path.in_band(path.coordinates(np.array([[0.0, 2.0], [2.0, 0.0], [0.0, -2.0]])))
    assert inside.tolist() == [True, False, False]
    assert path.gap_m(path.coordinates(np.array([[0.0, 2.0]]))) == pytest.approx([1.7])
    noise = predict_path(sideways(1.0, 0.2), FOOTPRINT, 0.1)
    assert noise.travel == (1.0, 0.0), "what cannot move sideways does not"


@given(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_any_twist_takes_the_origin_along_its_arc(vx: float, vy: float, yaw_rate: float) -> None:
    if np.hypot(vx, vy) < max(0.2, abs(yaw_rate) / 2):  # tighter arcs are the gate's matter
        return
    path = predict_path(sideways(vx, vy, yaw_rate), FOOTPRINT, 0.0, sideways=True)
    t_s, steps = 1.0, 4000
    heading = yaw_rate * (np.arange(steps) + 0.5) * t_s / steps
    x = (np.cos(heading) * vx - np.sin(heading) * vy).sum() * t_s / steps
    y = (np.sin(heading) * vx + np.cos(heading) * vy).sum() * t_s / steps
    s, d = path.coordinates(np.array([[x, y]]))[0]
    assert (s, d) == pytest.approx((np.hypot(vx, vy) * t_s, 0.0), abs=1e-4)
    there = path.poses(np.array([np.hypot(vx, vy) * t_s]))
    assert [float(v[0]) for v in there] == pytest.approx([x, y, yaw_rate * t_s], abs=1e-4)
    assert path.points_m(np.array([[s, d]]))[0] == pytest.approx([x, y], abs=1e-4)
