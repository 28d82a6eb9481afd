"""Quality of service: what the table says, and that nodes hear publishers of others, who never read it."""

from __future__ import annotations

import subprocess
import sys
import time

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
from test.node.conftest import Peer

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


def test_the_lifespan_comes_from_the_table_and_is_not_asked_of_others() -> None:
    row = TOPICS["detections"]
    for profile in (qos.offered(row, RATE_HZ), qos.requested(row, RATE_HZ)):
        assert profile.lifespan.nanoseconds == row.lifespan_periods / RATE_HZ * 1e9
    forever = QoSProfile(depth=1).lifespan
    assert qos.offered(TOPICS["points"], RATE_HZ).lifespan != forever
    assert qos.requested(TOPICS["points"], RATE_HZ).lifespan == forever
    assert qos.offered(TOPICS["odometry"], RATE_HZ).lifespan == forever


SPEAKER = """
import sys
import rclpy
from rclpy.node import Node
from perception_platform.ros import qos
from perception_platform.ros.make import make
from perception_platform.ros.topics import TOPICS
rclpy.init()
row = TOPICS["detections"]
publisher = Node("speaker").create_publisher(type(make(row.type)), row.name, qos.offered(row, row.rate_hz))
for frame_id in sys.stdin:
    message = make(row.type)
    message.header.frame_id = frame_id.strip()
    publisher.publish(message)
"""


def test_a_reader_that_comes_late_gets_no_expired_data(peer: Peer) -> None:
    row = TOPICS["detections"]
    heard = peer.listen("detections")
    with subprocess.Popen([sys.executable, "-c", SPEAKER], stdin=subprocess.PIPE, text=True) as speaker:

        def say(what: str) -> None:
            assert speaker.stdin is not None
            speaker.stdin.write(f"{what}\n")
            speaker.stdin.flush()

        def frames() -> list[str]:
            return [message.header.frame_id for _, message in heard]

        peer.until(lambda: peer.node.count_publishers(row.name), what="the speaker")
        peer.each = [lambda: say("fresh")]
        peer.until(frames, what="fresh data")
        peer.each = []
        peer.spin(0.5)
        say("expired")
        time.sleep(row.lifespan_periods / row.rate_hz + 0.5)  # the reader is busy
        peer.spin(0.3)
        assert set(frames()) == {"fresh"}
        say("late")
        peer.until(lambda: "late" in frames(), what="new data")
        assert "expired" not in frames()
