"""People who go behind something stay as a growing region of where they may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.occlusion import lines_blocked
from perception_platform.tracking.sightings import Sightings
from perception_platform.tracking.tracker import Tracker
from test.unit.tracking.scenes import FRAME_NS, Box, detections, ego

CONFIG = TrackerConfig()
PALLET = Box(6.0, 0.0, 0.8, 2.4)  # hides, from the origin, what is behind it between -2.0 and 2.0 at x = 9


def person(y_m: float) -> Box:
    return Box(9.0, y_m, object_class=ObjectClass.PERSON, score=0.9)


def walk(scene: Callable[[float], Sequence[Box]], frames: int) -> tuple[list[Tracks], list[TrackEvent]]:
    tracker, out = Tracker(CONFIG), []
    for i in range(frames):
        found = detections(i * FRAME_NS, scene(0.1 * i), Transform.identity())
        out.append(tracker.step(i * FRAME_NS, found, ego(i * FRAME_NS)))
    return out, [event for tracks in out for event in tracks.events]


def behind(t_s: float, speed_mps: float = 1.0) -> list[Box]:
    """Walks from the left to behind the pallet and stays there."""
    y_m = 4.0 - speed_mps * t_s
    return [PALLET, *([person(y_m)] if y_m > 2.0 else [])]


def of_person(tracks: Tracks) -> int:
    rows = np.flatnonzero(tracks.class_ids == ObjectClass.PERSON)
    assert len(rows) == 1
    return int(rows[0])


def told(events: list[TrackEvent], track_id: int) -> list[tuple[TrackChange, TrackReason]]:
    return [(event.change, event.reason) for event in events if event.track_id == track_id]


def test_who_went_behind_something_stays_as_a_region_that_grows_at_walking_speed() -> None:
    out, _ = walk(behind, 60)
    at_last = out[19]
    assert not at_last.hidden.any()
    place_m = at_last.centers_m[of_person(at_last)]
    radii_m = []
    for tracks in out[21:60]:
        row = of_person(tracks)
        assert tracks.hidden[row]
        assert tracks.centers_m[row, :2] == pytest.approx(place_m[:2], abs=1e-9)
        assert tracks.velocities_mps[row].tolist() == [0.0, 0.0]
        assert tracks.last_seen_ns[row] == 19 * FRAME_NS
        radii_m.append(tracks.region_radius_m[row])
        assert tracks.state_cov[row, 0, 0] == pytest.approx(radii_m[-1] ** 2 / 4)
    assert np.diff(radii_m) == pytest.approx(np.full(38, 0.1 * CONFIG.walking_speed_mps))
    # Wherever a walk behind the pallet has led by now, the region has it.
    assert radii_m[-1] > 1.0 * 4.0


def test_who_comes_out_again_is_the_same_and_in_sight() -> None:
    def scene(t_s: float) -> list[Box]:
        y_m = 4.0 - t_s
        return [Box(6.0, 0.0, 0.8, 1.2), *([person(y_m)] if abs(y_m) > 1.0 else [])]

    out, events = walk(scene, 65)
    first, last = out[10], out[-1]
    track_id = int(first.ids[of_person(first)])
    assert last.ids[of_person(last)] == track_id
    assert not last.hidden.any()
    assert last.velocities_mps[of_person(last)] == pytest.approx([0.0, -1.0], abs=0.3)
    assert told(events, track_id)[2:] == [
        (TrackChange.HIDDEN, TrackReason.SIGHT_BLOCKED),
        (TrackChange.FOUND, TrackReason.SEEN_AGAIN),
    ]


def test_memory_ends_in_time_and_says_so() -> None:
    out, events = walk(behind, 90)
    track_id = int(out[10].ids[of_person(out[10])])
    assert told(events, track_id)[-1] == (TrackChange.ENDED, TrackReason.MEMORY_OVER)
    end_s = 1e-9 * next(e.t_ns for e in events if e.track_id == track_id and e.change is TrackChange.ENDED)
    assert end_s == pytest.approx(1.9 + CONFIG.occlusion_memory_s + 0.1, abs=0.11)


def test_who_vanishes_in_plain_sight_is_not_remembered() -> None:
    out, events = walk(lambda t_s: [PALLET, *([person(4.0)] if t_s < 2 else [])], 60)
    assert not any(tracks.hidden.any() for tracks in out)
    assert (TrackChange.ENDED, TrackReason.NOT_SEEN) in told(events, int(out[10].ids[of_person(out[10])]))


def test_a_region_that_comes_into_sight_empty_is_forgotten() -> None:
    def scene(t_s: float) -> list[Box]:
        return behind(t_s) if t_s < 3.0 else []  # the pallet is taken away, and there is nobody

    out, events = walk(scene, 50)
    track_id = int(out[10].ids[of_person(out[10])])
    assert out[29].hidden.any()
    assert told(events, track_id)[-1] == (TrackChange.ENDED, TrackReason.NOT_SEEN)
    assert len(out[-1]) == 0


@pytest.mark.parametrize("kind", [ObjectClass.CAR, ObjectClass.UNKNOWN])
def test_only_people_are_remembered(kind: ObjectClass) -> None:
    def scene(t_s: float) -> list[Box]:
        return [PALLET, *([Box(9.0, 4 - t_s, object_class=kind, score=0.9)] if t_s < 2 else [])]

    assert not any(tracks.hidden.any() for tracks in walk(scene, 40)[0])


def sighting(x_m: float, y_m: float, yaw_rad: float = 0.0, height_m: float = 2.0) -> Sightings:
    one = np.ones(1, dtype=np.int64)
    return Sightings(
        np.zeros(2), np.array([[x_m, y_m, height_m / 2]]), np.array([[2.0, 1.0, height_m]]), np.array([yaw_rad]),
        np.eye(2)[None], one, np.ones(1), one, one,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("place", "yaw_rad", "blocked"),
    [
        ((5.0, 0.0), 0.0, True),  # in the way
        ((5.0, 0.9), 0.0, False),  # beside: its edge is at 0.4
        ((5.0, 0.9), np.pi / 2, True),  # turned, its edge is at -0.1
        ((12.0, 0.0), 0.0, False),  # behind the point
        ((-5.0, 0.0), 0.0, False),  # behind the viewer
        ((0.5, 0.0), 0.0, False),  # around the viewer
        ((10.0, 0.0), 0.0, True),  # around the point: it hides in what was seen
    ],
)
def test_lines_of_sight(place: tuple[float, float], yaw_rad: float, blocked: bool) -> None:
    points_m = np.array([[[10.0, 0.0]]])
    assert lines_blocked(points_m, np.array([0.8]), sighting(*place, yaw_rad)).tolist() == [[blocked]]


def test_what_is_low_hides_nobody() -> None:
    points_m = np.array([[[10.0, 0.0]]])
    assert not lines_blocked(points_m, np.array([0.8]), sighting(5.0, 0.0, height_m=0.5)).any()


@pytest.mark.parametrize(
    ("hold_s", "in_sight", "kept_s"),
    [(1.5, False, (1.4, 2.6)), (1.5, True, (0.0, 1.0)), (0.0, False, (0.0, 1.0))],
)
def test_what_something_nearer_hides_is_kept_for_as_long_as_it_may_be_and_no_longer(
    hold_s: float, in_sight: bool, kept_s: tuple[float, float]
) -> None:
    config = TrackerConfig(hidden_hold_s=hold_s)
    car = Box(12.0, 0.0, 4.0, 1.8, object_class=ObjectClass.CAR, score=0.9)
    van = Box(6.0, 5.0 if in_sight else 0.0, 1.8, 4.2, object_class=ObjectClass.TRUCK, score=0.9)
    tracker, seen_last_s = Tracker(config), 0.0
    for i in range(60):
        found = detections(i * FRAME_NS, [car] if i < 10 else [van], Transform.identity())
        tracks = tracker.step(i * FRAME_NS, found, ego(i * FRAME_NS))
        if ObjectClass.CAR in tracks.class_ids:
            seen_last_s = 0.1 * i
    assert kept_s[0] <= seen_last_s - 0.9 <= kept_s[1]
