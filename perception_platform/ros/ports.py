"""Where values enter and leave a node: arrivals, whichever way they came, and outputs, whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perception_platform.core.lineage import StageTiming
from perception_platform.messages.fields import time_ns
from perception_platform.ros.topics import Topic
from perception_platform.runtime.exchange import Exchange


class Arrival:
    """A value that reached a node: handed on within the process, or a message that is decoded when it is needed.

    Attributes:
        topic: row of the table.
        sensor: sensor that it belongs to, or an empty string.
        name: the topic's ROS name.
        t_ns: time of capture by the message's own stamp, ns.
        received_ns: when it came, ns.
        queued_ns: when it lay ready for the stage, ns.
        started_ns: when the stage began with it, ns.
        gc_ns: what the process had spent on collecting garbage when it came, ns.
        no_core_ns: what the stage's thread had waited for a core when it began, ns.
    """

    __slots__ = (
        "_decode",
        "_value",
        "gc_ns",
        "name",
        "no_core_ns",
        "queued_ns",
        "received_ns",
        "sensor",
        "started_ns",
        "t_ns",
        "topic",
    )

    def __init__(
        self, topic: Topic, sensor: str, value: Any, decode: Callable[[Any], Any] | None, received_ns: int
    ) -> None:
        """Take it in.

        Args:
            topic: row of the table.
            sensor: sensor that it belongs to.
            value: the value, or the message to ``decode``.
            decode: makes the value of the message; None if it is the value.
            received_ns: when it came, ns.

        Raises:
            InputError: if the message's stamp is not a time.
        """
        self.topic = topic
        self.sensor = sensor
        self.name = topic.of(sensor)
        self.t_ns: int = received_ns  # of what has no stamp: a Twist
        if decode is None:
            self.t_ns = value.t_ns
        elif hasattr(value, "header"):
            self.t_ns = time_ns(value.header.stamp, self.name)
        self.received_ns = self.queued_ns = self.started_ns = received_ns
        self.gc_ns = self.no_core_ns = 0
        self._value = value
        self._decode = decode

    def value(self) -> Any:
        """The value.

        Raises:
            InputError: if the message is malformed.
        """
        return self._value if self._decode is None else self._decode(self._value)

    def timing(self, stage: str, now_ns: int, gc_ns: int = 0, no_core_ns: int = 0) -> StageTiming:
        """What the stage made of it, finished now; a clock that was set back in between makes nothing negative.

        Args:
            stage: name of the stage.
            now_ns: time, ns.
            gc_ns: what the process has spent on collecting garbage by now.
            no_core_ns: what the stage's thread has waited for a core by now.
        """
        queued_ns = max(self.received_ns, self.queued_ns)
        started_ns = max(queued_ns, self.started_ns)
        finished_ns = max(started_ns, now_ns)
        collected_ns, waited_ns = max(gc_ns - self.gc_ns, 0), max(no_core_ns - self.no_core_ns, 0)
        return StageTiming(
            stage, self.received_ns, queued_ns, started_ns, finished_ns, finished_ns, collected_ns, waited_ns
        )


class Output:
    """One topic that a node publishes: by reference within the process, as a message where anybody outside listens.

    Args:
        name: the topic's ROS name.
        exchange: of this process.
        publisher: of the node.
        encode: makes the message of a value.
        clock_ns: the clock that stamps the sensors, ns.
    """

    def __init__(
        self,
        name: str,
        exchange: Exchange,
        publisher: Any,
        encode: Callable[[Any], Any],
        clock_ns: Callable[[], int],
    ) -> None:
        self._name = name
        self._exchange = exchange
        self._publisher = publisher
        self._encode = encode
        self._clock_ns = clock_ns

    def publish(self, value: Any) -> None:
        """Hand a value to everybody; nothing while the node is not active."""
        publish_all((self, value))

    def hand_on(self, value: Any) -> None:
        """Hand it to the nodes of this process alone."""
        if self._publisher.is_activated:
            self._exchange.hand_on(self._name, value)

    def send(self, value: Any) -> None:
        """Send it to other processes, if any listens."""
        if not self._publisher.is_activated or not self._publisher.get_subscription_count():
            return
        message = self._encode(value)
        stages = message.lineage.stages if hasattr(message, "lineage") else ()
        if stages:
            stages[-1].published_ns = max(stages[-1].finished_ns, self._clock_ns())
        self._publisher.publish(message)


def publish_all(*outputs: tuple[Output, Any]) -> None:
    """Publish values that belong together: those within this process first, since the chain waits for them."""
    for output, value in outputs:
        output.hand_on(value)
    for output, value in outputs:
        output.send(value)
