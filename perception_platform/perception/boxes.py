"""Oriented boxes in the ground plane around what is visible of each cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array


@dataclass(frozen=True, slots=True)
class FlatBoxes:
    """Boxes in the ground plane, K of them; their faces lie where points are, but for a few strays.

    Attributes:
        angle_rad: (K,) direction of the first axis.
        low_m: (K, 2) least coordinate along the first and the second axis.
        high_m: (K, 2) greatest coordinate.
    """

    angle_rad: Array
    low_m: Array
    high_m: Array

    @property
    def extent_m(self) -> Array:
        """(K, 2) size along both axes."""
        return self.high_m - self.low_m

    @property
    def center_m(self) -> Array:
        """(K, 2) centres in the base frame."""
        u, v = 0.5 * (self.low_m + self.high_m).T
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return np.stack([u * c - v * s, u * s + v * c], axis=-1)
