"""Time is an integer number of nanoseconds; seconds appear only at the edges."""

from __future__ import annotations

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def to_s(t_ns: int) -> float:
    """Nanoseconds to seconds."""
    return t_ns / NS_PER_S


def to_ms(t_ns: int) -> float:
    """Nanoseconds to milliseconds."""
    return t_ns / NS_PER_MS


def from_s(t_s: float) -> int:
    """Seconds to nanoseconds, rounded to the nearest."""
    return round(t_s * NS_PER_S)


def from_ms(t_ms: float) -> int:
    """Milliseconds to nanoseconds, rounded to the nearest."""
    return round(t_ms * NS_PER_MS)
