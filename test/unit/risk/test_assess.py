"""The assessment on small scenes: gaps, crossings, zones, and what must not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Assessment, Reason
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, points, post, track

AMR = RiskConfig.from_robot(load_robot("amr"))
CONFIG = replace(AMR, zones=tuple(zone for zone in AMR.zones if zone.action != "occlusion"))
VAN = RiskConfig.from_robot(load_robot("delivery_van"))
FRONT_M = 0.45
NOTHING = Tracks.empty(0, "odom")


def judge(
    speed_mps: float,
    tracks: Tracks = NOTHING,
    obstacles: tuple[PointCloud, ...] = (),
    config: RiskConfig = CONFIG,
    latency_s: float = 0.05,
    yaw_rate_radps: float = 0.0,
) -> Assessment:
    return assess(tracks, obstacles, ego_state(speed_mps, yaw_rate_radps), config, now_ns=from_s(latency_s))


def action_of(assessment: Assessment) -> Action:
    return assessment.findings[0].action if assessment.findings else Action.PROCEED


@pytest.mark.parametrize("gap_m", [0.8, 1.0, 1.3, 2.0])
def test_who_follows_its_limit_a_little_late_is_not_told_to_stop(gap_m: float) -> None:
    wall, config = (post(FRONT_M + gap_m),), replace(CONFIG, zones=())
    allowed_mps = judge(0.2, obstacles=wall, config=config).findings[0].speed_limit_mps
    assert action_of(judge(allowed_mps + 0.05, obstacles=wall, config=config)) is Action.LIMIT
    assert action_of(judge(allowed_mps + 0.25, obstacles=wall, config=config)) <= Action.STOP


def test_who_stands_does_not_creep_up_to_what_it_stopped_for_but_who_drives_may() -> None:
    config = replace(CONFIG, zones=())
    wall = (post(FRONT_M + 0.6),)
    assert action_of(judge(0.0, obstacles=wall, config=config)) is Action.STOP
    assert judge(0.15, obstacles=wall, config=config).findings[0].speed_limit_mps == pytest.approx(
        0.2, abs=0.1
    )
    further = judge(0.0, obstacles=(post(FRONT_M + 0.75),), config=config).findings[0]
    assert further.action is Action.LIMIT
    assert 0.3 < further.speed_limit_mps < 0.5


def test_points_are_an_obstacle_where_three_lie_together() -> None:
    """Drops lie anywhere in the path; what stands behind them is as near as it is."""
    drops = [(1.0, 0.2, 0.4), (1.8, -0.3, 1.0), (2.6, 0.1, 0.7)]
    assert action_of(judge(1.2, obstacles=(points(*drops),))) is Action.PROCEED
    abreast = [(1.0 + 0.1 * i, y, z) for i, (_, y, z) in enumerate(drops)]
    assert action_of(judge(1.2, obstacles=(points(*abreast),))) is Action.PROCEED
    close = [(1.0 + 0.1 * i, 0.2 - 0.05 * i, 0.4) for i in range(3)]
    assert action_of(judge(1.2, obstacles=(points(*close),))) is Action.EMERGENCY_STOP
    behind = judge(1.2, obstacles=(points(*drops[:2], *post(FRONT_M + 1.75).xyz_m.tolist()),))
    assert behind.findings[0].value == pytest.approx(1.75, abs=0.01)


@pytest.mark.parametrize(
    ("speed_mps", "gap_m", "action"),
    [
        (1.2, 8.0, Action.PROCEED),
        (1.2, 1.75, Action.LIMIT),
        (1.2, 1.5, Action.STOP),
        (1.5, 1.0, Action.EMERGENCY_STOP),
        (0.0, 1.0, Action.LIMIT),
        (0.0, 0.45, Action.STOP),
    ],
)
@pytest.mark.parametrize("seen_as", ["points", "track"])
def test_the_smaller_the_gap_the_stricter(
    speed_mps: float, gap_m: float, action: Action, seen_as: str
) -> None:
    near_x_m = FRONT_M + gap_m
    config = replace(CONFIG, zones=())
    if seen_as == "points":
        got = judge(speed_mps, obstacles=(post(near_x_m),), config=config)
    else:
        got = judge(speed_mps, track(near_x_m + 0.25), config=replace(config, sigmas=0.0))
    assert action_of(got) is action


def test_a_finding_says_rule_measure_margin_and_evidence() -> None:
    finding = judge(1.2, track(FRONT_M + 1.0 + 0.25, track_id=7)).findings[0]
    assert (finding.reason, finding.quantity, finding.unit) == (Reason.OBJECT_IN_PATH, "gap", "m")
    assert finding.track_ids == (7,)
    assert finding.value == pytest.approx(1.0, abs=1e-6)
    assert finding.margin < 0
    assert "person 7 in the path at 1.00 m" in finding.text


def test_two_points_are_noise_and_three_are_an_obstacle() -> None:
    assert action_of(judge(1.2, obstacles=(post(1.9, count=2),))) is Action.PROCEED
    assert action_of(judge(1.2, obstacles=(post(1.9, count=3),))) is Action.STOP


def test_what_stands_beside_the_path_does_not_matter() -> None:
    shelf = points(*((x, 0.45, 0.5) for x in np.arange(0.5, 5.0, 0.05)))
    assert action_of(judge(1.2, obstacles=(shelf,))) is Action.PROCEED


def test_a_person_who_walks_into_the_path_is_in_it_before_touching_it() -> None:
    standing = judge(1.2, track(2.2, 0.9))
    walking = judge(1.2, track(2.2, 0.9, velocity_mps=(0.0, -1.2)))
    assert action_of(standing) is Action.PROCEED or standing.findings[0].reason is Reason.ZONE
    assert any(f.reason is Reason.OBJECT_IN_PATH for f in walking.findings)
    assert walking.objects.ttc_s[0] < 1.5


def test_a_person_who_has_crossed_long_before_is_not_in_the_path() -> None:
    got = judge(0.5, track(6.0, 0.9, velocity_mps=(0.0, -1.5)))
    assert not got.objects.in_path[0]


def test_a_car_that_drives_on_ahead_allows_more_than_one_that_stands() -> None:
    car = {"size_m": (4.2, 1.8, 1.5), "class_id": ObjectClass.CAR}
    ahead_m = 3.65 + 11.0 + 2.1
    standing = judge(8.0, track(ahead_m, **car), config=VAN)
    driving = judge(8.0, track(ahead_m, velocity_mps=(8.0, 0.0), **car), config=VAN)
    assert action_of(standing) in (Action.STOP, Action.EMERGENCY_STOP)
    assert action_of(driving) in (Action.LIMIT, Action.PROCEED)
    assert driving.objects.closing_mps[0] == pytest.approx(0.0)


def test_points_on_a_car_that_drives_on_are_judged_as_the_car() -> None:
    rear_m = 3.65 + 8.0
    rear = post(rear_m + 0.05, count=8)
    car = track(rear_m + 2.1, velocity_mps=(8.0, 0.0), size_m=(4.2, 1.8, 1.5), class_id=ObjectClass.CAR)
    assert any(f.reason is Reason.POINTS_IN_PATH for f in judge(8.0, NOTHING, (rear,), VAN).findings)
    assert not any(f.reason is Reason.POINTS_IN_PATH for f in judge(8.0, car, (rear,), VAN).findings)


def test_an_unlikely_track_is_left_to_the_points() -> None:
    assert action_of(judge(1.2, track(1.6, existence=0.2))) is Action.PROCEED


def test_zones_by_points_by_track_and_by_class() -> None:
    in_zone = post(0.8)
    stop = judge(0.0, obstacles=(in_zone,)).findings
    assert any(f.reason is Reason.ZONE and f.zone == "protective" and f.action is Action.STOP for f in stop)
    person = judge(0.0, track(1.5, 0.8)).findings
    assert any(f.zone == "people_near" and f.action is Action.LIMIT for f in person)
    box = judge(0.0, track(1.5, 0.8, class_id=ObjectClass.STRUCTURE)).findings
    assert not any(f.zone == "people_near" for f in box)


def test_measured_latency_counts_when_it_is_larger_than_the_declared_one() -> None:
    near = (post(FRONT_M + 2.0),)
    limits = [
        judge(1.0, obstacles=near, latency_s=s).findings[0].speed_limit_mps for s in (0.0, 0.05, 0.4, 0.6)
    ]
    assert limits[0] == limits[1] > limits[2] > limits[3]


def test_the_path_bends_with_the_turn_rate() -> None:
    beside = (post(2.0, 1.1),)
    assert action_of(judge(1.0, obstacles=beside)) is Action.PROCEED
    assert action_of(judge(1.0, obstacles=beside, yaw_rate_radps=0.5)) is not Action.PROCEED


@given(
    st.floats(0.0, 1.5), st.floats(0.6, 8.0), st.floats(0.0, 0.5), st.floats(0.0, 3.0), st.floats(0.0, 1.0)
)
def test_more_speed_more_latency_or_a_smaller_gap_never_make_it_milder(
    speed: float, x: float, latency: float, nearer: float, more: float
) -> None:
    def strictness(speed_mps: float, x_m: float, latency_s: float) -> tuple[int, float]:
        findings = judge(speed_mps, obstacles=(post(max(x_m, 0.5)),), latency_s=latency_s).findings
        return findings[0].strictness if findings else (int(Action.PROCEED), CONFIG.max_speed_mps)

    base = strictness(speed, x, latency)
    assert strictness(speed, x - nearer, latency) <= base
    assert strictness(speed, x, latency + more) <= base
    if speed > CONFIG.creep_mps:  # who stands waits where one who drives may go on slowly
        assert strictness(min(speed + more, 1.5), x, latency) <= base


@given(st.permutations(range(4)))
def test_the_order_of_points_does_not_matter(order: list[int]) -> None:
    xyz = [(1.6, -0.1, 0.2), (1.7, 0.0, 0.3), (1.8, 0.1, 0.4), (1.9, 0.2, 0.5)]
    got = judge(1.2, obstacles=(points(*(xyz[i] for i in order)),))
    assert got.findings == judge(1.2, obstacles=(points(*xyz),)).findings


@pytest.mark.parametrize(
    ("x_m", "y_m", "distance_m"),
    [
        (0.45 + 1.0 + 0.25, 0.0, 1.0),
        (0.0, -0.3 - 0.4 - 0.25, 0.4),
        (0.45 + 0.3 + 0.25, 0.3 + 0.4 + 0.25, 0.5),
        (0.45 + 0.2, 0.0, 0.0),
    ],
)
def test_the_distance_is_the_shortest_from_the_footprint(x_m: float, y_m: float, distance_m: float) -> None:
    assert judge(0.0, track(x_m, y_m)).objects.distance_m[0] == pytest.approx(distance_m, abs=1e-6)


def test_a_box_that_spans_the_footprint_without_a_corner_in_it_overlaps() -> None:
    assert judge(0.0, track(0.0, 0.0, size_m=(0.2, 4.0, 1.0))).objects.distance_m[0] == 0.0


def test_points_of_a_sensor_that_fell_silent_are_left_out() -> None:
    """They are in the base frame and would travel along with the robot for ever."""
    now_ns = from_s(10.0)
    old, new = post(1.0, sensor="scan_rear"), post(9.0, t_ns=now_ns)
    got = assess(
        replace(NOTHING, t_ns=now_ns), (old, new), ego_state(1.0, t_ns=now_ns), CONFIG, now_ns=now_ns
    )
    assert got.findings == ()
    assert [source.sensor for source in got.lineage.sources] == ["lidar_top"]


def test_a_zone_is_violated_by_more_than_its_threshold() -> None:
    finding = next(f for f in judge(0.0, obstacles=(post(0.8),)).findings if f.reason is Reason.ZONE)
    assert (finding.value, finding.threshold, finding.margin) == (5.0, 4.0, -1.0)
