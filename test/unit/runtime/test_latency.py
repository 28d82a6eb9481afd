"""A decision's latency in parts: nothing is lost, nothing counts twice, and what made it slow is named."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain as joined
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.runtime.clock_offsets import least_shifts_ns, out_of_order
from perception_platform.runtime.latency import (
    GATE,
    MOST_BINS,
    OUT_OF_ORDER,
    WITHOUT_SENSOR_DATA,
    Decided,
    Kind,
    Latencies,
    Part,
    by_part,
    histogram,
    measure,
    percentiles,
    worst,
)
from perception_platform.runtime.latency_causes import Cause, cause, usual

MS = 1_000_000
PERIOD_MS = 100


def stage(name: str, *times_ms: float, gc_ms: float = 0, no_core_ms: float = 0) -> StageTiming:
    """Received, queued, started, finished, published."""
    return StageTiming(name, *(round(t * MS) for t in (*times_ms, gc_ms, no_core_ms)))


def chain(at_ms: float = 0.0) -> Decided:
    """A sweep captured at that time, and the gate's decision on it."""
    stages = (
        stage("perception", *(at_ms + t for t in (2, 3, 7, 40, 42))),
        stage("tracker", *(at_ms + t for t in (43, 44, 45, 50, 51))),
        stage(GATE, *(at_ms + t for t in (53, 54, 80, 82, 83))),
    )
    sources = (SourceStamp("lidar_top", round(at_ms * MS)), SourceStamp("scan", round(at_ms * MS) + 20 * MS))
    return Decided(round((at_ms + 80) * MS), Lineage(sources, stages))


def chains(count: int = 20) -> list[Decided]:
    return [chain(i * PERIOD_MS) for i in range(count)]


LAST = chain(20 * PERIOD_MS)


def with_stage(decided: Decided, name: str, **fields: int) -> Decided:
    """Fields of one stage changed."""
    stages = tuple(replace(s, **fields) if s.stage == name else s for s in decided.lineage.stages)
    return Decided(decided.t_ns, replace(decided.lineage, stages=stages))


def moved(decided: Decided, name: str, by_ms: float) -> Decided:
    """One stage's clock set forward (or back)."""
    timing = next(s for s in decided.lineage.stages if s.stage == name)
    times = ("received_ns", "queued_ns", "started_ns", "finished_ns", "published_ns")
    return with_stage(decided, name, **{f: getattr(timing, f) + round(by_ms * MS) for f in times})


def slowed(decided: Decided, from_ms: float, by_ms: float) -> Decided:
    """Everything that happened that long after the capture or later happens later."""
    limit_ns = decided.lineage.sources[0].t_ns + round(from_ms * MS)

    def late(t_ns: int) -> int:
        return t_ns + round(by_ms * MS) if t_ns >= limit_ns else t_ns

    stages = tuple(
        StageTiming(
            s.stage, *map(late, (s.received_ns, s.queued_ns, s.started_ns, s.finished_ns, s.published_ns))
        )
        for s in decided.lineage.stages
    )
    return Decided(late(decided.t_ns), Lineage(decided.lineage.sources, stages))


# --- parts --------------------------------------------------------------------------------------------------


def test_a_chain_in_parts() -> None:
    (decision,) = measure([chain()]).decisions
    assert decision.total_ms == 83.0
    assert {part.name: ms for part, ms in decision.parts_ms.items()} == {
        "to perception": 2.0,
        "perception hand-over": 1.0,
        "perception queue": 4.0,
        "perception compute": 33.0,
        "perception publish": 2.0,
        "to tracker": 1.0,
        "tracker hand-over": 1.0,
        "tracker queue": 1.0,
        "tracker compute": 5.0,
        "tracker publish": 1.0,
        f"to {GATE}": 2.0,
        f"{GATE} hand-over": 1.0,
        "wait for beat": 26.0,
        f"{GATE} compute": 2.0,
        f"{GATE} publish": 1.0,
    }


def test_a_chain_that_does_not_end_with_the_gate_ends_with_the_decision() -> None:
    lineage = Lineage((SourceStamp("lidar_top", 0),), (stage("perception", 0, 0, 0, 40, 40),))
    (decision,) = measure([Decided(55 * MS, lineage)]).decisions
    assert decision.parts_ms[Part("decision", Kind.TRANSPORT)] == 15.0
    assert decision.total_ms == 55.0


def test_a_decision_without_sensor_data_has_no_latency() -> None:
    found = measure([Decided(5, Lineage()), chain()])
    assert len(found.decisions) == 1
    assert found.left_out == {WITHOUT_SENSOR_DATA: 1}


