"""Partly visible boxes: which faces hold, and what their changes say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import ObjectClass
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.extent import (
    View,
    body_heights,
    faced_forward,
    filtered_sizes,
    filtered_yaws,
    known_centers,
    slides,
    view_boxes,
)
from perception_platform.tracking.sightings import sight, usable
from perception_platform.tracking.table import TrackTable
from test.unit.tracking.scenes import Box, detections

CONFIG = TrackerConfig()


def view(box: Box, reference_rad: float = 0.0, body_m: float = 0.0) -> View:
    found = detections(0, [box], Transform.identity())
    sightings = sight(found, usable(found), Transform.identity(), CONFIG.position_sigma_m)
    return view_boxes(sightings, np.array([reference_rad]), np.array([body_m]), CONFIG)


def known(box: Box, size_m: tuple[float, float]) -> tuple[Array, Array]:
    center_m, cov_m2 = known_centers(view(box), np.array([size_m]))
    return center_m[0], cov_m2[0]


@pytest.mark.parametrize("quarters", [-3, -2, -1, 0, 1, 2, 3])
def test_a_box_is_described_by_the_heading_nearest_to_the_reference(quarters: int) -> None:
    turned = Box(10, 0, 4.0, 1.8, yaw_rad=0.1 + quarters * np.pi / 2)
    seen = view(turned, reference_rad=0.0)
    assert seen.yaws_rad[0] == pytest.approx(0.1)
    assert seen.sizes_m[0] == pytest.approx([4.0, 1.8] if quarters % 2 == 0 else [1.8, 4.0])


def test_the_near_face_holds_when_more_of_a_car_is_known_than_seen() -> None:
    rear_only = Box(10.15, 0.0, 0.3, 1.8, object_class=ObjectClass.CAR)
    center_m, _ = known(rear_only, (4.2, 1.8))
    assert center_m == pytest.approx([10.0 + 2.1, 0.0])


def test_seen_from_its_middle_the_centre_holds_and_is_as_unsure_as_what_is_hidden() -> None:
    side = Box(0.0, 8.0, 3.0, 0.4, object_class=ObjectClass.CAR)
    center_m, cov_m2 = known(side, (5.0, 0.4))
    assert center_m == pytest.approx([0.0, 8.0])
    whole = known(side, (3.0, 0.4))[1]
    assert cov_m2[0, 0] - whole[0, 0] == pytest.approx(2.0**2 / 12)


@pytest.mark.parametrize(
    ("object_class", "moving", "away_m", "height_m", "holds"),
    [
        (ObjectClass.PERSON, 0.9, 1.5, 0.9, "centre"),  # knees and feet are below the lowest beam
        (ObjectClass.PERSON, 0.9, 1.5, 1.5, "face"),
        (ObjectClass.PERSON, 0.9, 10.0, 0.9, "face"),  # so much is lost between the beams of a coarse lidar
        (ObjectClass.PERSON, 0.1, 1.5, 0.9, "face"),  # does not draw back
        (ObjectClass.CAR, 0.9, 1.5, 0.9, "face"),  # its sides are upright
    ],
)
def test_what_is_left_of_a_body_near_by_has_no_face_to_hold_on_to(
    object_class: ObjectClass, moving: float, away_m: float, height_m: float, holds: str
) -> None:
    table = TrackTable.zeros(1)
    table.class_ids, table.sizes_m = [object_class], [[0.8, 0.5, 1.6]]
    table.motion = replace(table.motion, weight=np.array([[1 - moving, moving]]))
    part = Box(away_m, 0.0, 0.3, 0.5, object_class=object_class, height_m=height_m)
    seen = view(part, body_m=body_heights(table)[0])
    center_m, cov_m2 = known_centers(seen, table.sizes_m[:, :2])
    assert center_m[0, 0] == pytest.approx(away_m if holds == "centre" else away_m + 0.25)
    anywhere_m2 = 0.5**2 / 12
    assert (cov_m2[0, 0, 0] > anywhere_m2) == (holds == "centre")


def test_a_seen_face_is_surer_than_the_far_end() -> None:
    box = Box(10, 0, 4.0, 1.8, object_class=ObjectClass.CAR)
    cov_m2 = view(box).cov_m2[0]
    assert cov_m2[0, 0] <= CONFIG.classes[ObjectClass.CAR].face_sigma_m ** 2
    few = view(replace(box, num_points=CONFIG.size_points - 1)).cov_m2[0]
    assert few[0, 0] > cov_m2[0, 0]


def test_how_a_wall_slides_along_itself_is_no_motion_but_its_approach_is() -> None:
    wall = view(Box(0.0, 4.0, 3.0, 0.1))
    assert slides(wall, np.array([[0.7, -0.2]]))[0] == pytest.approx([0.7, 0.0])
    person = view(Box(0.0, 4.0, 0.6, 0.1, object_class=ObjectClass.PERSON))
    assert slides(person, np.array([[0.7, -0.2]]))[0] == pytest.approx([0.0, 0.0])


def test_sizes_grow_soon_and_shrink_late_and_only_when_seen_well() -> None:
    small, large = np.array([[1.0, 1.0, 1.0]]), np.array([[2.0, 2.0, 2.0]])
    well, badly = np.array([50]), np.array([1])
    grown = filtered_sizes(small, large, well, 0.5, CONFIG)
    shrunk = filtered_sizes(large, small, well, 0.5, CONFIG)
    assert (grown > 1.8).all()
    assert (shrunk > 1.9).all()
    assert (filtered_sizes(small, large, badly, 0.5, CONFIG) == small).all()


def test_headings_are_averaged_across_the_turn() -> None:
    seen = view(Box(10, 0, 4.0, 1.8, yaw_rad=np.pi - 0.02), reference_rad=-np.pi + 0.02)
    yaws_rad, variance = filtered_yaws(np.array([-np.pi + 0.02]), np.array([0.1]), seen, 0.06)
    assert abs(abs(yaws_rad[0]) - np.pi) < 0.021
    assert variance[0] < 0.1


@pytest.mark.parametrize(
    ("object_class", "yaw_deg", "expected_deg"),
    [
        (ObjectClass.CAR, 90.0, 0.0),
        (ObjectClass.CAR, 175.0, -5.0),
        (ObjectClass.CAR, 40.0, 40.0),
        (ObjectClass.PERSON, 90.0, 90.0),
        (ObjectClass.PERSON, 170.0, -10.0),
    ],
)
def test_motion_tells_the_front(object_class: ObjectClass, yaw_deg: float, expected_deg: float) -> None:
    yaws_rad, sizes_m = faced_forward(
        np.deg2rad([yaw_deg]), np.array([[1.8, 4.2, 1.5]]), np.array([[3.0, 0.0]]), np.array([object_class]),
        np.array([True]),
    )  # fmt: skip
    assert np.rad2deg(yaws_rad[0]) == pytest.approx(expected_deg)
    quarter = round((expected_deg - yaw_deg) / 90) % 2 == 1
    assert sizes_m[0] == pytest.approx([4.2, 1.8, 1.5] if quarter else [1.8, 4.2, 1.5])


def test_what_stands_is_not_turned() -> None:
    yaws_rad, _ = faced_forward(
        np.array([2.0]), np.array([[1.8, 4.2, 1.5]]), np.array([[0.1, 0.0]]), np.array([3]), np.array([False])
    )
    assert yaws_rad[0] == pytest.approx(2.0)
