"""Windows worked out by hand."""

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.replay.truth import Truth, load_truth
from perception_platform.robot.load import load_robot
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids, box, cylinder, join
from perception_platform.simulation.truth import must_stop, path_gap_m, save, stopping_gap_m, windows
from perception_platform.simulation.vehicle import Command, VehicleState, drive_along
from perception_platform.simulation.world import Actor, TimedPath, World

AMR = load_robot("amr")  # bumper 0.45 m ahead, path 0.40 m to each side, protective zone to x = 1.15 m
STANDING, CRUISING = VehicleState(), VehicleState(speed_mps=1.2)


def post(x_m: float, y_m: float = 0.0, **more: float) -> Solids:
    return cylinder((x_m, y_m), 0.2, 1.0, **more)


def test_the_stopping_gap_is_way_of_delay_and_braking_plus_clearance():
    delay_s = 0.040 + 0.005 + 0.005 + 0.10
    assert stopping_gap_m(AMR, 1.2) == pytest.approx(1.2 * delay_s + 1.2**2 / (2 * 0.8) + 0.5)
    assert stopping_gap_m(AMR, 0.0) == 0.5


@pytest.mark.parametrize(
    ("thing", "state", "expected"),
    [
        (post(1.24), STANDING, True),  # its front is at 1.14 m: inside the zone
        (post(1.26), STANDING, False),
        (post(1.0, 0.49), STANDING, True),
        (post(1.0, 0.51), STANDING, False),
        (post(0.45 + 1.57 + 0.10), CRUISING, True),
        (post(0.45 + 1.59 + 0.10), CRUISING, False),
        (post(1.8, 0.51), CRUISING, False),
        (post(1.0, bottom_m=1.25), STANDING, False),  # above the robot
        (box((1.0, 0.0), (0.3, 0.3, 0.03)), STANDING, False),  # a sheet that it drives over
        (post(-0.45 - 0.72 - 0.10), VehicleState(speed_mps=-0.5), True),  # in the way when it backs up
        (post(-0.45 - 0.72 - 0.10), STANDING, False),
        (join([]), CRUISING, False),
    ],
)
def test_must_stop(thing, state, expected):
    assert must_stop(AMR, thing, state) is expected


def test_the_robots_pose_counts():
    there = VehicleState(x_m=5.0, y_m=2.0, yaw_rad=np.pi / 2)
    assert must_stop(AMR, post(5.0, 3.2), there)
    assert not must_stop(AMR, post(6.2, 2.0), there)


def test_the_gap_looks_where_the_robot_goes():
    points = np.array([[2.0, 0.0], [-3.0, 0.1], [1.0, 0.9]])
    assert path_gap_m(AMR, points, 0.0) == pytest.approx(1.55)
    assert path_gap_m(AMR, points, -0.2) == pytest.approx(2.55)
    assert path_gap_m(AMR, points[2:], 0.0) == float("inf")


def test_windows_of_something_that_crosses():
    # A post of 0.2 m crosses at 1 m/s, x = 1.0 m: its edge is at y = 0.4 m at 2.5 s and at -0.4 m at 3.5 s.
    crossing = Actor(lambda _: post(0.0), TimedPath.through([(0.0, 1.0, 3.0), (6.0, 1.0, -3.0)]))
    drive = drive_along(lambda t, s: Command(0.0), AMR.drive, STANDING, 6.0)
    found = windows(AMR, Scene(World(join([]), (crossing,)), drive, 10**18, 1), 6.0, "crosses", "free")
    assert [w.expect for w in found] == ["no_stop", "stop", "no_stop"]
    assert [w.why for w in found] == ["free", "crosses", "free"]
    spans = [t for w in found for t in (w.from_s, w.to_s)]
    assert spans == pytest.approx([0.4, 2.1, 2.5, 3.5, 4.0, 6.0], abs=0.011)


def test_what_is_saved_is_what_is_read(tmp_path):
    drive = drive_along(lambda t, s: Command(0.0), AMR.drive, STANDING, 1.0)
    found = windows(AMR, Scene(World(post(1.0)), drive, 10**18, 1), 1.0, "in the way", "free")
    truth = Truth(version=1, robot="amr", windows=found)
    save(tmp_path / "truth.yaml", truth)
    assert load_truth(tmp_path / "truth.yaml") == truth
    assert [w.expect for w in truth.windows] == ["stop"]
    (tmp_path / "truth.yaml").write_text("version: 1\nrobot: amr\nwindows: [{expect: maybe}]\n")
    with pytest.raises(InputError, match="expect"):
        load_truth(tmp_path / "truth.yaml")
