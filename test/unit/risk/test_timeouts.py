"""Points that are older than their own sensor may be are left out of the assessment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perception_platform.core.objects import Tracks
from perception_platform.core.time import from_s
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, post

NOW_NS = from_s(10.0)
AMR = RiskConfig.from_robot(load_robot("amr"))
OWN = replace(AMR, timeouts_s={"scan_front": 0.15, "lidar_top": 0.7})


@pytest.mark.parametrize(
    ("config", "sensor", "age_s", "used"),
    [
        (AMR, "scan_front", 0.4, True),
        (AMR, "scan_front", 0.401, False),
        (OWN, "scan_front", 0.15, True),
        (OWN, "scan_front", 0.151, False),
        (OWN, "lidar_top", 0.7, True),
        (OWN, "lidar_top", 0.701, False),
        (OWN, "another", 0.4, True),
        (OWN, "another", 0.401, False),
    ],
)
def test_points_count_up_to_the_age_of_their_own_sensor(
    config: RiskConfig, sensor: str, age_s: float, used: bool
) -> None:
    cloud = replace(post(1.5, t_ns=NOW_NS - from_s(age_s)), sensor=sensor)
    ego = ego_state(1.0, t_ns=NOW_NS)
    found = assess(Tracks.empty(NOW_NS, "odom"), [cloud], ego, config, now_ns=NOW_NS)
    assert any(f.sensor == sensor for f in found.findings) is used
    assert {s.sensor for s in found.lineage.sources} == ({sensor} if used else set())


def test_the_robot_file_says_it() -> None:
    robot = load_robot("amr")
    own = [s.model_copy(update={"timeout_s": 0.15}) if s.name == "scan_front" else s for s in robot.sensors]
    config = RiskConfig.from_robot(robot.model_copy(update={"sensors": own}))
    assert (config.timeout_s("scan_front"), config.timeout_s("lidar_top")) == (0.15, 0.4)
