"""Sweeps and scans: times, noise, fields of view, and a person who has to be seen."""

from typing import get_args

import numpy as np
import pytest

from perception_platform.robot.load import load_robot
from perception_platform.robot.sensors import Velodyne
from perception_platform.simulation import catalogue
from perception_platform.simulation.lidar import LidarNoise, beam_elevations_rad, scan, sweep
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import box, join
from perception_platform.simulation.vehicle import Command, VehicleState, drive_along
from perception_platform.simulation.world import Actor, TimedPath, World

AMR = load_robot("amr")
LIDAR, SCANNER = AMR.lidars[0], AMR.scans[0]
EXACT = LidarNoise(range_sigma_m=0.0, dropout=0.0)
START_NS = 10**18


def scene(world: World, speed_mps: float = 0.0, seed: int = 1) -> Scene:
    drive = drive_along(lambda t, s: Command(speed_mps), AMR.drive, VehicleState(speed_mps=speed_mps), 5.0)
    return Scene(world, drive, START_NS, seed)


WALLED = World(catalogue.wall(20.0).placed(6.1, 0.0, 0.0))


def test_sixteen_beams_two_degrees_apart():
    assert np.rad2deg(beam_elevations_rad(LIDAR)) == pytest.approx(np.arange(-15.0, 15.1, 2.0))


@pytest.mark.parametrize("model", get_args(Velodyne.model_fields["model"].annotation))
def test_every_velodyne_of_a_robot_file_has_beams(model):
    lidar = LIDAR.model_copy(update={"driver": Velodyne(type="velodyne", model=model), "beams": 32})
    elevations = np.rad2deg(beam_elevations_rad(lidar))
    assert len(elevations) == 32
    assert -31.0 < elevations[0] < 0.0 < elevations[-1] < 16.0


def test_the_same_seed_gives_the_same_sweep_and_another_seed_another():
    one, same, other = (sweep(scene(WALLED, seed=s), LIDAR, 1.0) for s in (1, 1, 2))
    assert one.xyz_m.tobytes() == same.xyz_m.tobytes()
    assert one.xyz_m.tobytes() != other.xyz_m.tobytes()


def test_a_sweep_is_stamped_at_its_end_and_times_its_points():
    cloud = sweep(scene(WALLED), LIDAR, 1.0)
    assert cloud.t_ns == START_NS + 10**9
    assert cloud.frame_id == cloud.sensor == "lidar_top"
    assert cloud.offset_s.max() <= 0.0
    assert cloud.offset_s.min() > -0.1
    ahead = np.abs(np.arctan2(cloud.xyz_m[:, 1], cloud.xyz_m[:, 0])) < np.deg2rad(2)
    assert cloud.offset_s[ahead] == pytest.approx(-0.05, abs=0.002)


def test_a_moving_robot_sees_each_point_from_where_it_was_then():
    cloud = sweep(scene(WALLED, speed_mps=1.0), LIDAR, 2.0, noise=EXACT)
    on_wall = np.abs(np.arctan2(cloud.xyz_m[:, 1], cloud.xyz_m[:, 0])) < np.deg2rad(60)
    on_wall &= cloud.xyz_m[:, 2] > -0.9
    x_of_lidar = 2.0 + cloud.offset_s[on_wall] + 0.10
    assert cloud.xyz_m[on_wall, 0] + x_of_lidar == pytest.approx(6.0, abs=0.006)


def test_ranges_have_the_noise_that_was_asked_for():
    cloud = sweep(scene(WALLED), LIDAR, 1.0, noise=LidarNoise(range_sigma_m=0.03, dropout=0.0))
    on_wall = (np.abs(cloud.xyz_m[:, 1]) < 2.0) & (cloud.xyz_m[:, 0] > 4.0) & (cloud.ring > 4)
    assert np.count_nonzero(on_wall) > 300
    assert cloud.xyz_m[on_wall, 0].std() == pytest.approx(0.03, rel=0.15)
    assert cloud.xyz_m[on_wall, 0].mean() == pytest.approx(5.9, abs=0.01)


def test_dropouts_take_their_share():
    every = sweep(scene(WALLED), LIDAR, 1.0, noise=EXACT)
    fewer = sweep(scene(WALLED), LIDAR, 1.0, noise=LidarNoise(range_sigma_m=0.0, dropout=0.3))
    assert len(fewer) / len(every) == pytest.approx(0.7, abs=0.03)


def test_the_floor_fades_at_grazing_angles_before_a_wall_does():
    far = sweep(scene(World(catalogue.wall(60.0).placed(45.0, 0.0, 0.0))), LIDAR, 1.0, noise=EXACT)
    on_floor = far.xyz_m[:, 2] < -1.05
    reach_m = np.hypot(far.xyz_m[:, 0], far.xyz_m[:, 1])
    assert reach_m[on_floor].max() < 30.0
    assert reach_m[~on_floor].max() > 44.0


def test_a_narrower_field_of_view_leaves_the_rest_out():
    half = LIDAR.model_copy(update={"field_of_view_deg": (-90.0, 90.0)})
    cloud = sweep(scene(WALLED), half, 1.0, noise=EXACT)
    assert len(cloud) > 0
    assert cloud.xyz_m[:, 0].min() >= -0.01


@pytest.mark.parametrize("columns", [400, 600])
def test_a_person_at_five_metres_is_seen_by_enough_points(columns):
    walker = Actor(catalogue.person, TimedPath.through([(0.0, 5.1, 0.0)]))
    cloud = sweep(scene(World(join([]), (walker,))), LIDAR, 1.0, columns=columns)
    on_person = cloud.xyz_m[cloud.xyz_m[:, 2] > -0.95]
    assert len(on_person) >= 25
    assert np.ptp(on_person[:, 1]) > 0.4
    assert np.ptp(on_person[:, 2]) > 1.2


def test_a_scan_sees_shins_in_the_plane_and_infinity_elsewhere():
    post = World(box((3.42, 0.0), (0.5, 0.5, 1.0)))
    reading = scan(scene(post), SCANNER, 1.0, noise=EXACT)
    middle = len(reading.ranges_m) // 2
    assert reading.first_angle_rad + middle * reading.angle_step_rad == pytest.approx(0.0, abs=1e-9)
    assert reading.ranges_m[middle] == pytest.approx(2.75, abs=0.004)
    assert np.isinf(reading.ranges_m[0])
    overhead = World(box((3.42, 0.0), (0.5, 0.5, 1.0), bottom_m=0.5))
    assert np.isinf(scan(scene(overhead), SCANNER, 1.0, noise=EXACT).ranges_m).all()
