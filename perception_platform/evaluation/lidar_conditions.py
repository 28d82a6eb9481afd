"""Labelled sweeps made harder: fewer points, noise, a lidar askew, drops in the air. The labels still hold."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import PointCloud
from perception_platform.evaluation.lidar_frames import LabelledBoxes, LabelledFrame
from perception_platform.evaluation.lidar_measures import Flags

# Drops are seen from here on; how far, falls off exponentially with this length (most clutter of real fog lies within
# ten metres of the lidar: Bijelic et al., "A benchmark for lidar sensors in fog", IV 2018).
_NEAREST_M, _LENGTH_M = 2.0, 4.0
_BRIGHTEST = 0.03


@dataclass(frozen=True, slots=True)
class Condition:
    """What is done to a sweep, in this order.

    Attributes:
        name: for reports.
        pitch_deg: the lidar is turned so far about its y axis, and nobody told the robot file.
        keep: share of the points that stay, chosen at random.
        noise_m: standard deviation that is added to the ranges.
        backscatter: share of the beams that a drop stops; one that hits its thing before still sees it.
    """

    name: str = "as recorded"
    pitch_deg: float = 0.0
    keep: float = 1.0
    noise_m: float = 0.0
    backscatter: float = 0.0

    def made(self, frame: LabelledFrame, seed: int) -> LabelledFrame:
        """The frame under this condition."""
        rng = np.random.default_rng(seed)
        frame = turned(frame, self.pitch_deg) if self.pitch_deg else frame
        cloud = frame.cloud
        cloud = _kept(cloud, rng.random(len(cloud)) < self.keep) if self.keep < 1.0 else cloud
        cloud = _noisy(cloud, self.noise_m, rng) if self.noise_m else cloud
        if not self.backscatter:
            return replace(frame, cloud=cloud)
        cloud, drops = with_backscatter(cloud, self.backscatter, rng)
        return replace(frame, cloud=cloud, drops=drops)


# What the bench holds both ways to find obstacles against.
CONDITIONS = (
    Condition(),
    Condition("a quarter of the points", keep=0.25),
    Condition("a sixteenth of the points", keep=0.0625),
    Condition("lidar 2 deg askew", pitch_deg=2.0),
    Condition("drops in one beam of ten", backscatter=0.1),
)


def turned(frame: LabelledFrame, pitch_deg: float) -> LabelledFrame:
    """Sweep and labels seen from a lidar that looks up or down; labelled boxes stay upright."""
    turn = Transform.from_xyz_rpy((0.0, 0.0, 0.0), (0.0, float(np.deg2rad(pitch_deg)), 0.0))
    labels = frame.labels
    boxes = LabelledBoxes(turn.apply(labels.centers_m), labels.sizes_m, labels.yaws_rad, labels.types)
    xyz_m = turn.apply(frame.cloud.xyz_m).astype(np.float32)
    return replace(frame, cloud=replace(frame.cloud, xyz_m=xyz_m), labels=boxes)


def with_backscatter(cloud: PointCloud, share: float, rng: np.random.Generator) -> tuple[PointCloud, Flags]:
    """A sweep in which some beams come back from drops, and (N,) which points are drops."""
    range_m = np.linalg.norm(cloud.xyz_m, axis=1)
    depth_m = _NEAREST_M + rng.exponential(_LENGTH_M, len(cloud))
    drops = (rng.random(len(cloud)) < share) & (depth_m < range_m)
    scale = np.where(drops, depth_m / np.maximum(range_m, 1e-6), 1.0)
    clear = np.ones(len(cloud), dtype=np.float32) if cloud.intensity is None else cloud.intensity
    faint = rng.uniform(0.0, _BRIGHTEST, len(cloud)).astype(np.float32)
    xyz_m = (cloud.xyz_m * scale[:, None]).astype(np.float32)
    return replace(cloud, xyz_m=xyz_m, intensity=np.where(drops, faint, clear)), drops


def _kept(cloud: PointCloud, kept: Flags) -> PointCloud:
    intensity = None if cloud.intensity is None else cloud.intensity[kept]
    return replace(cloud, xyz_m=cloud.xyz_m[kept], intensity=intensity, ring=None, offset_s=None)


def _noisy(cloud: PointCloud, sigma_m: float, rng: np.random.Generator) -> PointCloud:
    range_m = np.maximum(np.linalg.norm(cloud.xyz_m, axis=1), 0.1)
    scale = 1.0 + rng.normal(0.0, sigma_m, len(cloud)) / range_m
    return replace(cloud, xyz_m=(cloud.xyz_m * scale[:, None]).astype(np.float32))
