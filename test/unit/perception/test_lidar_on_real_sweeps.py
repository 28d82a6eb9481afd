"""The geometric path on real sweeps: the gap to the car ahead in a real drive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.load import load_graph
from perception_platform.robot.load import load_robot

VAN = load_robot("delivery_van")
BASE_FROM_LIDAR_X_M = VAN.sensor("velodyne").mounting.xyz_m[0]


@pytest.fixture(scope="module")
def drive(shared_data: Path) -> list[Path]:
    sweeps = sorted((shared_data / "kitti_drive_0052" / "velodyne_points" / "data").glob("*.bin"))
    if not sweeps:
        pytest.skip("no drive 0052 in the real recordings")
    return sweeps


def load_sweep(path: Path) -> PointCloud:
    return PointCloud(0, "velodyne", "velodyne", np.fromfile(path, dtype=np.float32).reshape(-1, 4)[:, :3])


def gap_in_points_m(cloud: PointCloud) -> float:
    """Distance ahead of the lidar to the tail of the car ahead, from raw points at its height in the lane."""
    x, y, z = cloud.xyz_m.T
    tail = (np.abs(y + 0.2) < 0.75) & (z > -1.4) & (z < -0.3) & (x > 4) & (x < 12)
    return float(np.percentile(x[tail], 2))


def test_the_car_ahead_is_one_car_whose_near_face_is_where_its_points_are(drive: list[Path]) -> None:
    graph = load_graph(VAN)
    for path in drive:
        cloud = load_sweep(path)
        found = graph.step(cloud).detections
        x_m = found.centers_m[:, 0] - BASE_FROM_LIDAR_X_M
        ahead = np.flatnonzero(
            (x_m > 4) & (x_m < 12) & (np.abs(found.centers_m[:, 1] + 0.2) < 0.6) & (found.num_points > 300)
        )
        assert len(ahead) == 1, path.name
        car = ahead[0]
        assert found.class_ids[car] == ObjectClass.CAR, path.name
        near_face_m = x_m[car] - 0.5 * found.sizes_m[car, 0] * np.cos(found.yaws_rad[car])
        assert near_face_m == pytest.approx(gap_in_points_m(cloud), abs=0.08), path.name
