"""What the air does to a lidar's beams: rain weakens and blurs, drops near the sensor and dust throw light back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array

# Share of the beams that a drop near the sensor answers, at 10 mm/h, and how such echoes thin out with range: our
# own figures, of the order that recordings in rain show.
DROPS_AT_10_MM_H, DROPS_REACH_M = 0.004, 3.0
DUST_REFLECTIVITY = 0.3


@dataclass(frozen=True, slots=True)
class DustCloud:
    """A ball of dust in the world.

    Attributes:
        center_m: (x, y, z).
        radius_m: of the ball.
        extinction_per_m: share of a thin slice's light that is scattered, by its thickness.
        from_s: when it rises.
        until_s: when it has settled.
    """

    center_m: tuple[float, float, float]
    radius_m: float
    extinction_per_m: float
    from_s: float = 0.0
    until_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Air:
    """Rain, mm/h, and clouds of dust."""

    rain_mm_h: float = 0.0
    dust: tuple[DustCloud, ...] = ()

    @property
    def is_clear(self) -> bool:
        """Whether beams pass as if there were nothing."""
        return self.rain_mm_h <= 0 and not self.dust


@dataclass(frozen=True, slots=True)
class Echo:
    """Of each ray (C, B): range, m, inf without one; the returned share of light before the way's own loss."""

    range_m: Array
    strength: Array


def through_rain(echo: Echo, rain_mm_h: float, rng: np.random.Generator) -> Echo:
    """Weaken echoes and blur their ranges (Goodin et al., Electronics 8(1), 89, 2019), and add drops.

    The returned power falls with ``exp(-0.02 R^0.6 z)``; ranges scatter by ``0.02 z (1 - exp(-R))^2``, R in mm/h.
    """
    range_m = np.where(np.isfinite(echo.range_m), echo.range_m, 0.0)
    strength = echo.strength * np.exp(-0.02 * rain_mm_h**0.6 * range_m)
    sigma_m = 0.02 * range_m * (1 - np.exp(-rain_mm_h)) ** 2
    blurred = echo.range_m + sigma_m * rng.standard_normal(range_m.shape)
    share = DROPS_AT_10_MM_H * (rain_mm_h / 10.0) ** 0.6
    drop_m = rng.exponential(DROPS_REACH_M, range_m.shape)
    struck = (rng.random(range_m.shape) < share) & (drop_m < echo.range_m)
    return Echo(np.where(struck, drop_m, blurred), np.where(struck, 1.0, strength))


def through_dust(
    echo: Echo, origins_m: Array, directions: Array, cloud: DustCloud, rng: np.random.Generator
) -> Echo:
    """Let a cloud scatter beams: each at a depth drawn from Beer and Lambert's law, which is where its echo comes from.

    Args:
        echo: of rays (C, B).
        origins_m: (C, 3) where they start, world frame.
        directions: (C, B, 3) unit vectors.
        cloud: the cloud.
        rng: of the depths.
    """
    enter_m, leave_m = _ball(origins_m, directions, cloud)
    depth_m = rng.exponential(1.0 / cloud.extinction_per_m, enter_m.shape)
    at_m = enter_m + depth_m
    struck = (at_m < leave_m) & (at_m < echo.range_m)
    return Echo(np.where(struck, at_m, echo.range_m), np.where(struck, DUST_REFLECTIVITY, echo.strength))


def _ball(origins_m: Array, directions: npt.NDArray[np.float64], cloud: DustCloud) -> tuple[Array, Array]:
    """(C, B) ranges at which rays enter and leave the ball; equal where they miss it."""
    towards = np.asarray(cloud.center_m) - origins_m
    along = np.einsum("cbk,ck->cb", directions, towards)
    missed2 = (towards**2).sum(axis=1)[:, None] - along**2
    half = np.sqrt(np.maximum(cloud.radius_m**2 - missed2, 0.0))
    return np.maximum(along - half, 0.0), np.maximum(along + half, 0.0)
