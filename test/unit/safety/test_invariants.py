"""What always holds, whatever the numbers are: stated, and searched for a counterexample."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.geometry import points_in_polygon
from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Decision
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.safety.config import Drive
from perception_platform.safety.field import STANDSTILL_M, check_field
from perception_platform.safety.inputs import GateInputs, Seen
from test.unit.safety.healthy import CONFIG, PERIOD_NS, ROBOT, finding, healthy, running_gate
from test.unit.scenes import ego_state, points, post, track

RISK = RiskConfig.from_robot(ROBOT)
FRONT_M = 0.45
NOW_NS = from_s(10.0) + PERIOD_NS
LIMIT = finding(Action.LIMIT, 0.5)


def decide(
    tracks: Tracks, cloud: PointCloud, ego: EgoState, risk: RiskConfig = RISK, latency_s: float = 0.0
) -> Decision:
    """One decision about a scene, by risk stage and gate."""
    gate, _ = running_gate()
    verdict = assess(tracks, [cloud], ego, risk, now_ns=ego.t_ns + from_s(latency_s))
    lineage = Lineage((SourceStamp("lidar_top", NOW_NS - from_s(0.05)),))
    verdict = replace(verdict, t_ns=NOW_NS - from_s(0.05), lineage=lineage)
    good = healthy(NOW_NS)
    clouds = {**good.obstacles, "lidar_top": Seen(replace(cloud, t_ns=NOW_NS - from_s(0.05)), 0.0)}
    moved = Seen(replace(ego, t_ns=NOW_NS), 0.0)
    return gate.step(NOW_NS, replace(good, assessment=Seen(verdict, 0.0), ego=moved, obstacles=clouds))


EMPTY = Tracks.empty(0, "odom")
CLEAR = points((30.0, 0.0, 0.5))


@given(
    ahead_m=st.floats(0.0, 0.65),
    beside_m=st.floats(-0.35, 0.35),
    speed_mps=st.floats(0.0, 1.5),
    walks_mps=st.tuples(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0)),
    seen_by=st.sampled_from(["tracks", "points", "both"]),
)
def test_somebody_inside_the_protective_distance_always_means_stop(
    ahead_m: float, beside_m: float, speed_mps: float, walks_mps: tuple[float, float], seen_by: str
) -> None:
    """Whether tracks see them, or raw points, or both, and wherever they are going."""
    x_m = FRONT_M + ahead_m
    person = track(x_m + 0.25, beside_m, velocity_mps=walks_mps) if seen_by != "points" else EMPTY
    legs = post(x_m, beside_m) if seen_by != "tracks" else CLEAR
    decision = decide(person, legs, ego_state(speed_mps))
    assert decision.action <= Action.STOP
    assert decision.speed_limit_mps == 0.0
    assert decision.output_mps[0] <= speed_mps


gaps = st.floats(0.8, 8.0)


@given(gap_m=gaps, latency_s=st.floats(0.0, 0.5), more_s=st.floats(0.0, 0.5), speed_mps=st.floats(0.1, 1.4))
def test_more_latency_never_raises_a_limit(
    gap_m: float, latency_s: float, more_s: float, speed_mps: float
) -> None:
    scene = (EMPTY, post(FRONT_M + gap_m), ego_state(speed_mps))
    sooner = decide(*scene, latency_s=latency_s)
    later = decide(*scene, latency_s=latency_s + more_s)
    assert later.speed_limit_mps <= sooner.speed_limit_mps
    assert later.action <= sooner.action


@given(gap_m=gaps, speed_mps=st.floats(0.05, 1.4), share=st.floats(0.0, 1.0))
def test_more_speed_never_raises_a_limit(gap_m: float, speed_mps: float, share: float) -> None:
    slower, faster = (
        decide(EMPTY, post(FRONT_M + gap_m), ego_state(v)) for v in (speed_mps * share, speed_mps)
    )
    assert faster.speed_limit_mps <= slower.speed_limit_mps + 1e-9
    assert faster.action <= slower.action


@given(gap_m=gaps, speed_mps=st.floats(0.1, 1.4), share=st.floats(0.2, 1.0))
def test_less_deceleration_never_raises_a_limit(gap_m: float, speed_mps: float, share: float) -> None:
    decel_mps2 = tuple(a * share for a in RISK.brakes.decel_mps2)
    weaker = replace(RISK, brakes=replace(RISK.brakes, decel_mps2=decel_mps2))
    scene = (EMPTY, post(FRONT_M + gap_m), ego_state(speed_mps))
    assert decide(*scene, risk=weaker).speed_limit_mps <= decide(*scene).speed_limit_mps
    assert decide(*scene, risk=weaker).action <= decide(*scene).action


@given(
    at_m=st.tuples(st.floats(-2.0, 2.0), st.floats(-1.5, 1.5)),
    velocity=st.tuples(st.sampled_from([-1, 1]), st.floats(0.5, 1.5), st.floats(-1.5, 1.5)),
    share=st.floats(0.2, 1.0),
    drive=st.sampled_from(list(Drive)),
)
def test_more_speed_or_weaker_brakes_or_later_ones_never_clear_the_field(
    at_m: tuple[float, float], velocity: tuple[int, float, float], share: float, drive: Drive
) -> None:
    config = replace(CONFIG, drive=drive)
    sign, ahead_mps, aside_mps = velocity
    slow, fast = (ego_of((sign * ahead_mps * k, aside_mps * k)) for k in (share, 1.0))
    cloud = post(*at_m)
    if check_field([cloud], slow, None, config) is not None:
        assert check_field([cloud], fast, None, config) is not None
    if check_field([cloud], fast, None, config) is not None:
        for worse in (
            replace(config, least_emergency_mps2=config.least_emergency_mps2 * share),
            replace(config, reaction_s=config.reaction_s / share),
        ):
            assert check_field([cloud], fast, None, worse) is not None


def ego_of(velocity_mps: tuple[float, float]) -> EgoState:
    return replace(ego_state(), velocity_mps=velocity_mps)


@given(heading=st.floats(-math.pi, math.pi), speed_mps=st.floats(0.1, 1.5), along=st.floats(0.05, 0.95))
def test_the_field_of_an_omnidirectional_robot_lies_where_it_goes(
    heading: float, speed_mps: float, along: float
) -> None:
    """What the footprint, moved along, runs into before the robot stands is always in it."""
    config = replace(CONFIG, drive=Drive.OMNIDIRECTIONAL)
    velocity = (speed_mps * math.cos(heading), speed_mps * math.sin(heading))
    way_m = speed_mps * config.reaction_s + speed_mps**2 / (2 * config.least_emergency_mps2)
    step_m = np.array(velocity) / speed_mps * way_m * along
    corners = config.footprint_m
    inner = 0.98 * corners
    edges = np.concatenate([inner + (np.roll(inner, -1, axis=0) - inner) * k for k in (0.1, 0.5, 0.9)])
    for hit in edges + step_m:
        if points_in_polygon(hit[None], corners)[0] or is_beside(hit, velocity):
            continue
        cloud = points(*((*hit, z) for z in (0.1, 0.2, 0.3)))
        assert check_field([cloud], ego_of(velocity), None, config) is not None


def is_beside(point_m: np.ndarray, velocity: tuple[float, float]) -> bool:
    """The field begins at the foremost line of the footprint; what is behind that was passed by then."""
    direction = np.array(velocity) / math.hypot(*velocity)
    return bool(point_m @ direction <= (CONFIG.footprint_m @ direction).max())


@pytest.mark.parametrize(
    ("place_m", "velocity", "hit"),
    [
        ((0.0, 0.5), (0.0, 1.0), True),
        ((0.0, -0.5), (0.0, -1.0), True),
        ((0.0, 0.5), (0.0, -1.0), False),
        ((0.6, 0.0), (0.0, 1.0), False),
        ((0.6, 0.45), (1.0, 1.0), True),
        ((0.6, -0.45), (1.0, 1.0), False),
    ],
)
def test_sideways_and_diagonal_fields(
    place_m: tuple[float, float], velocity: tuple[float, float], hit: bool
) -> None:
    config = replace(CONFIG, drive=Drive.OMNIDIRECTIONAL)
    found = check_field([post(*place_m)], ego_of(velocity), None, config)
    assert (found is not None) is hit
    assert check_field([post(*place_m)], ego_of((0.0, 0.0)), (*velocity, 0.0), config) is None or hit


def test_the_depth_of_the_field_is_the_way_of_the_hardest_braking() -> None:
    reach_m = STANDSTILL_M + 1.0 * CONFIG.reaction_s + 1.0 / (2 * CONFIG.least_emergency_mps2)
    for x_m, hit in ((FRONT_M + reach_m - 0.001, True), (FRONT_M + reach_m + 0.001, False)):
        found = check_field([post(x_m)], ego_state(1.0), None, CONFIG)
        assert (found is not None) is hit
        if found is not None:
            assert found.threshold == pytest.approx(reach_m)
            assert found.value == pytest.approx(x_m - FRONT_M, abs=1e-5)


bad = st.sampled_from([math.nan, math.inf, -math.inf])


@given(value=bad, where=st.sampled_from(["vx", "vy", "yaw", "silence", "limit", "factor", "stamp silence"]))
def test_what_is_not_a_finite_number_never_lets_the_robot_drive_on(value: float, where: str) -> None:
    gate, now_ns = running_gate()
    good = healthy(now_ns)
    assert good.ego is not None
    assert good.assessment is not None
    ego = good.ego.value
    spoilt: dict[str, GateInputs] = {
        "vx": replace(good, ego=Seen(replace(ego, velocity_mps=(value, 0.0)), 0.0)),
        "vy": replace(good, ego=Seen(replace(ego, velocity_mps=(0.0, value)), 0.0)),
        "yaw": replace(good, ego=Seen(replace(ego, yaw_rate_radps=value), 0.0)),
        "silence": replace(good, assessment=Seen(good.assessment.value, abs(value))),
        "stamp silence": replace(good, ego=Seen(ego, abs(value))),
        "limit": healthy(now_ns, 1.0, (replace(LIMIT, speed_limit_mps=value),)),
        "factor": replace(good, speed_factor=-abs(value)),
    }
    decision = gate.step(now_ns, spoilt[where])
    assert decision.speed_limit_mps == 0.0
    assert all(math.isfinite(v) for v in (*decision.output_mps, decision.profile_mps))
