"""Read a source for ever: lost devices and streams are opened again, with exponential back-off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from perception_platform.core.errors import InputError
from perception_platform.sensing.clock import Clock
from perception_platform.sensing.source import EndOfData, Reading, Source, SourceLost

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts, s: the first, doubled each time, at most ``longest_s``.

    The longest is short, because a robot stands still until its sensor is back.
    """

    first_s: float = 0.5
    longest_s: float = 4.0

    def pause_s(self, failures: int) -> float:
        """Pause after so many failures in a row (1 or more)."""
        return float(min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30)))


def keep_reading(
    source: Source[T], clock: Clock, on_lost: Callable[[str], None], backoff: Backoff | None = None
) -> Iterator[Reading[T]]:
    """Readings of a source until the clock is stopped or recorded data ends.

    Args:
        source: what to read; it is opened here, and closed in the end.
        clock: times the pauses between attempts, and ends them.
        on_lost: hears at once, in one line, why the source is gone or could not be opened.
        backoff: the pauses.
    """
    pauses = backoff or Backoff()
    failures = 0
    while not clock.stopped:
        try:
            source.open()
            for reading in _until_lost(source, clock):
                failures = 0 if reading.data is not None else failures
                yield reading
        except (SourceLost, InputError) as error:
            on_lost(str(error))
        except EndOfData as end:
            on_lost(str(end))
            return
        finally:
            source.close()
        failures += 1
        clock.wait_s(pauses.pause_s(failures))


def _until_lost(source: Source[T], clock: Clock) -> Iterator[Reading[T]]:
    while not clock.stopped:
        try:
            yield source.read()
        except InputError as error:
            yield Reading(malformed=1, note=str(error))
