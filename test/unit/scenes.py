"""Small hand-made scenes for the tests of risk and gate."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.objects import ObjectClass, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud


def ego_state(vx_mps: float = 0.0, yaw_rate_radps: float = 0.0, t_ns: int = 0) -> EgoState:
    """A robot at the origin of odom."""
    return EgoState(t_ns, Transform.identity(), (vx_mps, 0.0), yaw_rate_radps)


def points(*xyz_m: tuple[float, float, float], sensor: str = "lidar_top", t_ns: int = 0) -> PointCloud:
    """Obstacle points in the base frame."""
    return PointCloud(t_ns, "base_link", sensor, np.array(xyz_m, dtype=np.float32).reshape(-1, 3))


def post(x_m: float, y_m: float = 0.0, count: int = 5, **kwargs: object) -> PointCloud:
    """A thin upright post of ``count`` points."""
    return points(*((x_m, y_m, 0.3 + 0.1 * i) for i in range(count)), **kwargs)  # type: ignore[arg-type]


def track(
    x_m: float,
    y_m: float = 0.0,
    velocity_mps: tuple[float, float] = (0.0, 0.0),
    size_m: tuple[float, float, float] = (0.5, 0.5, 1.7),
    class_id: ObjectClass = ObjectClass.PERSON,
    existence: float = 0.95,
    track_id: int = 1,
    t_ns: int = 0,
) -> Tracks:
    """One track in odom, seen by the lidar just now."""
    return Tracks(
        t_ns,
        "odom",
        ids=np.array([track_id]),
        centers_m=np.array([[x_m, y_m, size_m[2] / 2]]),
        velocities_mps=np.array([velocity_mps]),
        sizes_m=np.array([size_m]),
        yaws_rad=np.zeros(1),
        class_ids=np.array([int(class_id)]),
        class_scores=np.array([0.9]),
        existence=np.array([existence]),
        state_cov=np.eye(4)[None] * 0.01,
        last_seen_ns=np.array([t_ns]),
        first_seen_ns=np.array([t_ns]),
        sensors=np.array([int(SensorKind.LIDAR)]),
        lineage=Lineage((SourceStamp("lidar_top", t_ns),)),
    )
