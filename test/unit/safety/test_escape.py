"""Escapes: no motion that is let through brings the robot nearer to anything than it may be, and nobody is trapped.

The distances are measured here by other means than in the gate: the motion is integrated in small steps, and a
point's distance is that to a finely sampled footprint.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from perception_platform.core.geometry import Array, points_in_polygon
from perception_platform.core.verdicts import Action, NearObjects, Reason
from perception_platform.robot.load import load_robot
from perception_platform.safety.config import Drive, GateConfig
from perception_platform.safety.escape import (
    Surroundings,
    escape_motion,
    is_escape,
    is_located,
    look_around,
)
from perception_platform.safety.footprint import Motion, seen_from
from test.unit.safety.healthy import CONFIG, finding
from test.unit.scenes import ego_state, points

NOTHING = np.zeros((0, 2))
DELAY_S = 0.5
ROBOTS = {
    "amr": CONFIG,
    "amr, omnidirectional": replace(CONFIG, drive=Drive.OMNIDIRECTIONAL),
    "forklift": GateConfig.from_robot(load_robot("forklift")),
    "delivery_van": GateConfig.from_robot(load_robot("delivery_van")),
}
robots = pytest.mark.parametrize("config", ROBOTS.values(), ids=ROBOTS)


def around(
    points_m: Array = NOTHING,
    causes_m: Array = NOTHING,
    outlines_m: Array = NOTHING,
    velocities_mps: Array | None = None,
) -> Surroundings:
    still = np.zeros_like(outlines_m) if velocities_mps is None else velocities_mps
    return Surroundings(points_m, causes_m, outlines_m, still)


def wall(x_m: float, half_m: float = 1.0) -> Array:
    """Across the way, a point each 5 cm."""
    y_m = np.arange(-half_m, half_m + 0.01, 0.05)
    return np.stack([np.full_like(y_m, x_m), y_m], axis=1)


def front_m(config: GateConfig) -> float:
    return float(config.footprint_m[:, 0].max())


def rear_m(config: GateConfig) -> float:
    return float(config.footprint_m[:, 0].min())


def outline_m(config: GateConfig) -> Array:
    corners = config.footprint_m
    share = np.linspace(0, 1, 1600, endpoint=False)[:, None]  # 3 mm on the longest side
    sides = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    return np.concatenate([a + share * (b - a) for a, b in sides])


def distances_m(obstacles_m: Array, config: GateConfig) -> Array:
    """Of each obstacle to the footprint; negative inside."""
    apart = np.linalg.norm(obstacles_m[:, None] - outline_m(config)[None], axis=2).min(axis=1)
    return np.where(points_in_polygon(obstacles_m, config.footprint_m), -apart, apart)


def way(motion: Motion, config: GateConfig, seconds: float) -> list[tuple[float, float, float]]:
    """Poses of the robot, by small steps of the motion."""
    x = y = yaw = 0.0
    poses = []
    dt_s = 0.002
    for i in range(round(seconds / dt_s)):
        middle = yaw + motion[2] * dt_s / 2
        x += (motion[0] * math.cos(middle) - motion[1] * math.sin(middle)) * dt_s
        y += (motion[0] * math.sin(middle) + motion[1] * math.cos(middle)) * dt_s
        yaw += motion[2] * dt_s
        if i % 10 == 9:
            poses.append((x, y, yaw))
    return poses


def from_pose(obstacles_m: Array, pose: tuple[float, float, float]) -> Array:
    x, y, yaw = pose
    offset = obstacles_m - [x, y]
    c, s = math.cos(yaw), math.sin(yaw)
    return np.stack([offset[:, 0] * c + offset[:, 1] * s, offset[:, 1] * c - offset[:, 0] * s], axis=1)


def stopping_s(motion: Motion, config: GateConfig) -> float:
    """How long a robot that moves so may go on before it stands, as if it drove on at full speed."""
    corners = config.footprint_m
    speed = np.hypot(motion[0] - motion[2] * corners[:, 1], motion[1] + motion[2] * corners[:, 0]).max()
    return float(DELAY_S + speed / (2 * config.least_service_mps2))


coordinates = st.floats(-3.0, 3.0)
scattered = st.lists(st.tuples(coordinates, coordinates), max_size=12).map(
    lambda xy: np.array(xy, dtype=np.float64).reshape(-1, 2)
)
commands = st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
SLACK_M = 0.003  # of both measurements together, and of what happens within 2 cm of way


@given(
    name=st.sampled_from(sorted(ROBOTS)),
    command=commands,
    points_m=scattered,
    causes_m=scattered,
    corner_m=st.tuples(coordinates, coordinates),
    velocity_mps=st.tuples(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0)),
)
@example(  # 4 mm beside the flank: a footprint sampled every 12 mm makes 7 of it now and then
    name="delivery_van",
    command=(1.0, 0.0, 0.0),
    points_m=NOTHING,
    causes_m=np.array([[0.0, 0.9140625]]),
    corner_m=(0.0, 0.0),
    velocity_mps=(0.0, 0.0),
)
def test_no_escape_reduces_a_distance_below_its_bound(
    name: str,
    command: Motion,
    points_m: Array,
    causes_m: Array,
    corner_m: tuple[float, float],
    velocity_mps: tuple[float, float],
) -> None:
    config = ROBOTS[name]
    outside = [p[~points_in_polygon(p, config.footprint_m)] for p in (points_m, causes_m)]
    track_m = np.array([corner_m])
    motion = escape_motion(command, config)
    assume(motion is not None)
    assert motion is not None
    scene = around(*outside, track_m, np.array([velocity_mps]))
    if not is_escape(motion, scene, DELAY_S, config):
        return
    first = [distances_m(p, config) for p in (*outside, track_m)]
    least_m = min(first[0].min(initial=np.inf), config.beside_m)
    before_m = first[1]
    standing_m = distances_m(track_m, config)
    poses = way(motion, config, stopping_s(motion, config))
    for i, pose in enumerate(poses, start=1):
        assert distances_m(from_pose(outside[0], pose), config).min(initial=np.inf) >= least_m - SLACK_M
        now_m = distances_m(from_pose(outside[1], pose), config)
        assert (now_m >= before_m - SLACK_M).all()
        before_m = np.maximum(before_m, now_m)
        moved_m = track_m + np.array(velocity_mps) * min(0.02 * i, 2.0)
        standing_m = np.minimum(standing_m, distances_m(moved_m, config))
        for then_m, apart_m in ((track_m, first[2]), (moved_m, standing_m)):
            bound_m = np.minimum(apart_m, config.beside_m)
            assert (distances_m(from_pose(then_m, pose), config) >= bound_m - SLACK_M).all()


@robots
@pytest.mark.parametrize("gap_m", [0.02, 0.1, 0.4])
def test_a_robot_in_front_of_something_is_let_out_backwards_and_not_forwards(
    config: GateConfig, gap_m: float
) -> None:
    front = wall(front_m(config) + gap_m)
    scene = around(front, front)
    assert is_escape((-0.2, 0.0, 0.0), scene, DELAY_S, config)
    if gap_m == 0.4:  # nearer, corners may swing towards the wall
        assert is_escape((-0.2, 0.0, 0.02), scene, DELAY_S, config)
    assert not is_escape((0.05, 0.0, 0.0), scene, DELAY_S, config)
    assert not is_escape((0.0, 0.0, 0.1), around(front, wall(front_m(config) + 0.02)), DELAY_S, config)


@robots
def test_a_robot_is_not_let_out_into_something_else(config: GateConfig) -> None:
    front, rear = wall(front_m(config) + 0.2), wall(rear_m(config) - config.ahead_m)
    assert not is_escape((-0.2, 0.0, 0.0), around(np.concatenate([front, rear]), front), DELAY_S, config)
    far = wall(rear_m(config) - config.ahead_m - config.beside_m - 0.5)
    assert is_escape((-0.2, 0.0, 0.0), around(np.concatenate([front, far]), front), DELAY_S, config)


@robots
@pytest.mark.parametrize("clearance_m", [0.03, 0.5])
def test_a_narrow_aisle_is_no_trap(config: GateConfig, clearance_m: float) -> None:
    """Walls along both sides, nearer than the robot keeps to things at its side by itself."""
    x_m = np.arange(rear_m(config) - 3.0, front_m(config) + 3.0, 0.05)
    half_m = float(config.footprint_m[:, 1].max()) + clearance_m
    sides = np.concatenate([np.stack([x_m, np.full_like(x_m, y)], axis=1) for y in (half_m, -half_m)])
    front = wall(front_m(config) + 0.3, half_m)
    scene = around(np.concatenate([sides, front]), front)
    assert is_escape((-0.2, 0.0, 0.0), scene, DELAY_S, config)
    assert not is_escape((0.2, 0.0, 0.0), scene, DELAY_S, config)


def test_sideways_leads_out_where_the_drive_can_do_it() -> None:
    config = ROBOTS["amr, omnidirectional"]
    left = np.array([[x, 0.30 + 0.05] for x in np.arange(-0.4, 0.4, 0.05)])
    assert is_escape((0.0, -0.2, 0.0), around(left, left), DELAY_S, config)
    assert not is_escape((0.0, 0.2, 0.0), around(left, left), DELAY_S, config)
    assert escape_motion((0.0, -0.2, 0.0), CONFIG) is None


def test_turning_on_the_spot_leads_out_where_there_is_room() -> None:
    beside = np.array([[0.40, 0.33]])
    assert is_escape((0.0, 0.0, -0.2), around(beside, beside), DELAY_S, CONFIG)
    assert not is_escape((0.0, 0.0, 0.2), around(beside, beside), DELAY_S, CONFIG)


def test_somebody_who_is_coming_is_not_run_into() -> None:
    """Standing, the robot would be passed by at half a metre; backing up, it would be in the way."""
    walker = np.array([[-1.1, 1.0]])
    for velocity_mps, let_out in (((0.0, -0.5), False), ((0.0, 0.5), True), ((0.0, 0.0), True)):
        scene = around(outlines_m=walker, velocities_mps=np.array([velocity_mps]))
        assert is_escape((-0.25, 0.0, 0.0), scene, DELAY_S, CONFIG) is let_out


def test_flight_from_somebody_who_is_faster_is_allowed() -> None:
    chaser = np.array([[1.2, 0.0]])
    scene = around(causes_m=chaser, outlines_m=chaser, velocities_mps=np.array([[-1.5, 0.0]]))
    assert is_escape((-0.25, 0.0, 0.0), scene, DELAY_S, CONFIG)


@pytest.mark.parametrize("where", ["points_m", "causes_m", "outlines_m", "velocities_mps"])
def test_what_is_no_number_is_refused(where: str) -> None:
    scene = around(wall(2.0), wall(0.6), np.array([[2.0, 2.0]]))
    assert is_escape((-0.2, 0.0, 0.0), scene, DELAY_S, CONFIG)
    spoilt = getattr(scene, where).copy()
    spoilt[0, 1] = math.nan
    assert not is_escape((-0.2, 0.0, 0.0), replace(scene, **{where: spoilt}), DELAY_S, CONFIG)


@pytest.mark.parametrize(
    ("drive", "command", "expected"),
    [
        (Drive.DIFFERENTIAL, (-1.0, 0.5, 0.0), (-0.25, 0.0, 0.0)),
        (Drive.DIFFERENTIAL, (-0.1, 0.0, 0.0), (-0.1, 0.0, 0.0)),
        (Drive.DIFFERENTIAL, (0.0, 0.0, 1.0), (0.0, 0.0, 0.25 / math.hypot(0.45, 0.3))),
        (Drive.DIFFERENTIAL, (0.0, 0.5, 0.0), None),
        (Drive.DIFFERENTIAL, (0.0, 0.0, 0.0), None),
        (Drive.ACKERMANN, (0.0, 0.0, 1.0), None),
        (Drive.OMNIDIRECTIONAL, (0.3, -0.4, 0.0), (0.15, -0.2, 0.0)),
    ],
)
def test_an_escape_is_slow_and_of_a_kind_that_the_drive_can_do(
    drive: Drive, command: Motion, expected: Motion | None
) -> None:
    assert escape_motion(command, replace(CONFIG, drive=drive)) == (expected and pytest.approx(expected))


@given(st.tuples(coordinates, coordinates), commands, st.floats(0.0, 3.0))
def test_the_closed_form_of_a_motion_is_its_integral(
    point_m: tuple[float, float], motion: Motion, t_s: float
) -> None:
    steps = max(round(t_s / 0.002), 1) * 0.002
    (*_, pose) = way(motion, CONFIG, max(steps, 0.02))
    at_s = len(way(motion, CONFIG, max(steps, 0.02))) * 0.02
    found = seen_from(np.array([point_m]), motion, np.array([at_s]))[0]
    assert found == pytest.approx(from_pose(np.array([point_m]), pose), abs=1e-4)


BOX = np.array([[2.0, 1.0], [1.0, 1.0], [1.0, 0.0], [2.0, 0.0]])


def test_what_a_stop_rests_on_is_all_in_stop_zones_and_all_that_it_names() -> None:
    """The stop zone of amr reaches from the front to 0.7 m ahead, 0.4 m to each side."""
    cloud = points((0.6, 0.1, 0.3), (1.4, 0.0, 0.3), (0.0, 0.1, 0.3), (30.0, 0.0, 0.3))
    near = NearObjects(
        np.array([3, 4]), np.stack([BOX, BOX - [4.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 2.0]])
    )
    stop = finding(Action.STOP, track_ids=(3,), points_m=((1.4, 0.0, 0.3),))
    limit = finding(Action.LIMIT, track_ids=(4,), points_m=((1.7, 0.0, 0.3),))
    scene = look_around([cloud], near, [stop, limit], ego_state(), CONFIG, now_ns=0)
    assert scene.points_m == pytest.approx(
        np.array([[0.6, 0.1], [1.4, 0.0]])
    )  # neither its own nor the far one
    assert len(scene.outlines_m) == 2 * 4 * 20
    assert scene.velocities_mps[0].tolist() == [1.0, 0.0]
    assert scene.velocities_mps[-1].tolist() == [0.0, 2.0]
    causes = {tuple(np.round(p, 6)) for p in scene.causes_m}
    assert {(0.6, 0.1), (1.4, 0.0), (1.0, 0.0)} <= causes
    assert not any(x < 0 or (x == 1.7 and y == 0.0) for x, y in causes - {(1.7, 0.0)})
    assert (scene.causes_m == [1.7, 0.0]).all(axis=1).sum() == 1  # of the box's outline, not of the limit


def test_points_are_brought_to_where_the_robot_is_now() -> None:
    moving = replace(ego_state(-0.2), yaw_rate_radps=0.0)
    scene = look_around(
        [points((-1.0, 0.0, 0.3))], NearObjects.none(), [], moving, CONFIG, now_ns=500_000_000
    )
    assert scene.points_m == pytest.approx(np.array([[-0.9, 0.0]]))


@pytest.mark.parametrize(
    ("stop", "located"),
    [
        (finding(Action.STOP, track_ids=(3,)), True),
        (finding(Action.STOP, track_ids=(3, 9)), False),
        (finding(Action.STOP, track_ids=()), False),
        (finding(Action.STOP, track_ids=(), points_m=((1.0, 0.0, 0.0),)), True),
        (finding(Action.LIMIT, track_ids=()), True),
        (finding(Action.STOP, track_ids=(), reason=Reason.HOLD), True),
    ],
)
def test_a_stop_whose_cause_is_not_known_to_be_anywhere_is_no_stop_to_escape_from(
    stop: object, located: bool
) -> None:
    near = NearObjects(np.array([3]), BOX[None], np.zeros((1, 2)))
    assert is_located([stop], near) is located  # type: ignore[list-item]


def test_what_no_line_decides_is_measured() -> None:
    """Off the front corner by 1.0 to 1.05 cm along both axes: nearer to both lines than the 1.41 cm that are kept."""
    off_m = np.linspace(0.010, 0.0105, 5)
    points_m = np.stack([0.45 + off_m, 0.30 + off_m], axis=1)
    assert is_escape((-0.25, 0.0, 0.0), around(points_m), DELAY_S, CONFIG)
    assert not is_escape((0.25, 0.0, 0.0), around(points_m), DELAY_S, CONFIG)


def test_the_middle_of_a_cell_does_not_stand_for_a_point_that_is_nearer() -> None:
    """Kept are the 5 cm to what is ahead. The robot passes a point at 4.1 cm; its cell's middle is at 4.5 cm."""
    points_m = np.array([[0.50, 0.0], [-0.60, 0.341]])
    assert not is_escape((-0.25, 0.0, 0.0), around(points_m), DELAY_S, CONFIG)
    assert is_escape((-0.25, 0.0, 0.0), around(np.array([[0.50, 0.0], [-0.60, 0.351]])), DELAY_S, CONFIG)


