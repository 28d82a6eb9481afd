"""The numbers behind the pictures."""

from __future__ import annotations

import numpy as np
import pytest

from perception_platform.core.objects import ObjectClass
from perception_platform.core.verdicts import Action
from perception_platform.explain.birds_eye import draw_moment, stopping_distance_m
from perception_platform.explain.look import ACTIONS, CLASSES, figure
from perception_platform.explain.story import Moment
from perception_platform.robot.load import load_robot
from test.unit.explain.runs import decision, tracks


def test_stopping_distance_is_delay_braking_and_clearance() -> None:
    robot = load_robot("amr")
    expected = 1.2 * (0.1 + robot.drive.reaction_s) + 1.2**2 / (2 * robot.drive.service_decel_mps2)
    assert stopping_distance_m(robot, 1.2, 0.1) == pytest.approx(expected + robot.clearance.ahead_m)


@pytest.mark.parametrize(("speed_mps", "way"), [(1.2, 1), (0.0, 1), (-0.6, -1)])
def test_the_path_is_drawn_the_way_the_robot_drives(speed_mps: float, way: int) -> None:
    lopsided = [(0.5, 0.2), (-0.3, 0.2), (-0.3, -0.6), (0.5, -0.6)]
    robot = load_robot("amr").model_copy(update={"footprint_m": lopsided})
    axes = figure(4, 4).subplots()
    beat, line = decision(0.1) | {"speed_mps": speed_mps, "latency_ms": 0.0}, tracks(0.1, None)
    line["ego"]["yaw_rate_radps"] = 0.0
    draw_moment(axes, Moment(0.1, "made up", beat, line, np.zeros((0, 2)), {}), robot)
    (room,) = (drawn for drawn in axes.lines if str(drawn.get_label()).startswith("room needed"))
    edge_m = 0.5 if way > 0 else -0.3
    stand_m = edge_m + way * stopping_distance_m(robot, abs(speed_mps), 0.0)
    beside_m = robot.clearance.beside_m
    assert np.asarray(room.get_ydata()) == pytest.approx([stand_m, stand_m])
    assert np.asarray(room.get_xdata()) == pytest.approx([0.2 + beside_m, -0.6 - beside_m])
    (path,) = (drawn for drawn in axes.patches if drawn.get_label() == "path")
    ahead_m = path.get_path().vertices[:, 1]
    assert (way * ahead_m).min() == pytest.approx(way * edge_m)
    low_m, high_m = axes.get_ylim()
    assert low_m < stand_m < high_m


def test_every_action_and_class_has_a_colour() -> None:
    assert set(ACTIONS) == {action.name.lower() for action in Action}
    assert set(CLASSES) == {name.name.lower() for name in ObjectClass}
