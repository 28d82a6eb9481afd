"""What is drawn lies where the camera model projects it."""

import numpy as np
import pytest

from perception_platform.robot.load import load_robot
from perception_platform.simulation.camera import render
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import box, cylinder, join
from perception_platform.simulation.vehicle import Command, VehicleState, drive_along
from perception_platform.simulation.world import Marking, World

RED, GREEN = (0, 0, 255), (0, 255, 0)


def view(world: World, robot_name: str = "amr", start: VehicleState | None = None):
    robot = load_robot(robot_name)
    state = start or VehicleState()
    drive = drive_along(lambda t, s: Command(0.0), robot.drive, state, 0.1)
    sensor = robot.cameras[0]
    image = render(Scene(world, drive, 10**18, 3), sensor, 0.0)
    camera_from_world = (state.transform() @ sensor.mounting.transform()).inverse()
    return image, sensor.intrinsics.model(), camera_from_world


def pixels_of(image, channel):
    """(N, 2) columns and rows where one colour channel stands out."""
    others = [c for c in range(3) if c != channel]
    bgr = image.bgr.astype(int)
    rows, columns = np.nonzero(bgr[..., channel] - bgr[..., others].max(axis=-1) > 60)
    return np.column_stack([columns, rows])


@pytest.mark.parametrize("robot_name", ["amr", "forklift", "delivery_van"])
@pytest.mark.parametrize("place", [(8.0, 0.7, 0.6), (12.0, -2.0, 1.0), (15.0, 3.0, 0.3)])
def test_a_small_thing_is_drawn_where_the_model_projects_it(robot_name, place):
    x, y, z = place
    world = World(cylinder((x, y), 0.2, 0.2, bottom_m=z - 0.1, bgr=RED))
    start = VehicleState(x_m=0.5, y_m=0.2, yaw_rad=0.05)
    image, model, camera_from_world = view(world, robot_name, start)
    expected = model.project(camera_from_world.apply(np.array([place])))[0]
    assert pixels_of(image, 2).mean(axis=0) == pytest.approx(expected, abs=1.0)


def test_a_boxs_outline_is_its_corners():
    image, model, camera_from_world = view(World(box((4.0, 0.0), (1.0, 1.0, 1.0), bgr=RED)))
    corners = np.array([[3.5, y, z] for y in (-0.5, 0.5) for z in (0.0, 1.0)])
    expected = model.project(camera_from_world.apply(corners))
    drawn = pixels_of(image, 2)
    assert drawn.min(axis=0) == pytest.approx(expected.min(axis=0), abs=1.5)
    assert drawn[:, 0].max() == pytest.approx(expected[:, 0].max(), abs=1.5)


def test_the_nearer_thing_hides_the_farther_one():
    near, far = box((3.0, 0.0), (0.5, 2.0, 2.0), bgr=RED), box((6.0, 0.0), (0.5, 1.0, 1.0), bgr=GREEN)
    for order in ((near, far), (far, near)):
        image, _, _ = view(World(join(list(order))))
        assert len(pixels_of(image, 2)) > 1000
        assert len(pixels_of(image, 1)) == 0


def test_a_panel_hides_what_is_behind_it_though_its_far_corner_is_farther():
    panel, behind = box((3.0, 2.0), (0.04, 3.9, 3.0), bgr=GREEN), cylinder((3.2, 0.4), 0.2, 1.5, bgr=RED)
    for order in ((panel, behind), (behind, panel)):
        image, _, _ = view(World(join(list(order))))
        assert len(pixels_of(image, 1)) > 5000
        assert len(pixels_of(image, 2)) == 0


def test_what_reaches_behind_the_camera_is_cut_there():
    world = World(join([]), (), (Marking.strip((-5.0, 20.0), (-0.1, 0.1), RED),))
    image, _, _ = view(world)
    drawn = pixels_of(image, 2)
    assert drawn[:, 1].max() == image.bgr.shape[0] - 1
    assert drawn[:, 0].mean() == pytest.approx(159.5, abs=1.0)


def test_two_images_of_the_same_view_differ_a_little_and_a_redrawn_one_not_at_all():
    robot = load_robot("amr")
    drive = drive_along(lambda t, s: Command(0.0), robot.drive, VehicleState(), 1.0)
    scene = Scene(World(box((4.0, 0.0), (1.0, 1.0, 1.0))), drive, 10**18, 3)
    one, again, later = (render(scene, robot.cameras[0], t).bgr for t in (0.1, 0.1, 0.2))
    assert one.tobytes() == again.tobytes()
    changed = (one != later).any(axis=-1).mean()
    assert 0.001 < changed < 0.02
