"""The development override: for a short while, faults slow the robot down in place of stopping it.

It never touches what the surroundings ask for, it is in every decision while it lasts, and it ends by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from perception_platform.core.time import from_s, to_s
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.safety.config import GateConfig
from perception_platform.safety.faults import FAULTS

LONGEST_S = 30.0


class Override:
    """When it was granted and until when it lasts."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._from_ns = self._until_ns = 0

    def grant(self, now_ns: int, duration_s: float) -> None:
        """Begin.

        Raises:
            ValueError: if the duration is not above zero and at most 30 s.
        """
        if not 0 < duration_s <= LONGEST_S:
            raise ValueError(
                f"an override lasts more than 0 and at most {LONGEST_S:g} s, not {duration_s:g} s"
            )
        self._from_ns, self._until_ns = now_ns, now_ns + from_s(duration_s)

    def apply(self, now_ns: int, faults: Iterable[Finding]) -> list[Finding]:
        """Faults as they count now; while it lasts with a line that says so, and no stop among them."""
        if not self._from_ns <= now_ns < self._until_ns:  # a clock that steps back ends it, too
            self._from_ns = self._until_ns = 0
            return list(faults)
        left_s = to_s(self._until_ns - now_ns)
        return [self._loud(left_s), *(self._softened(fault) for fault in faults)]

    def _loud(self, left_s: float) -> Finding:
        row = FAULTS[Reason.OVERRIDE]
        return Finding(
            Reason.OVERRIDE,
            row.action,
            self._config.escape_mps,
            quantity="time left",
            value=left_s,
            threshold=0.0,
            unit="s",
            text=f"{row.text} for {math.ceil(left_s)} s more: at most {self._config.escape_mps:.2f} m/s",
        )

    def _softened(self, fault: Finding) -> Finding:
        if fault.action > Action.STOP:
            return fault
        text = f"overridden: {fault.text}"
        return replace(fault, action=Action.LIMIT, speed_limit_mps=self._config.escape_mps, text=text)
