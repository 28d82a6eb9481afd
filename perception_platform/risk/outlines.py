"""What the risk stage looks at, as outlines to draw: footprint, way to a stop, zones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import EgoState
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.measures import needed_way_m
from perception_platform.risk.path import Path, predict_path
from perception_platform.risk.zones import fitting_field

SAMPLES = 40  # along a band


@dataclass(frozen=True, slots=True)
class Outline:
    """One polygon of the base frame.

    Attributes:
        name: of the zone; ``footprint`` and ``path`` for the others.
        action: of the zone; empty for the others.
        polygon_m: (M, 2) corners.
    """

    name: str
    action: str
    polygon_m: Array


def outlines(
    config: RiskConfig, ego: EgoState, latency_s: float = 0.0, payload_kg: float | None = None
) -> list[Outline]:
    """All of them for one motion and load.

    ``path`` is the swept band as far as the robot gets from the capture of its data to a stop by the service brake,
    with the clearance that it keeps.

    Args:
        config: the robot.
        ego: its motion.
        latency_s: measured; the declared one counts when that is larger.
        payload_kg: what is loaded; None for the most that may be.
    """
    payload_kg = config.max_payload_kg if payload_kg is None else payload_kg
    path = predict_path(ego, config.footprint_m, config.beside_m, sideways=config.sideways)
    reaction_s = config.reaction_after_s(max(latency_s, config.expected_latency_s))
    decel_mps2 = config.brakes_under(payload_kg, 0.0).at(path.speed_mps)
    stopping_m = float(needed_way_m(path.speed_mps, 0.0, reaction_s, decel_mps2))
    found = [Outline("path", "", _band(path, stopping_m + config.ahead_m))]
    for zone in config.zones:
        if zone.fields:
            polygon_m = fitting_field(zone, ego, payload_kg).polygon_m
        else:
            polygon_m = _band(path, zone.stopping_ways * stopping_m + config.ahead_m)
        found.append(Outline(zone.name, zone.action, polygon_m))
    return [*found, Outline("footprint", "", config.footprint_m)]


def _band(path: Path, reach_m: float) -> Array:
    """The band from the front edge on, for so far: along that edge to the left, out, across and back."""
    front = np.stack([path.front_s_m, path.front_d_m], axis=-1)
    s_m = np.linspace(front[-1, 0], float(path.front_s_m.max()) + reach_m, SAMPLES)
    left = np.stack([s_m, np.full(SAMPLES, path.left_m)], axis=-1)
    right = np.stack([s_m[::-1], np.full(SAMPLES, path.right_m)], axis=-1)
    return path.points_m(np.concatenate([front, left, right]))
