from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from perception_platform.runtime.mailbox import LatestMailbox


def test_a_newer_item_supersedes_one_that_nobody_took() -> None:
    box = LatestMailbox[int]()
    assert not box.put("lidar", 1)
    assert box.put("lidar", 2)
    assert box.take() == ("lidar", 2)
    assert not box.put("lidar", 3)


def test_the_source_that_has_waited_longest_comes_first() -> None:
    box = LatestMailbox[int]()
    box.put("left", 1)
    box.put("right", 2)
    box.put("left", 3)  # newer, but its source has waited longest
    assert [box.take(), box.take()] == [("left", 3), ("right", 2)]


def test_closing_wakes_who_waits() -> None:
    box = LatestMailbox[int]()
    got: list[object] = ["untouched"]
    waiting = threading.Thread(target=lambda: got.append(box.take()))
    waiting.start()
    box.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert got == ["untouched", None]


def test_nothing_is_taken_from_a_closed_mailbox() -> None:
    box = LatestMailbox[int]()
    box.put("lidar", 1)
    box.close()
    assert box.take() is None


@given(st.lists(st.one_of(st.sampled_from(["a", "b", "c"]), st.just("take"))))
def test_every_item_is_taken_superseded_or_still_waiting(steps: list[str]) -> None:
    box = LatestMailbox[int]()
    put = taken = superseded = 0
    waiting: set[str] = set()
    for step in steps:
        if step != "take":
            put += 1
            superseded += box.put(step, put)
            waiting.add(step)
        elif waiting:
            got = box.take()
            assert got is not None
            waiting.remove(got[0])
            taken += 1
    assert put == taken + superseded + len(waiting)
