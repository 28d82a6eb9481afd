"""Detections made ready for the filter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import SensorKind
from perception_platform.tracking.sightings import Sightings, sight, usable
from test.unit.tracking.scenes import Box, detections

POSE = Transform.planar(1.0, 2.0, 0.5)


def seen(boxes: list[Box], sensors: list[SensorKind]) -> Sightings:
    found = detections(0, boxes, POSE)
    found = replace(found, sensors=np.array([int(s) for s in sensors], dtype=np.int64))
    return sight(found, usable(found), POSE, 0.1)


@pytest.mark.parametrize(
    ("one", "other", "sensors"),
    [
        (Box(5, 1, score=0.9), Box(5, 1, score=0.3), [SensorKind.LIDAR, SensorKind.LIDAR]),
        (Box(5, 1, num_points=90), Box(5, 1, num_points=9), [SensorKind.LIDAR, SensorKind.LIDAR]),
        (Box(5, 1), Box(5, 1), [SensorKind.LIDAR, SensorKind.CAMERA]),
    ],
)
def test_detections_of_the_same_box_have_an_order_too(
    one: Box, other: Box, sensors: list[SensorKind]
) -> None:
    listed, swapped = seen([one, other], sensors), seen([other, one], sensors[::-1])
    for name in ("scores", "num_points", "sensors"):
        assert getattr(listed, name).tolist() == getattr(swapped, name).tolist()
