"""What a scenario file may say. Every field is checked; an unknown or impossible one is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from perception_platform.robot.parts import Finite, Name, NonNegative, Part, Positive
from perception_platform.scenarios.distributions import Distribution
from perception_platform.scenarios.expressions import names_in
from perception_platform.scenarios.tags import ALL
from perception_platform.scenarios.things import check_arguments

# A number, or arithmetic over the parameters of the family.
Amount = Finite | str
WayPoint = Annotated[list[Amount], Field(min_length=2, max_length=3)]


class Trigger(Part):
    """When an actor sets out: at a time, or when the robot's front is so near to its first point, along x."""

    at_s: Amount | None = None
    robot_within_m: Amount | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Trigger:
        if (self.at_s is None) == (self.robot_within_m is None):
            raise ValueError("exactly one of at_s and robot_within_m is needed")
        return self


class Thing(Part):
    """Something that stands in the world: ``thing`` names it, ``size`` holds what its maker takes."""

    thing: str
    x_m: Amount
    y_m: Amount
    yaw_deg: Amount = 0.0
    size: dict[str, Amount] = Field(default={})
    count: int = Field(1, ge=1, le=60)
    step_m: WayPoint = Field(default=[0.0, 0.0])

    @model_validator(mode="after")
    def _is_known(self) -> Thing:
        check_arguments(self.thing, set(self.size))
        return self


class ActorSpec(Part):
    """Something the robot may hit, standing or moving along straight legs at one speed.

    Attributes:
        path_m: points (x, y) or (x, y, pause in s); one point: it stands.
        turned_deg: how its body is turned against the way it goes: 180 reverses.
        yaw_deg: where it looks while it has not moved yet and its path has but one point.
    """

    thing: str
    size: dict[str, Amount] = Field(default={})
    path_m: Annotated[list[WayPoint], Field(min_length=1)]
    speed_mps: Amount = 1.0
    trigger: Trigger = Trigger(at_s=0.0)
    turned_deg: Amount = 0.0
    yaw_deg: Amount = 0.0

    @model_validator(mode="after")
    def _is_known(self) -> ActorSpec:
        check_arguments(self.thing, set(self.size))
        return self


class Crowd(Part):
    """People who walk straight through an area, from and to places that the seed draws."""

    count: int = Field(gt=0, le=40)
    x_m: tuple[Amount, Amount]
    y_m: tuple[Amount, Amount]
    speed_mps: tuple[Amount, Amount] = (0.6, 1.5)


class Dust(Part):
    """A ball of dust."""

    x_m: Amount
    y_m: Amount
    z_m: Amount = 0.8
    radius_m: Amount
    extinction_per_m: Amount
    from_s: Amount = 0.0
    until_s: Amount = 1e6


class Surroundings(Part):
    """Air, light and floor.

    Attributes:
        light: share of daylight that the camera gets.
        glare: share of the image that a low sun or a lamp blinds.
        blur_px: standard deviation of the blur of the camera's image.
        dirt: share of the image behind dirt.
    """

    rain_mm_h: Amount = 0.0
    dust: list[Dust] = Field(default=[])
    floor_reflectivity: Amount = 0.25
    light: Amount = 1.0
    glare: Amount = 0.0
    blur_px: Amount = 0.0
    dirt: Amount = 0.0


class Vehicle(Part):
    """What the floor and the load make of the robot's brakes; see ``simulation.chassis.Ground``."""

    grip_mps2: Amount = 1e6
    grade: Amount = 0.0
    brake_share: Amount = 1.0
    delay_s: Amount = 0.0


class Odometry(Part):
    """Errors of the odometry; see ``simulation.odometry.OdometryNoise``."""

    speed_scale: Amount = 0.002
    speed_sigma_mps: Amount = 0.005
    yaw_rate_sigma_radps: Amount = 0.001


