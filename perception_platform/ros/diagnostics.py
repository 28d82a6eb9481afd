"""What a node counts, and its ``/diagnostics`` report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from perception_platform.core.runtime_status import EdgeCount, RuntimeStatus
from perception_platform.messages.fields import set_header
from perception_platform.ros.make import make
from perception_platform.runtime.mailbox import Fate

RECEIVED = "received"
OK, WARN = b"\x00", b"\x01"
# Fates of a message that are part of a day's work.
_ORDINARY = (RECEIVED, Fate.PROCESSED.value)

Counts = dict[tuple[str, str], int]


class Tally:
    """Counts events by subject, e.g. ``("/odom", "malformed")``; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, subject: str, event: str, times: int = 1) -> None:
        """Count an event."""
        with self._lock:
            self._counts[subject, event] += times

    def total(self, event: str) -> int:
        """How often the event has happened, to whatever subject."""
        with self._lock:
            return sum(n for (_, counted), n in self._counts.items() if counted == event)

    def counts(self) -> Counts:
        """All counts."""
        with self._lock:
            return dict(self._counts)


class Reporter:
    """Makes a node's DiagnosticArray: counts, rates, and what is new since the last report as warnings."""

    def __init__(self) -> None:
        self._reported: Counter[tuple[str, str]] = Counter()

    def report(
        self,
        status: RuntimeStatus,
        robot: str,
        state: str,
        tally: Tally,
        since_s: float,
        extra: Mapping[str, str],
    ) -> Any:
        """A DiagnosticArray.

        Args:
            status: of the node, with its ledger.
            robot: name of the robot.
            state: life-cycle state of the node.
            tally: what else it counted.
            since_s: time since the last report, s.
            extra: more that the node has to say.
        """
        counts = Counter(tally.counts() | _ledger_counts(status.edges))
        new = counts - self._reported
        self._reported = counts
        troubles = [
            f"{n} {event} on {subject}" for (subject, event), n in new.items() if event not in _ORDINARY
        ]
        if status.shed_level:
            troubles.append(f"sheds {status.shed_step}: {status.shed_reason}")
        made = make("diagnostic_msgs/msg/DiagnosticStatus")
        made.name, made.hardware_id = status.node, robot
        made.level = WARN if troubles or state != "active" else OK
        made.message = "; ".join([state, *troubles])
        lines = {f"{subject} {event}": str(n) for (subject, event), n in sorted(counts.items())}
        for (subject, event), n in sorted(new.items()):
            if event == RECEIVED and since_s > 0:
                lines[f"{subject} rate_hz"] = f"{n / since_s:.1f}"
        made.values = [_line(key, value) for key, value in {**lines, **extra}.items()]
        array = make("diagnostic_msgs/msg/DiagnosticArray")
        set_header(array, status.t_ns, "")
        array.status = [made]
        return array


def _ledger_counts(edges: Iterable[EdgeCount]) -> Counts:
    """The ledger's counts that are not zero, by topic and fate."""
    found = {}
    for edge in edges:
        for event in (RECEIVED, *(fate.value for fate in Fate)):
            if count := getattr(edge, event):
                found[edge.topic, event.replace("_", " ")] = count
    return found


def _line(key: str, value: str) -> Any:
    line = make("diagnostic_msgs/msg/KeyValue")
    line.key, line.value = key, value
    return line
