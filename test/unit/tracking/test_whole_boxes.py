"""Boxes of whole objects, as trained detectors make them: headings, weak detections, trust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.tracking.association import pair_costs
from perception_platform.tracking.config import CLASSES, TrackerConfig
from perception_platform.tracking.motion import MOVING, MotionModel
from perception_platform.tracking.sightings import sight, usable
from perception_platform.tracking.tracker import Tracker
from perception_platform.tracking.whole_costs import whole_costs
from test.unit.tracking.scenes import FRAME_NS, Box, detections, ego

CAR = CLASSES[ObjectClass.CAR].model_copy(update={"sideways_mps": 0.2})
CONFIG = TrackerConfig(
    classes={**CLASSES, ObjectClass.CAR: CAR},
    whole_boxes=True,
    confident_from=0.5,
    overlap_weight=3.0,
    overlap_gate=0.0,
    report_existence=0.1,
)
Scene = Callable[[float], Sequence[Box]]


def car(x_m: float, y_m: float, yaw_rad: float = 0.0, score: float = 0.9) -> Box:
    return Box(x_m, y_m, 4.2, 1.8, yaw_rad, ObjectClass.CAR, score, num_points=0)


def run(scene: Scene, frames: int, tracker: Tracker | None = None) -> list[Tracks]:
    tracker = tracker or Tracker(CONFIG)
    return [
        tracker.step(
            i * FRAME_NS, detections(i * FRAME_NS, scene(i * 0.1), Transform.identity()), ego(i * FRAME_NS)
        )
        for i in range(frames)
    ]


def test_a_heading_that_flips_by_half_a_turn_is_the_same_heading() -> None:
    out = run(lambda t_s: [car(10, 5, 0.4 + np.pi * (round(t_s * 10) % 4 == 3))], 20)
    for tracks in out:
        assert tracks.yaws_rad[0] == pytest.approx(0.4, abs=1e-6)
        assert tracks.sizes_m[0] == pytest.approx([4.2, 1.8, 1.6])


def test_the_centre_is_where_the_box_is_from_wherever_it_is_seen() -> None:
    out = run(lambda t_s: [car(10, 0)], 10)
    assert out[-1].centers_m[0, :2] == pytest.approx([10.0, 0.0], abs=1e-6)


def test_a_weak_detection_keeps_a_track_alive_and_a_strong_one_has_the_first_choice() -> None:
    def scene(t_s: float) -> list[Box]:
        frame = round(t_s * 10)
        if frame < 10:
            return [car(10, 0)]
        # A weak box right on the track and a confident one half a metre off.
        return [car(10, 0, score=0.2), car(10.2, 0, score=0.95)] if frame == 10 else [car(10, 0, score=0.2)]

    tracker = Tracker(CONFIG)
    out = run(scene, 10, tracker)
    both = tracker.step(
        10 * FRAME_NS, detections(10 * FRAME_NS, scene(1.0), Transform.identity()), ego(10 * FRAME_NS)
    )
    assert both.centers_m[both.ids == out[-1].ids[0], 0] > 10.05
    weak = run(lambda t_s: [car(10, 0, score=0.9 if t_s < 1 else 0.2)], 20)
    assert {tuple(tracks.ids) for tracks in weak} == {(1,)}
    assert weak[-1].last_seen_ns[0] == 19 * FRAME_NS


def test_a_vehicle_is_not_taken_to_slide_sideways() -> None:
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 0.15, (40, 2))

    def scene(t_s: float) -> list[Box]:
        at = noise[round(t_s * 10)]
        return [car(-20 + 8 * t_s + at[0], 6 + at[1])]

    rolling = run(scene, 40)
    free = Tracker(CONFIG.model_copy(update={"classes": CLASSES}))
    sliding = run(scene, 40, free)
    across = [np.std([tracks.velocities_mps[0, 1] for tracks in out[15:]]) for out in (rolling, sliding)]
    assert across[0] < 0.6 * across[1]
    assert rolling[-1].velocities_mps[0] == pytest.approx([8.0, 0.0], abs=0.6)


def test_rolling_is_a_kalman_update_with_no_lateral_speed() -> None:
    model = MotionModel.from_config(CONFIG)
    cars = np.array([int(ObjectClass.CAR), int(ObjectClass.PERSON)])
    state = model.start(np.zeros((2, 2)), np.tile(np.eye(2), (2, 1, 1)), cars)
    state.mean[:, MOVING, 2:] = [3.0, 2.0]
    after = model.rolled(state, np.zeros(2), np.zeros(2), cars)
    var = state.cov[0, MOVING, 3, 3]
    gain = var / (var + CAR.sideways_mps**2)
    assert after.mean[0, MOVING, 2:] == pytest.approx([3.0, 2.0 * (1 - gain)])
    assert after.cov[0, MOVING, 3, 3] == pytest.approx(var * (1 - gain))
    assert (after.mean[1] == state.mean[1]).all()  # people walk as they like


def test_trust_grows_with_sure_time_and_falls_with_time_unseen() -> None:
    def trust(frames: int, score: float = 0.9, seen: int = 99) -> float:
        tracker = Tracker(CONFIG)
        out = run(lambda t_s: [car(10, 0, score=score)] if round(t_s * 10) < seen else [], frames, tracker)
        return float(tracker.confidences(out[-1].ids)[0])

    assert trust(5) < trust(10) < trust(40) < 0.9
    assert trust(10, score=0.6) < trust(10)
    assert trust(12, seen=10) < trust(10)
    assert Tracker(CONFIG).confidences(np.array([3])).tolist() == [0.0]


def test_a_pair_that_overlaps_is_possible_beyond_the_gate() -> None:
    def scene(t_s: float) -> list[Box]:
        return [
            car(10 if t_s < 1.5 else 12.2, 0)
        ]  # half a length on at once, far beyond what a parked car may do

    held = run(scene, 20)
    assert {tuple(tracks.ids) for tracks in held} == {(1,)}
    strict = run(scene, 20, Tracker(CONFIG.model_copy(update={"overlap_gate": 1.0, "gate_probability": 0.5})))
    assert len({i for tracks in strict for i in tracks.ids.tolist()}) > 1


@given(st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_the_order_of_whole_boxes_changes_nothing(order: list[int]) -> None:
    seen = [car(10 + 3 * i, 2 * (i % 2), score=(0.3, 0.9)[i % 2]) for i in range(6)]

    def last(boxes: list[Box]) -> Tracks:
        return run(lambda t_s: [replace(box, x_m=box.x_m + 5 * t_s) for box in boxes], 6)[-1]

    one, other = last(seen), last([seen[i] for i in order])
    assert one.ids.tolist() == other.ids.tolist()
    assert (one.centers_m == other.centers_m).all()
    assert (one.existence == other.existence).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_the_compiled_costs_of_whole_boxes_are_those_of_the_formula(seed: int) -> None:
    rng, tracker = np.random.default_rng(seed), Tracker(CONFIG)
    kinds = (ObjectClass.CAR, ObjectClass.UNKNOWN, ObjectClass.PERSON)

    def some(count: int) -> list[Box]:
        places = rng.uniform(-6, 6, (count, 2))
        return [
            replace(car(x, y, rng.uniform(-7, 7), rng.uniform(0.3, 1)), object_class=kinds[rng.integers(3)])
            for x, y in places.tolist()
        ]

    tracker.step(0, detections(0, some(8), Transform.identity()), ego(0))
    table = tracker._table
    found = detections(FRAME_NS, some(7), Transform.identity())
    sightings = sight(found, usable(found), Transform.identity(), CONFIG.position_sigma_m)
    costs = whole_costs(table, sightings, CONFIG)
    assert costs == pytest.approx(pair_costs(table, sightings, CONFIG), abs=1e-9)
