"""The geometric path on made-up sweeps: what it has to find, and what must not change it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Percept
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.clusters import cluster
from perception_platform.perception.ground import height_above_ground
from perception_platform.perception.load import load_graph
from perception_platform.perception.parameters import ClusterParams, GeometryParams, GroundParams
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import (
    CAR_SIZE_M,
    HDL64_RAD,
    PERSON_SIZE_M,
    Solid,
    is_valid,
    nearest_to,
    sweep,
)

AMR = load_robot("amr")
VAN = load_robot("delivery_van")
AMR_LIDAR = AMR.sensor("lidar_top").mounting.transform()
VAN_SENSOR = VAN.lidars[0]
VAN_LIDAR = VAN_SENSOR.mounting.transform()
CAR_AHEAD = Solid(12.0, 1.0, CAR_SIZE_M, 0.3)


def amr_sees(*solids: Solid, **how: float) -> Percept:
    return load_graph(AMR).step(sweep(list(solids), AMR_LIDAR, "lidar_top", **how))  # type: ignore[arg-type]


def van_sweep(*solids: Solid) -> PointCloud:
    return sweep(list(solids), VAN_LIDAR, "velodyne", HDL64_RAD, 900)


@pytest.mark.parametrize("x_m", [2.0, 3.0, 4.5, 6.0, 8.0])
def test_a_person_is_found_by_sixteen_beams(x_m: float) -> None:
    found = amr_sees(Solid(x_m, 0.3, PERSON_SIZE_M)).detections
    i = nearest_to(found, x_m, 0.3)
    assert np.hypot(found.centers_m[i, 0] - x_m, found.centers_m[i, 1] - 0.3) < 0.35
    assert found.class_ids[i] == ObjectClass.PERSON
    near_face_m = found.centers_m[i, 0] - 0.5 * found.sizes_m[i, 0]
    assert near_face_m == pytest.approx(x_m - 0.2, abs=0.25)
    assert is_valid(found)


def test_a_car_is_one_box_in_its_place_and_direction() -> None:
    found = load_graph(VAN).step(van_sweep(CAR_AHEAD)).detections
    assert len(found) == 1
    assert found.class_ids[0] == ObjectClass.CAR
    assert np.abs(found.yaws_rad[0] - 0.3) < np.deg2rad(3)
    assert found.sizes_m[0] == pytest.approx(CAR_SIZE_M, abs=0.25)
    assert found.centers_m[0] == pytest.approx((12.0, 1.0, 0.75), abs=0.15)


@pytest.mark.parametrize("slope", [-0.1, 0.0, 0.1])
def test_ground_is_no_obstacle_even_on_a_ramp(slope: float) -> None:
    cloud = sweep([], VAN_LIDAR, "velodyne", HDL64_RAD, 600, slope=slope)
    within_30_m = np.hypot(cloud.xyz_m[:, 0], cloud.xyz_m[:, 1]) < 30
    percept = load_graph(VAN).step(replace(cloud, xyz_m=cloud.xyz_m[within_30_m]))
    assert len(percept.obstacles) == 0
    assert len(percept.detections) == 0


def test_a_person_on_a_ramp_is_still_found() -> None:
    found = amr_sees(Solid(7.0, 0.0, PERSON_SIZE_M, bottom_m=0.4), slope=0.1).detections
    assert abs(found.centers_m[nearest_to(found, 7.0, 0.0), 0] - 7.0) < 0.4


@pytest.mark.parametrize("height_m", [0.25, 0.4, 0.8])
def test_low_things_are_obstacles(height_m: float) -> None:
    obstacles = load_graph(VAN).step(van_sweep(Solid(8.0, 0.0, (0.8, 1.2, height_m)))).obstacles.xyz_m
    assert len(obstacles) >= 4
    assert obstacles[:, 0].min() == pytest.approx(7.6, abs=0.1)


def test_what_hangs_above_the_robot_is_no_obstacle() -> None:
    sign = Solid(8.0, 0.0, (0.3, 6.0, 0.4), bottom_m=2.6)
    assert len(load_graph(VAN).step(van_sweep(sign)).obstacles) == 0


@pytest.mark.parametrize(("above_m", "obstacle"), [(0.15, False), (0.30, True)])
def test_the_robot_file_says_how_far_above_it_things_are_passed_under(above_m: float, obstacle: bool) -> None:
    robot = AMR.model_copy(update={"clearance": AMR.clearance.model_copy(update={"above_m": above_m})})
    beam = Solid(4.0, 0.0, (0.3, 4.0, 0.4), bottom_m=AMR.height_m + 0.2)
    assert bool(len(load_graph(robot).step(sweep([beam], AMR_LIDAR, "lidar_top")).obstacles)) is obstacle


def test_the_inside_of_a_corner_stays_free() -> None:
    walls = [Solid(10.0, 0.0, (0.2, 12.0, 2.0)), Solid(4.0, 6.0, (12.0, 0.2, 2.0))]
    found = load_graph(VAN).step(van_sweep(*walls)).detections
    depth_m = found.sizes_m[:, :2].min(axis=1)
    assert len(found) > 0
    assert (depth_m < 1.6).all(), "no box fills the room that the two walls bound"


def test_the_robots_own_body_is_left_out() -> None:
    cloud = van_sweep(Solid(12.0, 0.0, PERSON_SIZE_M))
    roof_m = np.float32([[-1.1, 0.9, 1.7], [-1.15, -0.5, 1.2], [3.6, 0.0, 0.8], [3.68, 0.3, 0.9]])
    body = np.repeat(VAN_LIDAR.inverse().apply(roof_m).astype(np.float32), 20, axis=0)
    plain = load_graph(VAN).step(cloud)
    with_body = load_graph(VAN).step(replace(cloud, xyz_m=np.vstack([cloud.xyz_m, body])))
    assert len(with_body.obstacles) == len(plain.obstacles)


def test_own_parts_beyond_the_footprint_are_left_out_and_nothing_beside_them() -> None:
    """A mirror that sticks out, a mast above the roof; a person beside the mirror is seen."""
    mirror = {
        "name": "mirror",
        "polygon_m": [[2.2, 0.9], [2.5, 0.9], [2.5, 1.25], [2.2, 1.25]],
        "z_m": [0.9, 1.4],
    }
    mast = {
        "name": "mast",
        "polygon_m": [[0.3, 0.2], [0.0, 0.2], [0.0, -0.2], [0.3, -0.2]],
        "z_m": [1.9, 2.2],
    }
    van = Robot.model_validate(VAN.model_dump() | {"own_regions": [mirror, mast]})
    person = Solid(2.4, 2.5, PERSON_SIZE_M)
    own_m = [
        Solid(2.35, 1.07, (0.2, 0.25, 0.3), bottom_m=1.0),
        Solid(0.15, 0.0, (0.2, 0.3, 0.3), bottom_m=1.9),
    ]
    seen = sweep(
        [person, *own_m],
        Transform.from_xyz_rpy((0.76, 0.0, 4.0), (0.0, 0.0, 0.0)),
        "velodyne",
        np.deg2rad(np.linspace(-80.0, -20.0, 64)),
        900,
    )
    high = VAN_SENSOR.model_copy(
        update={
            "mounting": VAN_SENSOR.mounting.model_copy(update={"xyz_m": (0.76, 0.0, 4.0)}),
            "range_m": (0.5, 80.0),
        }
    )
    with_regions, without = (
        load_graph(robot.model_copy(update={"sensors": [high]})).step(seen).obstacles.xyz_m
        for robot in (van, VAN)
    )
    near_mirror = np.hypot(without[:, 0] - 2.35, without[:, 1] - 1.07) < 0.3
    assert near_mirror.sum() > 4
    assert not (np.hypot(with_regions[:, 0] - 2.35, with_regions[:, 1] - 1.07) < 0.3).any()
    assert len(with_regions) > 20
    beside = without[~near_mirror & (without[:, 1] > 1.5)]
    assert {p.tobytes() for p in beside} == {p.tobytes() for p in with_regions if p[1] > 1.5}


def test_order_of_points_does_not_matter() -> None:
    cloud = van_sweep(CAR_AHEAD, Solid(8.0, -3.0, PERSON_SIZE_M), Solid(20.0, 6.0, (14.0, 0.3, 2.0)))
    order = np.random.default_rng(1).permutation(len(cloud))
    a = load_graph(VAN).step(cloud).detections
    b = load_graph(VAN).step(replace(cloud, xyz_m=cloud.xyz_m[order])).detections
    assert np.array_equal(a.class_ids, b.class_ids)
    assert a.centers_m == pytest.approx(b.centers_m, abs=1e-4)
    assert a.yaws_rad == pytest.approx(b.yaws_rad, abs=1e-6)


@settings(max_examples=12, deadline=None)
@given(turn_rad=st.floats(-3.0, 3.0))
def test_turning_the_world_turns_the_boxes(turn_rad: float) -> None:
    """Seen from a lidar in the middle of its robot, as the body must not hide other things after the turn."""
    lidar = AMR.sensor("lidar_top")
    centred = lidar.model_copy(
        update={"mounting": lidar.mounting.model_copy(update={"xyz_m": (0.0, 0.0, 1.1)})}
    )
    graph = load_graph(AMR.model_copy(update={"sensors": [centred]}))
    turn = Transform.planar(0.0, 0.0, turn_rad)
    cloud = sweep(
        [CAR_AHEAD], centred.mounting.transform(), "lidar_top", np.deg2rad(np.linspace(-20, 5, 40)), 900
    )
    a = graph.step(cloud).detections
    b = graph.step(replace(cloud, xyz_m=turn.apply(cloud.xyz_m).astype(np.float32))).detections
    i = int(a.num_points.argmax())
    where = turn.apply(a.centers_m)[i]
    j = nearest_to(b, *where[:2])
    assert b.centers_m[j] == pytest.approx(where, abs=0.15)
    assert abs((b.yaws_rad[j] - a.yaws_rad[i] - turn_rad + np.pi / 2) % np.pi - np.pi / 2) < np.deg2rad(4)
    assert b.sizes_m[j] == pytest.approx(a.sizes_m[i], abs=0.3)


def test_bad_points_are_survived_and_cost_nothing_good() -> None:
    cloud = van_sweep(CAR_AHEAD)
    bad = np.float32([[np.nan, 1, 1], [np.inf, 0, 0], [0, 0, 0], [1e6, 0, 0], [3, np.nan, -np.inf]])
    clean = load_graph(VAN).step(cloud)
    dirty = load_graph(VAN).step(replace(cloud, xyz_m=np.vstack([bad, cloud.xyz_m, bad])))
    assert np.array_equal(clean.obstacles.xyz_m, dirty.obstacles.xyz_m)
    assert np.array_equal(clean.detections.centers_m, dirty.detections.centers_m)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_sweep_that_was_cut_short_shows_what_is_in_it(share: float) -> None:
    """As when packets are lost: the beams come from the lowest, so that nothing higher is seen."""
    cloud = van_sweep(CAR_AHEAD)
    percept = load_graph(VAN).step(replace(cloud, xyz_m=cloud.xyz_m[: int(share * len(cloud))]))
    whole = load_graph(VAN).step(cloud)
    seen = {p.tobytes() for p in whole.obstacles.xyz_m}
    assert is_valid(percept.detections)
    assert sum(p.tobytes() not in seen for p in percept.obstacles.xyz_m) == 0


@pytest.mark.parametrize("axis_m", [(12.0, 1.0), (-9.0, 4.0)])
def test_a_cluster_is_found_alike_in_every_cell_of_the_grid(axis_m: tuple[float, float]) -> None:
    """What lies across the grid's zero lines is cut by none of them."""
    blob_m = np.random.default_rng(2).uniform(-1, 1, (400, 3)).astype(np.float32)
    heights_m = np.ones(400, dtype=np.float32)
    for at_m in ((0.0, 0.0), axis_m):
        there_m = blob_m + np.float32([*at_m, 1.0])
        found = cluster(there_m, heights_m, np.array([-5.0, 0.0, 1.7]), ClusterParams())
        assert len(found) == 1
        assert len(found.order) == 400


