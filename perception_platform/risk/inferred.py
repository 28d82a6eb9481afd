"""Obstacle points that no sensor shows where they are now, each worked out from those that one has shown."""

from __future__ import annotations

from dataclasses import dataclass

from perception_platform.core.sensor_data import PointCloud


@dataclass(frozen=True, slots=True)
class Inferred(PointCloud):
    """Points inferred from a sensor's earlier looks; nothing can be hidden behind them."""


@dataclass(frozen=True, slots=True)
class Remembered(Inferred):
    """Points of a lidar that it saw before they came too near."""


@dataclass(frozen=True, slots=True)
class Entering(Inferred):
    """Points where they will enter the path.

    Attributes:
        enters_s: in what time.
    """

    enters_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Approaching(Inferred):
    """Points in the path that come along it.

    Attributes:
        approach_mps: how fast.
    """

    approach_mps: float = 0.0


def told(cloud: PointCloud) -> str:
    """What points of a cloud are, for people."""
    match cloud:
        case Remembered():
            return f"remembered points of {cloud.sensor}"
        case Entering():
            return f"points of {cloud.sensor} that enter in {cloud.enters_s:.1f} s"
        case Approaching():
            return f"points of {cloud.sensor} that come at {cloud.approach_mps:.1f} m/s"
    return f"points of {cloud.sensor}"
