"""Hears the gate's decisions and nothing else, so that looking at a running stack costs it nearly nothing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from perception_platform.core.errors import InputError
from perception_platform.core.verdicts import Decision
from perception_platform.messages.verdicts import decision_from_msg
from perception_platform.robot.environment import adopt_environment
from perception_platform.ros.make import message_class
from perception_platform.ros.topics import TOPICS

HEAR_WITHIN_S = 10.0  # discovery on a busy machine takes seconds
POLL_S = 0.1
_DEPTH = 1000  # decisions; a gate of 100 Hz fills it in ten seconds


def hear_decisions(
    seconds: float, discovery: str, each: Callable[[float, int], None], skipped: Counter[str]
) -> list[Decision]:
    """Listen to a running stack.

    They are kept as bytes and decoded in the end. No deadline is asked for: a gate of any rate is heard.

    Args:
        seconds: how long, from the first decision on.
        discovery: how far to look for the stack, as in its robot file.
        each: called often with the seconds since the first decision and the number of decisions.
        skipped: counts, by reason, what could not be decoded.

    Raises:
        InputError: if no decision is heard within ten seconds.
    """
    adopt_environment(discovery)
    topic = TOPICS["decision"]
    kind = message_class(topic.type)
    found = []
    for data in _hear(topic.name, kind, seconds, each):
        try:
            found.append(decision_from_msg(deserialize_message(data, kind)))
        except InputError as error:
            skipped[str(error)] += 1
    return found


def _hear(name: str, kind: type, seconds: float, each: Callable[[float, int], None]) -> list[bytes]:
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("latency", context=context, start_parameter_services=False, enable_rosout=False)
    executor = SingleThreadedExecutor(context=context)
    heard: list[bytes] = []
    try:
        node.create_subscription(kind, name, heard.append, _profile(), raw=True)
        executor.add_node(node)
        _spin(executor, lambda: len(heard), seconds, each, name)
        return heard
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def _spin(
    executor: SingleThreadedExecutor,
    count: Callable[[], int],
    seconds: float,
    each: Callable[[float, int], None],
    name: str,
) -> None:
    began_s, first_s = time.monotonic(), None
    while first_s is None or time.monotonic() - first_s < seconds:
        executor.spin_once(timeout_sec=POLL_S)
        now_s = time.monotonic()
        if first_s is None and count():
            first_s = now_s
        if first_s is None and now_s - began_s > HEAR_WITHIN_S:
            raise InputError(name, _nothing_heard())
        each(0.0 if first_s is None else now_s - first_s, count())


def _profile() -> QoSProfile:
    """Best effort is offered by every gate, and leaves it no listener to wait for."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT
    )


def _nothing_heard() -> str:
    domain, reach = os.environ.get("ROS_DOMAIN_ID", "0"), os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"]
    return (
        f"no decision heard in {HEAR_WITHIN_S:.0f} s, in ROS_DOMAIN_ID {domain} with discovery {reach.lower()}; "
        "is the stack up? (perception-platform up ROBOT)"
    )
