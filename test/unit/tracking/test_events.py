"""Why tracks are born, confirmed, merged and ended: told once each, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass
from perception_platform.core.time import from_s
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.tracking.tracker import Tracker
from test.unit.tracking.scenes import FRAME_NS, Box, detections, ego


def lives(
    scene: Callable[[int], Sequence[Box]], frames: int, tracker: Tracker | None = None
) -> list[TrackEvent]:
    """All events of a scene, a function of the frame's number."""
    tracker = tracker or Tracker()
    events: list[TrackEvent] = []
    for i in range(frames):
        found = detections(i * FRAME_NS, scene(i), Transform.identity())
        events += tracker.step(i * FRAME_NS, found, ego(i * FRAME_NS)).events
    return events


def told(events: list[TrackEvent]) -> list[tuple[int, TrackChange, TrackReason]]:
    return [(event.track_id, event.change, event.reason) for event in events]


def person(x_m: float, y_m: float, points: int = 40) -> Box:
    return Box(x_m, y_m, object_class=ObjectClass.PERSON, num_points=points)


def test_a_life_from_one_sure_detection_to_being_gone() -> None:
    events = lives(lambda i: [person(8, 0)] if i < 5 else [], 30)
    assert told(events) == [
        (1, TrackChange.BORN, TrackReason.NOTHING_NEAR),
        (1, TrackChange.CONFIRMED, TrackReason.SURE_AT_ONCE),
        (1, TrackChange.ENDED, TrackReason.NOT_SEEN),
    ]
    assert [event.t_ns for event in events[:2]] == [0, 0]
    assert events[2].t_ns > 5 * FRAME_NS
    assert events[2].existence < 0.05


def test_what_is_hardly_seen_is_confirmed_by_repetition_or_never() -> None:
    faint = [Box(8, 0, score=0.3, num_points=1)]
    again = told(lives(lambda i: faint, 10))
    assert (1, TrackChange.CONFIRMED, TrackReason.SEEN_AGAIN) in again
    once = told(lives(lambda i: faint if i == 0 else [], 10))
    assert once[-1] == (1, TrackChange.ENDED, TrackReason.NEVER_SURE)
    assert TrackChange.CONFIRMED not in {change for _, change, _ in once}


def test_a_second_detection_of_a_tracked_object_names_the_track_that_had_the_better_one() -> None:
    events = lives(lambda i: [person(8, 0)] + ([person(8.05, 0.3)] if i == 5 else []), 6)
    assert told(events)[-2] == (2, TrackChange.BORN, TrackReason.NEAR_ONES_TAKEN)
    assert events[-2].other_id == 1


def test_silence_and_a_clock_set_back_are_told_apart_from_not_being_seen() -> None:
    tracker = Tracker()
    lives(lambda i: [person(8, 0)], 5, tracker)
    nothing = detections(from_s(60), [], Transform.identity())
    assert told(list(tracker.step(from_s(60), nothing, ego(from_s(60))).events)) == [
        (1, TrackChange.ENDED, TrackReason.NO_FRAMES)
    ]
    for i in range(3):
        t_ns = from_s(61) + i * FRAME_NS
        tracker.step(t_ns, detections(t_ns, [person(8, 0)], Transform.identity()), ego(t_ns))
    events = lives(lambda i: [person(8, 0)], 10, tracker)
    assert (2, TrackChange.ENDED, TrackReason.CLOCK_SET_BACK) in told(events)


def test_an_object_that_went_under_two_ids_goes_under_the_older_one_again() -> None:
    # In two pieces at first, then whole.
    def scene(i: int) -> list[Box]:
        return [person(8, 0), person(8.15, 0)] if i < 5 else [person(8.05, 0)]

    tracker = Tracker()
    events = lives(scene, 20, tracker)
    merges = [event for event in events if event.change is TrackChange.MERGED]
    assert [(event.track_id, event.other_id, event.reason) for event in merges] == [
        (2, 1, TrackReason.SAME_OBJECT)
    ]
    last = tracker.step(
        20 * FRAME_NS, detections(20 * FRAME_NS, scene(20), Transform.identity()), ego(20 * FRAME_NS)
    )
    assert last.ids.tolist() == [1]
    assert last.centers_m[0, 0] == pytest.approx(8.05, abs=0.05)
    assert last.first_seen_ns[0] == 0


def test_two_people_side_by_side_are_never_merged() -> None:
    def scene(i: int) -> list[Box]:
        return [person(8, 0), person(8, 0.6)] if i % 3 else [person(8, 0)]

    assert TrackChange.MERGED not in {event.change for event in lives(scene, 60)}


boxes = st.lists(
    st.builds(Box, st.floats(-9, 9), st.floats(-9, 9), num_points=st.integers(0, 60)), max_size=5
)


@settings(max_examples=20, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=8))
def test_every_life_is_told_whole_and_once(scenes: list[list[Box]]) -> None:
    tracker = Tracker()
    events = lives(lambda i: scenes[i], len(scenes), tracker)
    assert len({(event.track_id, event.change) for event in events}) == len(events)
    alive: set[int] = set()
    for event in events:
        if event.change is TrackChange.BORN:
            alive.add(event.track_id)
        assert event.track_id in alive
        if event.change in (TrackChange.ENDED, TrackChange.MERGED):
            alive.remove(event.track_id)
    late_ns = from_s(1e4)
    end = tracker.step(late_ns, detections(late_ns, [], Transform.identity()), ego(late_ns)).events
    assert sorted(event.track_id for event in end) == sorted(alive)
    assert np.unique([event.t_ns for event in end]).tolist() in ([late_ns], [])
