"""The gate's own look at raw points: is anything in the field that even the hardest braking would cross?

Written on purpose without the risk stage's code: the checker does not trust the doer.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.safety.config import GateConfig

MIN_POINTS = 3  # fewer may be noise
STANDSTILL_M = 0.05  # depth of the field of a robot that stands


def check_field(clouds: Iterable[PointCloud], ego: EgoState, config: GateConfig) -> Finding | None:
    """An emergency stop if points stand in the rectangle that the robot crosses until it stands.

    The rectangle is as wide as the footprint and reaches ``v t + v^2 / 2a`` beyond its edge in the direction of
    travel, with the emergency deceleration and the reaction time of the brakes alone.
    """
    speed_mps = ego.velocity_mps[0]
    depth_m = (
        STANDSTILL_M + abs(speed_mps) * config.reaction_s + speed_mps**2 / (2 * config.emergency_decel_mps2)
    )
    sign = -1.0 if speed_mps < 0 else 1.0
    edge_m = float((config.footprint_m[:, 0] * sign).max())
    right_m, left_m = (
        float(edge) for edge in (config.footprint_m[:, 1].min(), config.footprint_m[:, 1].max())
    )
    for cloud in clouds:
        ahead_m = cloud.xyz_m[:, 0] * sign - edge_m
        y_m = cloud.xyz_m[:, 1]
        inside = np.flatnonzero((ahead_m > 0) & (ahead_m < depth_m) & (y_m > right_m) & (y_m < left_m))
        if len(inside) >= MIN_POINTS:
            nearest = inside[np.argsort(ahead_m[inside], kind="stable")[:MIN_POINTS]]
            return Finding(
                Reason.POINTS_IN_FIELD,
                Action.EMERGENCY_STOP,
                0.0,
                quantity="gap",
                value=float(ahead_m[nearest[0]]),
                threshold=depth_m,
                unit="m",
                points_m=tuple((float(x), float(y), float(z)) for x, y, z in cloud.xyz_m[nearest]),
                sensor=cloud.sensor,
                text=f"{len(inside)} raw points of {cloud.sensor} within {depth_m:.2f} m: emergency stop",
            )
    return None
