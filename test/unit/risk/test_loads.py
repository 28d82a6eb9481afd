"""Speed, load, slope and latency: more of any never makes the way to a stop shorter, nor a limit higher."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.objects import Tracks
from perception_platform.risk.assess import Conditions, assess
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.measures import needed_way_m
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, post

ROBOTS = {name: load_robot(name) for name in ("amr", "forklift", "delivery_van")}
CONFIGS = {name: replace(RiskConfig.from_robot(robot), zones=()) for name, robot in ROBOTS.items()}
TWO = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted)
names = st.sampled_from(sorted(ROBOTS))


def stopping_m(
    config: RiskConfig, speed_mps: float, payload_kg: float, downhill: float, latency_s: float
) -> float:
    brakes = config.brakes_under(payload_kg, downhill)
    return float(needed_way_m(speed_mps, 0.0, config.reaction_s + latency_s, brakes.at(speed_mps)))


@given(names, *[TWO] * 4)
def test_the_way_to_a_stop_grows_with_everything(
    name: str, speeds: list[float], loads: list[float], slopes: list[float], latencies: list[float]
) -> None:
    config = CONFIGS[name]
    less, more = (
        stopping_m(config, v * config.max_speed_mps, load * config.max_payload_kg, 0.1 * slope, latency)
        for v, load, slope, latency in zip(speeds, loads, slopes, latencies, strict=True)
    )
    assert less <= more


def limit_mps(config: RiskConfig, share: float, latency_s: float, downhill: float) -> float:
    """With a post 2 m ahead of the front, for a share of the largest load."""
    front_m = float(config.footprint_m[:, 0].max())
    steep = replace(config, max_downhill=max(config.max_downhill, downhill))
    given_there = Conditions(latency_s=latency_s, payload_kg=share * config.max_payload_kg)
    ahead = (post(front_m + 2.0),)
    got = assess(Tracks.empty(0, "odom"), ahead, ego_state(0.5), steep, now_ns=0, conditions=given_there)
    return min((f.speed_limit_mps for f in got.findings), default=config.max_speed_mps)


@given(names, TWO, TWO, TWO)
@settings(deadline=None)
def test_a_limit_falls_with_load_latency_and_slope(
    name: str, shares: list[float], latencies: list[float], slopes: list[float]
) -> None:
    gentle, harsh = (
        limit_mps(CONFIGS[name], share, latency, 0.05 * slope)
        for share, latency, slope in zip(shares, latencies, slopes, strict=True)
    )
    assert harsh <= gentle


def test_the_robot_files_say_what_their_brakes_do_under_a_load() -> None:
    """The forklift: 1.0 m/s² of 3 t on 4.5 t, less what a slope of 2 % takes; what nobody says is the most."""
    config = CONFIGS["forklift"]
    assert config.brakes_under(0.0, 0.0).at(2.0) == pytest.approx(1.0 - 0.19616, abs=1e-5)
    assert config.brakes_under(1500.0, 0.0).at(2.0) == pytest.approx(2 / 3 - 0.19616, abs=1e-5)
    assert config.brakes_under(1500.0, 0.05).at(2.0) == pytest.approx(2 / 3 - 9.81 * 0.05, abs=1e-5)
    for name in ("amr", "delivery_van"):
        same = CONFIGS[name].brakes_under(CONFIGS[name].max_payload_kg, 0.0)
        assert same.at(1.0) == ROBOTS[name].drive.service_decel_mps2
    unsaid = replace(config, max_payload_kg=1500.0)
    assert limit_mps(unsaid, 1.0, 0.1, 0.0) < limit_mps(unsaid, 0.0, 0.1, 0.0)


def test_the_gate_reckons_with_the_weakest_brakes_that_the_risk_stage_may_meet() -> None:
    for name, config in CONFIGS.items():
        drive = ROBOTS[name].drive
        worst = config.brakes_under(config.max_payload_kg, 0.0).at(drive.max_speed_mps)
        assert drive.at_worst_mps2(drive.service_decel_mps2) == pytest.approx(worst), name
