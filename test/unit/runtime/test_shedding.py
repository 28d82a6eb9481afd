"""The shedding ladder: one step at a time, never without risk, never for good."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.time import NS_PER_S, from_ms, from_s
from perception_platform.robot.load import load_robot
from perception_platform.robot.resources import SHED_STEPS, LoadShedding
from perception_platform.runtime.shedding import Ladder, LadderConfig, Shedding

AMR = LadderConfig.from_robot(load_robot("amr"))
FULL = replace(AMR, steps=SHED_STEPS)
PERIOD_NS = FULL.sweep_period_ns
LATE_NS, EARLY_NS = 2 * FULL.deadline_ns, FULL.deadline_ns // 4

Event = tuple[int, str, int]  # (ms since the one before, what became of the frame, its age in ms)
phases = st.lists(  # of so many frames alike, long enough to climb and to come down
    st.tuples(
        st.integers(1, 80),
        st.tuples(st.integers(1, 300), st.sampled_from(["finished", "lost"]), st.integers(-50, 400)),
    ),
    max_size=10,
)
events = phases.map(lambda many: [event for count, event in many for _ in range(count)])


def feed(ladder: Ladder, frames: list[Event], now_ns: int = 0) -> list[tuple[int, Shedding]]:
    """What is shed after each frame."""
    seen = []
    for after_ms, fate, age_ms in frames:
        now_ns += from_ms(after_ms)
        if fate == "lost":
            ladder.lost(now_ns)
        else:
            ladder.finished(now_ns, from_ms(age_ms))
        seen.append((now_ns, ladder.step(now_ns)))
    return seen


def run(ladder: Ladder, begin_ns: int, seconds: float, age_ns: int) -> list[tuple[int, Shedding]]:
    """Sweeps at their period, all of one age."""
    frames = round(seconds * NS_PER_S / PERIOD_NS)
    seen = []
    for now_ns in range(begin_ns, begin_ns + frames * PERIOD_NS, PERIOD_NS):
        ladder.finished(now_ns, age_ns)
        seen.append((now_ns, ladder.step(now_ns)))
    return seen


def test_the_deadline_leaves_time_for_all_that_follows_perception() -> None:
    assert from_ms(300 - 5 - 5 - 100) == AMR.deadline_ns
    assert from_ms(300 - 5 - 5 - 100 - 40) == AMR.take_within_ns


def test_a_robot_without_models_does_not_lose_time_on_steps_that_shed_none() -> None:
    robot = load_robot("amr")
    assert AMR.steps == ("stale_frames", "reduced_speed")
    camera = robot.cameras[0].name
    model = {"head": "camera_objects", "sensor": camera, "path": "models/any"}
    with_model = type(robot).model_validate(robot.model_dump() | {"models": [model]})
    assert LadderConfig.from_robot(with_model).steps == SHED_STEPS
    own_head = LadderConfig.from_robot(load_robot("amr"), {"optional_heads"}).steps
    assert own_head == ("stale_frames", "optional_heads", "reduced_speed"), "a component that is shed at it"


def test_steps_come_in_their_order_and_say_why() -> None:
    seen = run(Ladder(FULL, 0), 0, 10.0, LATE_NS)
    names = list(dict.fromkeys(shedding.name for _, shedding in seen))
    assert names == ["none", *SHED_STEPS]
    _, last = seen[-1]
    assert last.level == 5
    assert last.in_force == SHED_STEPS
    assert last.reason == "risk above 0.9 for 1 s"
    assert last.risk == pytest.approx(2.0)


def test_a_level_has_the_same_number_on_every_robot() -> None:
    _, last = run(Ladder(AMR, 0), 0, 10.0, LATE_NS)[-1]
    assert (last.level, last.name) == (5, "reduced_speed")
    assert last.in_force == ("stale_frames", "reduced_speed")
    assert last.learned_models  # its ladder has no step that takes them away


@pytest.mark.parametrize(
    ("taken", "drops_old", "cameras", "optional", "models", "speed"),
    [
        (0, False, [True] * 4, True, True, 1.0),
        (1, True, [True] * 4, True, True, 1.0),
        (2, True, [True, False] * 2, True, True, 1.0),
        (3, True, [True, False] * 2, False, True, 1.0),
        (4, True, [False] * 4, False, False, 1.0),
        (5, True, [False] * 4, False, False, 0.5),
    ],
)
def test_each_step_adds_to_what_is_shed(
    taken: int, drops_old: bool, cameras: list[bool], optional: bool, models: bool, speed: float
) -> None:
    name = ("none", *SHED_STEPS)[taken]
    shedding = Shedding(taken, name, "", 0, 0.0, SHED_STEPS[:taken], FULL)
    assert shedding.drops(FULL.take_within_ns + 1) == drops_old
    assert not shedding.drops(FULL.take_within_ns)
    assert [shedding.allows_camera(sweep) for sweep in range(4)] == cameras
    assert shedding.optional_heads == optional
    assert shedding.learned_models == models
    assert shedding.speed_factor == speed


def test_one_late_frame_in_ten_sheds_nothing() -> None:
    ladder = Ladder(FULL, 0)
    frames = [(100, "finished", 600 if n % 10 == 0 else 40) for n in range(200)]
    assert {shedding.level for _, shedding in feed(ladder, frames)} == {0}


def test_frames_that_are_lost_while_others_are_in_time_count_by_the_age_that_they_let_the_rest_reach() -> (
    None
):
    harmless = [(50, fate, 40) for fate in ("lost", "finished") * 200]  # 140 ms of 190
    assert {shedding.level for _, shedding in feed(Ladder(FULL, 0), harmless)} == {0}
    too_many = [(50, fate, 40) for fate in ("lost", "lost", "finished") * 100]  # 240 ms
    assert feed(Ladder(FULL, 0), too_many)[-1][1].level == 5


def test_a_stage_that_hangs_while_frames_arrive_climbs() -> None:
    hung = feed(Ladder(FULL, 0), [(100, "lost", 0)] * 100)
    assert hung[-1][1].level == 5
    assert hung[1][1].risk >= 1  # two frames in a row are more than the deadline allows


def test_where_no_frame_comes_nothing_moves() -> None:
    ladder = Ladder(FULL, 0)
    at_ns, before = run(ladder, 0, 3.0, LATE_NS)[-1]
    levels = {ladder.step(at_ns + PERIOD_NS * n).level for n in range(1000)}
    assert before.level in levels
    assert max(levels) <= before.level + 1  # the last second of evidence may still count
    assert ladder.step(at_ns + from_s(100)).risk == 0.0
    assert ladder.step(at_ns + from_s(101)).level == max(levels)


def test_lost_frames_are_forgotten_when_no_more_come() -> None:
    ladder = Ladder(FULL, 0)
    at_ns, during = feed(ladder, [(100, "lost", 0)] * 20)[-1]
    later = {ladder.step(at_ns + PERIOD_NS * n).level for n in range(100)}
    assert max(later) <= during.level + 1


def test_a_stamp_from_the_future_does_not_make_up_for_lost_frames() -> None:
    ladder = Ladder(FULL, 0)
    ladder.lost(0)
    ladder.finished(1, -from_s(5))
    assert ladder.step(2).risk == pytest.approx(PERIOD_NS / FULL.deadline_ns)


def test_an_empty_ladder_never_moves() -> None:
    ladder = Ladder(replace(FULL, steps=()), 0)
    assert {shedding.level for _, shedding in run(ladder, 0, 10.0, LATE_NS)} == {0}


def test_frames_from_before_a_step_do_not_ask_for_the_next() -> None:
    ladder = Ladder(FULL, 0)
    seen = run(ladder, 0, 5.0, LATE_NS)
    climbed_ns = next(at_ns for at_ns, shedding in seen if shedding.level == 1)
    ladder = Ladder(FULL, 0)
    run(ladder, 0, climbed_ns / NS_PER_S + 0.1, LATE_NS)
    after = run(ladder, climbed_ns + PERIOD_NS, 3.0, EARLY_NS)
    assert {shedding.level for _, shedding in after} == {1}


@given(events)
def test_it_moves_one_step_at_a_time_and_never_before_its_hold_time(frames: list[Event]) -> None:
    seen = [(0, Ladder(FULL, 0).step(0)), *feed(Ladder(FULL, 0), frames)]
    changed_ns = 0
    for (_, before), (now_ns, after) in pairwise(seen):
        move = after.level - before.level
        assert abs(move) <= 1
        if move:
            assert now_ns - changed_ns >= (FULL.climb_after_ns if move > 0 else FULL.descend_after_ns)
            assert after.since_ns == now_ns
            changed_ns = now_ns


@given(events)
def test_it_climbs_only_at_risk_and_descends_only_in_calm(frames: list[Event]) -> None:
    for (_, before), (_, after) in pairwise(feed(Ladder(FULL, 0), frames)):
        if after.level > before.level:
            assert after.risk > FULL.climb_above
        if after.level < before.level:
            assert after.risk < FULL.descend_below


@given(st.lists(st.tuples(st.integers(1, 400), st.just("finished"), st.integers(-50, 170)), max_size=300))
def test_frames_in_time_never_shed_anything(frames: list[Event]) -> None:
    assert all(shedding.level == 0 for _, shedding in feed(Ladder(FULL, 0), frames))


@given(events)
def test_enough_calm_always_ends_all_shedding(frames: list[Event]) -> None:
    ladder = Ladder(FULL, 0)
    feed(ladder, frames)
    begin_ns = sum(from_ms(after_ms) for after_ms, _, _ in frames) + PERIOD_NS
    calm_s = (FULL.window_ns + 5 * FULL.descend_after_ns) / NS_PER_S + 1.0
    _, last = run(ladder, begin_ns, calm_s, EARLY_NS)[-1]
    assert (last.level, last.name, last.speed_factor) == (0, "none", 1.0)


@given(events, st.data())
def test_more_risk_never_sheds_less(frames: list[Event], data: st.DataObject) -> None:
    more_ms = data.draw(st.lists(st.integers(0, 300), min_size=1, max_size=10))
    worse = [
        (after, fate, age + more_ms[n * len(more_ms) // len(frames)])
        for n, (after, fate, age) in enumerate(frames)
    ]
    for (_, less), (_, more) in zip(feed(Ladder(FULL, 0), frames), feed(Ladder(FULL, 0), worse), strict=True):
        assert more.risk >= less.risk
        assert more.level >= less.level


def test_memory_stays_bounded_when_frames_burst() -> None:
    ladder = Ladder(FULL, 0)
    for now_ns in range(20_000):  # all within the window
        ladder.finished(now_ns, EARLY_NS)
    assert len(ladder._samples) == 1000
    ladder.step(from_s(100))
    assert len(ladder._samples) == 0


def test_stage_and_receiver_may_count_at_once() -> None:
    ladder = Ladder(FULL, 0)

    def count(change: Any) -> None:
        for now_ns in range(2000):
            change(now_ns)
            ladder.step(now_ns)

    threads = [
        threading.Thread(target=count, args=(change,))
        for change in (ladder.lost, lambda now_ns: ladder.finished(now_ns, LATE_NS))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    ladder.finished(2000, 0)
    assert len(ladder._samples) == 1000
    assert ladder.step(2001).risk >= 2.0


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"descend_below": 0.9}, "descend_below has to be less"),
        ({"climb_after_s": 0.5}, "climb_after_s is less than window_s"),
        ({"descend_after_s": 0.9}, "taken back too soon"),
        ({"steps": ["reduced_speed", "stale_frames"]}, "in this order"),
        ({"steps": ["stale_frames", "stale_frames"]}, "each once"),
        ({"steps": ["nap"]}, "stale_frames"),
        ({"climb_above": float("nan")}, "climb_above"),
        ({"speed_factor": 1.0}, "speed_factor"),
        ({"camera_every": 1}, "camera_every"),
        ({"hurry": True}, "Extra inputs"),
    ],
)
def test_rules_that_cannot_work_are_refused(rules: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LoadShedding.model_validate(rules)