def test_points_that_come_twice_change_no_box() -> None:
    cloud = van_sweep(CAR_AHEAD)
    once = load_graph(VAN).step(cloud).detections
    twice = load_graph(VAN).step(replace(cloud, xyz_m=np.vstack([cloud.xyz_m, cloud.xyz_m]))).detections
    a, b = int(once.num_points.argmax()), int(twice.num_points.argmax())
    assert once.centers_m[a] == pytest.approx(twice.centers_m[b], abs=0.02)
    assert len(twice) >= len(once)


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(0, 40), seed=st.integers(0, 1000), scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e9])
)
def test_any_points_give_valid_objects(count: int, seed: int, scale: float) -> None:
    xyz_m = np.random.default_rng(seed).normal(0, 1, (count, 3)).astype(np.float32) * np.float32(scale)
    percept = load_graph(AMR).step(PointCloud(0, "lidar_top", "lidar_top", xyz_m))
    assert is_valid(percept.detections)
    assert np.isfinite(percept.obstacles.xyz_m).all()


@pytest.mark.parametrize("origin_m", [(0.0, 0.0, 1.7), (3.0, -2.0, 1.7), (-60.0, 40.0, 1.7)])
def test_things_are_kept_apart_and_whole_wherever_the_lidar_is(origin_m: tuple[float, float, float]) -> None:
    """Their cells reach beyond all points, most of all when the lidar is far outside."""
    corners_m = np.float32([[0, 0], [6, 0], [0, 6], [6, 6]])
    blob_m = np.random.default_rng(0).uniform(0, 0.4, (4, 50, 2)).astype(np.float32)
    xy_m = (corners_m[:, None] + blob_m).reshape(-1, 2)
    xyz_m = np.pad(xy_m, ((0, 0), (0, 1)))
    found = cluster(xyz_m, np.ones(len(xyz_m), dtype=np.float32), np.array(origin_m), ClusterParams())
    assert sorted(found.order // 50) == sorted(np.repeat(range(4), 50))
    assert [set(part // 50) for part in np.split(found.order, found.starts[1:-1])] == [{0}, {1}, {2}, {3}]


def test_read_only_and_strided_points_are_taken_as_they_come() -> None:
    cloud = van_sweep(CAR_AHEAD)
    wide = np.zeros((len(cloud), 4), dtype=np.float32)
    wide[:, :3] = cloud.xyz_m
    wide.setflags(write=False)
    found = load_graph(VAN).step(replace(cloud, xyz_m=wide[:, :3])).detections
    assert len(found) == 1


def test_an_unknown_lidar_is_refused() -> None:
    with pytest.raises(InputError, match="elsewhere: robot amr has no such lidar, only lidar_top"):
        load_graph(AMR).step(PointCloud(0, "elsewhere", "elsewhere", np.zeros((0, 3), dtype=np.float32)))


def test_lineage_and_model_say_where_objects_come_from() -> None:
    cloud = replace(van_sweep(CAR_AHEAD), t_ns=42)
    found = load_graph(VAN).step(cloud).detections
    assert [(s.sensor, s.t_ns) for s in found.lineage.sources] == [("velodyne", 42)]
    assert found.models == (GeometryParams().model_ref(),)
    other = GeometryParams(clusters=ClusterParams(reach_m=0.3)).model_ref()
    assert other.id == found.models[0].id == "geometry@1"
    assert other.digest != found.models[0].digest


def test_covariance_grows_with_range_along_with_the_noise() -> None:
    near, far = (load_graph(VAN).step(van_sweep(Solid(x, 0.0, CAR_SIZE_M))).detections for x in (8.0, 30.0))
    assert np.trace(far.position_cov_m2[0]) > 0
    assert far.position_cov_m2[0, 1, 1] > near.position_cov_m2[0, 1, 1]


def test_height_is_measured_from_the_local_ground() -> None:
    cloud = sweep([], VAN_LIDAR, "velodyne", HDL64_RAD, 600, slope=0.08)
    xyz_m = VAN_LIDAR.apply(cloud.xyz_m).astype(np.float32)
    height_m = height_above_ground(xyz_m, VAN_LIDAR.translation_m, GroundParams())
    assert xyz_m[:, 2].max() > 1.0
    assert np.percentile(np.abs(height_m), 99) < 0.1
