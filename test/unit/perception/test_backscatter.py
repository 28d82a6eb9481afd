"""Drops in the air: they go, and whatever is solid stays, however faint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.lineage import Lineage
from perception_platform.core.sensor_data import PointCloud
from perception_platform.evaluation.lidar_conditions import with_backscatter
from perception_platform.perception.backscatter import beams_per_rad2
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import CAR_SIZE_M, HDL64_RAD, PERSON_SIZE_M, Solid, sweep

VAN = load_robot("delivery_van")
LIDAR = VAN.sensor("velodyne")
MOUNTING = LIDAR.mounting.transform()
FILTERED, PLAIN = GeometricPath(VAN, GeometryParams()), GeometricPath(VAN, GeometryParams(backscatter=None))
STREET = [
    Solid(12.0, 3.0, CAR_SIZE_M, 0.3),
    Solid(9.0, -3.0, PERSON_SIZE_M),
    Solid(0.0, 8.0, (40.0, 0.3, 4.0)),
]


def street(intensity: float) -> PointCloud:
    cloud = sweep(STREET, MOUNTING, "velodyne", HDL64_RAD, 1200)
    return replace(cloud, intensity=np.full(len(cloud), intensity, dtype=np.float32))


def obstacles(path: GeometricPath, cloud: PointCloud) -> np.ndarray:
    return path.step(cloud, LIDAR, Lineage()).obstacles.xyz_m


def ahead(points_m: np.ndarray) -> np.ndarray:
    """Those in the van's own lane, which is empty."""
    return points_m[(points_m[:, 0] > 3.7) & (points_m[:, 0] < 20.0) & (np.abs(points_m[:, 1]) < 1.0)]


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_drops_ahead_are_no_obstacles(share: float) -> None:
    foggy, drops = with_backscatter(street(0.3), share, np.random.default_rng(0))
    assert drops.sum() > 500
    assert len(ahead(obstacles(PLAIN, foggy))) > 20
    assert len(ahead(obstacles(FILTERED, foggy))) < 4, "too few to stop for"


def test_what_is_solid_stays_however_faint() -> None:
    dark = street(0.0)
    kept, all_of_them = len(obstacles(FILTERED, dark)), len(obstacles(PLAIN, dark))
    assert kept >= 0.99 * all_of_them


@pytest.mark.parametrize("size_m", [(0.06, 0.06, 1.5), (0.3, 0.3, 0.3), PERSON_SIZE_M])
def test_small_dark_things_stay(size_m: tuple[float, float, float]) -> None:
    """A post of 6 cm, a box, a person, with nothing around them."""
    cloud = sweep([Solid(8.0, 0.0, size_m)], MOUNTING, "velodyne", HDL64_RAD, 1800)
    dark = replace(cloud, intensity=np.zeros(len(cloud), dtype=np.float32))
    assert len(obstacles(FILTERED, dark)) >= 0.9 * len(obstacles(PLAIN, dark)) > 0


def test_without_intensities_and_with_bright_ones_nothing_goes() -> None:
    foggy, _ = with_backscatter(street(0.3), 0.1, np.random.default_rng(0))
    for cloud in (replace(foggy, intensity=None), replace(foggy, intensity=np.ones(len(foggy), np.float32))):
        assert np.array_equal(obstacles(FILTERED, cloud), obstacles(PLAIN, cloud))


def test_the_density_of_beams_is_measured() -> None:
    """Against the beams' own spacing: columns by rows a square radian."""
    cloud = street(0.3)
    columns_per_rad = 1200 / (2 * np.pi)
    rows_per_rad = 63 / (HDL64_RAD[-1] - HDL64_RAD[0])
    density = beams_per_rad2(cloud.xyz_m, np.zeros(3))
    assert density == pytest.approx(columns_per_rad * rows_per_rad, rel=0.5)
    assert beams_per_rad2(np.zeros((0, 3), dtype=np.float32), np.zeros(3)) == 0.0


def test_how_dense_beams_are_does_not_depend_on_the_order_of_points() -> None:
    rng = np.random.default_rng(1)
    points_m = rng.normal(0.0, 10.0, (20_000, 3)).astype(np.float32)
    known = beams_per_rad2(points_m, np.zeros(3))
    assert known > 0
    assert {beams_per_rad2(rng.permutation(points_m), np.zeros(3)) for _ in range(20)} == {known}
    assert beams_per_rad2(points_m[:0], np.zeros(3)) == 0.0
