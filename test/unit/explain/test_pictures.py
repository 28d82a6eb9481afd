"""The numbers behind the pictures."""

from __future__ import annotations

import pytest

from perception_platform.core.objects import ObjectClass
from perception_platform.core.verdicts import Action
from perception_platform.explain.birds_eye import stopping_distance_m
from perception_platform.explain.look import ACTIONS, CLASSES
from perception_platform.robot.load import load_robot


def test_stopping_distance_is_delay_braking_and_clearance() -> None:
    robot = load_robot("amr")
    expected = 1.2 * (0.1 + robot.drive.reaction_s) + 1.2**2 / (2 * robot.drive.service_decel_mps2)
    assert stopping_distance_m(robot, 1.2, 0.1) == pytest.approx(expected + robot.clearance.ahead_m)


def test_every_action_and_class_has_a_colour() -> None:
    assert set(ACTIONS) == {action.name.lower() for action in Action}
    assert set(CLASSES) == {name.name.lower() for name in ObjectClass}
