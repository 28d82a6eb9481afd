"""How hard the robot brakes: by speed, payload and slope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.risk.measures import safe_speed_mps
from perception_platform.robot.description import GRAVITY_MPS2

LEAST_DECEL_MPS2 = (
    0.05  # where load and slope eat the brakes up, next to nothing is allowed; no formula divides by nought
)


@dataclass(frozen=True, slots=True)
class Brakes:
    """Deceleration of a robot, as rows over K ranges of speed.

    Attributes:
        up_to_mps: (K,) highest initial speed of each row, increasing; the last is infinite.
        decel_mps2: (K,) deceleration from such a speed to standstill, never increasing.
    """

    up_to_mps: tuple[float, ...]
    decel_mps2: tuple[float, ...]

    def at(self, speed_mps: float) -> float:
        """Deceleration from a speed to standstill."""
        return next(a for v, a in zip(self.up_to_mps, self.decel_mps2, strict=True) if speed_mps <= v)

    def under(self, mass_ratio: float, downhill: float) -> Brakes:
        """With a load and on a slope.

        The force of the brakes is the same for any load (Newton's second law), and the slope takes ``g sin``.

        Args:
            mass_ratio: mass without load over mass with it, in (0, 1].
            downhill: sine of the slope in the direction of travel; uphill gives nothing.
        """
        lost_mps2 = GRAVITY_MPS2 * max(downhill, 0.0)
        return Brakes(
            self.up_to_mps,
            tuple(max(a * mass_ratio - lost_mps2, LEAST_DECEL_MPS2) for a in self.decel_mps2),
        )

    def safe_speed_mps(self, way_m: npt.ArrayLike, approach_mps: npt.ArrayLike, reaction_s: float) -> Array:
        """Highest speed from which the robot stands within ``way_m``: see ``measures.safe_speed_mps``."""
        rows = zip(self.up_to_mps, self.decel_mps2, strict=True)
        limits = [np.minimum(safe_speed_mps(way_m, approach_mps, reaction_s, a), v) for v, a in rows]
        return np.asarray(np.max(limits, axis=0))
