"""What may go wrong with an input, and how the middleware tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import qos_policy_name_from_kind

from perception_platform.ros.topics import Topic

TroubleKind = Literal["malformed", "transform_lost", "deadline_missed", "publisher_lost", "incompatible_qos"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong with an input: on which row of the table, of which sensor, and what."""

    kind: TroubleKind
    topic: Topic
    sensor: str
    detail: str


def event_callbacks(topic: Topic, tell: Callable[[TroubleKind, str], None]) -> SubscriptionEventCallbacks:
    """What a subscription hears from DDS about its publishers.

    Args:
        topic: row of the table; deadline and lease are watched where its publishers surely offer them.
        tell: called with the kind of trouble and one line about it.
    """

    def deadline(info: Any) -> None:
        if info.total_count_change > 0:
            tell("deadline_missed", f"{info.total_count_change} times")

    def liveliness(info: Any) -> None:
        if info.alive_count == 0 and info.alive_count_change < 0:
            tell("publisher_lost", f"lease of {topic.liveliness_s} s ran out")

    def incompatible(info: Any) -> None:
        policy = qos_policy_name_from_kind(info.last_policy_kind)
        tell("incompatible_qos", f"a publisher offers another {policy}")

    watched = topic.watched_by_dds
    return SubscriptionEventCallbacks(
        deadline=deadline if watched and topic.deadline_periods else None,
        liveliness=liveliness if watched and topic.liveliness_s else None,
        incompatible_qos=incompatible,
    )
