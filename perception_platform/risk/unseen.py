"""What came so near that no beam of a lidar reaches it any more: it stands where it was until it is seen to be gone.

A roof lidar's lowest beam passes over a low or hanging thing before a robot that stops for it stands. Not to see it
there says nothing, so its last points are kept, carried along by the odometry, for as long as they lie where that lidar
cannot look. They go when they come into view again (what is there then counts), when the robot's own body is there, and
when something that moves is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform, one_a_voxel, points_in_any, points_in_polygon
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.risk.config import RiskConfig, Sight
from perception_platform.risk.inferred import Remembered
from perception_platform.risk.near import thinned
from perception_platform.risk.objects import track_corners

NEAR_M = 8.0  # farther off, nothing of use is below the lowest beam
CELL_M, CELL_POINTS = 0.1, 4  # of a cube, so many points are looked at
ENOUGH = 8_000  # such points: of a dense lidar, they are of larger cubes
GRID_M = 0.05  # one remembered point to a cube of this size
SKIN_M = 0.2  # points this much outside a track's box still are the object's
SEEN_WITHIN_S = 0.2  # a track that was not seen lately says nothing of what stands there
STANDS_FOR_S = 0.5  # nor does one that has only just been seen
# One that is seen as a whole and has drifted farther than this meanwhile goes, however slow the tracker takes it to be.
DRIFT_M, LARGEST_M = 0.3, 6.0
_ALIVE = (int(ObjectClass.PERSON), int(ObjectClass.CYCLIST))  # these do not stay where they are

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Before:
    """The sweep before: its time and pose, the points near by that the lidar saw, and those it only remembers."""

    t_ns: int
    odom_from_base: Transform
    seen_m: Array
    kept_m: Array


class Unseen:
    """Remembers, lidar by lidar, what fell out of its sight; lidars whose beams nobody has told are left out."""

    def __init__(self, config: RiskConfig) -> None:
        self._config = config
        self._before: dict[str, _Before] = {}
        self._places: deque[Tracks] = deque()

    def look(self, obstacles: Sequence[PointCloud], tracks: Tracks, ego: EgoState) -> list[PointCloud]:
        """What is remembered beside the newest obstacle points.

        Only points that the robot's own way took out of sight, on tracks that surely exist and stand, are taken in:
        rain, dust and what moves are not.

        Args:
            obstacles: newest obstacle points of each source, in the base frame.
            tracks: in the odometry frame.
            ego: newest pose and motion.

        Returns:
            A cloud for each lidar that remembers anything, with the stamp of its newest sweep.
        """
        self._note(tracks)
        return [cloud for cloud in self._looks(obstacles, tracks, ego) if len(cloud)]

    def _note(self, tracks: Tracks) -> None:
        """Keep the tracks of the last half second, and the newest older ones."""
        places = self._places
        if places and tracks.t_ns < places[-1].t_ns:  # a clock set back begins afresh
            places.clear()
        if not places or tracks.t_ns > places[-1].t_ns:
            places.append(tracks)
        while len(places) > 1 and tracks.t_ns - places[1].t_ns >= from_s(STANDS_FOR_S):
            places.popleft()

    def _drifts(self, tracks: Tracks) -> Mask:
        """(N,) which of the tracks, seen as a whole, are not where they were."""
        then = self._places[0]
        was_m = dict(zip(then.ids.tolist(), then.centers_m[:, :2], strict=True))
        out = tracks.sizes_m.max(axis=1) <= LARGEST_M
        for i in np.flatnonzero(out).tolist():
            before_m = was_m.get(int(tracks.ids[i]))
            out[i] = before_m is not None and np.hypot(*(tracks.centers_m[i, :2] - before_m)) > DRIFT_M
        return np.asarray(out)

    def _looks(self, obstacles: Sequence[PointCloud], tracks: Tracks, ego: EgoState) -> Iterator[Remembered]:
        for cloud in obstacles:
            sight = self._config.sights.get(cloud.sensor)
            if sight is None:
                continue
            before = self._before.get(cloud.sensor)
            if before is None or cloud.t_ns != before.t_ns:
                before = self._before[cloud.sensor] = self._next(
                    before, cloud, sight, tracks, ego.at(cloud.t_ns)
                )
            yield Remembered(cloud.t_ns, cloud.frame_id, cloud.sensor, before.kept_m.astype(np.float32))

    def _next(
        self, before: _Before | None, cloud: PointCloud, sight: Sight, tracks: Tracks, ego: EgoState
    ) -> _Before:
        near = thinned(cloud.xyz_m, NEAR_M, CELL_M, CELL_POINTS, ENOUGH, flat=False)
        seen_m, kept_m = cloud.xyz_m[near].astype(np.float64), np.zeros((0, 3))
        seen_m = seen_m[~sight.misses(seen_m)]  # so that what noise alone puts out of sight is not remembered
        if before is not None and cloud.t_ns > before.t_ns:  # a clock set back begins afresh
            now_from_then = ego.odom_from_base.inverse() @ before.odom_from_base
            fresh_m, old_m = (
                self._lost(now_from_then.apply(p), sight) for p in (before.seen_m, before.kept_m)
            )
            standing_m, moving_m = self._boxes(tracks, ego)
            fresh_m = fresh_m[points_in_any(fresh_m, standing_m)]
            lost_m = np.concatenate([old_m, fresh_m])
            kept_m = lost_m[~points_in_any(lost_m, moving_m)]
            kept_m = kept_m[np.sort(one_a_voxel(kept_m, GRID_M))]
        return _Before(cloud.t_ns, ego.odom_from_base, seen_m, kept_m)

    def _lost(self, xyz_m: Array, sight: Sight) -> Array:
        """Those of the points (N, 3) that the lidar cannot see, and that are not where the robot is."""
        out = sight.misses(xyz_m)
        out[out] = ~points_in_polygon(xyz_m[out, :2], self._config.footprint_m)
        return xyz_m[out]

    def _boxes(self, tracks: Tracks, ego: EgoState) -> tuple[Array, Array]:
        """Corners (K, 4, 2), grown by the skin, of the tracks that surely stand, and of those that move or may."""
        corners_m = track_corners(replace(tracks, sizes_m=tracks.sizes_m + 2 * SKIN_M), ego)
        moves = np.hypot(*tracks.velocities_mps.T) >= self._config.moving_mps
        moves |= np.isin(tracks.class_ids, _ALIVE)
        sure = tracks.existence >= self._config.min_existence
        sure &= tracks.t_ns - tracks.last_seen_ns <= from_s(SEEN_WITHIN_S)
        sure &= tracks.t_ns - tracks.first_seen_ns >= from_s(STANDS_FOR_S)
        near = ((corners_m.min(axis=1) < NEAR_M) & (corners_m.max(axis=1) > -NEAR_M)).all(axis=1)
        return corners_m[sure & ~moves & ~self._drifts(tracks) & near], corners_m[moves & near]
