from __future__ import annotations

import pytest

from perception_platform.runtime.exchange import End, Exchange


class Outside:
    """Other processes: how often they are listened to, and whether still."""

    def __init__(self) -> None:
        self.began = self.ended = 0

    def begin(self) -> End:
        self.began += 1
        return self.end

    def end(self) -> None:
        self.ended += 1


def test_values_are_handed_on_by_reference_to_all_who_listen() -> None:
    exchange, first, second = Exchange(), list[object](), list[object]()
    exchange.offer("/tracks")
    exchange.listen("/tracks", first.append, Outside().begin)
    leave = exchange.listen("/tracks", second.append, Outside().begin)
    value = object()
    exchange.hand_on("/tracks", value)
    leave()
    exchange.hand_on("/tracks", value)
    assert [item is value for item in first] == [True, True]
    assert len(second) == 1


def test_nothing_happens_where_nobody_listens() -> None:
    Exchange().hand_on("/tracks", object())


@pytest.mark.parametrize("listens_first", [True, False])
def test_whoever_is_set_up_first_what_the_process_publishes_is_not_listened_to_outside(
    listens_first: bool,
) -> None:
    exchange, outside, taken = Exchange(), Outside(), list[object]()
    if not listens_first:
        exchange.offer("/tracks")
    exchange.listen("/tracks", taken.append, outside.begin)
    if listens_first:
        assert (outside.began, outside.ended) == (1, 0)
        exchange.offer("/tracks")
    assert outside.began == outside.ended == int(listens_first)
    exchange.hand_on("/tracks", 1)
    assert taken == [1]


def test_what_nobody_in_the_process_publishes_is_listened_to_outside_until_one_leaves() -> None:
    exchange, outside, other = Exchange(), Outside(), Outside()
    exchange.offer("/detections")
    leave = exchange.listen("/tracks", list[object]().append, outside.begin)
    exchange.listen("/tracks", list[object]().append, other.begin)
    assert (outside.began, outside.ended, other.began) == (1, 0, 1)
    leave()
    exchange.offer("/tracks")
    assert (outside.ended, other.ended) == (1, 1), "each once"


def test_a_topic_is_published_here_until_its_last_publisher_withdraws() -> None:
    exchange, before, after = Exchange(), Outside(), Outside()
    withdraw = [exchange.offer("/tracks"), exchange.offer("/tracks")]
    withdraw[0]()
    exchange.listen("/tracks", list[object]().append, before.begin)
    withdraw[1]()
    exchange.listen("/tracks", list[object]().append, after.begin)
    assert (before.began, after.began) == (0, 1)
