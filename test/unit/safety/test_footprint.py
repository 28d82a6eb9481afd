"""The footprint among points: distances, and shortcuts that leave every answer as it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.geometry import Array
from perception_platform.safety.config import Drive, GateConfig
from perception_platform.safety.escape import (
    BLOCK,
    STEP_M,
    SURE_M,
    Surroundings,
    escape_motion,
    is_escape,
)
from perception_platform.safety.footprint import (
    CELL_M,
    CELL_RADIUS_M,
    ROUNDING_M,
    Motion,
    cells,
    distance_m,
    fastest_mps,
    least_distance_m,
    seen_from,
    within_edges,
)
from test.unit.safety.healthy import CONFIG

BOX = np.array([[2.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [2.0, -1.0]])
CORNER = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0], [1.0, 2.0], [0.0, 2.0]])  # not convex
BODIES = {"box": BOX, "the other way round": BOX[::-1], "corner": CORNER}
NOTHING = np.zeros((0, 2))
ONCE = (np.array([1.0]), np.array([1.0]))
DELAY_S = 0.5

coordinates = st.floats(-4.0, 4.0)
places = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=20).map(
    lambda xy: np.array(xy, dtype=np.float64)
)
motions = st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))


@pytest.mark.parametrize(
    ("place", "expected_m"),
    [
        ((3.0, 0.5), 1.0),
        ((0.5, -1.25), 0.25),
        ((5.0, 5.0), 5.0),
        ((-1.3, -1.4), 0.5),
        ((1.5, 0.25), -0.5),
        ((0.5, 0.9), -0.1),
        ((2.0, 0.0), 0.0),
    ],
)
def test_a_distance_is_that_to_the_nearest_edge_or_corner_and_negative_inside(
    place: tuple[float, float], expected_m: float
) -> None:
    for corners_m in (BOX, BOX[::-1]):
        assert distance_m(np.array(place), corners_m) == pytest.approx(expected_m, abs=1e-12)
    assert distance_m(np.array([[place, place]]), BOX) == pytest.approx(
        np.full((1, 2), expected_m), abs=1e-12
    )


def test_a_recess_is_outside() -> None:
    assert distance_m(np.array([[1.5, 1.25], [0.5, 1.5]]), CORNER) == pytest.approx([0.25, -0.5])


def test_the_fastest_point_is_the_corner_that_swings_most() -> None:
    assert fastest_mps((0.3, 0.0, 0.0), BOX) == pytest.approx(0.3)
    assert fastest_mps((0.0, 0.0, 0.5), BOX) == pytest.approx(0.5 * math.sqrt(5.0))
    assert fastest_mps((0.1, 0.0, 0.5), CORNER) == pytest.approx(math.hypot(0.1 - 0.5 * 1.0, 0.5 * 2.0))
    assert fastest_mps((0.1, 0.2, 0.5), BOX) == pytest.approx(math.hypot(0.1 + 0.5, 0.2 + 1.0))


@given(places)
def test_the_least_distance_is_the_least_of_all_to_the_last_bit(points_m: Array) -> None:
    for corners_m in BODIES.values():
        assert least_distance_m(points_m, corners_m) == distance_m(points_m, corners_m).min()
    assert least_distance_m(NOTHING, BOX) == math.inf


def test_the_least_distance_is_not_always_that_of_what_is_beyond_least() -> None:
    """0.6 beyond two lines, 0.84 away; 0.7 beyond one line, 0.7 away."""
    assert least_distance_m(np.array([[2.6, 1.6], [2.7, 0.0]]), BOX) == pytest.approx(0.7)


@given(places)
def test_each_point_is_in_a_cell_and_its_middle_near(points_m: Array) -> None:
    assert pytest.approx(0.0075) == CELL_RADIUS_M
    middles_m, cell = cells(points_m)
    assert len(np.unique(cell)) == len(middles_m)
    offset_m = points_m - middles_m[cell]
    assert (np.hypot(*offset_m.T) <= CELL_RADIUS_M).all()
    assert (np.abs(offset_m) <= CELL_M / 2 + 1e-9).all()


def test_cells_are_those_that_hold_something() -> None:
    points_m = np.array([[1.0, 2.0], [1.004, 2.004], [1.012, 2.0], [1.0, 2.034]])
    middles_m, cell = cells(points_m)
    assert cell.tolist() == [0, 0, 2, 1]
    assert middles_m == pytest.approx(np.array([[1.005, 2.005], [1.005, 2.035], [1.015, 2.005]]))
    assert [len(part) for part in cells(NOTHING)] == [0, 0]


@given(places, motions, st.floats(-0.5, 1.0), st.tuples(coordinates, coordinates))
def test_what_a_line_keeps_apart_is_never_nearer(
    points_m: Array, motion: Motion, bound_m: float, velocity_mps: tuple[float, float]
) -> None:
    times_s = np.linspace(0.1, 2.0, 7)
    lasting_s = np.minimum(times_s, 1.0)
    velocities_mps = np.full_like(points_m, velocity_mps)
    bounds_m = np.full(len(points_m), bound_m)
    then_m = points_m + velocities_mps * lasting_s[:, None, None]
    for corners_m in BODIES.values():
        left = within_edges(points_m, velocities_mps, bounds_m, motion, (times_s, lasting_s), corners_m)
        least_m = distance_m(seen_from(then_m, motion, times_s), corners_m).min(axis=0)
        assert (least_m[~left] >= bound_m - 1e-9).all()


def left_of(
    points_m: list[tuple[float, float]],
    bound_m: float,
    motion: Motion,
    times_s: tuple[Array, Array] = ONCE,
    velocity_mps: tuple[float, float] = (0.0, 0.0),
    corners_m: Array = BOX,
) -> list[bool]:
    there_m = np.array(points_m)
    velocities_mps = np.full_like(there_m, velocity_mps)
    bounds_m = np.full(len(there_m), bound_m)
    return within_edges(there_m, velocities_mps, bounds_m, motion, times_s, corners_m).tolist()


@pytest.mark.parametrize("corners_m", [BOX, BOX[::-1]])
def test_a_line_along_an_edge_decides_what_is_beyond_it_by_the_bound(corners_m: Array) -> None:
    """After 1 m ahead the body reaches from 0 to 3 m; after a quarter turn from -1 to 1 and, in y, from -1 to 2 m."""
    ahead, turn = (1.0, 0.0, 0.0), (0.0, 0.0, math.pi / 2)
    for motion, points_m in (
        (ahead, [(-0.5, 0.0), (3.5, 0.0), (0.5, 1.5), (0.5, -1.5)]),
        (turn, [(0.0, 2.5), (0.0, -1.5), (1.5, 0.5), (-1.5, 0.5)]),
    ):
        assert left_of(points_m, 0.5 - 1e-9, motion, corners_m=corners_m) == [False] * 4
        assert left_of(points_m, 0.5 + 1e-9, motion, corners_m=corners_m) == [True] * 4
    assert left_of([(3.5, 0.0)], 0.5, ahead, corners_m=corners_m) == [False]
    assert left_of([(3.4, 1.4), (2.9, 0.0)], 0.5, ahead, corners_m=corners_m) == [True, True]


def test_one_line_has_to_do_at_all_poses() -> None:
    """Ahead of the front at the first, behind the rear at the second."""
    both = (np.array([0.5, 6.0]), np.zeros(2))
    assert left_of([(3.2, 1.25)], 0.3, (1.0, 0.0, 0.0), both) == [True]
    for alone_s in (0.5, 6.0):
        alone = (np.array([alone_s]), np.zeros(1))
        assert left_of([(3.2, 1.25)], 0.3, (1.0, 0.0, 0.0), alone) == [False]


def test_points_move_for_as_long_as_they_are_said_to() -> None:
    """One at 6 m that comes by 1 m/s for 2 s, while the body drives 1 m: 1 m is left."""
    times_s = (np.array([1.0]), np.array([2.0]))
    assert left_of([(6.0, 0.0)], 1.0, (1.0, 0.0, 0.0), times_s, (-1.0, 0.0)) == [False]
    assert left_of([(6.0, 0.0)], 1.0 + 1e-9, (1.0, 0.0, 0.0), times_s, (-1.0, 0.0)) == [True]


def test_a_recess_counts_as_filled() -> None:
    assert left_of([(2.5, 1.5)], 0.1, (1.0, 0.0, 0.0), corners_m=CORNER) == [True]


def plainly_is_escape(motion: Motion, around: Surroundings, config: GateConfig) -> bool:
    """The three rules of an escape, point by point and pose by pose."""
    speed_mps, corners_m = fastest_mps(motion, config.footprint_m), config.footprint_m
    stopping_m = speed_mps * DELAY_S + speed_mps**2 / (2 * config.least_service_mps2)
    times_s = STEP_M * np.arange(1.0, math.ceil((stopping_m + config.ahead_m) / STEP_M) + 1) / speed_mps
    since_s = np.concatenate([[0.0], times_s[: math.ceil(stopping_m / STEP_M)]])
    causes_m = distance_m(seen_from(around.causes_m, motion, since_s), corners_m)
    if not (np.diff(causes_m, axis=0) >= -ROUNDING_M).all():
        return False
    least_m = min(distance_m(around.points_m, corners_m).min(initial=np.inf), config.beside_m)
    if not (distance_m(seen_from(around.points_m, motion, times_s), corners_m) >= least_m - ROUNDING_M).all():
        return False
    fastest = np.hypot(*around.velocities_mps.T).max(initial=0.0)
    fine = 1 + math.ceil(fastest / speed_mps)  # 2 cm of both ways together
    fine_s = np.arange(1, fine * len(times_s) + 1) * (times_s[0] / fine)
    for share, looks_s in ((0.0, times_s), (1.0, fine_s)):
        then_m = around.outlines_m + share * around.velocities_mps * np.minimum(looks_s, 2.0)[:, None, None]
        standing_m = np.minimum.accumulate(distance_m(then_m, corners_m), axis=0)
        moving_m = distance_m(seen_from(then_m, motion, looks_s), corners_m)
        if not (moving_m >= np.minimum(standing_m, config.beside_m) - ROUNDING_M).all():
            return False
    return True


ESCAPES = st.sampled_from(
    [(-0.25, 0.0, 0.0), (-0.2, 0.0, 0.03), (-0.2, 0.0, -0.1), (0.1, 0.0, 0.0), (0.0, 0.0, 0.2)]
)


def clusters(seed: int, count: int, spread_m: float, far_m: float) -> Array:
    """Points in heaps around the footprint, none inside."""
    rng = np.random.default_rng(seed)
    high_m = CONFIG.footprint_m.max(axis=0) + far_m
    heaps_m = rng.uniform(-high_m, high_m, (count, 2))
    points_m = (heaps_m[:, None] + rng.normal(0.0, spread_m, (count, 30, 2))).reshape(-1, 2)
    return points_m[distance_m(points_m, CONFIG.footprint_m) > 0]


@given(
    seed=st.integers(0, 2**32 - 1),
    motion=ESCAPES,
    heaps=st.tuples(*[st.integers(0, 3)] * 3),
    far_m=st.sampled_from([0.15, 0.5, 1.5]),
)
@settings(deadline=None)
def test_shortcuts_change_no_answer(
    seed: int, motion: Motion, heaps: tuple[int, int, int], far_m: float
) -> None:
    points_m, causes_m, outlines_m = (clusters(seed + i, n, 0.02, far_m) for i, n in enumerate(heaps))
    velocities_mps = np.random.default_rng(seed).normal(0.0, 0.3, outlines_m.shape)
    around = Surroundings(points_m, causes_m, outlines_m, velocities_mps)
    assert is_escape(motion, around, DELAY_S, CONFIG) == plainly_is_escape(motion, around, CONFIG)


def test_one_who_passes_between_two_poses_of_the_robot_is_seen() -> None:
    """At 2.8 m/s somebody moves 23 cm while the robot moves 2."""
    config = replace(CONFIG, drive=Drive.OMNIDIRECTIONAL)
    motion = escape_motion((1.0, 0.5, 0.0), config)
    assert motion is not None
    passing = Surroundings(NOTHING, NOTHING, np.array([[0.0, 0.75]]), np.array([[-2.0, -2.0]]))
    assert not is_escape(motion, passing, DELAY_S, config)
    assert is_escape(motion, replace(passing, outlines_m=np.array([[0.0, 2.0]])), DELAY_S, config)


@pytest.mark.parametrize(("count", "leads_out"), [(980, True), (981, False)])
def test_more_passers_by_than_can_be_looked_at_are_refused(count: int, leads_out: bool) -> None:
    """34 poses, 3 looks each: they walk off by 0.5 m/s, beside the robot, a little nearer than it keeps to things."""
    outlines_m = np.stack([np.linspace(-0.40, -0.38, count), np.full(count, 0.39)], axis=1)
    walking = Surroundings(NOTHING, NOTHING, outlines_m, np.tile([0.5, 0.0], (count, 1)))
    assert is_escape((-0.25, 0.0, 0.0), walking, DELAY_S, CONFIG) is leads_out


@pytest.mark.parametrize(
    ("count", "speed_mps", "leads_out"),
    [(1250, 0.25, True), (1251, 0.25, False), (833, 0.45, True), (834, 0.45, False)],
)
def test_how_often_passers_by_are_looked_at_goes_by_their_speed(
    count: int, speed_mps: float, leads_out: bool
) -> None:
    """The way is 0.295 + 0.5 m: 40 poses, 0.08 s apart. At 0.25 m/s 2 cm from one to the next: two looks a pose, so
    that 1250 points make 100 000. At 0.45 m/s 3.6 cm: three looks."""
    outlines_m = np.stack([np.linspace(-0.40, -0.38, count), np.full(count, 0.39)], axis=1)
    walking = Surroundings(NOTHING, NOTHING, outlines_m, np.tile([speed_mps, 0.0], (count, 1)))
    delay_s = (0.295 - 0.25**2 / 1.6) / 0.25
    assert is_escape((-0.25, 0.0, 0.0), walking, delay_s, CONFIG) is leads_out


@pytest.mark.parametrize("where", ["points_m", "causes_m"])
@pytest.mark.parametrize(("last_m", "leads_out"), [((0.46, 0.32), True), ((-0.6, 0.29), False)])
def test_no_point_of_many_is_overlooked(where: str, last_m: tuple[float, float], leads_out: bool) -> None:
    """Many points at the corner that swings, which no line decides, and one more, in the way or not."""
    along_m = np.linspace(0.45, 0.47, 3 * BLOCK)
    points_m = np.concatenate([np.stack([along_m, np.full_like(along_m, 0.32)], axis=1), [last_m]])
    scene = replace(Surroundings(NOTHING, NOTHING, NOTHING, NOTHING), **{where: points_m})
    assert is_escape((-0.25, 0.0, 0.0), scene, DELAY_S, CONFIG) is leads_out


def test_a_cause_is_watched_at_each_pose_until_the_robot_stands_and_no_longer() -> None:
    """Turning on the spot leads a corner away from it, by 1.5 cm a pose at first, and the next corner towards it."""
    turn = escape_motion((0.0, 0.0, 1.0), CONFIG)
    assert turn is not None
    cause, speed_mps = np.array([[0.52, -0.96]]), fastest_mps(turn, CONFIG.footprint_m)
    scene = Surroundings(NOTHING, cause, NOTHING, NOTHING)
    times_s = STEP_M * np.arange(0.0, 60.0) / speed_mps
    gains_m = np.diff(distance_m(seen_from(cause, turn, times_s), CONFIG.footprint_m)[:, 0])
    nearer = (
        int(np.flatnonzero(gains_m < -ROUNDING_M)[0]) + 1
    )  # the first pose that is nearer than the one before
    assert nearer > 3
    assert gains_m[0] > 2 * CELL_RADIUS_M
    for poses, leads_out in ((nearer - 1, True), (nearer, False), (nearer + 1, False)):
        stopping_m = (poses - 0.5) * STEP_M
        delay_s = stopping_m / speed_mps - speed_mps / (2 * CONFIG.least_service_mps2)
        assert is_escape(turn, scene, delay_s, CONFIG) is leads_out, poses


def test_what_is_allowed_for_rounding_is_not_given_twice() -> None:
    assert SURE_M == ROUNDING_M / 2 == 5e-7


def test_the_lines_are_those_of_a_body_that_is_turned_and_off_the_origin() -> None:
    """The box turned by 30 degrees and moved by (8, 5): half a metre beyond the middle of each edge."""
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    turn = np.array([[c, s], [-s, c]])  # of row vectors
    body_m, outwards = (
        BOX @ turn + [8.0, 5.0],
        np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]) @ turn,
    )
    middles_m = np.array([[2.0, 0.0], [0.5, 1.0], [-1.0, 0.0], [0.5, -1.0]]) @ turn + [8.0, 5.0]
    still = (np.array([0.0]), np.array([0.0]))
    for corners_m in (body_m, body_m[::-1]):
        beyond_m = [tuple(p) for p in middles_m + 0.5 * outwards]
        assert left_of(beyond_m, 0.5 - 1e-9, (0.0, 0.0, 0.0), still, corners_m=corners_m) == [False] * 4
        assert left_of(beyond_m, 0.5 + 1e-9, (0.0, 0.0, 0.0), still, corners_m=corners_m) == [True] * 4


def test_the_lines_of_a_body_without_opposite_sides_face_outwards() -> None:
    """A triangle: half a metre beyond the middle of each edge, whichever way round the corners are listed."""
    body_m = np.array([[8.0, 5.0], [10.0, 5.0], [8.0, 6.0]])
    slope = np.array([1.0, 2.0]) / math.sqrt(5.0)
    beyond_m = [(9.0, 4.5), (7.5, 5.5), tuple(np.array([9.0, 5.5]) + 0.5 * slope)]
    still = (np.array([0.0]), np.array([0.0]))
    for corners_m in (body_m, body_m[::-1]):
        assert left_of(beyond_m, 0.5 - 1e-9, (0.0, 0.0, 0.0), still, corners_m=corners_m) == [False] * 3
        assert left_of(beyond_m, 0.5 + 1e-9, (0.0, 0.0, 0.0), still, corners_m=corners_m) == [True] * 3
