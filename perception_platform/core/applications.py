"""What an application on the perception layer says of one sweep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApplicationReport:
    """One report of one application.

    Attributes:
        t_ns: capture time of the sweep, ns.
        application: its name in the graph's file.
        quantity: what was measured, e.g. ``distance to the nearest person``.
        value: the measured value; infinite where there is nothing to measure.
        unit: its unit.
        point_m: (x, y) of what it was measured to, base frame; None where there is nothing.
        text: one line for people.
        rate_hz: how often the application has to be served, Hz.
        deadline_s: age that the sweep may have when the report is there, s.
        age_s: the age it had, s; 0 until somebody publishes it.
    """

    t_ns: int
    application: str
    quantity: str
    value: float
    unit: str
    point_m: tuple[float, float] | None
    text: str
    rate_hz: float
    deadline_s: float
    age_s: float = 0.0

    @property
    def late(self) -> bool:
        """Whether it missed its deadline."""
        return self.age_s > self.deadline_s
