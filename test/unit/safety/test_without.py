"""What would have been decided without the object, or the fault, that binds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.verdicts import Action, Finding, NearObjects, Reason, Without
from perception_platform.safety.inputs import Seen
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


def test_it_is_worked_out_once_for_findings_that_come_again() -> None:
    gate, now_ns = running_gate()
    inputs = healthy(now_ns, 1.0, (PERSON, SLOW))
    first = gate.step(now_ns, inputs)
    again = gate.step(now_ns + 10_000_000, inputs)
    assert again.without is first.without
    other = gate.step(now_ns + 20_000_000, healthy(now_ns, 1.0, (SLOW,)))
    assert other.without == FREE
    moved = healthy(now_ns, 1.0, (PERSON, SLOW))
    assert gate.step(now_ns + 30_000_000, moved).without == first.without


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        # Nobody knows where track 9 is: no points are its own.
        (
            [finding(Action.STOP, track_ids=(9,)), ITS_POINTS],
            Without(Action.STOP, 0.0, Reason.POINTS_IN_PATH),
        ),
        # A stop is a stop, whatever speed it names.
        (
            [PERSON, finding(Action.STOP, 0.3, track_ids=(4,))],
            Without(Action.STOP, 0.0, Reason.OBJECT_IN_PATH),
        ),
        # Of two tracks that bind together, the points of either go with them.
        ([finding(Action.STOP, track_ids=(3, 4)), ITS_POINTS], FREE),
    ],
)
def test_whose_points_go_along(findings: list[Finding], expected: Without) -> None:
    assert without_binding(findings, NEAR, 1.5) == expected


def test_points_of_which_some_lie_on_a_track_are_its_own() -> None:
    partly = finding(
        Action.STOP, track_ids=(), points_m=((2.5, 0.5, 0.1), (9.0, 9.0, 0.1)), reason=Reason.POINTS_IN_PATH
    )
    assert without_binding([PERSON, partly], NEAR, 1.5) == FREE


def test_a_tracks_outline_keeps_its_shape() -> None:
    """A triangle of (3, 1), (2, 1) and, told twice, (2, 0): (2.1, 0.8) is on it, (2.9, 0.2) is not."""
    triangle = NearObjects(
        np.array([3]), np.array([[[3.0, 1.0], [2.0, 1.0], [2.0, 0.0], [2.0, 0.0]]]), np.zeros((1, 2))
    )
    inside, outside = (
        finding(Action.STOP, track_ids=(), points_m=(place,), reason=Reason.POINTS_IN_PATH)
        for place in ((2.1, 0.8, 0.1), (2.9, 0.2, 0.1))
    )
    assert without_binding([PERSON, inside], triangle, 1.5) == FREE
    assert without_binding([PERSON, outside], triangle, 1.5) == Without(
        Action.STOP, 0.0, Reason.POINTS_IN_PATH
    )


def test_it_is_worked_out_anew_when_one_of_two_findings_is_another() -> None:
    gate, now_ns = running_gate()
    inputs = healthy(now_ns, 1.0, (PERSON, SLOW))
    assert inputs.assessment is not None
    assert gate.step(now_ns, inputs).without == Without(Action.LIMIT, 0.3, Reason.ZONE)
    other = replace(inputs.assessment.value, findings=(PERSON, OTHER_POINTS))
    changed = replace(inputs, assessment=Seen(other, 0.05))
    assert gate.step(now_ns + 10_000_000, changed).without == Without(
        Action.LIMIT, 0.4, Reason.POINTS_IN_PATH
    )
