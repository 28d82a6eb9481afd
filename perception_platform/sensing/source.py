"""What every sensor source is: opened, read until it is lost or ends, closed, opened again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class SourceLost(Exception):  # noqa: N818 - an event that reading expects, like the next
    """The device, stream or folder is gone for now; opening it again may help."""


class EndOfData(Exception):  # noqa: N818
    """Everything recorded has been played."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T_co]):
    """What one call of ``read`` brought.

    Attributes:
        data: an image or a sweep, or None when there was none in the time that a read may take.
        packets_lost: packets found missing since the last reading.
        malformed: packets, files or images refused since the last reading.
        note: one line about what was refused.
    """

    data: T_co | None = None
    packets_lost: int = 0
    malformed: int = 0
    note: str = ""


class Source(Protocol[T_co]):
    """A camera (``Source[Image]``) or a lidar (``Source[PointCloud]``)."""

    def open(self) -> None:
        """Begin, or begin again.

        Raises:
            SourceLost: if it isn't there now.
            InputError: if what is there cannot be used.
        """
        ...

    def read(self) -> Reading[T_co]:
        """The next data; returns within about a second, with or without.

        Raises:
            SourceLost: if it is gone.
            EndOfData: if there is nothing more to play.
            InputError: if one item is malformed; the next may be good.
        """
        ...

    def close(self) -> None:
        """Let go of the device; does nothing when it isn't open."""
        ...
