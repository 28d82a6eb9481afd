"""What the stage reckons with through time: its own latency."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perception_platform.core.errors import InputError
from perception_platform.core.objects import Tracks
from perception_platform.core.time import from_ms
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.stage import LATENCIES, RiskStage
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, post

CONFIG = replace(RiskConfig.from_robot(load_robot("amr")), zones=())


def limit(stage: RiskStage, look: int, latency_ms: float) -> float:
    """The limit for a post 2 m ahead."""
    t_ns = from_ms(100 * look)
    cloud = replace(post(2.45), t_ns=t_ns)
    got = stage.step(
        Tracks.empty(t_ns, "odom"), [cloud], ego_state(0.5, t_ns=t_ns), now_ns=t_ns + from_ms(latency_ms)
    )
    return got.findings[0].speed_limit_mps


def test_when_the_chain_slows_down_the_allowed_speed_falls_and_stays_down() -> None:
    stage = RiskStage(CONFIG)
    calm = [limit(stage, i, 60.0) for i in range(20)]
    slow = [limit(stage, 20 + i, 250.0) for i in range(5)]
    after = [limit(stage, 25 + i, 60.0) for i in range(20)]
    assert min(calm[1:]) == max(calm[1:])
    assert max(slow) < calm[-1]
    assert max(after) < calm[-1], "a chain that was slow a moment ago may be so again"
    assert stage.latency_s == pytest.approx(0.25)


def test_the_stage_forgets_what_is_long_ago() -> None:
    stage = RiskStage(CONFIG)
    limit(stage, 0, 250.0)
    calm = [limit(stage, 1 + i, 60.0) for i in range(LATENCIES + 1)]
    assert calm[-1] > calm[0]
    assert stage.latency_s == pytest.approx(0.06)


def test_a_load_that_cannot_be_is_refused() -> None:
    stage = RiskStage(replace(CONFIG, mass_kg=100.0, max_payload_kg=50.0))
    for bad in (-2.0, 51.0, float("nan")):
        with pytest.raises(InputError, match="payload_kg"):
            stage.load(bad)
