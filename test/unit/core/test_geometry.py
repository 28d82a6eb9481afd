"""Transforms, boxes and polygons against hand-computed values and round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.geometry import (
    Transform,
    box_corners,
    one_a_voxel,
    points_in_polygon,
    wrap_angle,
)

angles = st.floats(-np.pi, np.pi)
lengths = st.floats(-100.0, 100.0)


def test_yaw_turns_x_towards_y() -> None:
    turned = Transform.from_xyz_rpy((1.0, 2.0, 3.0), (0.0, 0.0, np.pi / 2)).apply(np.array([[1.0, 0.0, 0.0]]))
    assert turned[0] == pytest.approx((1.0, 3.0, 3.0))


def test_optical_frame_of_a_camera_that_looks_ahead() -> None:
    base_from_camera = Transform.from_xyz_rpy((0.0, 0.0, 0.0), (-np.pi / 2, 0.0, -np.pi / 2))
    assert base_from_camera.apply(np.array([[0.0, 0.0, 5.0]]))[0] == pytest.approx((5.0, 0.0, 0.0))
    assert base_from_camera.apply(np.array([[1.0, 2.0, 0.0]]))[0] == pytest.approx((0.0, -1.0, -2.0))


@given(angles, st.floats(-1.5, 1.5), angles, lengths, lengths, lengths)
def test_inverse_and_quaternion_bring_back_the_same(
    roll: float, pitch: float, yaw: float, x: float, y: float, z: float
) -> None:
    transform = Transform.from_xyz_rpy((x, y, z), (roll, pitch, yaw))
    round_trip = transform @ transform.inverse()
    assert round_trip.rotation == pytest.approx(np.eye(3), abs=1e-9)
    assert round_trip.translation_m == pytest.approx(np.zeros(3), abs=1e-9)
    again = Transform.from_quaternion((x, y, z), transform.quaternion_xyzw())
    assert again.rotation == pytest.approx(transform.rotation, abs=1e-9)


@pytest.mark.parametrize("bad", [(0.0, 0.0, 0.0, 0.0), (np.nan, 0.0, 0.0, 1.0)])
def test_a_quaternion_that_is_no_rotation_is_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="not a rotation"):
        Transform.from_quaternion((0.0, 0.0, 0.0), bad)


def test_box_corners_start_front_left_and_turn_with_the_heading() -> None:
    box = (np.array([[10.0, 0.0]]), np.array([[4.0, 2.0]]))
    ahead = box_corners(*box, np.zeros(1))[0]
    assert ahead.tolist() == [[12, 1], [8, 1], [8, -1], [12, -1]]
    turned = box_corners(*box, np.array([np.pi / 2]))[0]
    assert turned[0] == pytest.approx((9.0, 2.0))


def test_points_in_a_concave_polygon() -> None:
    notched = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 1.0], [0.0, 4.0]])
    inside = points_in_polygon(np.array([[1.0, 1.0], [2.0, 3.0], [3.5, 3.0], [5.0, 1.0]]), notched)
    assert inside.tolist() == [True, False, True, False]


@given(st.floats(-1e3, 1e3))
def test_wrapped_angles_point_the_same_way(angle: float) -> None:
    wrapped = float(wrap_angle(angle))
    assert -np.pi <= wrapped < np.pi
    assert np.cos(wrapped) == pytest.approx(np.cos(angle), abs=1e-9)
    assert np.sin(wrapped) == pytest.approx(np.sin(angle), abs=1e-9)


def test_of_each_cube_the_first_point_is_taken() -> None:
    points_m = np.array(
        [[0.06, 0.0, 0.0], [0.01, 0.04, 0.01], [0.02, 0.01, 0.03], [-0.01, 0.0, 0.0], [0.0, 0.0, 0.0]]
    )
    assert sorted(one_a_voxel(points_m, 0.05).tolist()) == [0, 1, 3]
    assert len(one_a_voxel(np.zeros((0, 3)), 0.05)) == 0