def test_a_track_is_kept_away_from_to_the_last_pose_and_no_farther() -> None:
    """The way is 0.164 + 0.5 m, 34 poses: the rear corner comes to (-1.13, 0.30). 10.6 cm are left at the last pose,
    and at one more it would be 9.3; the lines along the edges are 7.5 cm away, so that they decide nothing."""
    assert is_escape((-0.25, 0.0, 0.0), around(outlines_m=np.array([[-1.205, 0.375]])), DELAY_S, CONFIG)
    assert not is_escape((-0.25, 0.0, 0.0), around(outlines_m=np.array([[-1.195, 0.370]])), DELAY_S, CONFIG)


@pytest.mark.parametrize("speed_mps", [0.0, 0.4])
def test_many_that_are_well_away_are_not_too_many(speed_mps: float) -> None:
    """4000 points of tracks a metre off in both directions, 34 poses each."""
    outlines_m = np.full((4000, 2), (1.45, 1.30))
    walking = np.tile([speed_mps, 0.0], (4000, 1))
    scene = around(outlines_m=outlines_m, velocities_mps=walking)
    assert is_escape((-0.25, 0.0, 0.0), scene, DELAY_S, CONFIG)


def test_points_are_brought_to_where_the_robot_is_by_now() -> None:
    """Measured 0.2 s ago from 0.1 m further back; beside, so that they are not its own."""
    cloud = points((0.6, 0.35, 0.5), t_ns=1_000_000_000)
    seen = look_around([cloud], NearObjects.none(), [], ego_state(0.5), CONFIG, now_ns=1_200_000_000)
    assert seen.points_m == pytest.approx(np.array([[0.5, 0.35]]), abs=1e-6)


