"""Paths, bodies, the vehicle and its odometry."""

import numpy as np
import pytest

from perception_platform.robot.load import load_robot
from perception_platform.simulation import catalogue
from perception_platform.simulation.odometry import OdometryNoise, odometry
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import join, outlines
from perception_platform.simulation.vehicle import Command, VehicleState, advance, drive_along
from perception_platform.simulation.world import Actor, TimedPath, World

AMR = load_robot("amr")


def test_a_walker_pauses_and_keeps_facing_where_it_went():
    path = TimedPath.through([(1.0, 0.0, 0.0), (2.0, 0.0, -1.0), (4.0, 0.0, -1.0), (5.0, 2.0, -1.0)], 0.3)
    assert path.pose(0.0) == pytest.approx((0.0, 0.0, -np.pi / 2))
    assert path.pose(1.5) == pytest.approx((0.0, -0.5, -np.pi / 2))
    assert path.pose(3.0) == pytest.approx((0.0, -1.0, -np.pi / 2))
    assert path.pose(4.5) == pytest.approx((1.0, -1.0, 0.0))
    assert path.travelled_m(9.0) == pytest.approx(3.0)
    assert TimedPath.through([(0.0, 1.0, 2.0)], 0.3).pose(5.0) == pytest.approx((1.0, 2.0, 0.3))


@pytest.mark.parametrize("points", [[], [(0.0, 0, 0), (0.0, 1, 0)], [(1.0, 0, 0), (0.5, 1, 0)]])
def test_times_that_do_not_grow_are_refused(points):
    with pytest.raises(ValueError, match="times grow"):
        TimedPath.through(points)


def test_legs_swing_with_the_way_and_stand_still_with_the_walker():
    walker = Actor(catalogue.person, TimedPath.through([(0.0, 0, 0), (1.0, 1.4, 0), (3.0, 1.4, 0)]))
    stride = [np.ptp(walker.solids_at(t).centers_m[[0, 2], 0]) for t in (0.0, 0.27, 1.5, 2.5)]
    assert stride[0] == pytest.approx(0.0)
    assert stride[1] > 0.4
    assert stride[2] == stride[3]


@pytest.mark.parametrize("height_m", [1.1, 1.75, 1.95])
def test_a_body_reaches_from_the_floor_to_its_height(height_m):
    body = catalogue.person(0.3, height_m=height_m)
    half = body.sizes_m[:, 2] / 2
    assert (body.centers_m[:, 2] - half).min() == pytest.approx(0.0)
    assert (body.centers_m[:, 2] + half).max() == pytest.approx(height_m)


def test_outlines_lie_on_the_edges():
    body = join([catalogue.pallet().placed(2.0, 1.0, 0.6), catalogue.person(0.0)])
    board, leg = outlines(body)[3], outlines(body)[4]
    c, s = np.cos(0.6), np.sin(0.6)
    local = np.abs((board - (2.0, 1.0)) @ np.array([[c, -s], [s, c]]))
    assert local.max(axis=0) == pytest.approx([0.6, 0.4])
    assert np.isclose(local, [0.6, 0.4]).any(axis=1).all()
    assert np.hypot(*(leg - body.centers_m[4, :2]).T) == pytest.approx(0.075)


def test_brakes_in_the_distance_that_physics_says():
    drive = drive_along(
        lambda t, s: Command(0.0 if t >= 1.0 else 1.2), AMR.drive, VehicleState(speed_mps=1.2), 3.0
    )
    assert drive.state_at(3.0).x_m == pytest.approx(1.2 + 1.2**2 / (2 * 2.0), abs=0.005)
    assert drive.state_at(3.0).speed_mps == 0.0
    assert drive.command_at(0.5) == Command(1.2)
    assert drive.command_at(2.0) == Command(0.0)


def test_speeds_up_gently_and_never_beyond_what_the_robot_file_allows():
    state = VehicleState()
    for _ in range(1000):
        before, state = state, advance(state, Command(9.0, 9.0), AMR.drive, 0.005)
        assert state.speed_mps - before.speed_mps <= 0.8 * 0.005 + 1e-12
    assert state.speed_mps == 1.5
    assert state.yaw_rate_radps == 1.2


def circle(noise: OdometryNoise):
    start = VehicleState(speed_mps=1.0, yaw_rate_radps=0.5)
    drive = drive_along(lambda t, s: Command(1.0, 0.5), AMR.drive, start, 2 * np.pi / 0.5)
    times = np.arange(0.0, 4 * np.pi, 0.02)
    scene = Scene(World(join([])), drive, 10**18, 5)
    return drive, times, odometry(scene, times, noise)


def test_a_full_circle_ends_where_it_began_and_exact_odometry_says_so():
    drive, times, measured = circle(OdometryNoise())
    assert np.hypot(drive.states[-1, 0], drive.states[-1, 1]) < 0.02
    assert drive.states[:, 1].max() == pytest.approx(2 * 1.0 / 0.5, abs=0.01)
    true = drive.states_at(times)
    assert [e.odom_from_base.translation_m[0] for e in measured] == pytest.approx(true[:, 0], abs=1e-9)
    assert measured[-1].t_ns == 10**18 + round(times[-1] * 1e9)


def test_odometry_drifts_by_its_scale_and_repeats_by_its_seed():
    _, _, exact = circle(OdometryNoise())
    _, _, scaled = circle(OdometryNoise(speed_scale=0.02))
    reach = [max(e.odom_from_base.translation_m[1] for e in run) for run in (exact, scaled)]
    assert reach[1] / reach[0] == pytest.approx(1.02, abs=0.001)
    noisy = [circle(OdometryNoise(speed_sigma_mps=0.01, yaw_rate_sigma_radps=0.01))[2] for _ in range(2)]
    assert (
        noisy[0][-1].odom_from_base.translation_m.tolist()
        == noisy[1][-1].odom_from_base.translation_m.tolist()
    )
    speeds = np.array([e.velocity_mps[0] for e in noisy[0]])
    assert speeds.std() == pytest.approx(0.01, rel=0.2)


def test_wheels_that_stand_still_count_nothing():
    drive = drive_along(lambda t, s: Command(0.0), AMR.drive, VehicleState(), 1.0)
    noise = OdometryNoise(speed_sigma_mps=0.1, yaw_rate_sigma_radps=0.1)
    measured = odometry(Scene(World(join([])), drive, 10**18, 5), np.arange(0.0, 1.0, 0.02), noise)
    assert {(e.velocity_mps, e.yaw_rate_radps) for e in measured} == {((0.0, 0.0), 0.0)}
