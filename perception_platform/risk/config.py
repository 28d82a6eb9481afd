"""What the assessment needs to know of a robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import ObjectClass

if TYPE_CHECKING:
    from perception_platform.robot.description import Robot


@dataclass(frozen=True, slots=True)
class ZoneRule:
    """An area of the base frame; ``speed_limit_mps`` 0 means stop.

    Attributes:
        name: as in the robot file.
        polygon_m: (M, 2) corners in the base frame.
        speed_limit_mps: allowed while something is inside.
        class_ids: classes of tracks that count; empty: any track, and any points.
        min_points: obstacle points that count as something.
    """

    name: str
    polygon_m: Array
    speed_limit_mps: float
    class_ids: tuple[int, ...]
    min_points: int


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """The robot as the assessment sees it, and the assumptions about others.

    Attributes:
        footprint_m: (M, 2) corners in the base frame.
        max_speed_mps: highest speed over ground.
        service_decel_mps2: what limits are planned with.
        reaction_s: from the decision to the beginning of braking, bounded jerk included.
        gate_period_s: an assessment waits up to this long for the gate's next beat.
        expected_latency_s: declared sensor-to-assessment latency; a larger measured one counts instead.
        sweep_age_s: half the longest sweep: sweeps are stamped at their end, and what lies ahead was measured up to
            that long before.
        obstacles_max_age_s: obstacle points that are this much older than the newest input are left out.
        ahead_m: distance left after a stop.
        beside_m: added to each side of the path.
        zones: areas with rules.
        creep_mps: a limit below this is a stop: nothing drives that slowly.
        stop_over_service: a stop is asked for when keeping ``ahead_m`` takes this many times the service
            deceleration. Above one, so that a robot which follows its limit does not flicker into a stop.
        min_points: obstacle points in the path that count as an obstacle.
        min_existence: tracks less likely than this are left to the obstacle points.
        horizon_s: how far ahead crossing objects are predicted.
        object_decel_mps2: how hard a vehicle ahead may brake (about 0.6 g, a full stop of a car on dry road).
        moving_mps: slower tracks count as standing.
        near_m: the gate gets the outlines of tracks within this distance, for escapes.
    """

    footprint_m: Array
    max_speed_mps: float
    service_decel_mps2: float
    reaction_s: float
    gate_period_s: float
    expected_latency_s: float
    sweep_age_s: float
    obstacles_max_age_s: float
    ahead_m: float
    beside_m: float
    zones: tuple[ZoneRule, ...]
    creep_mps: float = 0.1
    stop_over_service: float = 1.1
    min_points: int = 3
    min_existence: float = 0.5
    horizon_s: float = 3.0
    object_decel_mps2: float = 6.0
    moving_mps: float = 0.4
    near_m: float = 5.0

    @classmethod
    def from_robot(cls, robot: Robot) -> RiskConfig:
        """From a robot file."""
        latency = robot.latency
        return cls(
            footprint_m=robot.footprint,
            max_speed_mps=robot.drive.max_speed_mps,
            service_decel_mps2=robot.drive.service_decel_mps2,
            reaction_s=robot.drive.braking_delay_s,
            gate_period_s=1.0 / robot.gate.rate_hz,
            expected_latency_s=(latency.perception_ms + latency.tracker_ms + latency.risk_ms) / 1e3,
            sweep_age_s=0.5 / min(s.rate_hz for s in (*robot.lidars, *robot.scans)),
            obstacles_max_age_s=robot.gate.input_timeout_s,
            ahead_m=robot.clearance.ahead_m,
            beside_m=robot.clearance.beside_m,
            zones=tuple(
                ZoneRule(
                    name=zone.name,
                    polygon_m=np.asarray(zone.polygon_m, dtype=np.float64),
                    speed_limit_mps=zone.speed_limit_mps or 0.0,
                    class_ids=tuple(int(ObjectClass[name.upper()]) for name in zone.classes),
                    min_points=zone.min_points,
                )
                for zone in robot.zones
            ),
        )
