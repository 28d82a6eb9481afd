"""Ground that is not flat, seen by lidars of 16 to 128 beams: it is no obstacle, and who stands on it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage
from perception_platform.perception.ground import height_above_ground
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import PERSON_SIZE_M, Solid
from test.unit.perception.terrain import BEAMS_RAD, HeightField, Seen, look

AMR = load_robot("amr")
LIDAR = AMR.sensor("lidar_top")
MOUNTING = LIDAR.mounting.transform()
PATH = GeometricPath(AMR, GeometryParams())

FIELDS: dict[str, HeightField] = {
    "level": lambda x, y: 0.0 * x,
    "ramp up 15 %": lambda x, y: 0.15 * np.maximum(x - 4.0, 0.0),
    "ramp down 15 %": lambda x, y: -0.15 * np.maximum(x - 4.0, 0.0),
    "ramp up 10 % to an upper level": lambda x, y: 0.10 * np.clip(x - 5.0, 0.0, 8.0),
    "crest of 10 %": lambda x, y: 0.10 * (6.0 - np.abs(np.maximum(x, 4.0) - 10.0)),
    "valley of 10 %": lambda x, y: -0.10 * np.clip(x - 5.0, 0.0, 6.0),
    "camber of 6 %": lambda x, y: -0.06 * np.abs(y) + 0.0 * x,
    "kerb of 12 cm beside": lambda x, y: np.where(y > 2.5, 0.12, 0.0) + 0.0 * x,
    "kerb of 12 cm ahead": lambda x, y: np.where(x > 6.0, 0.12, 0.0) + 0.0 * y,
    "bumps of 10 cm": lambda x, y: 0.05 * np.sin(1.1 * x) * np.cos(0.9 * y),
}


def called_obstacle(seen: Seen, which: np.ndarray) -> tuple[int, int]:
    """How many of these points, within 30 m, are obstacles, and how many there are."""
    points_m = MOUNTING.apply(seen.cloud.xyz_m[which])
    points_m = points_m[np.hypot(points_m[:, 0], points_m[:, 1]) < 30.0]
    obstacles_m = PATH.step(seen.cloud, LIDAR, Lineage()).obstacles.xyz_m
    if len(obstacles_m) == 0:
        return 0, len(points_m)
    apart_m, _ = cKDTree(obstacles_m).query(points_m, distance_upper_bound=2e-4)
    return int(np.isfinite(apart_m).sum()), len(points_m)


@pytest.mark.parametrize("beams", [16, *(pytest.param(n, marks=pytest.mark.slow) for n in (32, 64, 128))])
@pytest.mark.parametrize("name", FIELDS)
def test_ground_is_no_obstacle_and_a_person_on_it_is(name: str, beams: int) -> None:
    field = FIELDS[name]
    bottom_m = float(field(np.array(9.0), np.array(0.0)))
    seen = look(field, MOUNTING, LIDAR.name, beams, [Solid(9.0, 0.0, PERSON_SIZE_M, bottom_m=bottom_m)])
    ground, of_ground = called_obstacle(seen, seen.ground)
    person, of_person = called_obstacle(seen, seen.solid)
    assert ground <= 0.005 * of_ground
    assert person >= 0.6 * of_person > 0


@pytest.mark.parametrize("pitch_deg", [-2.0, 2.0])
@pytest.mark.parametrize("name", ["level", "ramp up 10 % to an upper level", "camber of 6 %"])
def test_a_lidar_that_sits_two_degrees_askew_sees_the_same(name: str, pitch_deg: float) -> None:
    """Nobody tells the robot file: what is level looks like a slope."""
    askew = MOUNTING @ Transform.from_xyz_rpy((0.0, 0.0, 0.0), (0.0, float(np.deg2rad(pitch_deg)), 0.0))
    seen = look(FIELDS[name], askew, LIDAR.name, 32)
    ground, of_ground = called_obstacle(seen, seen.ground)
    assert ground <= 0.005 * of_ground


@pytest.mark.parametrize("height_m", [0.25, 0.4])
def test_a_wall_as_low_as_a_kerb_stone_is_an_obstacle_on_a_ramp_too(height_m: float) -> None:
    for field in (FIELDS["level"], FIELDS["ramp up 15 %"]):
        bottom_m = float(field(np.array(7.0), np.array(0.0)))
        stone = Solid(7.0, 0.0, (0.3, 3.0, height_m), bottom_m=bottom_m)
        seen = look(field, MOUNTING, LIDAR.name, 32, [stone])
        assert called_obstacle(seen, seen.solid)[0] >= 4


def test_what_stands_on_a_lower_level_is_seen_across_the_edge() -> None:
    lower: HeightField = lambda x, y: np.where(x > 5.0, -0.5, 0.0) + 0.0 * y  # noqa: E731
    seen = look(lower, MOUNTING, LIDAR.name, 64, [Solid(9.0, 0.0, PERSON_SIZE_M, bottom_m=-0.5)])
    person, of_person = called_obstacle(seen, seen.solid)
    assert person >= 0.6 * of_person > 0


@pytest.mark.parametrize("x_m", [3.6, 4.0, 5.0])
@pytest.mark.parametrize("field", ["level", "ramp up 10 % to an upper level", "camber of 6 %"])
@pytest.mark.parametrize("beams", [16, 64])
def test_a_block_as_low_as_a_lying_body_is_no_ground_though_none_is_seen_before_it(
    beams: int, field: str, x_m: float
) -> None:
    """Sixteen beams meet no floor within 4 m: what they meet first is told from a ramp by what is beside it."""
    bottom_m = float(FIELDS[field](np.array(x_m), np.array(0.0)))
    block = Solid(x_m, 0.0, (0.4, 0.4, 0.22), bottom_m=bottom_m)
    seen = look(FIELDS[field], MOUNTING, LIDAR.name, beams, [block], azimuths=480)
    above_m = MOUNTING.apply(seen.cloud.xyz_m)[:, 2] - bottom_m
    found, there = called_obstacle(seen, seen.solid & (above_m > 0.17))
    assert found >= 0.9 * there > 0
    ground, of_ground = called_obstacle(seen, seen.ground)
    assert ground <= 0.005 * of_ground


def test_legs_of_a_lying_person_are_a_part_of_the_trunk_and_no_obstacle_without() -> None:
    legs, trunk = Solid(4.6, 0.0, (0.8, 0.3, 0.13)), Solid(5.3, 0.0, (0.6, 0.4, 0.22))
    for solids, least in (([legs, trunk], 0.9), ([legs], 0.0)):
        seen = look(FIELDS["level"], MOUNTING, LIDAR.name, 64, solids, azimuths=480)
        x, _, z = MOUNTING.apply(seen.cloud.xyz_m).T
        found, there = called_obstacle(seen, seen.solid & (x < 4.95) & (z > 0.1))
        assert there > 20
        assert found >= least * there
        assert least or found == 0


def test_the_floor_at_the_feet_of_what_is_tall_is_floor() -> None:
    """Low parts are sought beside low things only: a bump beside a wall stays a bump."""
    bump, wall = Solid(5.0, 0.0, (0.6, 0.6, 0.13)), Solid(5.8, 0.0, (0.3, 3.0, 1.5))
    seen = look(FIELDS["level"], MOUNTING, LIDAR.name, 64, [bump, wall], azimuths=480)
    x = MOUNTING.apply(seen.cloud.xyz_m)[:, 0]
    found, there = called_obstacle(seen, seen.solid & (x < 5.35))
    assert there > 20
    assert found == 0


def test_every_number_of_beams_is_tried() -> None:
    assert set(BEAMS_RAD) == {16, 32, 64, 128}


def test_heights_do_not_depend_on_the_order_of_points() -> None:
    points_m = MOUNTING.apply(look(FIELDS["bumps of 10 cm"], MOUNTING, "lidar_top", 64).cloud.xyz_m).astype(
        np.float32
    )
    known_m = height_above_ground(points_m, MOUNTING.translation_m, GeometryParams().ground)
    rng = np.random.default_rng(0)
    for _ in range(10):
        order = rng.permutation(len(points_m))
        mixed_m = height_above_ground(points_m[order], MOUNTING.translation_m, GeometryParams().ground)
        assert mixed_m.tobytes() == known_m[order].tobytes()
