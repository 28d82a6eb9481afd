"""What comes out of the edge of what is seen, into space that was seen to be free, and will be in the way too soon.

A track needs a box: one that grows out of a shelf, or a truck that has long stood like a wall, is told from it late.
The points know it before. Where a sensor looked through a moment ago, something stands now, and the edge of it has come
nearer to the path from look to look. Such points are told where and when they enter the path; in the path, those that
come along it with their speed, where points by themselves count as standing. ``assess`` judges both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform, box_corners, points_in_any
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import to_s
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.inferred import Approaching, Entering
from perception_platform.risk.near import thinned
from perception_platform.risk.path import Path, predict_path
from perception_platform.runtime.compiled import compiled

NEAR_M = 10.0  # farther off, there is time for a track
BESIDE_M = 3.0  # and so there is farther from the path
LEAST_S, MOST_S = 0.12, 0.35  # looks that far apart are compared
CELL_M = 0.025  # of a place of this size, as many points are kept as make out an edge
ENOUGH = 14_000  # such points: of a dense lidar, they are kept of larger places
BINS = 360  # of azimuth
FREE_M = 0.15  # so much nearer than all that was seen in its direction, something is new there
# By no more do ranges differ from one direction to the next on a surface; in dust and rain they do.
SMOOTH_M = 0.15
# An edge is the nearest to the path so far along it; of what drives along, the flank is as near and was there before.
FLANK_M, AS_NEAR_M, FLANK_POINTS = 1.0, 0.1, 2
STRETCH_M = 0.5  # along the path, over which an edge is taken to be of one thing
LEAST_POINTS = 4  # of a new edge
SLOWEST_MPS, FASTEST_MPS = 0.5, 5.0  # at which an edge comes nearer
SUDDEN_MPS = 1.0  # at least, of what was nowhere near before: two looks tell, not three
STEADY_SHARE = 0.25  # of its way, it has to make in each half of the time: what appears at once has not come
INSIDE_M = 0.01  # what enters is told so far within the path
SKIN_SHARE = 1.3  # a track that moves accounts for points in its box, grown by so much

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Look:
    """One look of a sensor.

    Attributes:
        t_ns: when.
        points_m: (N, 2) obstacle points near the robot, fixed frame.
        eye_m: (2,) where the sensor was, fixed frame.
        free_m: (BINS,) range from the eye of the nearest point in each direction and those beside it.
    """

    t_ns: int
    points_m: Array
    eye_m: Array
    free_m: Array


@dataclass(frozen=True, slots=True)
class _Edges:
    """What three looks show in coordinates of the path as it is now, (s, d) each.

    Attributes:
        fresh: (N, 2) points that stand where there was free space, and on no track that is known to move.
        old: (L, 2) points of the same look where there was none.
        half: (M, 2) all points of a look half the time before.
        before: (K, 2) and of one the whole time before.
        age_s: that time.
        half_s: and how long ago the look in between was.
    """

    fresh: Array
    old: Array
    half: Array
    before: Array
    age_s: float
    half_s: float


class EdgeWatch:
    """Watches the edges of what is seen, sensor by sensor: lidars and scanners, which see what is free."""

    def __init__(self, config: RiskConfig) -> None:
        self._config = config
        self._looks: dict[str, deque[_Look]] = {}
        self._found: dict[str, tuple[PointCloud, ...]] = {}

    def look(self, obstacles: Sequence[PointCloud], tracks: Tracks, ego: EgoState) -> list[PointCloud]:
        """What enters the path and what comes along it, beside the newest obstacle points.

        Args:
            obstacles: newest obstacle points of each source, in the base frame.
            tracks: in the odometry frame; those that are known to move account for their points themselves.
            ego: newest pose and motion.

        Returns:
            ``Entering`` and ``Approaching`` clouds of the sensors that see such, with the stamps of their newest looks.
        """
        found: list[PointCloud] = []
        for cloud in obstacles:
            eye_m = self._config.eyes_m.get(cloud.sensor)
            if eye_m is None:
                continue
            looks = self._looks.setdefault(cloud.sensor, deque())
            if not looks or cloud.t_ns != looks[-1].t_ns:
                if looks and cloud.t_ns < looks[-1].t_ns:  # a clock set back begins afresh
                    looks.clear()
                then = ego.at(cloud.t_ns)
                looks.append(_seen(cloud, eye_m, then))
                while to_s(cloud.t_ns - looks[0].t_ns) > MOST_S:
                    looks.popleft()
                self._found[cloud.sensor] = tuple(self._told(cloud, looks, tracks, then))
            found += self._found[cloud.sensor]
        return found

    def _told(
        self, cloud: PointCloud, looks: deque[_Look], tracks: Tracks, ego: EgoState
    ) -> Iterator[PointCloud]:
        config, now = self._config, looks[-1]
        # Shortly before first: what has only just set out has not come steadily for long.
        path = predict_path(ego, config.footprint_m, config.beside_m, sideways=config.sideways)
        since = [(before, *self._parted_m(now, before, tracks)) for before in list(looks)[-3::-1]]
        since = [one for one in since if _matters(_along(one[1], ego, path), path)]
        if not since:
            return
        seen = {look.t_ns: _along(look.points_m, ego, path) for look in list(looks)[:-1]}
        edges = []
        for before, fresh_m, old_m in since:
            half_ns = (now.t_ns + before.t_ns) // 2
            then_ns = min(seen, key=lambda t_ns: abs(t_ns - half_ns))
            ages_s = to_s(now.t_ns - before.t_ns), to_s(now.t_ns - then_ns)
            fresh, old = _along(fresh_m, ego, path), _along(old_m, ego, path)
            edges.append(_Edges(fresh, old, seen[then_ns], seen[before.t_ns], *ages_s))
        head = (cloud.t_ns, cloud.frame_id, cloud.sensor)
        for sd, enters_s in (found for e in edges for found in self._entering(e, path)):
            yield Entering(*head, _points(sd, path), enters_s=enters_s)
        ahead = next((found for e in edges if (found := _coming(e, path))), None)
        if ahead is not None:
            yield Approaching(*head, _points(ahead[0], path), approach_mps=ahead[1])

    def _parted_m(self, now: _Look, before: _Look, tracks: Tracks) -> tuple[Array, Array]:
        """Points (N, 2), fixed frame, of surfaces where an earlier look saw free space, and those where it saw none.

        None if that is too short ago.
        """
        if to_s(now.t_ns - before.t_ns) < LEAST_S:
            return now.points_m[:0], now.points_m[:0]
        is_fresh = _is_fresh(now.points_m, before.eye_m, before.free_m)
        fresh_m = now.points_m[is_fresh]
        fresh_m = fresh_m[_on_surface(fresh_m, now.eye_m)]
        return fresh_m[~self._accounted_for(fresh_m, tracks)], now.points_m[~is_fresh]

    def _accounted_for(self, points_m: Array, tracks: Tracks) -> Mask:
        """Which of the points (N, 2), fixed frame, lie on a track that certainly exists and is known to move."""
        moves = np.hypot(*tracks.velocities_mps.T) >= self._config.moving_mps
        moves &= tracks.existence >= self._config.min_existence
        boxes_m = box_corners(
            tracks.centers_m[moves], tracks.sizes_m[moves] * SKIN_SHARE, tracks.yaws_rad[moves]
        )
        return points_in_any(points_m, boxes_m)

    def _entering(self, edges: _Edges, path: Path) -> Iterator[tuple[Array, float]]:
        """Where (s, d) edges enter the path ahead of the robot, and in what time; none while the robot stands."""
        if path.speed_mps > self._config.creep_mps:
            for side in (-1.0, 1.0):
                yield from self._of_side(side, edges, path)

    def _of_side(self, side: float, edges: _Edges, path: Path) -> Iterator[tuple[Array, float]]:
        """Those of one side, 1 for left and -1 for right."""
        fresh = _beside(edges.fresh, side, path)
        if len(fresh) < LEAST_POINTS:
            return
        old, half, before = (_beside(sd, side, path) for sd in (edges.old, edges.half, edges.before))
        d_m = path.left_m - INSIDE_M if side > 0 else path.right_m + INSIDE_M
        cells = np.floor(fresh[:, 0] / STRETCH_M).astype(np.int64)
        for cell in np.unique(cells).tolist():
            own, s_m = fresh[cells == cell], (cell + 0.5) * STRETCH_M
            then, first = (points[np.abs(points[:, 0] - s_m) < STRETCH_M, 1] for points in (half, before))
            nearest_m = _nearest_m(own[:, 1], then, first)
            speed_mps = _steady_mps(*nearest_m, edges.age_s) or _sudden_mps(*nearest_m, edges)
            if speed_mps <= 0 or own[:, 0].min() < path.front_s_m.max():
                continue
            nearest = own[np.argsort(own[:, 1], kind="stable")[:LEAST_POINTS]]
            enters_s = nearest_m[0] / speed_mps
            if enters_s <= self._config.horizon_s and not _drives_along(nearest, old):
                yield np.column_stack([nearest[:, 0], np.full(len(nearest), d_m)]), enters_s


def _seen(cloud: PointCloud, eye_m: tuple[float, float], ego: EgoState) -> _Look:
    near_m = cloud.xyz_m[thinned(cloud.xyz_m, NEAR_M, CELL_M, LEAST_POINTS, ENOUGH, flat=True), :2]
    points_m = _on_floor(ego.odom_from_base, near_m.astype(np.float64))
    eye = _on_floor(ego.odom_from_base, np.array([eye_m]))[0]
    return _Look(cloud.t_ns, points_m, eye, _free(points_m, eye))


@compiled("float64[::1](float64[:,::1], float64[::1])")
def _free(points_m: Array, eye_m: Array) -> Array:
    """(BINS,) range of the nearest of the points (N, 2) in each direction and the two beside it."""
    nearest = np.full(BINS, 1e9)
    for i in range(len(points_m)):
        x, y = points_m[i, 0] - eye_m[0], points_m[i, 1] - eye_m[1]
        b = int(np.floor((np.arctan2(y, x) / (2 * np.pi)) * BINS)) % BINS
        nearest[b] = min(nearest[b], np.hypot(x, y))
    out = np.empty(BINS)
    for b in range(BINS):
        out[b] = min(nearest[b], nearest[(b + 1) % BINS], nearest[(b - 1) % BINS])
    return out


@compiled("boolean[::1](float64[:,::1], float64[::1], float64[::1])")
def _is_fresh(points_m: Array, eye_m: Array, free_m: Array) -> Mask:
    """Which of the points (N, 2) stand where the eye looked through."""
    out = np.zeros(len(points_m), dtype=np.bool_)
    for i in range(len(points_m)):
        x, y = points_m[i, 0] - eye_m[0], points_m[i, 1] - eye_m[1]
        b = int(np.floor((np.arctan2(y, x) / (2 * np.pi)) * BINS)) % BINS
        out[i] = np.hypot(x, y) + FREE_M < free_m[b]
    return out


def _on_surface(points_m: Array, eye_m: Array) -> Mask:
    """Which of the points (N, 2) are about as far from the eye as the next ones to both sides."""
    offset_m = points_m - eye_m
    order = np.argsort(np.arctan2(offset_m[:, 1], offset_m[:, 0]), kind="stable")
    alike = np.abs(np.diff(np.hypot(*offset_m[order].T))) <= SMOOTH_M
    out = np.zeros(len(points_m), dtype=np.bool_)
    out[order[1:-1]] = alike[1:] & alike[:-1]
    return out


def _along(points_m: Array, ego: EgoState, path: Path) -> Array:
    """(N, 2) s and d of points (N, 2) of the fixed frame."""
    return path.coordinates(_on_floor(ego.odom_from_base.inverse(), points_m))


def _on_floor(transform: Transform, points_m: Array) -> Array:
    """(N, 2) points of the floor (N, 2) in another frame."""
    moved: Array = points_m @ transform.rotation[:2, :2].T + transform.translation_m[:2]
    return moved


def _beside(sd: Array, side: float, path: Path) -> Array:
    """(K, 2) s and distance beside the path of those (s, d) (N, 2) on one side of it, not behind the robot."""
    beside_m = sd[:, 1] - path.left_m if side > 0 else path.right_m - sd[:, 1]
    out = np.column_stack([sd[:, 0], beside_m])
    return out[(beside_m > 0) & (beside_m < BESIDE_M) & (sd[:, 0] > path.rear_m)]


def _matters(fresh: Array, path: Path) -> bool:
    """Whether enough of new (s, d) (N, 2) for an edge lie in the path, or to one side of it."""
    groups = (fresh[path.in_band(fresh)], _beside(fresh, 1.0, path), _beside(fresh, -1.0, path))
    return any(len(group) >= LEAST_POINTS for group in groups)


def _drives_along(edge: Array, old: Array) -> bool:
    """Whether a new edge (N, 2) is the front of what was as near to the path before: (s, distance beside it) (M, 2)."""
    near = (np.abs(old[:, 0] - edge[:, 0].mean()) <= FLANK_M) & (old[:, 1] <= edge[:, 1].max() + AS_NEAR_M)
    return int(near.sum()) >= FLANK_POINTS


def _coming(edges: _Edges, path: Path) -> tuple[Array, float] | None:
    """(s, d) of the nearest fresh points of the path, and how fast they come along it; None if nothing does."""
    fresh = edges.fresh[path.in_band(edges.fresh)]
    if len(fresh) < LEAST_POINTS:
        return None
    gaps_m, then_m, first_m = (
        path.gap_m(sd[path.in_band(sd)]) for sd in (edges.fresh, edges.half, edges.before)
    )
    speed_mps = _steady_mps(*_nearest_m(gaps_m, then_m, first_m), edges.age_s)
    return (fresh[np.argsort(gaps_m, kind="stable")[:LEAST_POINTS]], speed_mps) if speed_mps > 0 else None


def _points(sd: Array, path: Path) -> npt.NDArray[np.float32]:
    """(N, 3) points on the floor of the base frame at (s, d)."""
    return np.pad(path.points_m(sd), ((0, 0), (0, 1))).astype(np.float32)


def _nearest_m(now_m: Array, half_m: Array, before_m: Array) -> tuple[float, float, float]:
    """The nearest of distances now, and of those at two looks before that are no nearer; NaN without an edge."""
    edge_m = _nth(now_m)
    return edge_m, _nth(half_m[half_m >= edge_m]), _nth(before_m[before_m >= edge_m])


def _steady_mps(edge_m: float, meanwhile_m: float, was_m: float, age_s: float) -> float:
    """How fast an edge has come nearer; 0 unless it has in each half of the time."""
    speed_mps, least_m = (was_m - edge_m) / age_s, STEADY_SHARE * (was_m - edge_m)
    steady = meanwhile_m - edge_m >= least_m and was_m - meanwhile_m >= least_m
    return speed_mps if steady and SLOWEST_MPS <= speed_mps <= FASTEST_MPS else 0.0


def _sudden_mps(edge_m: float, meanwhile_m: float, was_m: float, edges: _Edges) -> float:
    """How fast an edge that was nowhere near at the first look has come nearer since the second; 0 for any other."""
    came = was_m - meanwhile_m <= FASTEST_MPS * (
        edges.age_s - edges.half_s
    )  # not so if there was nothing: NaN
    speed_mps = (meanwhile_m - edge_m) / edges.half_s
    return speed_mps if not came and SUDDEN_MPS <= speed_mps <= FASTEST_MPS else 0.0


def _nth(distances_m: Array) -> float:
    """The distance that as many are within as an edge needs; NaN without so many."""
    if len(distances_m) < LEAST_POINTS:
        return np.nan
    return float(np.partition(distances_m, LEAST_POINTS - 1)[LEAST_POINTS - 1])
