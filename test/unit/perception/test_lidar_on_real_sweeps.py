"""The geometric path on real sweeps: the gap to the car ahead in a real drive; lidars of 32 and 128 beams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.load import load_graph
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.load import load_robot
from perception_platform.robot.sensors import Lidar, Ouster
from perception_platform.sensing.clock import SystemClock
from perception_platform.sensing.sources import lidar_source

pytestmark = pytest.mark.slow

AMR = load_robot("amr")
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


def test_what_is_right_beside_the_van_is_seen_and_its_own_ghosts_are_not(shared_data: Path) -> None:
    """Of seven street scenes two have something within 2.5 m of the lidar, beside the body."""
    sweeps = sorted((shared_data / "kitti_object").glob("**/velodyne/*.bin"))
    if not sweeps:
        pytest.skip("no sweeps of KITTI object in the real recordings")
    graph, lidar_m = load_graph(VAN), np.array(VAN.sensor("velodyne").mounting.xyz_m)
    near = {}
    for path in sweeps:
        xyz_m = graph.step(load_sweep(path)).obstacles.xyz_m
        near[path.stem] = int((np.linalg.norm(xyz_m - lidar_m, axis=1) < 2.5).sum())
    assert near.pop("000000") > 500
    assert near.pop("000011") > 1000
    assert max(near.values()) <= 6, near


@pytest.mark.parametrize(
    ("name", "height_m", "nearest_m", "obstacles"),
    [
        ("OS-1-128_v2.3.0_1024x10_lb_n3.pcap", 1.97, 2.0, 10_000),
        ("OS-0-32-U1_v2.2.0_1024x10.pcap", 1.37, 1.0, 2_000),
    ],
)
def test_ground_of_other_lidars_is_free_and_the_drop_filter_takes_next_to_nothing(
    shared_data: Path, name: str, height_m: float, nearest_m: float, obstacles: int
) -> None:
    """Heights above the ground are read off the sweeps; their robots are not known."""
    capture = shared_data / "lidar_pcap" / "ouster" / name
    metadata = capture.with_name(name.replace("_lb_n3", "").replace(".pcap", ".json"))
    pytest.importorskip("ouster.sdk.core", reason="ouster-sdk is not installed")
    lidar = AMR.lidars[0].model_copy(
        update={
            "mounting": AMR.lidars[0].mounting.model_copy(update={"xyz_m": (0.0, 0.0, height_m)}),
            "driver": Ouster(type="ouster", metadata=str(metadata), pcap=str(capture)),
            "range_m": (nearest_m, 80.0),
        }
    )
    robot = AMR.model_copy(update={"height_m": 1.6, "sensors": [lidar]})
    cloud = first_sweep(lidar)
    filtered, plain = (
        GeometricPath(robot, params).step(cloud, lidar, Lineage()).obstacles.xyz_m
        for params in (GeometryParams(), GeometryParams(backscatter=None))
    )
    assert 0.99 * len(plain) <= len(filtered) > obstacles
    x, y, z = lidar.mounting.transform().apply(cloud.xyz_m).T
    level = (np.abs(z) < 0.05) & (np.hypot(x, y) < 8.0)
    low = (np.abs(filtered[:, 2]) < 0.05) & (np.hypot(filtered[:, 0], filtered[:, 1]) < 8.0)
    assert level.sum() > 1000
    assert low.sum() <= 0.01 * level.sum(), "feet of things are among them"


def first_sweep(lidar: Lidar) -> PointCloud:
    source = lidar_source(lidar, SystemClock())
    source.open()
    try:
        while (cloud := source.read().data) is None:
            pass
    finally:
        source.close()
    return cloud