class Fault(Part):
    """Something that goes wrong with a sensor.

    Attributes:
        kind: ``dropout`` (nothing comes), ``half_blocked`` (a cover hides the left half), ``frozen`` (the same data
            again, with new stamps), ``time_jump`` (stamps are off by ``amount`` s), ``late`` (messages come
            ``amount`` s late), ``tilted`` (it was bumped: pitched by ``amount`` degrees), ``turned`` (yawed by as
            many).
        sensor: kind of sensor; a robot that has none is not affected.
        from_s: when it begins.
        for_s: how long it lasts.
        amount: how much.
    """

    kind: Literal["dropout", "half_blocked", "frozen", "time_jump", "late", "tilted", "turned"]
    sensor: Literal["lidar", "scan", "camera"] = "lidar"
    from_s: Amount = 0.0
    for_s: Amount = 1e6
    amount: Amount = 0.0


class Family(Part):
    """A family of scenarios: one situation with ranges for what may differ.

    Attributes:
        hazard: what the family is evidence about; the ship gates go by it.
        in_domain: whether the stack claims to handle it at all.
        domain: ranges of parameters outside which a case is not in the domain.
        stop_expected: whether something asks for a stop, or stopping would be wrong.
        cruise_mps: what the planner asks for all the time: it is blind.
        route_m: way after which a run ends.
        derived: expressions with names, each may use those before it.
        camera: whether the camera is drawn; otherwise it says nothing.
    """

    version: Literal[1]
    family: Name
    title: Annotated[str, Field(min_length=10, max_length=120)]
    hazard: Name
    robot: str
    tags: Annotated[list[str], Field(min_length=1)]
    in_domain: bool
    domain: dict[str, tuple[Finite, Finite]] = Field(default={})
    stop_expected: bool
    parameters: Annotated[dict[str, Distribution], Field(min_length=1)]
    derived: dict[str, str] = Field(default={})
    cruise_mps: Amount
    route_m: Amount
    start_mps: Amount | None = None
    duration_s: Positive
    lidar_columns: int = Field(400, ge=90, le=2048)
    range_sigma_m: NonNegative = 0.012
    camera: bool = False
    furniture: list[Thing] = Field(default=[])
    actors: list[ActorSpec] = Field(default=[])
    crowd: Crowd | None = None
    surroundings: Surroundings = Surroundings()
    vehicle: Vehicle = Vehicle()
    odometry: Odometry = Odometry()
    faults: list[Fault] = Field(default=[])

    @field_validator("tags")
    @classmethod
    def _tags_are_known(cls, tags: list[str]) -> list[str]:
        for tag in tags:
            if tag not in ALL:
                raise ValueError(f"there is no tag {tag!r}, only {', '.join(sorted(ALL))}")
        return tags

    @model_validator(mode="after")
    def _names_are_known(self) -> Family:
        known = set(self.parameters)
        for name, text in self.derived.items():
            _require_known(names_in(text), known, f"derived.{name}")
            known.add(name)
        for name in self.domain:
            _require_known({name}, known, "domain")
        for place, text in _expressions(self):
            _require_known(names_in(text), known, place)
        used = {n for _, text in _expressions(self) for n in names_in(text)}
        used |= {n for text in self.derived.values() for n in names_in(text)}
        for name in self.parameters:
            if name not in used:
                raise ValueError(f"parameter {name!r} is never used")
        return self


def _require_known(used: set[str], known: set[str], place: str) -> None:
    for name in sorted(used - known):
        raise ValueError(f"{place} uses {name!r}, which is no parameter ({', '.join(sorted(known))})")


_PLAIN = {
    "family",
    "title",
    "hazard",
    "robot",
    "tags",
    "derived",
    "parameters",
    "domain",
    "thing",
    "kind",
    "sensor",
}


def _expressions(part: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every expression in a part of a family, with its place."""
    if isinstance(part, str):
        yield place, part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            if name not in _PLAIN:
                yield from _expressions(getattr(part, name), f"{place}.{name}".lstrip("."))
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from _expressions(value, f"{place}.{name}")
    elif isinstance(part, list | tuple):
        for i, value in enumerate(part):
            yield from _expressions(value, f"{place}.{i}")
