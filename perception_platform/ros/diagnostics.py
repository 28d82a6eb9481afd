"""What a node counts, and its ``/diagnostics`` report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Any

from perception_platform.ros.make import make

RECEIVED, PROCESSED = "received", "processed"
OK, WARN = b"\x00", b"\x01"


class Tally:
    """Counts events by subject, e.g. ``("/odom", "malformed")``; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._reported: Counter[tuple[str, str]] = Counter()

    def add(self, subject: str, event: str, times: int = 1) -> None:
        """Count an event."""
        with self._lock:
            self._counts[subject, event] += times

    def count(self, subject: str, event: str) -> int:
        """How often the event has happened."""
        with self._lock:
            return self._counts[subject, event]

    def since_last_report(self) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
        """(all counts, those of them that are new since the last call)."""
        with self._lock:
            new = self._counts - self._reported
            self._reported = self._counts.copy()
            return dict(self._counts), dict(new)


def report(
    t_ns: int, node: str, robot: str, state: str, tally: Tally, since_s: float, extra: Mapping[str, str]
) -> Any:
    """A DiagnosticArray of counts and rates; news other than received and processed messages are warnings.

    Args:
        t_ns: time of the report, ns.
        node: name of the node.
        robot: name of the robot.
        state: life-cycle state of the node.
        tally: what it counted.
        since_s: time since the last report, s.
        extra: more that the node has to say.
    """
    counts, new = tally.since_last_report()
    troubles = [
        f"{n} {event} on {subject}"
        for (subject, event), n in new.items()
        if event not in (RECEIVED, PROCESSED)
    ]
    status = make("diagnostic_msgs/msg/DiagnosticStatus")
    status.name, status.hardware_id = node, robot
    status.level = WARN if troubles or state != "active" else OK
    status.message = "; ".join([state, *troubles])
    lines = {f"{subject} {event}": str(n) for (subject, event), n in sorted(counts.items())}
    for (subject, event), n in sorted(new.items()):
        if event == RECEIVED and since_s > 0:
            lines[f"{subject} rate_hz"] = f"{n / since_s:.1f}"
    status.values = [_line(key, value) for key, value in {**lines, **extra}.items()]
    array = make("diagnostic_msgs/msg/DiagnosticArray")
    array.header.stamp.sec, array.header.stamp.nanosec = divmod(t_ns, 1_000_000_000)
    array.status = [status]
    return array


def _line(key: str, value: str) -> Any:
    line = make("diagnostic_msgs/msg/KeyValue")
    line.key, line.value = key, value
    return line
