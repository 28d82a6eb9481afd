"""What a robot file may say. Every field is checked; an unknown or impossible one is an error."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from perception_platform.core.geometry import Array
from perception_platform.core.verdicts import Reason
from perception_platform.robot.parts import (
    Finite,
    FrameName,
    Name,
    NonNegative,
    Part,
    Polygon,
    Positive,
)
from perception_platform.robot.placement import Placement, check_placements
from perception_platform.robot.resources import LoadShedding
from perception_platform.robot.sensors import LONGEST_TIMEOUT_S, AnySensor, Camera, Lidar, Scan, Source
from perception_platform.robot.telemetry import Telemetry
from perception_platform.robot.zones import Zone

GRAVITY_MPS2 = 9.81


class Drive(Part):
    """How the robot moves and brakes.

    Attributes:
        max_speed_mps: highest speed over ground it is ever allowed.
        max_yaw_rate_radps: highest turn rate.
        service_decel_mps2: deceleration that limits are planned with.
        emergency_decel_mps2: deceleration the brakes reach on the worst permitted floor.
        jerk_mps3: how fast the gate lets the deceleration of a limit or a stop grow; an emergency stop does not wait.
        reaction_s: from the decision to the beginning of braking (actuators and their bus).
        fade: (speed, share) pairs, both monotone: above that speed only that share of the deceleration is reached.
        mass_kg: of the robot without load; decelerations are those without load, on the level.
        max_payload_kg: assumed while nobody says what is loaded.
        max_slope_percent: steepest way down that is assumed while odometry says less.
        wheelbase_m: between the axles; what joins steering angle and turn rate of Ackermann commands.
    """

    type: Literal["differential", "ackermann", "omnidirectional"]
    max_speed_mps: Positive
    max_yaw_rate_radps: Positive
    service_decel_mps2: Positive
    emergency_decel_mps2: Positive
    jerk_mps3: Positive = 10.0
    reaction_s: NonNegative
    fade: list[tuple[Positive, Annotated[float, Field(gt=0, le=1)]]] = Field(default=[])
    mass_kg: Positive | None = None
    max_payload_kg: NonNegative = 0.0
    max_slope_percent: Annotated[float, Field(ge=0, le=30)] = 0.0
    wheelbase_m: Positive | None = None

    @model_validator(mode="after")
    def _emergency_is_stronger(self) -> Drive:
        if self.emergency_decel_mps2 < self.service_decel_mps2:
            raise ValueError("emergency_decel_mps2 is weaker than service_decel_mps2")
        return self

    @model_validator(mode="after")
    def _brakes_fade(self) -> Drive:
        speeds, shares = [v for v, _ in self.fade], [share for _, share in self.fade]
        if sorted(set(speeds)) != speeds or sorted(shares, reverse=True) != shares:
            raise ValueError("fade: speeds have to rise, and shares must not")
        return self

    @model_validator(mode="after")
    def _brakes_hold(self) -> Drive:
        if self.max_payload_kg and self.mass_kg is None:
            raise ValueError("max_payload_kg needs mass_kg: what a load does to the brakes depends on both")
        if self.at_worst_mps2(self.service_decel_mps2) <= 0:
            raise ValueError("max_slope_percent: service_decel_mps2 does not hold the loaded robot there")
        return self

    def at_worst_mps2(self, decel_mps2: float) -> float:
        """What is left of a deceleration with the largest load, down the steepest slope, where the brakes fade most."""
        ratio = 1.0 if self.mass_kg is None else self.mass_kg / (self.mass_kg + self.max_payload_kg)
        share = ratio * min((share for _, share in self.fade), default=1.0)
        return decel_mps2 * share - GRAVITY_MPS2 * float(np.sin(np.arctan(self.max_slope_percent / 100)))

    @property
    def braking_delay_s(self) -> float:
        """By how much a stop is later than one that brakes with the full service deceleration at once, s.

        The reaction time, and what bounded jerk costs: deceleration that grows from 0 to a at jerk j loses as much
        speed as one that begins a / 2j later, and covers no more way.
        """
        return self.reaction_s + self.service_decel_mps2 / (2 * self.jerk_mps3)


class Clearance(Part):
    """Distances kept: ``ahead_m`` left after a stop, ``beside_m`` added to each side of the path.

    What hangs more than ``above_m`` over the robot's height is passed under: room for its pitching and for what a
    mounting is off.

    ``position_sigma_m`` is the 1-sigma of where sensors put things relative to the robot (mountings, own motion while
    a sweep is taken); twice that, with what a track says of itself, is taken off every gap to a track.
    """

    ahead_m: Positive
    beside_m: NonNegative
    above_m: NonNegative = 0.30
    position_sigma_m: NonNegative = 0.02


class OwnRegion(Part):
    """A part of the robot beyond its footprint or above its height, in the base frame: forks, a mast, mirrors.

    Returns from inside it are the robot's own, so nothing that stands there is seen: keep it tight.
    """

    name: Name
    polygon_m: Polygon
    z_m: tuple[Finite, Finite]

    @model_validator(mode="after")
    def _has_a_height(self) -> OwnRegion:
        if not self.z_m[0] < self.z_m[1]:
            raise ValueError(f"z_m: {self.z_m[0]:g} is not below {self.z_m[1]:g}")
        return self


class Latency(Part):
    """What each stage is expected to take, and the most a decision's data may be old.

    Lockstep replay uses the declared figures in place of measured ones.
    """

    perception_ms: NonNegative
    tracker_ms: NonNegative
    risk_ms: NonNegative
    bound_ms: Positive


CommandType = Literal["twist_stamped", "twist", "ackermann"]


class Gate(Part):
    """The safety gate's own limits; none of them can be set to nothing.

    Attributes:
        rate_hz: how often it decides.
        input_timeout_s: age at which an input counts as stale; a sensor's own ``timeout_s`` goes before it.
        command_timeout_s: age at which a velocity command counts as stale.
        future_tolerance_s: how far a stamp may lie ahead of the gate's clock.
        hold_s: how long the reason for a stop has to be gone before it is released.
        escape_mps: highest speed of an escape, the motion that leads a stopped robot away from everything.
        latch_on: reasons whose stop stays until it is reset by hand.
        command: type of the velocity commands that come in.
        output: type of those let through.
    """

    rate_hz: Annotated[float, Field(ge=5, le=200)] = 20.0
    input_timeout_s: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT_S)] = 0.4
    command_timeout_s: Annotated[float, Field(gt=0, le=2)] = 0.5
    future_tolerance_s: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    hold_s: Annotated[float, Field(ge=0, le=0.45)] = 0.2
    escape_mps: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    latch_on: list[str] = Field(default=[])
    command: CommandType = "twist_stamped"
    output: CommandType = "twist_stamped"

    @field_validator("latch_on")
    @classmethod
    def _reasons_exist(cls, names: list[str]) -> list[str]:
        known = [reason.name.lower() for reason in Reason]
        for name in names:
            if name not in known:
                raise ValueError(f"there is no reason {name!r}, only {', '.join(known)}")
        return names


class Model(Part):
    """A model for a perception head: a folder with ``model.yaml`` and its weights, and what takes its place.

    Attributes:
        head: the head it serves: ``camera_objects`` looks at a camera's images, ``learned_boxes`` at a lidar's sweeps,
            in a graph that has it.
        sensor: whose data it looks at.
        path: its folder, absolute or in the installed ``config/models``.
        fallbacks: folders of models that are asked in this order when it fails; after the last the geometric path
            is alone.
        limit_ms: time that they may take for one answer together.
        give_up_after: failures in a row (errors, NaN, no answer in time) after which a model is not asked any more.
        return_after_s: a model that was given up is tried again beside the one that serves after so long; without,
            it stays out until the node starts again.
    """

    head: Literal["camera_objects", "learned_boxes"]
    sensor: Name
    path: str
    fallbacks: list[str] = Field(default=[])
    limit_ms: Positive = 100.0
    give_up_after: Annotated[int, Field(ge=1, le=1000)] = 3
    return_after_s: Positive | None = None


NamedT = TypeVar("NamedT", Lidar | Camera | Source, Zone, OwnRegion)


class Robot(Part):
    """A whole robot file.

    ``discovery`` says how far nodes look for each other: on this machine alone, or on its network. ``nodes`` places
    each node of the stack once; drivers and telemetry may be left out. ``perception`` is the graph of the perception
    layer: a name in the installed ``config/perception``, or the path of a .yaml.
    """

    version: Literal[1]
    name: Name
    description: str
    base_frame: FrameName = "base_link"
    odom_frame: FrameName = "odom"
    discovery: Literal["localhost", "subnet"] = "localhost"
    footprint_m: Polygon
    height_m: Positive
    own_regions: list[OwnRegion] = Field(default=[])
    drive: Drive
    clearance: Clearance
    latency: Latency
    gate: Gate = Gate()
    shedding: LoadShedding = LoadShedding()
    telemetry: Telemetry = Telemetry()
    sensors: Annotated[list[AnySensor], Field(min_length=1)]
    zones: list[Zone] = Field(default=[])
    models: list[Model] = Field(default=[])
    perception: str = "shared"
    nodes: Annotated[list[Placement], Field(min_length=1)]

    @field_validator("sensors", "zones", "own_regions")
    @classmethod
    def _names_differ(cls, parts: list[NamedT]) -> list[NamedT]:
        names = [part.name for part in parts]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} is used twice")
        return parts

    @field_validator("sensors")
    @classmethod
    def _gaps_are_measured(cls, sensors: list[AnySensor]) -> list[AnySensor]:
        if not any(s.required and s.kind in ("lidar", "scan") for s in sensors):
            raise ValueError("at least one lidar or scan has to be required: nothing else sees all of a gap")
        lidars = [s.name for s in sensors if s.kind == "lidar"]
        if len(lidars) > 1:
            raise ValueError(
                f"one lidar at most, there are {', '.join(lidars)}: tracks are made from one; "
                "merge their clouds into one before"
            )
        return sensors

    @field_validator("models")
    @classmethod
    def _models_have_sensors(cls, models: list[Model], others: ValidationInfo) -> list[Model]:
        if "sensors" not in others.data:  # already refused
            return models
        for model in models:
            kind = "camera" if model.head == "camera_objects" else "lidar"
            known = [s.name for s in others.data["sensors"] if s.kind == kind]
            if model.sensor not in known:
                raise ValueError(f"there is no {kind} {model.sensor!r}, only {', '.join(known) or 'none'}")
        return models

    @field_validator("nodes")
    @classmethod
    def _stack_is_whole(cls, nodes: list[Placement]) -> list[Placement]:
        check_placements(nodes)
        return nodes

    @model_validator(mode="after")
    def _frames_differ(self) -> Robot:
        if self.odom_frame == self.base_frame:
            raise ValueError(f"odom_frame: {self.odom_frame!r} is the base_frame, too")
        for sensor in self.sensors:
            if sensor.name in (self.base_frame, self.odom_frame):
                raise ValueError(f"sensors: {sensor.name!r} is the base_frame or odom_frame, too")
        return self

    @model_validator(mode="after")
    def _steering_is_known(self) -> Robot:
        for name in ("command", "output"):
            car_like = self.drive.type == "ackermann" and self.drive.wheelbase_m is not None
            if getattr(self.gate, name) == "ackermann" and not car_like:
                raise ValueError(f"gate.{name}: ackermann needs drive.type ackermann and drive.wheelbase_m")
        return self

    @model_validator(mode="after")
    def _hosts_reach_each_other(self) -> Robot:
        hosts = sorted({placement.host for placement in self.nodes})
        if len(hosts) > 1 and self.discovery == "localhost":
            raise ValueError(f"discovery: nodes on {', '.join(hosts)} only find each other with 'subnet'")
        return self

    @model_validator(mode="after")
    def _bound_can_be_kept(self) -> Robot:
        expected_ms = self.latency.perception_ms
        if not self.percept_deadline_ms > expected_ms:
            raise ValueError(
                f"latency: bound_ms leaves perception {self.percept_deadline_ms:g} ms, which takes {expected_ms:g}: "
                "the rest goes to tracker, risk and the wait for the next sweep"
            )
        return self

    @property
    def percept_deadline_ms(self) -> float:
        """Age by which a percept has to be there, ms.

        Tracker and risk come after it, and the gate relies on the result until that of the next sweep is there;
        up to then it must not grow older than the bound.
        """
        latency = self.latency
        return latency.bound_ms - latency.tracker_ms - latency.risk_ms - self.sweep_period_ms

    @property
    def sweep_period_ms(self) -> float:
        """Time between two sweeps of the slowest lidar, ms; of the slowest 2D scanner where there is no lidar."""
        return 1e3 / min(s.rate_hz for s in (self.lidars or self.sources))

    @property
    def footprint(self) -> Array:
        """The footprint's (M, 2) corners in the base frame, m."""
        return np.asarray(self.footprint_m, dtype=np.float64)

    @property
    def lidars(self) -> list[Lidar]:
        """The 3D lidars."""
        return [s for s in self.sensors if isinstance(s, Lidar)]

    @property
    def cameras(self) -> list[Camera]:
        """The cameras."""
        return [s for s in self.sensors if isinstance(s, Camera)]

    @property
    def scans(self) -> list[Scan]:
        """The 2D scanners."""
        return [s for s in self.sensors if isinstance(s, Scan)]

    @property
    def sources(self) -> list[Source]:
        """What other packages publish for the risk stage and the gate: scans, ranges, points and polygons."""
        return [s for s in self.sensors if not isinstance(s, Lidar | Camera)]

    @property
    def timeouts_s(self) -> dict[str, float]:
        """Age at which the obstacle points of each lidar and source are stale, s, by name."""
        shared_s = self.gate.input_timeout_s
        return {s.name: s.timeout_s or shared_s for s in (*self.lidars, *self.sources)}

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            KeyError: if there is none.
        """
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(name)

    def sensor(self, name: str) -> Lidar | Camera | Source:
        """The sensor of that name.

        Raises:
            KeyError: if there is none.
        """
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        raise KeyError(name)
