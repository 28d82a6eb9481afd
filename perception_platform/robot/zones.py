"""Zones of a robot file: where, when, and what happens while something is inside."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from perception_platform.core.geometry import Array
from perception_platform.robot.parts import (
    Finite,
    Name,
    NonNegative,
    Part,
    Point2,
    Polygon,
    Positive,
)

CIRCLE_CORNERS = 48
Range = tuple[Finite, Finite]
ClassName = Literal["unknown", "person", "cyclist", "car", "truck", "forklift", "structure"]

# What belongs to which action, and to no other.
_NEEDS = {
    "stop": (),
    "slow": ("share",),
    "limit": ("speed_limit_mps",),
    "approach": ("least_time_s",),
    "occlusion": ("walking_mps", "least_mps", "shortest_m"),
    "exclude": (),
}
_OWN = sorted({name for names in _NEEDS.values() for name in names})
_SHAPES = ("polygon_m", "circle", "around_m", "fields", "stopping_ways")


class Circle(Part):
    """A circle in the base frame."""

    center_m: Point2 = (0.0, 0.0)
    radius_m: Positive


class MotionField(Part):
    """A polygon for a range of speed, turn rate and payload; what is left out fits any.

    Speeds are along the base's x axis, backing up negative; turns to the left are positive.
    """

    polygon_m: Polygon
    speed_mps: Range | None = None
    yaw_rate_radps: Range | None = None
    payload_kg: Range | None = None

    @model_validator(mode="after")
    def _ranges_rise(self) -> MotionField:
        for name in ("speed_mps", "yaw_rate_radps", "payload_kg"):
            limits = getattr(self, name)
            if limits is not None and not limits[0] <= limits[1]:
                raise ValueError(f"{name}: {limits[0]:g} is more than {limits[1]:g}")
        return self


class Zone(Part):
    """An area of the base frame and what happens while something is in it.

    It has one shape of ``polygon_m``, ``circle``, ``around_m`` (the footprint grown by so much), ``fields`` (the first
    whose ranges fit; the last one if none does) and ``stopping_ways`` (the part of the swept path that is nearer than
    so many times the present stopping distance).

    Attributes:
        action: ``stop``; ``slow``: to ``share`` of the robot's highest speed; ``limit``: to ``speed_limit_mps``;
            ``approach``: so slowly that what is in the path is not reached within ``least_time_s``; ``occlusion``: so
            slowly that somebody who steps out of what no sensor sees, at ``walking_mps``, meets a robot that stands or
            drives no faster than ``least_mps``, where the shortest who walk there are ``shortest_m`` tall;
            ``exclude``: points and tracks inside do not count for the risk stage at all (a load, a trailer).
        classes: only tracks of those count; without, any track and any ``min_points`` obstacle points.
        trigger_s: something has to be inside for so long.
        release_s: the zone asks on for so long after it was empty.
        switchable: whether a service may disable it; while it does, every assessment says so.
    """

    name: Name
    polygon_m: Polygon | None = None
    circle: Circle | None = None
    around_m: NonNegative | None = None
    fields: Annotated[list[MotionField], Field(min_length=1)] | None = None
    stopping_ways: Positive | None = None
    action: Literal["stop", "slow", "limit", "approach", "occlusion", "exclude"]
    speed_limit_mps: Positive | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    least_time_s: Positive | None = None
    walking_mps: Positive | None = None
    least_mps: Positive | None = None
    shortest_m: Annotated[float, Field(ge=0.8, le=2.5)] | None = None
    classes: list[ClassName] = Field(default=[])
    min_points: int = Field(4, gt=0)
    trigger_s: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    release_s: Annotated[float, Field(ge=0, le=5)] = 0.0
    switchable: bool = False

    @model_validator(mode="after")
    def _has_one_shape(self) -> Zone:
        shapes = [name for name in _SHAPES if getattr(self, name) is not None]
        if len(shapes) != 1:
            raise ValueError(f"needs one of {', '.join(_SHAPES)}, and has {' and '.join(shapes) or 'none'}")
        if self.stopping_ways is not None and self.action in ("occlusion", "exclude"):
            raise ValueError(f"stopping_ways does not go with action {self.action}")
        return self

    @model_validator(mode="after")
    def _settings_fit_the_action(self) -> Zone:
        for name in _OWN:
            if (getattr(self, name) is not None) != (name in _NEEDS[self.action]):
                needs = " and ".join(_NEEDS[self.action]) or "no further setting"
                raise ValueError(f"{name}: action {self.action} takes {needs}")
        return self

    def outlines_m(self, footprint_m: Array) -> list[Array]:
        """Its polygons (M, 2) in the base frame: one a field; none for a part of the swept path."""
        if self.polygon_m is not None:
            return [np.asarray(self.polygon_m, dtype=np.float64)]
        if self.circle is not None:
            return [np.asarray(self.circle.center_m) + _around(self.circle.radius_m)]
        if self.around_m is not None:
            return [_hull((footprint_m[:, None] + _around(self.around_m)[None]).reshape(-1, 2))]
        return [np.asarray(field.polygon_m, dtype=np.float64) for field in self.fields or ()]


def _around(radius_m: float) -> Array:
    """A polygon just around a circle about the origin."""
    angles = np.arange(CIRCLE_CORNERS) * 2 * np.pi / CIRCLE_CORNERS
    radius_m /= np.cos(np.pi / CIRCLE_CORNERS)
    return np.asarray(radius_m * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def _hull(points_m: Array) -> Array:
    """Convex hull, counter-clockwise (Andrew's monotone chain, 1979)."""
    corners = sorted(map(tuple, points_m.tolist()))

    def chain(points: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
        found: list[tuple[float, ...]] = []
        for x, y in points:
            while len(found) > 1 and _turn(found[-2], found[-1], (x, y)) <= 0:
                found.pop()
            found.append((x, y))
        return found[:-1]

    return np.array(chain(corners) + chain(corners[::-1]))


def _turn(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> float:
    """Positive if the way from a by b to c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