def test_a_stage_that_another_input_woke_early_is_cut_short() -> None:
    # A scan reached the tracker 10 ms before perception had published what it then worked with.
    woken = [with_stage(d, "tracker", received_ns=d.lineage.sources[0].t_ns + 32 * MS) for d in chains()]
    found = measure(woken)
    assert not any(found.clocks_ms.values())
    parts_ms = found.decisions[0].parts_ms
    assert parts_ms[Part("tracker", Kind.TRANSPORT)] == 0.0
    assert parts_ms[Part("tracker", Kind.HAND_OVER)] == 2.0
    assert found.decisions[0].total_ms == 83.0


times = st.integers(0, 1000).map(lambda ms: ms * MS)
stages = st.lists(
    st.tuples(st.sampled_from(["a", "b", GATE]), st.lists(times, min_size=5, max_size=5).map(sorted)),
    max_size=5,
)
made = st.builds(
    lambda raw, captured_ns, t_ns: Decided(
        t_ns, Lineage((SourceStamp("lidar_top", captured_ns),), tuple(StageTiming(n, *t) for n, t in raw))
    ),
    stages,
    times,
    times,
)


@given(st.lists(made, max_size=12))
def test_parts_are_never_negative_always_add_up_and_every_decision_is_accounted_for(
    decided: list[Decided],
) -> None:
    found = measure(decided)
    for decision in found.decisions:
        assert min(decision.parts_ms.values()) >= 0
        assert sum(decision.parts_ms.values()) == pytest.approx(decision.total_ms)
    assert len(found.decisions) + sum(found.left_out.values()) == len(decided)


# --- clocks that differ -------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset_ms", [-500.0, -30.0, 30.0, 500.0])
def test_a_stage_with_another_clock_is_set_right_from_both_sides(offset_ms: float) -> None:
    found = measure([moved(d, "tracker", offset_ms) for d in chains()])
    # Its neighbours hold it within the 3 ms of the way to it and of the way from it.
    assert found.clocks_ms["tracker"] == pytest.approx(-offset_ms, abs=3.0)
    assert found.clocks_ms["perception"] == found.clocks_ms[GATE] == 0.0
    assert {d.total_ms for d in found.decisions} == {83.0}
    assert found.decisions[0].parts_ms[Part("tracker", Kind.COMPUTE)] == 5.0


def test_an_offset_is_a_lower_bound_taken_from_the_quickest_hand_over() -> None:
    behind = [moved(d, GATE, -20.0) for d in chains()]  # its beat and all: the gate's machine is behind
    found = measure(behind)
    assert found.clocks_ms[GATE] == pytest.approx(18.0)  # the way to it took 2 ms
    assert {d.total_ms for d in found.decisions} == {81.0}
    quick = [moved(chain(i * PERIOD_MS), GATE, -20.5) for i in range(20, 23)]
    found = measure([*behind, *quick])
    assert found.clocks_ms[GATE] == pytest.approx(18.5)
    assert found.decisions[0].total_ms == 81.5


def test_a_clock_that_wavered_once_moves_nothing_but_is_never_negative() -> None:
    found = measure([*chains(), moved(LAST, GATE, -9.0)])
    assert not any(found.clocks_ms.values())
    assert {d.total_ms for d in found.decisions[:-1]} == {83.0}
    assert found.decisions[-1].total_ms == 74.0
    assert found.decisions[-1].parts_ms[Part(GATE, Kind.TRANSPORT)] == 0.0


@pytest.mark.parametrize(
    ("gaps", "shifts"),
    [
        ([3, 0, 7], [0, 0, 0]),
        ([5, -4, 9], [0, 4, 0]),  # the second is behind
        ([5, 40, -30, 2], [0, -30, 0, 0]),  # the second is ahead
        ([7, 3, -20, 1], [0, 0, 20, 19]),  # the last two share a machine that is behind
        ([50, 2, -40, 2], [-38, -40, 0, 0]),  # the first two share one that is ahead: the total stays
        ([-5], [5]),
    ],
)
def test_as_few_clocks_as_possible_are_moved_and_as_little(gaps: list[int], shifts: list[int]) -> None:
    assert least_shifts_ns(gaps) == shifts


def fewest_moved(gaps: list[int]) -> int:
    """Tries every set of clocks that might be right."""
    reached = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    sets = joined.from_iterable(combinations(range(len(gaps)), n) for n in range(len(gaps) + 1))
    in_order = [s for s in sets if all(a <= b for a, b in pairwise([0, *(reached[i] for i in s)]))]
    return len(gaps) - max(map(len, in_order))


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=6))
def test_moved_clocks_leave_no_gap_negative(gaps: list[int]) -> None:
    shifts = least_shifts_ns(gaps)
    assert all(b - a + gap >= 0 for (a, b), gap in zip(pairwise([0, *shifts]), gaps, strict=True))
    assert sum(shift != 0 for shift in shifts) <= fewest_moved(gaps)


def test_one_stamp_from_the_future_does_not_move_the_clocks_of_all_others() -> None:
    future = chain(500.0)
    ahead = SourceStamp("lidar_top", future.lineage.sources[0].t_ns + 5_000 * MS)
    spoilt = Decided(future.t_ns, replace(future.lineage, sources=(ahead,)))
    found = measure([*chains(), spoilt])
    assert found.left_out == {OUT_OF_ORDER: 1}
    assert {d.total_ms for d in found.decisions} == {83.0}


