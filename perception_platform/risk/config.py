"""What the assessment needs to know of a robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import ObjectClass
from perception_platform.risk.brakes import Brakes

if TYPE_CHECKING:
    from perception_platform.robot.description import Drive, Robot
    from perception_platform.robot.sensors import Lidar, Scan
    from perception_platform.robot.zones import MotionField, Zone

EVERYTHING = (-np.inf, np.inf)
SHOWN_M = 0.5  # of somebody behind a thing so much above it is enough to find them: three beams of 16 at 5 m
LEVEL_M = 0.1  # what ends so near below a lidar may well reach above it


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A polygon of a zone and when it is the one that counts.

    Attributes:
        polygon_m: (M, 2) corners in the base frame.
        speed_mps: along the base's x axis, from and to.
        yaw_rate_radps: from and to.
        payload_kg: from and to.
    """

    polygon_m: Array
    speed_mps: tuple[float, float] = EVERYTHING
    yaw_rate_radps: tuple[float, float] = EVERYTHING
    payload_kg: tuple[float, float] = EVERYTHING

    def fits(self, speed_mps: float, yaw_rate_radps: float, payload_kg: float) -> bool:
        """Whether all three are in its ranges."""
        wanted = (self.speed_mps, self.yaw_rate_radps, self.payload_kg)
        given = (speed_mps, yaw_rate_radps, payload_kg)
        return all(low <= value <= high for (low, high), value in zip(wanted, given, strict=True))


