"""The gate's own look at raw points: is anything where even the hardest braking would take the robot?

Written on purpose without the risk stage's code: the checker does not trust the doer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.safety.config import Drive, GateConfig

MIN_POINTS = 3  # fewer may be noise
STANDSTILL_M = 0.05  # depth of the field of a robot that stands
STANDSTILL_MPS = 0.03  # slower is odometry noise
TURNING_RADPS = 0.05
Command = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Field:
    """Points inside the field by index, how far each of them is, m, and the distance below which points are inside."""

    inside: npt.NDArray[np.intp]
    distance_m: npt.NDArray[np.floating]
    reach_m: float


def check_field(
    clouds: Iterable[PointCloud], ego: EgoState, command: Command | None, config: GateConfig
) -> Finding | None:
    """An emergency stop if raw points stand in the robot's way.

    Driving, the way is the rectangle that it crosses until it stands: as wide as the footprint across the direction of
    travel, ``v t + v^2 / 2a`` beyond its edge in that direction, with what the largest load and the steepest slope
    leave of the emergency deceleration, and the reaction time of the brakes alone. Standing, the command says which
    edge that is; turning on the spot, it is the circle around the footprint.
    """
    moving = _over_ground(*ego.velocity_mps, config)
    wanted = _over_ground(*command[:2], config) if command else (0.0, 0.0)
    turning = max(abs(ego.yaw_rate_radps), abs(command[2]) if command else 0.0) > TURNING_RADPS
    on_the_spot = moving == wanted == (0.0, 0.0) and turning
    for cloud in clouds:
        if on_the_spot:
            field = _circle(cloud, config)
        else:
            field = _rectangle(cloud, math.hypot(*moving), _direction(moving, wanted), config)
        finding = _finding(cloud, field)
        if finding is not None:
            return finding
    return None


def field_reach_m(ego: EgoState, config: GateConfig) -> tuple[float, float]:
    """How far from the footprint, along x and along y, points may lie that are in the field."""
    around_m = float(np.hypot(*config.footprint_m.T).max()) + STANDSTILL_M
    depth_m = around_m + _depth_m(math.hypot(*ego.velocity_mps), config)
    return depth_m, depth_m if config.drive is Drive.OMNIDIRECTIONAL else around_m


def _depth_m(speed_mps: float, config: GateConfig) -> float:
    return STANDSTILL_M + speed_mps * config.reaction_s + speed_mps**2 / (2 * config.least_emergency_mps2)


def _over_ground(vx: float, vy: float, config: GateConfig) -> tuple[float, float]:
    """A motion, zero where that is noise; sideways for omnidirectional drives alone."""
    vy = vy if config.drive is Drive.OMNIDIRECTIONAL else 0.0
    return (vx, vy) if math.hypot(vx, vy) > STANDSTILL_MPS else (0.0, 0.0)


def _direction(moving: tuple[float, float], wanted: tuple[float, float]) -> tuple[float, float]:
    """Unit vector of the way: where the robot drives or, standing, is told to; ahead without either."""
    vx, vy = moving if any(moving) else wanted
    speed_mps = math.hypot(vx, vy)
    return (vx / speed_mps, vy / speed_mps) if speed_mps else (1.0, 0.0)


def _rectangle(
    cloud: PointCloud, speed_mps: float, direction: tuple[float, float], config: GateConfig
) -> _Field:
    depth_m = _depth_m(speed_mps, config)
    c, s = direction
    x_m, y_m = cloud.xyz_m[:, 0], cloud.xyz_m[:, 1]
    corner_x_m, corner_y_m = config.footprint_m.T
    across_m = y_m * c - x_m * s if s else y_m
    corners_m = corner_y_m * c - corner_x_m * s if s else corner_y_m
    # Few of many points are across: only they are looked at further.
    within = np.flatnonzero((across_m > corners_m.min()) & (across_m < corners_m.max()))
    edge_m = float((corner_x_m * c + corner_y_m * s).max())
    ahead_m = x_m[within] * c + y_m[within] * s - edge_m
    inside = (ahead_m > 0) & (ahead_m < depth_m)
    return _Field(within[inside], ahead_m[inside], depth_m)


def _circle(cloud: PointCloud, config: GateConfig) -> _Field:
    """Around the base frame's origin, about which the robot turns; what lies within its own outline is itself."""
    reach_m = float(np.hypot(*config.footprint_m.T).max()) + STANDSTILL_M
    xy_m = cloud.xyz_m[:, :2]
    distance_m = np.hypot(xy_m[:, 0], xy_m[:, 1])
    own = ((xy_m > config.footprint_m.min(axis=0)) & (xy_m < config.footprint_m.max(axis=0))).all(axis=1)
    inside = np.flatnonzero((distance_m < reach_m) & ~own)
    return _Field(inside, distance_m[inside], reach_m)


def _finding(cloud: PointCloud, field: _Field) -> Finding | None:
    if len(field.inside) < MIN_POINTS:
        return None
    nearest = np.argsort(field.distance_m, kind="stable")[:MIN_POINTS]
    return Finding(
        Reason.POINTS_IN_FIELD,
        Action.EMERGENCY_STOP,
        0.0,
        quantity="distance of points",
        value=float(field.distance_m[nearest[0]]),
        threshold=field.reach_m,
        unit="m",
        points_m=tuple((float(x), float(y), float(z)) for x, y, z in cloud.xyz_m[field.inside[nearest]]),
        sensor=cloud.sensor,
        text=f"{len(field.inside)} raw points of {cloud.sensor} within {field.reach_m:.2f} m: emergency stop",
    )
