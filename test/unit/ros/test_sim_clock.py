from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perception_platform.ros.sim_clock import SimClock


def test_before_the_first_tick_it_is_zero() -> None:
    assert SimClock().now_ns(123) == 0


def test_between_ticks_it_runs_with_the_steady_clock() -> None:
    clock = SimClock()
    clock.tick(1000, 50)
    clock.tick(1010, 60)
    assert clock.now_ns(64) == 1014


def test_a_paused_player_stops_it_after_one_tick() -> None:
    clock = SimClock()
    clock.tick(1000, 50)
    clock.tick(1010, 60)
    assert clock.now_ns(10_000) == 1020
    assert clock.now_ns(99_000) == 1020


def test_a_single_tick_does_not_run_on() -> None:
    clock = SimClock()
    clock.tick(1000, 50)
    assert clock.now_ns(60) == 1000


def test_it_follows_a_player_that_jumps_back() -> None:
    clock = SimClock()
    clock.tick(1000, 50)
    clock.tick(1010, 60)
    clock.tick(200, 70)
    assert clock.now_ns(75) == 200


def test_a_tick_that_comes_early_does_not_turn_it_back() -> None:
    clock = SimClock()
    clock.tick(1000, 0)
    clock.tick(1100, 100)
    assert clock.now_ns(190) == 1190
    clock.tick(1150, 195)
    assert clock.now_ns(196) == 1190


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.booleans()), max_size=30))
def test_it_never_runs_backwards_nor_ahead_by_more_than_a_tick(
    steps: list[tuple[int, int, bool]],
) -> None:
    clock, t, steady, newest = SimClock(), 1, 0, 0
    longest = 0
    for ahead, passed, ticks in steps:
        steady += passed
        if ticks:
            t += ahead
            longest = max(longest, ahead)
            clock.tick(t, steady)
        now = clock.now_ns(steady)
        assert now >= newest
        assert now <= t + longest
        newest = now
