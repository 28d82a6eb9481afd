"""What came so near that no beam of a lidar reaches it any more: it stands where it was until it is seen to be gone.

A roof lidar's lowest beam passes over a low or hanging thing before a robot that stops for it stands. Not to see it
there says nothing, so its last points are kept, carried along by the odometry, for as long as they lie where that lidar
cannot look. They go when they come into view again (what is there then counts), when the robot's own body is there,
when something that moves is, and when the object that they were on is seen to have gone elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform, one_a_voxel, points_in_polygon
from perception_platform.core.objects import Ints, ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.risk.config import RiskConfig, Sight
from perception_platform.risk.objects import track_corners

NEAR_M = 8.0  # farther off, nothing of use is below the lowest beam
GRID_M = 0.05  # one remembered point to a cube of this size
SKIN_M = 0.2  # points this much outside a track's box still are the object's
SEEN_WITHIN_S = 0.2  # a track that was not seen lately says nothing of what stands there
STANDS_FOR_S = 0.5  # nor does one that has only just been seen
LARGEST_M = 6.0  # what is longer is seen in parts, and its box moves with the part
_ALIVE = (int(ObjectClass.PERSON), int(ObjectClass.CYCLIST))  # these do not stay where they are

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Remembered(PointCloud):
    """Points of a lidar that it saw before they came too near."""


@dataclass(frozen=True, slots=True)
class _Before:
    """The sweep before.

    Attributes:
        t_ns: its time.
        odom_from_base: its pose.
        seen_m: (N, 3) points near by that the lidar saw.
        kept_m: (K, 3) points that it only remembers.
        kept_ids: (K,) of the tracks that these were on.
    """

    t_ns: int
    odom_from_base: Transform
    seen_m: Array
    kept_m: Array
    kept_ids: Ints


class Unseen:
    """Remembers, lidar by lidar, what fell out of its sight; lidars whose beams nobody has told are left out."""

    def __init__(self, config: RiskConfig) -> None:
        self._config = config
        self._before: dict[str, _Before] = {}

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
        return [cloud for cloud in self._looks(obstacles, tracks, ego) if len(cloud)]

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
        near = (np.abs(cloud.xyz_m[:, :2]) < NEAR_M).all(axis=1)
        seen_m, kept_m, kept_ids = (
            cloud.xyz_m[near].astype(np.float64),
            np.zeros((0, 3)),
            np.zeros(0, np.int64),
        )
        seen_m = seen_m[~sight.misses(seen_m)]  # so that what noise alone puts out of sight is not remembered
        if before is not None and cloud.t_ns > before.t_ns:  # a clock set back begins afresh
            now_from_then = ego.odom_from_base.inverse() @ before.odom_from_base
            fresh_m, old_m = now_from_then.apply(before.seen_m), now_from_then.apply(before.kept_m)
            fresh_m, is_lost = fresh_m[self._is_lost(fresh_m, sight)], self._is_lost(old_m, sight)
            boxes = self._boxes(tracks, ego)
            fresh_ids = boxes.standing_on(fresh_m)
            stays = ~boxes.gone(old_m, before.kept_ids) & is_lost
            kept_m = np.concatenate([old_m[stays], fresh_m[fresh_ids >= 0]])
            kept_ids = np.concatenate([before.kept_ids[stays], fresh_ids[fresh_ids >= 0]])
            left = np.flatnonzero(~_inside(kept_m, boxes.moving_m))
            left = left[np.sort(one_a_voxel(kept_m[left], GRID_M))]
            kept_m, kept_ids = kept_m[left], kept_ids[left]
        return _Before(cloud.t_ns, ego.odom_from_base, seen_m, kept_m, kept_ids)

    def _is_lost(self, xyz_m: Array, sight: Sight) -> Mask:
        """Which of the points (N, 3) the lidar cannot see, though the robot is not there."""
        out = sight.misses(xyz_m)
        out[out] = ~points_in_polygon(xyz_m[out, :2], self._config.footprint_m)
        return out

    def _boxes(self, tracks: Tracks, ego: EgoState) -> _Boxes:
        corners_m = track_corners(replace(tracks, sizes_m=tracks.sizes_m + 2 * SKIN_M), ego)
        moves = np.hypot(*tracks.velocities_mps.T) >= self._config.moving_mps
        moves |= np.isin(tracks.class_ids, _ALIVE)
        sure = tracks.existence >= self._config.min_existence
        sure &= tracks.t_ns - tracks.last_seen_ns <= from_s(SEEN_WITHIN_S)
        sure &= tracks.t_ns - tracks.first_seen_ns >= from_s(STANDS_FOR_S)
        near = ((corners_m.min(axis=1) < NEAR_M) & (corners_m.max(axis=1) > -NEAR_M)).all(axis=1)
        standing, whole = sure & ~moves & near, sure & (tracks.sizes_m.max(axis=1) <= LARGEST_M)
        return _Boxes(
            *(corners_m[standing], tracks.ids[standing]),
            *(corners_m[whole], tracks.ids[whole]),
            corners_m[moves & near],
        )


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Corners (K, 4, 2) of tracks' boxes, grown by the skin, and their ids (K,).

    Attributes:
        standing_m: of those near by that surely stand.
        standing_ids: their ids.
        whole_m: of those that surely exist and are small enough to be seen as a whole.
        whole_ids: their ids.
        moving_m: of those near by that move or may.
    """

    standing_m: Array
    standing_ids: Ints
    whole_m: Array
    whole_ids: Ints
    moving_m: Array

    def standing_on(self, xyz_m: Array) -> Ints:
        """(N,) ids of the standing tracks that points are on; -1 for none."""
        ids = np.full(len(xyz_m), -1, dtype=np.int64)
        for track_id, box_m in zip(self.standing_ids.tolist(), self.standing_m, strict=True):
            if len(xyz_m):
                ids[points_in_polygon(xyz_m[:, :2], box_m)] = track_id
        return ids

    def gone(self, xyz_m: Array, ids: Ints) -> Mask:
        """Which of the points (N, 3) have been left by the track that they were on."""
        out = np.zeros(len(xyz_m), dtype=np.bool_)
        for track_id, box_m in zip(self.whole_ids.tolist(), self.whole_m, strict=True):
            own = np.flatnonzero(ids == track_id)
            if len(own):
                out[own] = ~points_in_polygon(xyz_m[own, :2], box_m)
        return out


def _inside(xyz_m: Array, boxes_m: Array) -> Mask:
    """Which of the points (N, 3) lie in any of the boxes (K, 4, 2)."""
    inside = np.zeros(len(xyz_m), dtype=np.bool_)
    for box_m in boxes_m if len(xyz_m) else ():
        inside |= points_in_polygon(xyz_m[:, :2], box_m)
    return inside
