"""What would have been decided without the object, or the fault, that binds."""

from __future__ import annotations

import numpy as np
import pytest

from perception_platform.core.verdicts import Action, Finding, NearObjects, Reason, Without
from perception_platform.safety.without import without_binding
from test.unit.safety.healthy import finding, healthy, running_gate

# Track 3 stands at (2.5, 0.5), track 4 at (-1.5, 0.5); each a metre wide.
BOX = np.array([[3.0, 1.0], [2.0, 1.0], [2.0, 0.0], [3.0, 0.0]])
NEAR = NearObjects(np.array([3, 4]), np.stack([BOX, BOX - [4.0, 0.0]]), np.zeros((2, 2)))
FREE = Without(Action.PROCEED, 1.5, None)
PERSON = finding(Action.STOP)
ITS_POINTS = finding(
    Action.STOP, track_ids=(), points_m=((1.9, 0.5, 0.1),), reason=Reason.POINTS_IN_PATH, sensor="lidar_top"
)
OTHER_POINTS = finding(
    Action.LIMIT,
    0.4,
    track_ids=(),
    points_m=((5.0, 0.5, 0.1),),
    reason=Reason.POINTS_IN_PATH,
    sensor="lidar_top",
)
SCAN_POINTS = finding(
    Action.STOP, track_ids=(), points_m=((5.0, 0.5, 0.1),), reason=Reason.POINTS_IN_PATH, sensor="scan_front"
)
FAULT = finding(Action.LIMIT, 0.7, track_ids=(), reason=Reason.SENSOR_DEGRADED, sensor="lidar_top")
SLOW = finding(Action.LIMIT, 0.3, track_ids=(4,), reason=Reason.ZONE)
HOLD = finding(Action.STOP, track_ids=(), reason=Reason.HOLD)
ESCAPE = finding(Action.LIMIT, 0.25, track_ids=(), reason=Reason.ESCAPE)
ALARM = finding(Action.PROCEED, 1.5, reason=Reason.OPINIONS_DIFFER)
COMMAND = finding(Action.PROCEED, 1.5, track_ids=(), reason=Reason.COMMAND_STALE)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], None),
        ([COMMAND], None),
        ([PERSON], FREE),
        ([PERSON, COMMAND, ALARM], FREE),
        ([PERSON, ITS_POINTS], FREE),
        ([ITS_POINTS, PERSON], FREE),
        ([PERSON, SLOW], Without(Action.LIMIT, 0.3, Reason.ZONE)),
        ([PERSON, SLOW, FAULT], Without(Action.LIMIT, 0.3, Reason.ZONE)),
        ([PERSON, OTHER_POINTS], Without(Action.LIMIT, 0.4, Reason.POINTS_IN_PATH)),
        ([SCAN_POINTS, OTHER_POINTS], Without(Action.LIMIT, 0.4, Reason.POINTS_IN_PATH)),
        ([OTHER_POINTS, FAULT], Without(Action.LIMIT, 0.7, Reason.SENSOR_DEGRADED)),
        ([PERSON, SCAN_POINTS], Without(Action.STOP, 0.0, Reason.POINTS_IN_PATH)),
        ([HOLD], FREE),
        ([ESCAPE, PERSON, HOLD], FREE),
        ([ESCAPE, PERSON, SLOW], Without(Action.LIMIT, 0.3, Reason.ZONE)),
        ([FAULT, SLOW], Without(Action.LIMIT, 0.3, Reason.ZONE)),
    ],
)
def test_without_what_binds(findings: list[Finding], expected: Without | None) -> None:
    assert without_binding(findings, NEAR, 1.5) == expected


def test_points_of_the_same_sensor_go_together_where_no_track_has_them() -> None:
    again = finding(Action.LIMIT, 0.2, track_ids=(), points_m=((6.0, 0.0, 0.0),), sensor="lidar_top")
    assert without_binding([OTHER_POINTS, again], NEAR, 1.5) == FREE


def test_decisions_carry_it() -> None:
    gate, now_ns = running_gate()
    assert gate.step(now_ns, healthy(now_ns)).without is None
    now_ns += 50_000_000
    assert gate.step(now_ns, healthy(now_ns, 1.0, (PERSON, SLOW))).without == Without(
        Action.LIMIT, 0.3, Reason.ZONE
    )
