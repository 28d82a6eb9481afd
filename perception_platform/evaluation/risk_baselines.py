"""Two plain rules for braking hard, to compare with, on the same tracks and the same motion."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import to_s
from perception_platform.risk.objects import track_corners
from perception_platform.risk.path import Path, outline, predict_path

STANDS_MPS = 0.1

# A straight corridor as wide as the vehicle: braked for hard below so much time to collision.
CORRIDOR_TTC_S = 1.5

# Autoware's autonomous emergency braking: d = v t + v²/2a - sign(vo) vo²/2ao + offset, with its published figures.
RESPONSE_S, EGO_MPS2, OBJECT_MPS2, OFFSET_M = 1.0, 3.0, 1.0, 2.0
WIDER_M = 0.1
HORIZON_S = 1.5  # of the path from the measured turn rate
HOLD_S = 3.0


class CorridorRule:
    """Time to collision in a straight corridor."""

    def __init__(self, footprint_m: Array) -> None:
        self._footprint_m = footprint_m

    def brakes_hard(self, tracks: Tracks, ego: EgoState) -> bool:
        """Whether anything in the corridor ahead is nearer than that in time."""
        speed_mps = ego.velocity_mps[0]
        if speed_mps < STANDS_MPS:
            return False
        corners_m, velocities = _seen(tracks, ego)
        left_m = float(self._footprint_m[:, 1].max())
        edges_m = outline(corners_m)
        inside = (np.abs(edges_m[..., 1]) < left_m) & (edges_m[..., 0] > self._footprint_m[:, 0].max())
        gap_m = np.where(inside, edges_m[..., 0], np.inf).min(axis=1, initial=np.inf)
        gap_m -= self._footprint_m[:, 0].max()
        closing_mps = speed_mps - velocities[:, 0]
        with np.errstate(divide="ignore"):
            ttc_s = np.where(closing_mps > 0, gap_m / np.maximum(closing_mps, 1e-9), np.inf)
        return bool((ttc_s < CORRIDOR_TTC_S).any())


class AutowareRule:
    """The published formula on the nearest object along the arc of the measured turn rate."""

    def __init__(self, footprint_m: Array) -> None:
        self._footprint_m = footprint_m
        self._until_s = -np.inf

    def brakes_hard(self, tracks: Tracks, ego: EgoState) -> bool:
        """Whether the nearest thing on the path is nearer than the formula's distance, or was a moment ago."""
        now_s = to_s(ego.t_ns)
        speed_mps = ego.velocity_mps[0]
        if speed_mps < STANDS_MPS:
            return False
        path = predict_path(ego, self._footprint_m, WIDER_M)
        gap_m, object_mps = _nearest(tracks, ego, path)
        if gap_m < min(self._distance_m(speed_mps, object_mps), HORIZON_S * speed_mps):
            self._until_s = now_s + HOLD_S
        return now_s <= self._until_s

    @staticmethod
    def _distance_m(speed_mps: float, object_mps: float) -> float:
        braking_m = speed_mps**2 / (2 * EGO_MPS2)
        its_m = np.sign(object_mps) * object_mps**2 / (2 * OBJECT_MPS2)
        return float(speed_mps * RESPONSE_S + braking_m - its_m + OFFSET_M)


def _seen(tracks: Tracks, ego: EgoState) -> tuple[Array, Array]:
    """Corners and velocities of tracks that surely exist, in the axes of the base frame."""
    velocities = ego.odom_from_base.inverse().rotate(np.pad(tracks.velocities_mps, ((0, 0), (0, 1))))[:, :2]
    sure = tracks.existence >= 0.5
    return track_corners(tracks, ego)[sure], velocities[sure]


def _nearest(tracks: Tracks, ego: EgoState, path: Path) -> tuple[float, float]:
    """Gap to the nearest thing on the path and its speed along it; infinite and 0 without."""
    corners_m, velocities = _seen(tracks, ego)
    if not len(corners_m):
        return np.inf, 0.0
    sd = path.coordinates(outline(corners_m))
    gaps_m = np.where(path.in_band(sd), path.gap_m(sd), np.inf).min(axis=1)
    near = int(np.argmin(gaps_m))
    along = path.along(path.coordinates(corners_m.mean(axis=1)), velocities)[near, 0]
    return float(gaps_m[near]), float(along)
