"""Application: how near the nearest person is."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from perception_platform.core.objects import Detections, ObjectClass
from perception_platform.perception.component import Component, Measure, Moment, Port, Ports, Setup
from perception_platform.perception.reporting import nearest_box, outline_m
from perception_platform.robot.parts import Part

_PEOPLE = (int(ObjectClass.PERSON), int(ObjectClass.CYCLIST))
_WIDEST_M, _LOWEST_M, _HIGHEST_M = 1.2, 0.6, 2.3


class Params(Part):
    """Who counts as a person.

    Attributes:
        unnamed: whether what has no name and a person's size does; a person whom no model knows is one all the same.
    """

    unnamed: bool = True


class PeopleProtection(Component):
    """Distance from the robot's outline to people and cyclists."""

    params_model: ClassVar[type[Part]] = Params
    inputs: ClassVar[Ports] = {"objects": Port(Detections, unit="m", frame="base")}
    outputs: ClassVar[Ports] = {"report": Port(Measure)}

    def __init__(self, setup: Setup, params: Params) -> None:
        self._unnamed = params.unnamed
        self._outline_m = outline_m(setup.robot)

    def step(self, moment: Moment, objects: Detections) -> Measure:
        """The nearest of them."""
        named = np.isin(objects.class_ids, _PEOPLE)
        size_m = objects.sizes_m
        may_be = objects.class_ids == int(ObjectClass.UNKNOWN)
        may_be &= (size_m[:, :2].max(axis=1, initial=0) <= _WIDEST_M) & (size_m[:, 2] >= _LOWEST_M)
        may_be &= size_m[:, 2] <= _HIGHEST_M
        near = nearest_box(objects, named | (may_be & self._unnamed), self._outline_m)
        if near.point_m is None:
            text = "nobody is seen"
        else:
            who = ObjectClass(int(objects.class_ids[near.index])).name.lower()
            text = f"{'something of a person’s size' if who == 'unknown' else who} at {near.distance_m:.1f} m"
        return Measure("distance to the nearest person", near.distance_m, "m", near.point_m, text)
