"""People who went out of sight behind something: a growing region of where they may be, for a bounded time.

A person is hidden if something nearer, and at least as high as the person's middle, stands in the line of sight. While
any part of the region is hidden, not seeing the person says nothing about whether there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.motion import MotionState
from perception_platform.tracking.sightings import Sightings

Mask = npt.NDArray[np.bool_]

_SIGMAS = 2.0
_ANGLES_RAD = np.arange(8) * np.pi / 4
# Where a region is looked for a hidden part: its middle, and two rings of eight.
_SAMPLES = np.concatenate(
    [np.zeros((1, 2)), *(r * np.stack([np.cos(_ANGLES_RAD), np.sin(_ANGLES_RAD)], -1) for r in (0.5, 1.0))]
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of N objects from when they were last seen.

    Attributes:
        centers_m: (N, 2) where they were.
        reach_m: (N,) how far off that may be: twice its largest 1-sigma.
        speed_mps: (N,) how fast they were.
        hidden: (N,) which went out of sight behind something, and were not seen since.
    """

    centers_m: Array
    reach_m: Array
    speed_mps: Array
    hidden: Mask

    @classmethod
    def of(cls, mean: Array, cov: Array) -> Memory:
        """Of objects that are seen now, with states (N, 4) and covariances (N, 4, 4)."""
        return cls(*_reaches(mean, cov), np.zeros(len(mean), dtype=np.bool_))

    def radius_m(self, unseen_s: Array, config: TrackerConfig) -> Array:
        """(N,) of the discs in which they may be: nobody goes faster than people walk, or than they were seen to go."""
        return self.reach_m + np.maximum(self.speed_mps, config.walking_speed_mps) * unseen_s


def gone_behind(
    memory: Memory,
    motion: MotionState,
    middles_m: Array,
    unseen_s: Array,
    people: Mask,
    sightings: Sightings,
    config: TrackerConfig,
) -> tuple[Memory, Mask]:
    """Who is hidden after a look, and of whom this look can say nothing.

    Args:
        memory: of N tracks.
        motion: their states at the time of the look.
        middles_m: (N,) heights of their middles.
        unseen_s: (N,) time since they were seen; 0 for those that the look saw.
        people: (N,) which are people, sure enough to be remembered.
        sightings: what the look saw.
        config: speed and time.

    Returns:
        The memory, with those who are hidden now, and (N,) whose region is at least partly out of sight.
    """
    hidden = memory.hidden & (unseen_s > 0)
    asked = hidden | (people & (unseen_s > 0) & (unseen_s <= config.occlusion_memory_s))
    blocked = np.zeros(len(hidden), dtype=np.bool_)
    rows = asked.nonzero()[0]
    if len(rows) and len(sightings):
        middle_m = np.where(hidden[rows, None], memory.centers_m[rows], motion.merged()[0][rows, :2])
        radius_m = np.where(hidden[rows], memory.radius_m(unseen_s, config)[rows], 0.0)
        points_m = middle_m[:, None] + radius_m[:, None, None] * _SAMPLES
        blocked[rows] = lines_blocked(points_m, middles_m[rows], sightings).any(axis=1)
    return replace(memory, hidden=hidden | blocked), blocked


def lines_blocked(points_m: Array, heights_m: Array, sightings: Sightings) -> Mask:
    """(K, P) whether something that was seen stands in the line of sight to points (K, P, 2).

    A line is cut by the box of a sighting if it enters each of its two slabs before it leaves either (Kay and Kajiya,
    Ray tracing complex scenes, 1986). ``heights_m`` (K,) are the least heights of the tops of what hides.
    """
    seen = (sightings.centers_m, sightings.sizes_m, sightings.yaws_rad)
    return np.asarray(cut(points_m, heights_m, sightings.viewpoint_m, *seen))


@compiled("Tuple((f8[:,::1], f8[::1], f8[::1]))(f8[:,::1], f8[:,:,::1])")
def _reaches(mean: Array, cov: Array) -> tuple[Array, Array, Array]:
    """Places, reaches and speeds: the largest 1-sigma is the root of the larger eigenvalue."""
    n = len(mean)
    centers_m, reach_m, speed_mps = np.empty((n, 2)), np.empty(n), np.empty(n)
    for k in range(n):
        a, b, d = cov[k, 0, 0], cov[k, 0, 1], cov[k, 1, 1]
        centers_m[k] = mean[k, :2]
        reach_m[k] = _SIGMAS * np.sqrt((a + d) / 2 + np.hypot((a - d) / 2, b))
        speed_mps[k] = np.hypot(mean[k, 2], mean[k, 3])
    return centers_m, reach_m, speed_mps


@compiled("b1[:,::1](f8[:,:,:], f8[:], f8[:], f8[:,:], f8[:,:], f8[:])")
def cut(
    points_m: Array, heights_m: Array, viewer_m: Array, centers_m: Array, sizes_m: Array, yaws_rad: Array
) -> Mask:
    """Which lines from the viewer to points (K, P, 2) a box cuts."""
    blocked = np.zeros(points_m.shape[:2], dtype=np.bool_)
    for m in range(len(centers_m)):
        c, s = np.cos(yaws_rad[m]), np.sin(yaws_rad[m])
        x, y = viewer_m[0] - centers_m[m, 0], viewer_m[1] - centers_m[m, 1]
        start_x, start_y = c * x + s * y, c * y - s * x
        half_x, half_y = 0.5 * sizes_m[m, 0], 0.5 * sizes_m[m, 1]
        top_m = centers_m[m, 2] + 0.5 * sizes_m[m, 2]
        for k in range(len(points_m)):
            if top_m < heights_m[k]:
                continue
            for p in range(points_m.shape[1]):
                line_x, line_y = points_m[k, p, 0] - viewer_m[0], points_m[k, p, 1] - viewer_m[1]
                along_x, along_y = c * line_x + s * line_y, c * line_y - s * line_x
                along_x = along_x if abs(along_x) >= 1e-9 else 1e-9
                along_y = along_y if abs(along_y) >= 1e-9 else 1e-9
                reach_x, reach_y = half_x / abs(along_x), half_y / abs(along_y)
                middle_x, middle_y = -start_x / along_x, -start_y / along_y
                enters = max(middle_x - reach_x, middle_y - reach_y)
                leaves = min(middle_x + reach_x, middle_y + reach_y)
                blocked[k, p] |= 0 < enters < min(leaves, 1.0)
    return blocked
