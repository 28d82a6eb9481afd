"""Quality of service from a row of the topic table."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from perception_platform.ros.topics import Topic


def offered(topic: Topic, rate_hz: float) -> QoSProfile:
    """What a publisher of the topic promises, at that rate in Hz."""
    profile = _basis(topic)
    _add_watch(profile, topic, rate_hz)
    return profile


def requested(topic: Topic, rate_hz: float) -> QoSProfile:
    """What a subscription asks for: deadline, lease and lifespan only of publishers that surely offer them."""
    profile = _basis(topic)
    if topic.watched_by_dds:
        _add_watch(profile, topic, rate_hz)
    return profile


def _basis(topic: Topic) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=topic.depth,
        reliability=ReliabilityPolicy[topic.reliability.upper()],
        durability=DurabilityPolicy[topic.durability.upper()],
        liveliness=LivelinessPolicy.AUTOMATIC,
    )


def _add_watch(profile: QoSProfile, topic: Topic, rate_hz: float) -> None:
    if topic.deadline_periods:
        profile.deadline = Duration(nanoseconds=round(topic.deadline_periods / rate_hz * 1e9))
    if topic.liveliness_s:
        profile.liveliness_lease_duration = Duration(nanoseconds=round(topic.liveliness_s * 1e9))
    if topic.lifespan_periods:
        profile.lifespan = Duration(nanoseconds=round(topic.lifespan_periods / rate_hz * 1e9))
