"""The bench of the risk stage: its truth, and that it sees a stage that is late or stops for nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from perception_platform.cli.bench_risk import _broken
from perception_platform.cli.main import app
from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass
from perception_platform.evaluation import risk_grid
from perception_platform.evaluation.kitti_drive import moving_egos
from perception_platform.evaluation.kitti_risk import OurRule, events
from perception_platform.evaluation.risk_baselines import AutowareRule, CorridorRule
from perception_platform.evaluation.risk_bench import bench_approach, bench_cost, bench_escape
from perception_platform.evaluation.risk_grid import _robot, grid, judge
from perception_platform.evaluation.risk_recordings import judge_recordings
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, track

VAN = RiskConfig.from_robot(load_robot("delivery_van"))
CAR = {"size_m": (4.2, 1.8, 1.5), "class_id": ObjectClass.CAR}
AMR = _robot("amr")
CASES = list(grid())


def some(kind: str, count: int = 6) -> list[risk_grid.Case]:
    """A few cases of the AMR, from all over the grid."""
    cases = [case for case in CASES if (case.robot, case.kind) == ("amr", kind)]
    return cases[:: max(len(cases) // count, 1)]


def test_the_grid_is_as_large_as_it_is_said_to_be() -> None:
    assert len(CASES) >= 2000
    assert len(set(CASES)) == len(CASES)
    assert {case.kind for case in CASES} == {"wall", "post", "person", "coming", "crossing", "lead", "beside"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wall", "post", "person", "coming", "crossing", "beside"])
def test_the_stage_is_neither_late_nor_wrong_on_a_few(kind: str) -> None:
    verdicts = [judge(case, AMR) for case in some(kind, 3)]
    assert not any(v.avoidable and v.touched for v in verdicts)
    assert not any(v.stopped for v in verdicts)


def test_a_stage_that_trusts_brakes_it_does_not_have_is_seen_to_be_late() -> None:
    strong = replace(AMR.config.brakes, decel_mps2=(40.0,))
    careless = replace(AMR.config, brakes=strong, ahead_m=0.01)
    verdicts = [judge(case, replace(AMR, config=careless)) for case in some("wall", 8)]
    assert any(v.avoidable and v.touched for v in verdicts)


def test_a_stage_that_looks_too_wide_is_seen_to_stop_for_nothing() -> None:
    timid = replace(AMR.config, beside_m=1.5)
    cases = [case for case in some("beside", 12) if case.gap_m < 1.0]
    robot = replace(AMR, config=timid)
    assert any(judge(case, replace(robot, half_width_m=0.3)).stopped for case in cases)


def test_events_are_runs_with_short_breaks_taken_together() -> None:
    flags = np.zeros(60, dtype=bool)
    assert events(flags) == 0
    flags[[3, 4, 9]] = True
    assert events(flags) == 1
    flags[40:44] = True
    assert events(flags) == 2


def test_the_three_rules_agree_on_a_wall_of_a_car_and_on_an_empty_road() -> None:
    close, far = track(3.65 + 2.1 + 6.0, **CAR), track(3.65 + 2.1 + 60.0, **CAR)
    for make in (
        lambda: OurRule(VAN),
        lambda: CorridorRule(VAN.footprint_m),
        lambda: AutowareRule(VAN.footprint_m),
    ):
        assert make().brakes_hard(close, ego_state(10.0))
        assert not make().brakes_hard(far, ego_state(10.0))
        assert not make().brakes_hard(close, ego_state(0.0))


def test_autoware_holds_for_three_seconds() -> None:
    rule = AutowareRule(VAN.footprint_m)
    close, nothing = track(3.65 + 2.1 + 6.0, **CAR), track(90.0, **CAR)
    assert rule.brakes_hard(close, ego_state(10.0))
    assert rule.brakes_hard(nothing, ego_state(10.0, t_ns=2_900_000_000))
    assert not rule.brakes_hard(nothing, ego_state(10.0, t_ns=3_100_000_000))


def test_motion_is_that_of_the_rear_axle() -> None:
    """A camera that goes round a circle of 10 m about a point beside the axle."""
    rate, dt = 0.5, 0.1
    poses = []
    for i in range(10):
        yaw = rate * dt * i
        axle = Transform.planar(10 * np.sin(yaw), 10 * (1 - np.cos(yaw)), yaw)
        base = axle @ Transform.planar(1.03, 0.06, 0.0)
        poses.append(_as_camera(base))
    egos = moving_egos(poses, 10)
    assert egos[5].velocity_mps[0] == pytest.approx(5.0, rel=0.01)
    assert abs(egos[5].velocity_mps[1]) < 0.02
    assert egos[5].yaw_rate_radps == pytest.approx(0.5, rel=0.01)


def _as_camera(base: Transform) -> Transform:
    turn = Transform(
        np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.array([0.0, 0.0, 1.65])
    )
    return turn.inverse() @ base @ turn


def test_the_cost_has_a_row_for_every_size() -> None:
    rows = bench_cost("amr", 3, 0, points_of=(2000,))
    assert [row["objects"] for row in rows] == [0, 10, 100, 300]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in rows)


def test_an_approach_is_timed_with_something_in_its_zone() -> None:
    row = bench_approach("amr", 3, 0, points=2000)
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["samples"] == 3
    with pytest.raises(RuntimeError, match="nothing was found"):
        bench_approach("amr", 3, 0, points=1)


@pytest.mark.parametrize("robot", ["amr", "forklift", "delivery_van"])
def test_only_beats_that_let_the_robot_out_are_timed_as_escapes(robot: str) -> None:
    (row,) = bench_escape(robot, 3, 0, points_of=(2000,))
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["worst_ms"]
    assert row["samples"] == 3
    with pytest.raises(RuntimeError, match="no escape"):
        bench_escape(robot, 3, 0, points_of=(0,))


def test_what_must_not_be_is_said() -> None:
    good = {"grid": {"late": 0, "false_rate": 0.0}, "recordings": {"met": {"hold": True}}}
    assert _broken(good) == []
    bad = {"grid": {"late": 1, "false_rate": 0.02}, "recordings": {"met": {"hold": False}}}
    assert len(_broken(bad)) == 3


def test_bad_folders_end_with_one_line(tmp_path: Path) -> None:
    got = CliRunner().invoke(
        app, ["bench", "risk", "--no-grid", "--samples", "10", "--kitti-tracking", str(tmp_path)]
    )
    assert "seqmap.txt" in str(got.exception)
    with pytest.raises(Exception, match="nothing to judge"):
        judge_recordings(tmp_path)
