"""Tracks and raw points are two opinions: the stricter rules, and lasting disagreement is told with its evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.safety.inputs import GateInputs, Seen
from perception_platform.safety.opinions import DISAGREEMENT_S, Opinions
from test.unit.safety.healthy import CONFIG, PERIOD_NS, beats, finding, healthy, running_gate
from test.unit.scenes import post

TRACK = finding(Action.STOP, track_ids=(3,))
POINTS = finding(Action.STOP, track_ids=(), points_m=((0.7, 0.0, 0.3),), sensor="lidar_top")
FAR_POINTS = replace(POINTS, action=Action.LIMIT, speed_limit_mps=0.5)
BEATS = int(from_s(DISAGREEMENT_S) / PERIOD_NS)


def alarms(findings: list[Finding], beats_: int = BEATS + 3) -> list[Finding | None]:
    opinions = Opinions(CONFIG)
    return [opinions.step(from_s(5.0) + i * PERIOD_NS, findings) for i in range(beats_)]


@pytest.mark.parametrize(
    ("findings", "differ"),
    [
        ([TRACK], True),
        ([POINTS], True),
        ([TRACK, POINTS], False),
        ([TRACK, FAR_POINTS], False),
        ([FAR_POINTS], False),
        ([replace(TRACK, action=Action.EMERGENCY_STOP)], True),
        ([], False),
        ([finding(Action.STOP, track_ids=())], False),
    ],
)
def test_they_differ_when_one_asks_for_a_stop_and_the_other_sees_nothing(
    findings: list[Finding], differ: bool
) -> None:
    assert any(alarms(findings)) is differ


def test_the_alarm_comes_after_a_while_with_the_evidence_of_the_stop_and_asks_for_nothing() -> None:
    found = alarms([FAR_POINTS, POINTS])
    assert not any(found[:BEATS])
    assert all(found[BEATS:])
    alarm = found[BEATS]
    assert alarm is not None
    assert (alarm.reason, alarm.action, alarm.speed_limit_mps) == (
        Reason.OPINIONS_DIFFER,
        Action.PROCEED,
        CONFIG.max_speed_mps,
    )
    assert (alarm.points_m, alarm.sensor, alarm.track_ids) == (POINTS.points_m, "lidar_top", ())
    assert (alarm.value, alarm.threshold, alarm.margin) == (DISAGREEMENT_S, DISAGREEMENT_S, 0.0)
    assert alarm.text == "ALARM: for 2.0 s points have asked for a stop where tracks show nothing"
    of_track = alarms([TRACK])[-1]
    assert of_track is not None
    assert of_track.track_ids == (3,)
    assert "tracks have asked for a stop where points show nothing" in of_track.text


@pytest.mark.parametrize("between", [[], [TRACK, POINTS], [POINTS]])
def test_it_begins_anew_when_they_agreed_or_changed_sides_or_time_went_back(between: list[Finding]) -> None:
    opinions = Opinions(CONFIG)
    t_ns = from_s(5.0)
    for findings in ([TRACK], between, [TRACK]):
        assert opinions.step(t_ns, findings) is None
        t_ns += from_s(DISAGREEMENT_S) - 1
    t_ns = from_s(1.0)
    assert opinions.step(t_ns, [TRACK]) is None
    assert opinions.step(t_ns + from_s(DISAGREEMENT_S), [TRACK]) is not None


def test_in_the_gate_the_stricter_rules_whichever_it_is() -> None:
    gate, now_ns = running_gate()

    def ghost(t_ns: int) -> GateInputs:
        return healthy(t_ns, 0.0, (TRACK,))

    def overlooked(t_ns: int) -> GateInputs:
        near = Seen(post(0.47, t_ns=t_ns - from_s(0.1)), 0.0)
        return replace(healthy(t_ns, 0.0), obstacles={**healthy(t_ns).obstacles, "lidar_top": near})

    for scene, action in ((ghost, Action.STOP), (overlooked, Action.EMERGENCY_STOP)):
        decisions = beats(gate, now_ns, BEATS + 5, scene)
        assert {d.action for d in decisions} == {action}
        assert Reason.OPINIONS_DIFFER in decisions[-1].reasons
        assert Reason.OPINIONS_DIFFER not in decisions[5].reasons
        now_ns = decisions[-1].t_ns + PERIOD_NS
