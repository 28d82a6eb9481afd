"""The tracker as a whole, in made-up worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from perception_platform.core.geometry import Transform, box_corners
from perception_platform.core.objects import Detections, ObjectClass, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s
from perception_platform.tracking.config import CLASSES, TrackerConfig
from perception_platform.tracking.tracker import Tracker
from test.unit.tracking.scenes import FRAME_NS, Box, detections, ego

Scene = Callable[[float], Sequence[Box]]


def run(scene: Scene, frames: int, speed_mps: float = 0.0, tracker: Tracker | None = None) -> list[Tracks]:
    """Track a scene, a function of time in s, from a robot that drives ahead from the origin."""
    tracker = tracker or Tracker()
    out = []
    for i in range(frames):
        t_s = i * 0.1
        state = ego(i * FRAME_NS, speed_mps * t_s, speed_mps=speed_mps)
        found = detections(state.t_ns, scene(t_s), state.odom_from_base)
        out.append(tracker.step(state.t_ns, found, state))
    return out


def person(x_m: float, y_m: float) -> Box:
    return Box(x_m, y_m, object_class=ObjectClass.PERSON)


def speed(tracks: Tracks, row: int = 0) -> float:
    return float(np.hypot(*tracks.velocities_mps[row]))


def test_what_is_seen_well_is_reported_at_once_and_keeps_its_id() -> None:
    out = run(lambda t_s: [person(8, 1)], 30)
    assert [tracks.ids.tolist() for tracks in out] == [[1]] * 30
    assert out[-1].existence[0] > 0.99
    assert ObjectClass(out[-1].class_ids[0]) is ObjectClass.PERSON


def test_tracks_and_their_absence_are_in_the_frame_of_the_odometry() -> None:
    tracker = Tracker(frame_id="amr_7/odom")
    blind = replace(ego(0), velocity_mps=(np.nan, 0.0))
    nothing = tracker.step(0, detections(0, [], Transform.identity()), blind)
    out = run(lambda t_s: [person(8, 1)], 2, tracker=tracker)
    assert {nothing.frame_id, *(tracks.frame_id for tracks in out)} == {"amr_7/odom"}


def test_a_person_who_starts_to_cross_has_the_right_velocity_within_half_a_second() -> None:
    rng = np.random.default_rng(3)

    def scene(t_s: float) -> list[Box]:
        return [person(8 + rng.normal(0, 0.03), -3 + 1.4 * max(0.0, t_s - 2.0) + rng.normal(0, 0.03))]

    out = run(scene, 40, speed_mps=1.2)
    assert max(speed(tracks) for tracks in out[5:20]) < 0.2
    for tracks in out[25:]:
        assert tracks.velocities_mps[0] == pytest.approx([0.0, 1.4], abs=0.45)
    assert {tuple(tracks.ids) for tracks in out} == {(1,)}


def test_the_gap_to_a_moving_car_neither_lags_nor_jumps_when_its_side_comes_into_sight() -> None:
    rng = np.random.default_rng(4)

    def scene(t_s: float) -> list[Box]:
        rear_m, seen_m = 12 + 2.0 * t_s, 0.3 if t_s < 2.0 else 4.2
        seen_m += rng.uniform(-0.1, 0.1)
        return [Box(rear_m + seen_m / 2, 0.3, seen_m, 1.8, object_class=ObjectClass.CAR)]

    for i, tracks in enumerate(run(scene, 40, speed_mps=1.0)[5:], start=5):
        rear_m = box_corners(tracks.centers_m, tracks.sizes_m, tracks.yaws_rad)[0, :, 0].min()
        assert rear_m == pytest.approx(12 + 0.2 * i, abs=0.15)
        assert tracks.velocities_mps[0, 0] == pytest.approx(2.0, abs=0.5)
        assert tracks.ids.tolist() == [1]


def test_somebody_in_a_wheelchair_goes_on_though_its_front_falls_below_the_lowest_beam() -> None:
    def scene(t_s: float) -> list[Box]:
        gone = min(max((t_s - 1.0) / 1.5, 0.0), 1.0)
        y_m = 2.0 - 0.5 * t_s + 0.3 * gone  # of what is left to see
        size_m, height_m = 0.9 - 0.6 * gone, 1.6 - 0.7 * gone
        return [Box(1.4, y_m, 0.6, size_m, object_class=ObjectClass.PERSON, height_m=height_m)]

    for i, tracks in enumerate(run(scene, 40)[10:], start=10):
        front_m = tracks.centers_m[0, 1] - 0.5 * tracks.sizes_m[0, 1]
        assert front_m == pytest.approx(2.0 - 0.05 * i - 0.45, abs=0.45), i
        assert tracks.velocities_mps[0, 1] < (-0.15 if i > 17 else -0.05), i


def test_parked_things_have_no_speed_however_their_visible_part_changes() -> None:
    rng = np.random.default_rng(7)

    def scene(t_s: float) -> list[Box]:
        seen_m = min(4.2, 0.4 + 1.5 * t_s)
        ends_m = max(-5.0, 1.5 * t_s - 12), min(60.0, 1.5 * t_s + 12)
        wall = Box(sum(ends_m) / 2, 4.0, ends_m[1] - ends_m[0], 0.1, object_class=ObjectClass.STRUCTURE)
        car = Box(15 + seen_m / 2, -3.0, seen_m, 1.8 + rng.normal(0, 0.05), object_class=ObjectClass.CAR)
        pole = Box(9.0 + rng.normal(0, 0.03), 2.5 + rng.normal(0, 0.03), 0.15, 0.15)
        return [wall, car, pole]

    out = run(scene, 80, speed_mps=1.5)
    assert max(np.hypot(*tracks.velocities_mps.T).max() for tracks in out) < 0.3
    assert {tuple(tracks.ids) for tracks in out} == {(1, 2, 3)}


def test_pieces_of_a_wall_do_not_multiply_tracks() -> None:
    rng = np.random.default_rng(8)

    def scene(t_s: float) -> list[Box]:
        cuts = np.sort(rng.uniform(0, 12, rng.integers(0, 4)))
        edges = np.concatenate([[0.0], cuts, [12.0]])
        pieces = pairwise(edges)
        return [Box((a + b) / 2, 4, b - a, 0.2, object_class=ObjectClass.STRUCTURE) for a, b in pieces]

    out = run(scene, 60)
    assert max(len(tracks) for tracks in out) <= 6
    assert max(np.hypot(*tracks.velocities_mps.T).max() for tracks in out) < 0.3


def test_two_people_who_pass_each_other_keep_their_ids() -> None:
    out = run(lambda t_s: [person(8, -3 + t_s), person(9, 3 - t_s)], 60)
    last = out[-1]
    assert last.ids.tolist() == [1, 2]
    assert np.sign(last.velocities_mps[:, 1]).tolist() == [1, -1]
    assert last.centers_m[:, 1] == pytest.approx([2.9, -2.9], abs=0.15)


def test_unseen_tracks_coast_lose_existence_with_time_and_end() -> None:
    out = run(lambda t_s: [person(8, -2 + 1.4 * t_s)] if t_s < 1.45 else [], 40)
    coasting = out[16:19]
    assert [tracks.ids.tolist() for tracks in coasting] == [[1]] * 3
    assert np.diff([tracks.existence[0] for tracks in coasting]).max() < 0
    assert coasting[-1].centers_m[0, 1] == pytest.approx(-2 + 1.4 * 1.8, abs=0.15)
    assert coasting[-1].last_seen_ns[0] == 14 * FRAME_NS
    assert len(out[-1]) == 0


def test_a_long_silence_ends_a_track_by_time_not_by_frames() -> None:
    tracker = Tracker()
    run(lambda t_s: [person(8, 0)], 10, tracker=tracker)
    late = tracker.step(from_s(60.0), Detections.empty(from_s(60.0), "base_link"), ego(from_s(60.0)))
    assert len(late) == 0


def test_ids_are_never_used_twice() -> None:
    tracker = Tracker()
    seen: set[int] = set()
    for k in range(5):
        t0_ns = from_s(10.0 * k)
        for i in range(5):
            state = ego(t0_ns + i * FRAME_NS)
            tracks = tracker.step(
                state.t_ns, detections(state.t_ns, [person(8, 0)], Transform.identity()), state
            )
        assert not seen & set(tracks.ids.tolist())
        seen |= set(tracks.ids.tolist())
    assert len(seen) == 5


def test_one_stamp_from_the_future_does_not_silence_the_tracker() -> None:
    tracker = Tracker()
    first = run(lambda t_s: [person(8, 0)], 10, tracker=tracker)[-1]
    tracker.step(from_s(1e6), Detections.empty(from_s(1e6), "base_link"), ego(from_s(1e6)))
    for i in range(10, 30):
        state = ego(i * FRAME_NS)
        tracks = tracker.step(state.t_ns, detections(state.t_ns, [person(8, 0)], Transform.identity()), state)
    assert tracks.t_ns == state.t_ns
    assert len(tracks) == 1
    assert tracks.ids[0] > first.ids[0]


def test_a_frame_without_a_pose_is_counted() -> None:
    tracker = Tracker()
    lost = EgoState(0, Transform(np.eye(3) * np.nan, np.zeros(3)), (0.0, 0.0), 0.0)
    assert len(tracker.step(0, detections(0, [person(8, 0)], Transform.identity()), lost)) == 0
    assert tracker.rejected["frames_without_pose"] == 1


@pytest.mark.parametrize("column", ["centers_m", "sizes_m", "yaws_rad", "scores", "position_cov_m2"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_detections_that_are_not_finite_are_counted_and_the_others_kept(column: str, bad: float) -> None:
    tracker = Tracker()
    found = detections(0, [person(8, 0), person(4, 4)], Transform.identity())
    values = getattr(found, column).copy()
    values[0] = bad
    tracks = tracker.step(0, replace(found, **{column: values}), ego(0))
    assert tracks.centers_m[:, :2] == pytest.approx(np.array([[4, 4]]))
    assert tracker.rejected["detections"] == 1


def test_unknown_class_numbers_are_counted() -> None:
    tracker = Tracker()
    found = detections(0, [person(8, 0)], Transform.identity())
    assert len(tracker.step(0, replace(found, class_ids=np.array([99])), ego(0))) == 0
    assert tracker.rejected["detections"] == 1


def test_odometry_is_brought_to_the_time_of_the_sweep() -> None:
    late_ns = from_s(0.1)
    state = EgoState(0, Transform.identity(), (10.0, 0.0), 0.0)
    tracks = Tracker().step(late_ns, detections(late_ns, [person(8, 0)], Transform.identity()), state)
    assert tracks.centers_m[0, 0] == pytest.approx(9.0)
    far_ns = from_s(5.0)
    tracks = Tracker().step(far_ns, detections(far_ns, [person(8, 0)], Transform.identity()), state)
    assert tracks.centers_m[0, 0] == pytest.approx(8.0)


def test_sensors_that_saw_an_object_lately_are_named() -> None:
    tracker = Tracker()
    for i in range(12):
        state = ego(i * FRAME_NS)
        found = detections(state.t_ns, [person(8, 0)], Transform.identity())
        kind = SensorKind.CAMERA if i < 3 else SensorKind.LIDAR
        tracks = tracker.step(state.t_ns, replace(found, sensors=np.array([int(kind)])), state)
        both = SensorKind.CAMERA | SensorKind.LIDAR
        assert SensorKind(int(tracks.sensors[0])) == (kind if i < 3 or i > 7 else both)


boxes = st.lists(
    st.builds(
        Box,
        st.floats(-20, 20),
        st.floats(-20, 20),
        st.floats(0.0, 8.0),
        st.floats(0.0, 3.0),
        st.floats(-7, 7),
        st.sampled_from(ObjectClass),
        st.floats(0, 1),
        st.integers(0, 200),
    ),
    max_size=6,
)
frames = st.lists(boxes, min_size=1, max_size=6)


def track(
    scenes: list[list[Box]],
    world: Transform | None = None,
    shift_ns: int = 0,
    order: Callable[[int], Sequence[int]] = lambda n: range(n),
) -> list[Tracks]:
    tracker, world, out = Tracker(), world or Transform.identity(), []
    for i, scene in enumerate(scenes):
        state = ego(i * FRAME_NS + shift_ns, 0.1 * i, 0.0, 0.05 * i)
        found = detections(state.t_ns, scene, state.odom_from_base)
        rows = list(order(len(found)))
        columns = {
            f.name: getattr(found, f.name)[rows]
            for f in fields(found)
            if isinstance(getattr(found, f.name), np.ndarray)
        }
        moved = replace(state, odom_from_base=world @ state.odom_from_base)
        out.append(tracker.step(state.t_ns, replace(found, **columns), moved))
    return out


def numbers(tracks: Tracks) -> dict[str, np.ndarray]:
    return {f.name: v for f in fields(tracks) if isinstance(v := getattr(tracks, f.name), np.ndarray)}


@settings(max_examples=25, deadline=None)
@given(frames)
def test_whatever_comes_all_numbers_are_finite_and_proper(scenes: list[list[Box]]) -> None:
    for tracks in track(scenes):
        for name, column in numbers(tracks).items():
            assert np.isfinite(column).all(), name
        assert ((tracks.existence >= 0) & (tracks.existence <= 1)).all()
        assert (tracks.sizes_m > 0).all()
        assert (np.diff(tracks.ids) > 0).all()
        if len(tracks):
            assert np.linalg.eigvalsh(tracks.state_cov).min() > 0


@settings(max_examples=12, deadline=None)
@given(frames, st.randoms(use_true_random=False))
def test_the_order_of_detections_changes_nothing(scenes: list[list[Box]], random: object) -> None:
    def shuffled(n: int) -> list[int]:
        rows = list(range(n))
        random.shuffle(rows)  # type: ignore[attr-defined]
        return rows

    for a, b in zip(track(scenes), track(scenes, order=shuffled), strict=True):
        for name, column in numbers(a).items():
            assert np.array_equal(column, numbers(b)[name]), name


@settings(max_examples=12, deadline=None)
@given(frames, st.integers(-(10**18), 10**18))
def test_a_shift_in_time_shifts_the_stamps_alone(scenes: list[list[Box]], shift_ns: int) -> None:
    for a, b in zip(track(scenes), track(scenes, shift_ns=shift_ns), strict=True):
        assert b.t_ns - a.t_ns == shift_ns
        for name, column in numbers(a).items():
            moved = column + shift_ns if name.endswith("_ns") else column
            assert np.array_equal(moved, numbers(b)[name]), name


def test_another_fixed_frame_moves_and_turns_the_result() -> None:
    rng = np.random.default_rng(11)
    scenes = [
        [person(8 + 0.1 * i, rng.normal(0, 0.1)), Box(5, 4 + rng.normal(0, 0.05), 4.0, 1.8, 0.2)]
        for i in range(20)
    ]
    world = Transform.planar(100.0, -50.0, 2.5)
    for a, b in zip(track(scenes), track(scenes, world=world), strict=True):
        assert b.ids.tolist() == a.ids.tolist()
        assert b.centers_m == pytest.approx(world.apply(a.centers_m), abs=1e-6)
        velocities = np.column_stack([a.velocities_mps, np.zeros(len(a))])
        assert b.velocities_mps == pytest.approx(world.rotate(velocities)[:, :2], abs=1e-6)
        assert np.cos(b.yaws_rad - a.yaws_rad - 2.5) == pytest.approx(np.ones(len(a)))
        assert b.sizes_m == pytest.approx(a.sizes_m, abs=1e-6)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="clutter_probability"):
        TrackerConfig(clutter_probability=0.8)
    with pytest.raises(ValidationError, match="delete_existence"):
        TrackerConfig(delete_existence=0.6)
    with pytest.raises(ValidationError, match="PERSON"):
        TrackerConfig(classes={k: v for k, v in CLASSES.items() if k is not ObjectClass.PERSON})
    with pytest.raises(ValidationError, match="gate_probability"):
        TrackerConfig(gate_probability=float("nan"))