def test_outlines_are_the_edges_of_the_boxes_a_point_each_5_cm_at_most() -> None:
    """2 x 1 m and 0.12 x 0.12 m: 40 and 20 points a side, and 3 a side, all on their own box."""
    big = np.array([[5.0, 8.0], [3.0, 8.0], [3.0, 7.0], [5.0, 7.0]])
    small = np.array([[-3.88, -1.88], [-4.0, -1.88], [-4.0, -2.0], [-3.88, -2.0]])
    near = NearObjects(np.array([1, 2]), np.stack([big, small]), np.array([[0.1, 0.0], [0.0, 0.2]]))
    seen = look_around([], near, [], ego_state(0.0), CONFIG, now_ns=0)
    assert len(seen.outlines_m) == 2 * (40 + 20) + 4 * 3
    for box, motion, count in ((big, (0.1, 0.0), 120), (small, (0.0, 0.2), 12)):
        own = (seen.velocities_mps == motion).all(axis=1)
        x, y = (seen.outlines_m[own] - box[2]).T
        length, width = box[0] - box[2]
        assert own.sum() == count
        on_edge = np.isclose(x, 0) | np.isclose(x, length) | np.isclose(y, 0) | np.isclose(y, width)
        assert (on_edge & (x > -1e-9) & (x < length + 1e-9) & (y > -1e-9) & (y < width + 1e-9)).all()
        assert len(np.unique(np.round(np.stack([x, y], axis=1), 6), axis=0)) == count


def test_a_motion_of_a_millionth_of_a_metre_a_second_is_none() -> None:
    assert escape_motion((1e-6, 0.0, 0.0), CONFIG) is None
    assert escape_motion((2e-6, 0.0, 0.0), CONFIG) == (2e-6, 0.0, 0.0)


def test_points_on_the_limit_of_what_is_near_count() -> None:
    """A footprint of 1 x 1 m and 0.5 + 0.5 + 1 m around it: up to 2.5 m."""
    box_m = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    config = replace(CONFIG, footprint_m=box_m, ahead_m=0.5, beside_m=0.5)
    for x, y in ((2.5, 0.0), (-2.5, 0.0), (0.0, 2.5), (0.0, -2.5)):
        near, far = points((x, y, 0.5)), points((x * 1.01, y * 1.01, 0.5))
        seen = look_around([near, far], NearObjects.none(), [], ego_state(0.0), config, now_ns=0)
        assert seen.points_m.tolist() == [[x, y]]
