"""Measurements that come late or out of order: the tracks are those of frames in order, within a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.objects import Detections, ObjectClass, Tracks
from perception_platform.core.time import from_s
from perception_platform.core.track_events import TrackChange, TrackReason
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.tracker import Tracker
from test.unit.tracking.scenes import FRAME_NS, Box, detections, ego

WINDOW = 3  # frames
CONFIG = TrackerConfig(late_window_s=0.1 * WINDOW)


def frame(i: int, boxes: Sequence[Box], sensor: str = "lidar_top") -> Detections:
    found = detections(i * FRAME_NS, boxes, ego(i * FRAME_NS, 0.1 * i).odom_from_base)
    return replace(found, lineage=Lineage((SourceStamp(sensor, found.t_ns),)))


def step(tracker: Tracker, found: Detections) -> Tracks:
    return tracker.step(found.t_ns, found, ego(found.t_ns, 1e-9 * found.t_ns))


def scene(i: int) -> list[Box]:
    rng = np.random.default_rng(i)
    x_m, y_m = rng.normal(0, 0.05, 2)
    walker = Box(8 + x_m, -2 + 0.13 * i + y_m, object_class=ObjectClass.PERSON)
    parked = Box(12 + y_m, 4 + x_m, 4.2, 1.8, object_class=ObjectClass.CAR)
    return [
        walker,
        parked,
        *([Box(5, -4)] if i > 6 else []),
        *([Box(20, x_m * 60, num_points=2)] if i % 2 else []),
    ]


def same_but_for_ids(a: Tracks, b: Tracks) -> None:
    """The same objects: whoever came first has got the smaller id."""
    by_place_a, by_place_b = (np.lexsort(tracks.centers_m.T) for tracks in (a, b))
    assert a.t_ns == b.t_ns
    for name in (
        "centers_m",
        "velocities_mps",
        "sizes_m",
        "existence",
        "state_cov",
        "first_seen_ns",
        "last_seen_ns",
    ):
        assert np.array_equal(getattr(a, name)[by_place_a], getattr(b, name)[by_place_b]), name


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, WINDOW), min_size=16, max_size=16))
def test_frames_out_of_order_within_the_window_give_the_tracks_of_frames_in_order(delays: list[int]) -> None:
    n = len(delays)
    ordered, shuffled = Tracker(CONFIG), Tracker(CONFIG)
    for i in range(n):
        in_order = step(ordered, frame(i, scene(i)))
    arrival = sorted(range(n), key=lambda i: (i + delays[i], i))
    alive: set[int] = set()
    for i in arrival:
        out_of_order = step(shuffled, frame(i, scene(i)))
        for event in out_of_order.events:
            if event.change is TrackChange.BORN:
                assert event.track_id not in alive
                alive.add(event.track_id)
        assert (np.diff(out_of_order.ids) > 0).all()
        assert set(out_of_order.ids.tolist()) <= alive
    assert shuffled.rejected["late_frames"] == 0
    same_but_for_ids(in_order, out_of_order)


def test_an_object_keeps_its_id_when_something_older_comes_late() -> None:
    tracker = Tracker(CONFIG)
    old, told, untold = Box(8, 0), Box(8, 5), Box(4, -5)
    step(tracker, frame(0, [old]))
    assert step(tracker, frame(3, [old, told])).ids.tolist() == [1, 2]
    step(tracker, frame(1, [old, untold]))
    older = step(tracker, frame(2, [old, untold, told]))
    places = zip(older.ids.tolist(), older.centers_m[:, 1].round().tolist(), strict=True)
    assert dict(places) == {1: 0, 2: 5, 3: -5}
    assert older.first_seen_ns.tolist() == [0, 2 * FRAME_NS, FRAME_NS]


def test_tracks_after_a_late_frame_are_of_the_newest_time_and_name_both_frames() -> None:
    tracker = Tracker(CONFIG)
    for i in (0, 3):
        step(tracker, frame(i, [Box(8, 0)]))
    after = step(tracker, frame(2, [Box(8, 0)]))
    assert after.t_ns == 3 * FRAME_NS
    assert {source.t_ns for source in after.lineage.sources} == {2 * FRAME_NS, 3 * FRAME_NS}


def test_what_a_late_measurement_shows_to_be_nothing_new_is_told() -> None:
    tracker = Tracker(CONFIG)
    for i in (0, 1, 2):
        step(tracker, frame(i, [Box(8, 0, object_class=ObjectClass.PERSON)]))
    assert step(tracker, frame(4, [Box(8, 0.5, object_class=ObjectClass.PERSON)])).ids.tolist() == [1, 2]
    tracks = step(tracker, frame(3, [Box(8, 0.25, object_class=ObjectClass.PERSON)]))
    assert [(event.track_id, event.change, event.reason) for event in tracks.events] == [
        (2, TrackChange.ENDED, TrackReason.REVISED)
    ]
    assert tracks.ids.tolist() == [1]


def test_frames_beyond_the_window_or_twice_are_counted_and_change_nothing() -> None:
    tracker = Tracker(CONFIG)
    for i in range(10):
        newest = step(tracker, frame(i, scene(i)))
    for i, reason in ((9, "repeated_frames"), (5, "late_frames"), (7, "repeated_frames"), (0, "late_frames")):
        before = tracker.rejected[reason]
        again = step(tracker, frame(i, [Box(3, 3)]))
        assert tracker.rejected[reason] == before + 1
        assert again.events == ()
        assert again.t_ns == newest.t_ns
        same_but_for_ids(again, newest)


def test_two_sensors_may_look_at_the_same_time_in_whatever_order() -> None:
    results = []
    for sensors in (("lidar_left", "lidar_right"), ("lidar_right", "lidar_left")):
        tracker = Tracker(CONFIG)
        for i in range(6):
            for sensor in sensors:
                y_m = 0.0 if sensor == "lidar_left" else 0.04
                tracks = step(tracker, frame(i, [Box(8, y_m), Box(4, 3 if y_m else -3)], sensor))
        assert tracker.rejected["repeated_frames"] == 0
        results.append(tracks)
    same_but_for_ids(*results)
    assert len(results[0]) == 3


def test_a_clock_set_back_by_less_than_the_window_is_caught_up_with() -> None:
    tracker = Tracker(CONFIG)
    for t_s in (0.0, 0.1, 0.2, 0.3, 0.12, 0.22, 0.32, 0.42, 0.52):
        t_ns = from_s(t_s)
        tracks = tracker.step(t_ns, detections(t_ns, [Box(8, 0)], Transform.identity()), ego(t_ns))
    assert (tracks.t_ns, tracks.ids.tolist()) == (from_s(0.52), [1])


def test_what_is_kept_to_go_back_to_is_bounded() -> None:
    tracker = Tracker(CONFIG)
    for i in range(100):
        step(tracker, frame(i, [Box(8, 0)]))
    assert len(tracker._looks) <= WINDOW + 1