def test_a_wide_spread_is_not_out_of_order() -> None:
    wide_ms = np.array([[-30], [-1], [0], [20], [90]])
    assert not out_of_order(wide_ms * MS).any()
    one_ms = np.array([[1], [2], [2], [3], [-40]])
    assert out_of_order(one_ms * MS).tolist() == [False] * 4 + [True]
    assert not out_of_order(np.array([[50], [50], [50], [50], [1]]) * MS).any()  # quick is not wrong
    assert not out_of_order(np.array([[1], [1], [1], [1], [-5]]) * MS).any()  # clocks waver


# --- statistics ---------------------------------------------------------------------------------------------


def test_each_sweep_counts_once_however_often_it_is_decided_on() -> None:
    again = with_stage(chain(), GATE, started_ns=130 * MS, finished_ns=131 * MS, published_ns=132 * MS)
    found = measure([chain(), again._replace(t_ns=130 * MS), chain(PERIOD_MS)])
    assert [d.new for d in found.decisions] == [True, False, True]
    assert [d.total_ms for d in found.decisions] == [83.0, 132.0, 83.0]
    assert by_part(found.new)[Part("perception", Kind.COMPUTE)] == [33.0, 33.0]


def test_the_worst_come_first() -> None:
    found = measure([chain(), slowed(chain(PERIOD_MS), 7.5, 30.0), slowed(chain(2 * PERIOD_MS), 7.5, 10.0)])
    assert [d.total_ms for d in worst(found.decisions, 2)] == [113.0, 93.0]


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([]) == {"p50": None, "p90": None, "p99": None, "max": None, "samples": 0}


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=200))
def test_a_histogram_holds_every_value_in_a_few_round_bins(values: list[float]) -> None:
    bins = histogram(values)
    assert sum(count for _, _, count in bins) == len(values)
    assert len(bins) <= MOST_BINS
    assert all(low <= high for low, high, _ in bins)


def test_a_long_tail_does_not_flatten_the_histogram() -> None:
    bins = histogram([*np.linspace(50, 69.9, 999), 4000.0])
    assert bins[0][:2] == (50.0, 52.0)
    assert len(bins) == 11
    assert bins[-1][1:] == (4000.0, 1)


# --- causes -------------------------------------------------------------------------------------------------


def cause_of_last(decided: list[Decided]) -> Cause:
    found: Latencies = measure(decided)
    return cause(found.decisions[-1], usual(found.decisions))


@pytest.mark.parametrize(
    ("from_ms", "kind", "text"),
    [
        (2.0, "transport", "to perception 30 ms (median 2)"),
        (3.0, "hand-over", "perception hand-over 29 ms (median 1)"),
        (7.0, "queue", "perception queue 32 ms (median 4)"),
        (40.0, "compute", "perception compute 61 ms (median 33)"),
        (42.0, "publish", "perception publish 30 ms (median 2)"),
        (80.0, "beat", "wait for beat 54 ms (median 26)"),
    ],
)
def test_the_part_that_is_unusual_is_the_cause(from_ms: float, kind: str, text: str) -> None:
    found = cause_of_last([*chains(), slowed(LAST, from_ms, 28.0)])
    assert (found.kind, found.text) == (kind, text)


@pytest.mark.parametrize(
    ("lost", "kind", "text"),
    [
        ({"no_core_ns": 25 * MS}, "preemption", "perception compute 61 ms (median 33): 25 ms without a core"),
        ({"gc_ns": 20 * MS}, "GC", "perception compute 61 ms (median 33): 20 ms collecting garbage"),
        (
            {"gc_ns": 15 * MS, "no_core_ns": 16 * MS},
            "preemption",
            "perception compute 61 ms (median 33): 16 ms without a core",
        ),
        ({"no_core_ns": 10 * MS}, "compute", "perception compute 61 ms (median 33)"),
    ],
)
def test_a_missing_core_or_garbage_is_named_where_it_explains_half(
    lost: dict[str, int], kind: str, text: str
) -> None:
    found = cause_of_last([*chains(), with_stage(slowed(LAST, 40.0, 28.0), "perception", **lost)])
    assert (found.kind, found.text) == (kind, text)
    assert found.part == Part("perception", Kind.COMPUTE)


def test_what_is_lost_every_time_is_no_cause() -> None:
    always = [with_stage(d, "perception", no_core_ns=20 * MS) for d in (*chains(), slowed(LAST, 40.0, 28.0))]
    assert cause_of_last(always).kind == "compute"


def test_of_a_decision_like_all_others_the_largest_part_is_named() -> None:
    found = cause_of_last(chains())
    assert (found.kind, found.text) == ("compute", "perception compute 33 ms (median 33)")