@dataclass(frozen=True, slots=True)
class ZoneRule:
    """An area and what happens while something is inside (``robot/zones.py`` says what an action means).

    Attributes:
        name: as in the robot file.
        action: stop, limit (``slow`` is one, too), approach, occlusion, exclude.
        fields: the first that fits counts, the last if none does; empty for a part of the swept path.
        stopping_ways: how far that part reaches, in stopping distances.
        speed_limit_mps: allowed while something is inside; what ``occlusion`` never falls below.
        least_time_s: of ``approach``.
        walking_mps: of ``occlusion``.
        hides_m: of ``occlusion``: what is lower hides nobody who walks there.
        class_ids: classes of tracks that count; empty: any track, and any points.
        min_points: obstacle points that count as something.
        trigger_s: how long something has to be inside.
        release_s: how long the zone asks on after it was empty.
        switchable: whether it may be disabled while the robot runs.
    """

    name: str
    action: str
    fields: tuple[FieldRule, ...]
    stopping_ways: float = 0.0
    speed_limit_mps: float = 0.0
    least_time_s: float = 0.0
    walking_mps: float = 0.0
    hides_m: float = 0.0
    class_ids: tuple[int, ...] = ()
    min_points: int = 4
    trigger_s: float = 0.0
    release_s: float = 0.0
    switchable: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a lidar looks.

    Attributes:
        sensor_from_base: where it sits.
        elevation_rad: of its lowest and its highest beam, in its own frame.
        nearest_m: nothing nearer is measured.
    """

    sensor_from_base: Transform
    elevation_rad: tuple[float, float]
    nearest_m: float

    def misses(self, xyz_m: Array) -> npt.NDArray[np.bool_]:
        """Which of the points (N, 3), base frame, lie below or above all beams, or too near."""
        x, y, z = self.sensor_from_base.apply(xyz_m).T
        flat_m = np.hypot(x, y)
        low, high = self.elevation_rad
        above = np.arctan2(z, flat_m)
        return np.asarray((above < low) | (above > high) | (np.hypot(flat_m, z) < self.nearest_m))


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """The robot as the assessment sees it, and the assumptions about others.

    Attributes:
        footprint_m: (M, 2) corners in the base frame.
        sideways: whether the drive can move sideways.
        max_speed_mps: highest speed over ground.
        brakes: what limits are planned with, without load, on the level.
        mass_kg: without load; infinite if no load matters.
        max_payload_kg: assumed while nobody says what is loaded.
        max_downhill: sine of the slope that is assumed at least.
        reaction_s: from the decision to the beginning of braking, bounded jerk included.
        jerk_s: what of that is bounded jerk, for which an emergency stop does not wait.
        gate_period_s: an assessment waits up to this long for the gate's next beat.
        look_period_s: time between two assessments at most.
        expected_latency_s: declared sensor-to-assessment latency; a larger measured one counts instead.
        sweep_age_s: half the longest sweep: sweeps are stamped at their end, and what lies ahead was measured up to
            that long before.
        input_timeout_s: obstacle points that are this much older than the newest input are left out.
        timeouts_s: the same by sensor, where a sensor has its own.
        ahead_m: distance left after a stop.
        beside_m: added to each side of the path.
        position_sigma_m: 1-sigma of where sensors put things relative to the robot, beside that of a track.
        zones: areas with rules.
        sights: where each lidar looks of which that is known.
        eyes_m: (x, y) in the base frame of each lidar and scanner.
        emergency_over_service: how many times harder the emergency brake is.
        sigmas: how many 1-sigmas of a track's position and speed are allowed for.
        creep_mps: a limit below this is a stop: nothing drives that slowly.
        start_mps: and while the robot stands, below this: it does not creep up to what it stopped for, jerk by jerk.
        stop_over_service: a stop is asked for when keeping ``ahead_m`` takes this many times the service
            deceleration. Above one, so that a robot which follows its limit does not flicker into a stop.
        stop_within: and when the service brake would leave less than this share of ``ahead_m``; below one for the same
            reason, at speeds at which most of the way is reaction.
        min_points: obstacle points in the path that count as an obstacle.
        together_m: if they lie so near to each other, right at the sensor; drops of rain seldom do.
        together_per_m: and so much more for each metre from it, as its beams spread: by up to 3 degrees.
        min_existence: tracks less likely than this are left to the obstacle points.
        horizon_s: how far ahead crossing objects are predicted.
        object_decel_mps2: how hard a vehicle ahead may brake (about 0.6 g, a full stop of a car on dry road).
        moving_mps: slower tracks count as standing.
        swerve_mps2: lateral acceleration with which a bend begins or ends in ordinary driving: beside a car that the
            robot would miss by it, an emergency stop waits until the last moment (comfort limit of about 1 m/s²,
            Hoberock 1977).
        yield_mps2: deceleration with which a vehicle gives way in ordinary driving (2 m/s², ISO 15622's limit of
            comfort is 3.5), in the same sense.
        near_m: the gate gets the outlines of tracks within this distance, for escapes.
    """

    footprint_m: Array
    sideways: bool
    max_speed_mps: float
    brakes: Brakes
    mass_kg: float
    max_payload_kg: float
    max_downhill: float
    reaction_s: float
    jerk_s: float
    gate_period_s: float
    look_period_s: float
    expected_latency_s: float
    sweep_age_s: float
    input_timeout_s: float
    timeouts_s: Mapping[str, float]
    ahead_m: float
    beside_m: float
    position_sigma_m: float
    zones: tuple[ZoneRule, ...]
    sights: Mapping[str, Sight]
    eyes_m: Mapping[str, tuple[float, float]]
    emergency_over_service: float
    sigmas: float = 2.0
    creep_mps: float = 0.1
    start_mps: float = 0.3
    stop_over_service: float = 1.1
    stop_within: float = 0.8
    min_points: int = 3
    together_m: float = 0.2
    together_per_m: float = 0.05
    min_existence: float = 0.5
    horizon_s: float = 3.0
    object_decel_mps2: float = 6.0
    moving_mps: float = 0.4
    swerve_mps2: float = 1.0
    yield_mps2: float = 2.0
    near_m: float = 5.0

    def timeout_s(self, sensor: str) -> float:
        """How much older than the newest input obstacle points of a sensor may be, s."""
        return self.timeouts_s.get(sensor, self.input_timeout_s)

    def reaction_after_s(self, latency_s: float) -> float:
        """From the capture of data that is so old to the beginning of braking."""
        return latency_s + self.sweep_age_s + self.gate_period_s + self.reaction_s

    @classmethod
    def from_robot(cls, robot: Robot) -> RiskConfig:
        """From a robot file."""
        latency, drive = robot.latency, robot.drive
        slowest_hz = min(s.rate_hz for s in robot.sensors if s.kind in ("lidar", "scan"))
        return cls(
            footprint_m=robot.footprint,
            sideways=drive.type == "omnidirectional",
            max_speed_mps=drive.max_speed_mps,
            brakes=_brakes(drive),
            mass_kg=drive.mass_kg or np.inf,
            max_payload_kg=drive.max_payload_kg,
            max_downhill=float(np.sin(np.arctan(drive.max_slope_percent / 100))),
            reaction_s=drive.braking_delay_s,
            jerk_s=drive.braking_delay_s - drive.reaction_s,
            gate_period_s=1.0 / robot.gate.rate_hz,
            look_period_s=1.0 / slowest_hz,
            expected_latency_s=(latency.perception_ms + latency.tracker_ms + latency.risk_ms) / 1e3,
            sweep_age_s=0.5 / slowest_hz,
            input_timeout_s=robot.gate.input_timeout_s,
            timeouts_s=robot.timeouts_s,
            ahead_m=robot.clearance.ahead_m,
            beside_m=robot.clearance.beside_m,
            position_sigma_m=robot.clearance.position_sigma_m,
            zones=tuple(_zone(zone, robot) for zone in robot.zones),
            sights={s.name: _sight(s, s.beam_span_deg) for s in robot.lidars if s.beam_span_deg},
            eyes_m={s.name: s.mounting.xyz_m[:2] for s in robot.sensors if s.kind in ("lidar", "scan")},
            emergency_over_service=drive.emergency_decel_mps2 / drive.service_decel_mps2,
        )

    def brakes_under(self, payload_kg: float, downhill: float) -> Brakes:
        """The brakes with a load, on a slope (sine, in the direction of travel)."""
        ratio = 1.0 / (1.0 + payload_kg / self.mass_kg)
        return self.brakes.under(ratio, max(downhill, self.max_downhill))


def _sight(lidar: Lidar, span_deg: tuple[float, float]) -> Sight:
    elevation_rad = (float(np.deg2rad(span_deg[0])), float(np.deg2rad(span_deg[1])))
    return Sight(lidar.mounting.transform().inverse(), elevation_rad, lidar.range_m[0])


def _brakes(drive: Drive) -> Brakes:
    shares = [1.0, *(share for _, share in drive.fade)]
    up_to = (*(speed for speed, _ in drive.fade), np.inf)
    return Brakes(tuple(up_to), tuple(drive.service_decel_mps2 * share for share in shares))


def _zone(zone: Zone, robot: Robot) -> ZoneRule:
    slow_mps = (zone.share or 0.0) * robot.drive.max_speed_mps
    return ZoneRule(
        name=zone.name,
        action="limit" if zone.action == "slow" else zone.action,
        fields=tuple(_field(field) for field in zone.fields)
        if zone.fields
        else tuple(FieldRule(polygon_m) for polygon_m in zone.outlines_m(robot.footprint)),
        stopping_ways=zone.stopping_ways or 0.0,
        speed_limit_mps=zone.speed_limit_mps or zone.least_mps or slow_mps,
        least_time_s=zone.least_time_s or 0.0,
        walking_mps=zone.walking_mps or 0.0,
        hides_m=_hides_m(zone.shortest_m, robot) if zone.shortest_m else 0.0,
        class_ids=tuple(int(ObjectClass[name.upper()]) for name in zone.classes),
        min_points=zone.min_points,
        trigger_s=zone.trigger_s,
        release_s=zone.release_s,
        switchable=zone.switchable,
    )


def _hides_m(shortest_m: float, robot: Robot) -> float:
    """How tall a thing has to be to hide somebody of that height who walks.

    What ends lower shows enough of them above it, as long as the sensor is not lower still: then lines of sight rise
    behind the thing, and it may be taller than what is seen of it. A scanner, at one height, says how tall nothing is.
    """
    eyes: Sequence[Lidar | Scan] = robot.lidars or robot.scans
    return min(shortest_m - SHOWN_M, *(sensor.mounting.xyz_m[2] - LEVEL_M for sensor in eyes))


def _field(field: MotionField) -> FieldRule:
    return FieldRule(
        np.asarray(field.polygon_m, dtype=np.float64),
        field.speed_mps or EVERYTHING,
        field.yaw_rate_radps or EVERYTHING,
        field.payload_kg or EVERYTHING,
    )
