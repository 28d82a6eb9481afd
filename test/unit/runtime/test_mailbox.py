from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.runtime_status import EdgeCount
from perception_platform.runtime.mailbox import Edge, Fate, Ledger, Mailbox

S = 1_000_000_000


@dataclass
class Item:
    t_ns: int
    name: str = ""


def now() -> int:
    return 0


def count_of(box: Mailbox[Item], name: str) -> EdgeCount:
    (count,) = [c for c in box.counts() if c.topic == name]
    return count


def test_an_edge_that_keeps_the_newest_supersedes_what_nobody_took() -> None:
    box = Mailbox[Item]([Edge("lidar")])
    box.put("lidar", Item(1))
    box.put("lidar", Item(2))
    assert box.take(now) == ("lidar", Item(2))
    assert count_of(box, "lidar") == EdgeCount("lidar", "latest", received=2, superseded=1, held=1)
    box.settle("lidar", Fate.PROCESSED)
    assert count_of(box, "lidar") == EdgeCount("lidar", "latest", received=2, superseded=1, processed=1)


def test_a_queue_gives_up_its_oldest() -> None:
    box = Mailbox[Item]([Edge("detections", depth=2)])
    for t_ns in (1, 2, 3):
        box.put("detections", Item(t_ns))
    assert [box.take(now), box.take(now)] == [("detections", Item(2)), ("detections", Item(3))]
    assert count_of(box, "detections").superseded == 1
    assert count_of(box, "detections").policy == "queue of 2"


def test_the_source_that_has_waited_longest_comes_first() -> None:
    box = Mailbox[Item]([Edge("left"), Edge("right")])
    box.put("left", Item(1))
    box.put("right", Item(2))
    box.put("left", Item(3))  # newer, but its source has waited longest
    assert [box.take(now), box.take(now)] == [("left", Item(3)), ("right", Item(2))]


def test_what_is_too_old_when_its_turn_comes_expires() -> None:
    box = Mailbox[Item]([Edge("lidar", depth=3, deadline_s=1.0)])
    for t_s in (1, 2, 3):
        box.put("lidar", Item(t_s * S))
    assert box.take(lambda: 3 * S + 1) == ("lidar", Item(3 * S))
    assert count_of(box, "lidar").expired == 2


def test_what_comes_from_the_future_does_not_expire() -> None:
    box = Mailbox[Item]([Edge("lidar", deadline_s=1.0)])
    box.put("lidar", Item(9 * S))
    assert box.take(now) == ("lidar", Item(9 * S))


def test_taking_what_waits_does_not_wait_for_more() -> None:
    box = Mailbox[Item]([Edge("left", deadline_s=1.0), Edge("right", deadline_s=1.0)])
    assert box.take_waiting(0) == []
    box.put("left", Item(0))
    box.put("right", Item(5 * S))
    assert box.take_waiting(5 * S) == [("right", Item(5 * S))]
    assert count_of(box, "left").expired == 1


def test_closing_wakes_who_waits() -> None:
    box = Mailbox[Item]([Edge("lidar")])
    got: list[object] = ["untouched"]
    waiting = threading.Thread(target=lambda: got.append(box.take(now)))
    waiting.start()
    box.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert got == ["untouched", None]


def test_nothing_is_taken_from_a_closed_mailbox() -> None:
    box = Mailbox[Item]([Edge("lidar")])
    box.put("lidar", Item(1))
    box.close()
    assert box.take(now) is None


def test_a_message_of_an_unknown_edge_is_refused() -> None:
    with pytest.raises(KeyError):
        Mailbox[Item]([Edge("lidar")]).put("radar", Item(1))


EDGES = [Edge("a"), Edge("b", depth=3), Edge("c", depth=2, deadline_s=2.0)]
steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(0, 5)),
    st.tuples(st.just("refuse"), st.sampled_from("abc"), st.just(0)),
    st.tuples(st.just("take"), st.sampled_from(list(Fate)), st.integers(0, 9)),
    st.tuples(st.just("keep"), st.just(""), st.integers(0, 9)),
)


@given(st.lists(steps, max_size=60))
def test_every_message_is_accounted_for_at_any_time(script: list[tuple[str, object, int]]) -> None:
    box = Mailbox[Item](EDGES)
    received = taken = 0
    for what, detail, t_s in script:
        if what == "refuse":
            box.refuse(str(detail))
            received += 1
        elif what == "put":
            box.put(str(detail), Item(t_s * S))
            received += 1
        else:
            got = box.take_waiting(t_s * S)
            taken += len(got)
            for name, _ in got if isinstance(detail, Fate) else ():
                box.settle(name, detail)
        assert [c.unaccounted for c in box.counts()] == [0, 0, 0]
        assert all(c.held <= edge.depth + taken for c, edge in zip(box.counts(), EDGES, strict=True))
    assert sum(c.received for c in box.counts()) == received


def test_the_ledger_holds_under_threads() -> None:
    box = Mailbox[Item]([Edge("a"), Edge("b", depth=3)])

    def feed(name: str) -> None:
        for i in range(2000):
            box.put(name, Item(i))

    def work() -> None:
        while (got := box.take(now)) is not None:
            box.settle(got[0], Fate.PROCESSED)

    workers = [threading.Thread(target=work) for _ in range(2)]
    feeders = [threading.Thread(target=feed, args=(name,)) for name in "ab"]
    for thread in (*workers, *feeders):
        thread.start()
    for thread in feeders:
        thread.join(20)
    assert all(c.unaccounted == 0 and c.received == 2000 for c in box.counts())
    box.close()
    for thread in workers:
        thread.join(20)
    assert all(c.unaccounted == 0 for c in box.counts())


def test_what_is_used_as_it_comes_is_counted_too() -> None:
    ledger = Ledger()
    ledger.refuse("/odom")
    for _ in range(2):
        ledger.receive("/odom")
    ledger.settle("/odom", Fate.PROCESSED)
    assert ledger.counts() == (EdgeCount("/odom", "direct", received=3, processed=1, malformed=1, held=1),)
