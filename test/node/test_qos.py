"""Quality of service: what the table says, and that nodes hear publishers of others, who never read it."""

from __future__ import annotations

import pytest
from rclpy.qos import (
    LivelinessPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)

from perception_platform.ros import qos
from perception_platform.ros.topics import OUTSIDE, TABLE, TOPICS, Topic

RATE_HZ = 10.0


def ids(topic: Topic) -> str:
    return topic.key


@pytest.mark.parametrize("topic", TABLE, ids=ids)
def test_what_is_offered_satisfies_what_is_requested(topic: Topic) -> None:
    compatible, why = qos_check_compatible(qos.offered(topic, RATE_HZ), qos.requested(topic, RATE_HZ))
    assert compatible == QoSCompatibility.OK, why


@pytest.mark.parametrize("topic", [t for t in TABLE if OUTSIDE in t.publishers], ids=ids)
def test_publishers_from_outside_are_heard_with_settings_of_their_own(topic: Topic) -> None:
    usual = qos_profile_sensor_data if topic.reliability == "best_effort" else QoSProfile(depth=10)
    usual.liveliness = LivelinessPolicy.AUTOMATIC  # what the system's default means
    usual.durability = qos.offered(topic, RATE_HZ).durability  # static transforms are always kept
    compatible, why = qos_check_compatible(usual, qos.requested(topic, RATE_HZ))
    assert compatible == QoSCompatibility.OK, why


def test_deadline_and_lease_come_from_the_table() -> None:
    row = TOPICS["assessment"]
    for profile in (qos.offered(row, RATE_HZ), qos.requested(row, RATE_HZ)):
        assert profile.deadline.nanoseconds == row.deadline_periods / RATE_HZ * 1e9
        assert profile.liveliness_lease_duration.nanoseconds == row.liveliness_s * 1e9
        assert profile.liveliness == LivelinessPolicy.AUTOMATIC
        assert profile.reliability == ReliabilityPolicy.RELIABLE
        assert profile.depth == row.depth


def test_a_deadline_is_offered_and_not_requested_where_others_publish() -> None:
    row = TOPICS["scan"]
    assert qos.offered(row, 15.0).deadline.nanoseconds == pytest.approx(0.2e9)
    assert qos.requested(row, 15.0).deadline == QoSProfile(depth=1).deadline
