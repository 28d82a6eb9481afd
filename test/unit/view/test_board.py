"""The terminal's board: rates, ages, percentiles, and tables that say what it holds."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from rich.console import Console, RenderableType

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud, SensorHealth, SensorStatus
from perception_platform.core.verdicts import (
    Action,
    Assessment,
    Decision,
    Finding,
    GateState,
    ObjectRisks,
    Reason,
)
from perception_platform.robot.load import load_robot
from perception_platform.view import terminal
from perception_platform.view.board import Board, Flow

MS = 1_000_000
S = 1000 * MS
START = 100 * S


@pytest.fixture
def board() -> Board:
    return Board(load_robot("amr"), START, START + 10 * S)


def decision(t_ns: int, action: Action, latency_ms: float = 50.0, text: str = "") -> Decision:
    finding = Finding(Reason.ZONE, action, 0.0, "points", 9, 4, "points", text=text)
    findings = (finding,) if text else ()
    latency_ns = round(latency_ms * MS)
    zero = (0.0, 0.0, 0.0)
    return Decision(t_ns, 1, action, GateState.NORMAL, 1.0, 0.8, findings, False, latency_ns, None, zero)


def cloud(t_ns: int) -> PointCloud:
    return PointCloud(t_ns, "base_link", "lidar_top", np.zeros((2, 3), dtype=np.float32))


def tracks(*xy: tuple[float, float]) -> Tracks:
    n = len(xy)
    return Tracks(
        START,
        "odom",
        ids=np.arange(1, n + 1),
        centers_m=np.array([[x, y, 0.9] for x, y in xy]).reshape(n, 3),
        velocities_mps=np.tile([0.6, 0.8], (n, 1)),
        sizes_m=np.ones((n, 3)),
        yaws_rad=np.zeros(n),
        class_ids=np.full(n, int(ObjectClass.PERSON)),
        class_scores=np.ones(n),
        existence=np.ones(n),
        state_cov=np.tile(np.eye(4), (n, 1, 1)),
        last_seen_ns=np.full(n, START),
        first_seen_ns=np.full(n, START),
        sensors=np.ones(n, dtype=np.int64),
    )


def text_of(picture: RenderableType) -> str:
    console = Console(width=140, file=io.StringIO())
    console.print(picture)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rate_and_age_follow_the_arrivals() -> None:
    flow = Flow()
    assert flow.rate_hz(0) == 0.0
    assert math.isinf(flow.age_s(0))
    for i in range(30):
        flow.see(i * 100 * MS)
    assert flow.rate_hz(2900 * MS) == pytest.approx(10.0)
    assert flow.age_s(3000 * MS) == pytest.approx(0.1)


def test_a_sensor_that_fell_silent_has_no_rate() -> None:
    flow = Flow()
    for i in range(30):
        flow.see(i * 100 * MS)
    assert flow.rate_hz(10 * S) == 0.0
    assert flow.age_s(10 * S) == pytest.approx(7.1)


def test_progress_follows_the_decisions_and_stays_within_the_run(board: Board) -> None:
    assert board.progress == 0.0
    board.see(decision(START + 4 * S, Action.PROCEED), "", 0)
    assert board.progress == pytest.approx(0.4)
    board.see(decision(START + 40 * S, Action.PROCEED), "", 0)
    assert board.progress == 1.0


def test_latency_percentiles_pass_over_decisions_without_data(board: Board) -> None:
    assert all(math.isnan(v) for v in board.latency_ms(50, 99))
    for i in range(101):
        board.see(decision(START + i, Action.PROCEED, float(i)), "", 0)
    board.see(decision(START + 200, Action.STOP, -1e-6), "", 0)
    assert board.latency_ms(50, 99) == pytest.approx([50.0, 99.0])


def test_only_changes_of_the_action_are_listed(board: Board) -> None:
    actions = [Action.STOP, Action.STOP, Action.PROCEED, Action.LIMIT, Action.LIMIT, Action.PROCEED]
    for i, action in enumerate(actions):
        board.see(decision(START + i * S, action, text=f"why {i}"), "", 0)
    assert [(c.action, c.text) for c in board.changes] == [
        (Action.STOP, "why 0"),
        (Action.PROCEED, "why 2"),
        (Action.LIMIT, "why 3"),
        (Action.PROCEED, "why 5"),
    ]
    assert board.actions[Action.LIMIT] == 2
    summary = text_of(terminal.summary(board))
    assert "3.00 s" in summary
    assert "why 5" in summary


def test_the_table_says_what_the_board_holds(board: Board) -> None:
    board.see(EgoState(START, Transform.planar(2.0, 0.0, 0.0), (0.5, 0.0), 0.0), "", 0)
    board.see(tracks((9.0, 1.0), (5.0, -1.0)), "", 0)
    for i in range(5):
        board.see(cloud(START), "lidar_top", i * 100 * MS)
    health = SensorHealth(START, "lidar_top", SensorStatus.DEGRADED, (), 9.0, 0.1, 5, 0, 0, 0, (), "")
    board.see(health, "", 0)
    board.see(decision(START + S, Action.STOP, text="person in the protective zone"), "", 0)
    shown = text_of(terminal.table(board, 450 * MS))
    for part in ("stop", "person in the protective zone", "10.0 Hz", "50 ms", "degraded", "1.0 of 10.0 s"):
        assert part in shown
    nearest, farther = shown.index("3.0 m"), shown.index("7.0 m")  # two metres on, the robot is nearer
    assert nearest < farther


def test_without_a_report_a_sensor_is_judged_by_its_rate(board: Board) -> None:
    for i in range(20):
        board.see(cloud(START), "lidar_top", i * 100 * MS)  # 10 Hz, as it should
        board.see(cloud(START), "scan_front", i * 100 * MS)  # of 15 Hz
    shown = text_of(terminal.table(board, 1900 * MS)).splitlines()
    for sensor, verdict in (("lidar_top", "steady"), ("scan_front", "slow"), ("camera_front", "silent")):
        assert any(sensor in row and verdict in row for row in shown)


def test_the_line_is_one_line_before_and_after_the_first_decision(board: Board) -> None:
    assert "\n" not in terminal.line(board, 0)
    board.see(decision(START + S, Action.LIMIT, text="a gap of 2 m"), "", 0)
    said = terminal.line(board, 0)
    assert "\n" not in said
    assert "limit" in said
    assert "a gap of 2 m" in said


def test_the_nearest_risk_is_the_smallest_gap_in_the_path(board: Board) -> None:
    assert terminal.nearest_risk(board) == "nothing in the path"
    gaps_m = np.array([7.0, 2.5, np.inf])
    objects = ObjectRisks(
        track_ids=np.array([4, 5, 6]),
        class_ids=np.array([1, 3, 0]),
        in_path=np.isfinite(gaps_m),
        gap_m=gaps_m,
        distance_m=np.array([7.0, 2.5, 0.2]),
        closing_mps=np.ones(3),
        ttc_s=gaps_m,
        required_decel_mps2=np.ones(3),
        speed_limit_mps=np.ones(3),
    )
    board.see(Assessment(START, (), objects), "", 0)
    assert terminal.nearest_risk(board) == "#5 car: gap 2.50 m, time to collision 2.5 s"
