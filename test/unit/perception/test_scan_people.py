"""People by their legs for a robot without a lidar: one scanner sets the pace, the others add who is not there yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.objects import ObjectClass, SensorKind
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.scan_people import ScanPeople
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import is_valid
from test.unit.perception.test_legs import scan

FRONT = load_robot("amr").sensor("scan_front")
BACK = FRONT.model_copy(update={"name": "scan_back"})
ROBOT = load_robot("amr").model_copy(update={"sensors": [FRONT, BACK]})
AT_M = FRONT.mounting.transform().translation_m


def legs(sensor: str, *people_m: tuple[float, float]) -> PointCloud:
    """People ahead of both scanners, which sit at one place here."""
    seen = scan([(x, y + side) for x, y in people_m for side in (-0.15, 0.15)])
    return replace(seen, sensor=sensor, xyz_m=(seen.xyz_m + AT_M).astype(np.float32))


def test_the_first_scanner_leads_and_a_person_whom_both_see_is_one() -> None:
    people = ScanPeople(ROBOT)
    assert people.leading == "scan_front"
    alone = people.step(legs("scan_front", (2.0, 0.5)))
    assert (alone.class_ids.tolist(), alone.sensors.tolist()) == ([ObjectClass.PERSON], [SensorKind.SCAN])
    assert alone.centers_m[0, :2] == pytest.approx([2.0 + AT_M[0], 0.5], abs=0.1)
    others = [legs("scan_front", (1.0, 0.0)), legs("scan_back", (2.0, 0.5), (3.0, -1.0))]
    both = people.step(legs("scan_front", (2.0, 0.5)), others)
    assert is_valid(both)
    assert len(both) == 2
    assert both.centers_m[1, :2] == pytest.approx([3.0 + AT_M[0], -1.0], abs=0.1)
    assert {s.sensor for s in both.lineage.sources} == {"scan_front", "scan_back"}


def test_scans_of_another_moment_add_nobody() -> None:
    old = replace(legs("scan_back", (3.0, -1.0)), t_ns=-(10**9))
    assert len(ScanPeople(ROBOT).step(legs("scan_front", (2.0, 0.5)), [old])) == 1


def test_nobody_before_an_empty_wall() -> None:
    assert len(ScanPeople(ROBOT).step(legs("scan_front"), [legs("scan_back", (3.0, 0.0))])) == 1
    assert len(ScanPeople(ROBOT).step(legs("scan_front"))) == 0
