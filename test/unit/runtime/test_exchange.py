from __future__ import annotations

from perception_platform.runtime.exchange import Exchange


def test_values_are_handed_on_by_reference_to_all_who_listen() -> None:
    exchange, first, second = Exchange(), list[object](), list[object]()
    exchange.listen("/tracks", first.append)
    leave = exchange.listen("/tracks", second.append)
    value = object()
    exchange.hand_on("/tracks", value)
    leave()
    exchange.hand_on("/tracks", value)
    assert [item is value for item in first] == [True, True]
    assert len(second) == 1


def test_nothing_happens_where_nobody_listens() -> None:
    Exchange().hand_on("/tracks", object())


def test_a_topic_is_offered_until_its_last_publisher_withdraws() -> None:
    exchange = Exchange()
    withdraw = [exchange.offer("/tracks"), exchange.offer("/tracks")]
    assert exchange.offers("/tracks")
    assert not exchange.offers("/detections")
    withdraw[0]()
    assert exchange.offers("/tracks")
    withdraw[1]()
    assert not exchange.offers("/tracks")
