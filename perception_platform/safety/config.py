"""What the gate needs to know of a robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from perception_platform.core.geometry import Array
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Reason

if TYPE_CHECKING:
    from perception_platform.robot.description import Robot

HEALTH_TIMEOUT_S = 3.0  # reports come once a second; three missing ones mean that the driver is gone


class Drive(Enum):
    """Which motions a robot can make; the values are those of the robot file."""

    DIFFERENTIAL = "differential"
    ACKERMANN = "ackermann"
    OMNIDIRECTIONAL = "omnidirectional"


@dataclass(frozen=True, slots=True)
class GateConfig:
    """The gate's limits.

    Attributes:
        drive: which motions the robot can make.
        footprint_m: (M, 2) corners in the base frame.
        stop_zones_m: (M, 2) corners of each zone in which anything is a stop.
        ahead_m: distance kept ahead.
        beside_m: distance kept to each side.
        escape_mps: highest speed of an escape.
        max_speed_mps: highest speed over ground.
        max_yaw_rate_radps: highest turn rate.
        service_decel_mps2: deceleration of a stop.
        emergency_decel_mps2: deceleration of an emergency stop.
        least_service_mps2: what is left of the first with the largest load, down the steepest slope.
        least_emergency_mps2: what is left of the other there.
        jerk_mps3: how fast the deceleration of a limit or a stop grows.
        reaction_s: from the decision to the beginning of braking.
        period_ns: time between two beats.
        input_timeout_s: age at which an input is stale.
        timeouts_s: the same of obstacle points, by sensor.
        command_timeout_s: age at which a command is stale.
        future_tolerance_s: how far a stamp may lie ahead.
        latency_bound_s: the most that the data behind a decision may be old before speed is reduced.
        hold_s: how long the reason for a stop has to be gone before it is released.
        latch_on: reasons whose stop stays until it is reset.
        gap_sensors: sensors whose obstacle points have to be fresh.
        reporting_sensors: required sensors without points, whose health reports have to be fresh.
        required_sensors: sensors whose failure is a stop.
        idle_sensors: cameras that are not required and that no model looks at: nothing rests on them, so their health
            limits nothing.
    """

    drive: Drive
    footprint_m: Array
    stop_zones_m: tuple[Array, ...]
    ahead_m: float
    beside_m: float
    escape_mps: float
    max_speed_mps: float
    max_yaw_rate_radps: float
    service_decel_mps2: float
    emergency_decel_mps2: float
    least_service_mps2: float
    least_emergency_mps2: float
    jerk_mps3: float
    reaction_s: float
    period_ns: int
    input_timeout_s: float
    timeouts_s: Mapping[str, float]
    command_timeout_s: float
    future_tolerance_s: float
    latency_bound_s: float
    hold_s: float
    latch_on: frozenset[Reason]
    gap_sensors: tuple[str, ...]
    reporting_sensors: tuple[str, ...]
    required_sensors: frozenset[str]
    idle_sensors: frozenset[str]

    def timeout_s(self, name: str) -> float:
        """Age at which an input of that name is stale, s."""
        return self.timeouts_s.get(name, self.input_timeout_s)

    @property
    def longest_timeout_s(self) -> float:
        """The largest age at which anything still counts as fresh, s."""
        return max([self.input_timeout_s, *self.timeouts_s.values()])

    @classmethod
    def from_robot(cls, robot: Robot) -> GateConfig:
        """From a robot file."""
        gate, drive = robot.gate, robot.drive
        required = [s for s in robot.sensors if s.required]
        looked_at = {model.sensor for model in robot.models}
        return cls(
            drive=Drive(drive.type),
            footprint_m=robot.footprint,
            stop_zones_m=tuple(
                outline_m
                for zone in robot.zones
                if zone.action == "stop"
                for outline_m in zone.outlines_m(robot.footprint)
            ),
            ahead_m=robot.clearance.ahead_m,
            beside_m=robot.clearance.beside_m,
            escape_mps=min(gate.escape_mps, drive.max_speed_mps),
            max_speed_mps=drive.max_speed_mps,
            max_yaw_rate_radps=drive.max_yaw_rate_radps,
            service_decel_mps2=drive.service_decel_mps2,
            emergency_decel_mps2=drive.emergency_decel_mps2,
            least_service_mps2=drive.at_worst_mps2(drive.service_decel_mps2),
            least_emergency_mps2=drive.at_worst_mps2(drive.emergency_decel_mps2),
            jerk_mps3=drive.jerk_mps3,
            reaction_s=drive.reaction_s,
            period_ns=from_s(1.0 / gate.rate_hz),
            input_timeout_s=gate.input_timeout_s,
            timeouts_s=robot.timeouts_s,
            command_timeout_s=gate.command_timeout_s,
            future_tolerance_s=gate.future_tolerance_s,
            latency_bound_s=robot.latency.bound_ms / 1e3,
            hold_s=gate.hold_s,
            latch_on=frozenset(Reason[name.upper()] for name in gate.latch_on),
            gap_sensors=tuple(s.name for s in required if s.kind != "camera"),
            reporting_sensors=tuple(s.name for s in required if s.kind == "camera"),
            required_sensors=frozenset(s.name for s in required),
            idle_sensors=frozenset(s.name for s in robot.cameras if not s.required) - looked_at,
        )
