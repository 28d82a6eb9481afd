"""Reading for ever: pauses, malformed items, the end."""

from __future__ import annotations

from typing import Any

import pytest

from perception_platform.core.errors import InputError
from perception_platform.sensing.reconnect import Backoff, keep_reading
from perception_platform.sensing.source import EndOfData, Reading, SourceLost


class Scripted:
    """A source that does what it is told: an exception is raised, anything else is read."""

    def __init__(self, clock: Any, opens: list[Exception | None], reads: list[Any]) -> None:
        self.clock, self.opens, self.reads = clock, opens, reads
        self.is_open = False

    def open(self) -> None:
        if not self.opens:
            self.clock.stopped = True
            raise SourceLost("nothing left to do")
        error = self.opens.pop(0)
        if error:
            raise error
        self.is_open = True

    def read(self) -> Reading[str]:
        assert self.is_open
        step = self.reads.pop(0)
        if isinstance(step, Exception):
            raise step
        return Reading(step)

    def close(self) -> None:
        self.is_open = False


def test_pauses_double_up_to_the_longest_and_begin_anew_after_data(clock: Any) -> None:
    gone = SourceLost("gone")
    source = Scripted(clock, [gone, gone, gone, gone, gone, None, gone, None], ["a", gone, "b", gone])
    lost: list[str] = []

    readings = list(keep_reading(source, clock, lost.append))

    assert [r.data for r in readings] == ["a", "b"]
    assert clock.waits_s == [0.5, 1.0, 2.0, 4.0, 4.0, 0.5, 1.0, 0.5, 1.0]
    assert lost == ["gone"] * 8 + ["nothing left to do"]


def test_reopening_without_data_does_not_shorten_the_pauses(clock: Any) -> None:
    gone = SourceLost("gone")
    source = Scripted(clock, [None, None, None], [None, gone, None, gone, None, gone])

    list(keep_reading(source, clock, lambda reason: None, Backoff(1.0, 60.0)))

    assert clock.waits_s == [1.0, 2.0, 4.0, 8.0]


def test_a_malformed_item_is_counted_and_the_next_one_read(clock: Any) -> None:
    source = Scripted(clock, [None], ["a", InputError("b.bin", "cut short"), "c", EndOfData("all played")])
    lost: list[str] = []

    readings = list(keep_reading(source, clock, lost.append))

    assert [r.data for r in readings] == ["a", None, "c"]
    assert readings[1].malformed == 1
    assert readings[1].note == "b.bin: cut short"
    assert lost == ["all played"]
    assert not source.is_open


def test_a_source_that_cannot_be_used_is_tried_again(clock: Any) -> None:
    source = Scripted(clock, [InputError("/dev/video0", "wrong size"), None], ["a", EndOfData("end")])
    lost: list[str] = []

    assert [r.data for r in keep_reading(source, clock, lost.append)] == ["a"]
    assert lost == ["/dev/video0: wrong size", "end"]


def test_stopping_closes_the_source(clock: Any) -> None:
    source = Scripted(clock, [None], ["a", "b", "c"])
    for reading in keep_reading(source, clock, lambda reason: None):
        clock.stopped = reading.data == "b"
    assert source.reads == ["c"]
    assert not source.is_open


def test_an_error_of_the_program_is_not_taken_for_a_loss(clock: Any) -> None:
    source = Scripted(clock, [None], [KeyError("bug")])
    with pytest.raises(KeyError):
        list(keep_reading(source, clock, lambda reason: None))
    assert not source.is_open
