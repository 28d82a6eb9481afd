"""A plain tracker to compare with: one constant-velocity Kalman filter an object, Hungarian assignment by distance.

What a careful afternoon gives (after Weng et al., AB3DMOT, 2020): lives counted in frames, no models to choose between,
no probabilities. It takes and gives the same values as the tracker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.core.objects import Detections, Ints, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import to_s

_POSITION_VAR_M2 = 0.1**2
_FIRST_SPEED_VAR = 10.0**2
_ACCELERATION_MPS2 = 2.0


@dataclass
class _Follower:
    """One object."""

    track_id: int
    mean: Array  # x, y, vx, vy
    cov: Array
    box: Array  # z, length, width, height, yaw
    class_id: int
    score: float
    first_seen_ns: int
    last_seen_ns: int
    hits: int = 1
    misses: int = 0

    def predict(self, dt_s: float) -> None:
        """Constant velocity."""
        step = np.eye(4)
        step[:2, 2:] = dt_s * np.eye(2)
        noise = np.vstack([dt_s**2 / 2 * np.eye(2), dt_s * np.eye(2)]) * _ACCELERATION_MPS2
        self.mean = step @ self.mean
        self.cov = step @ self.cov @ step.T + noise @ noise.T

    def update(self, center_m: Array, box: Array, score: float, t_ns: int) -> None:
        """Kalman update with a measured centre; all else is taken as it was seen."""
        gain = self.cov[:, :2] @ np.linalg.inv(self.cov[:2, :2] + _POSITION_VAR_M2 * np.eye(2))
        self.mean = self.mean + gain @ (center_m - self.mean[:2])
        self.cov = self.cov - gain @ self.cov[:2]
        if np.cos(box[4] - self.box[4]) < 0:
            box = np.append(box[:4], wrap_angle(box[4] + np.pi))
        self.box, self.last_seen_ns = box, t_ns
        self.hits, self.misses = self.hits + 1, 0
        self.score += (score - self.score) / self.hits


class BaselineTracker:
    """Follows what comes nearest.

    Args:
        gate_m: farthest a detection may be from where its track was foreseen.
        min_hits: a track is shown from its so many-th detection on.
        max_misses: a track ends after so many frames without one.
    """

    def __init__(self, gate_m: float = 2.0, min_hits: int = 3, max_misses: int = 2) -> None:
        self._gate_m, self._min_hits, self._max_misses = gate_m, min_hits, max_misses
        self._followers: list[_Follower] = []
        self._next_id = 1
        self._t_ns: int | None = None

    def step(self, t_ns: int, detections: Detections, ego: EgoState) -> Tracks:
        """Take in what was seen at one moment; see ``Tracker.step``."""
        pose = ego.odom_from_base
        centers_m = pose.apply(detections.centers_m)
        boxes = np.column_stack(
            [centers_m[:, 2], detections.sizes_m, wrap_angle(detections.yaws_rad + pose.yaw_rad)]
        )
        dt_s = 0.0 if self._t_ns is None else to_s(t_ns - self._t_ns)
        early = t_ns < round(self._min_hits * 1e8)
        self._t_ns = t_ns
        for follower in self._followers:
            follower.predict(dt_s)
            follower.misses += 1
        taken = self._assign(centers_m)
        for row, column in taken.items():
            self._followers[row].update(centers_m[column, :2], boxes[column], detections.scores[column], t_ns)
        for column in sorted(set(range(len(detections))) - set(taken.values())):
            class_id, score = int(detections.class_ids[column]), float(detections.scores[column])
            self._begin(centers_m[column], boxes[column], class_id, score, t_ns)
        self._followers = [f for f in self._followers if f.misses <= self._max_misses]
        shown = [f for f in self._followers if not f.misses and (f.hits >= self._min_hits or early)]
        return _tracks(t_ns, shown)

    def confidences(self, ids: Ints) -> Array:
        """Mean score of the detections of each of the tracks."""
        scores = {f.track_id: f.score for f in self._followers}
        return np.array([scores[i] for i in ids.tolist()])

    def _assign(self, centers_m: Array) -> dict[int, int]:
        foreseen_m = np.array([f.mean[:2] for f in self._followers]).reshape(-1, 2)
        distance_m = np.linalg.norm(foreseen_m[:, None] - centers_m[None, :, :2], axis=2)
        rows, columns = linear_sum_assignment(np.minimum(distance_m, 10 * self._gate_m))
        return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if distance_m[r, c] < self._gate_m}

    def _begin(self, center_m: Array, box: Array, class_id: int, score: float, t_ns: int) -> None:
        cov = np.diag([_POSITION_VAR_M2, _POSITION_VAR_M2, _FIRST_SPEED_VAR, _FIRST_SPEED_VAR])
        mean = np.array([center_m[0], center_m[1], 0.0, 0.0])
        self._followers.append(_Follower(self._next_id, mean, cov, box, class_id, score, t_ns, t_ns))
        self._next_id += 1


def _tracks(t_ns: int, followers: list[_Follower]) -> Tracks:
    if not followers:
        return Tracks.empty(t_ns, "odom")
    n = len(followers)
    mean, box = np.array([f.mean for f in followers]), np.array([f.box for f in followers])
    return Tracks(
        t_ns,
        "odom",
        ids=np.array([f.track_id for f in followers], dtype=np.int64),
        centers_m=np.column_stack([mean[:, :2], box[:, 0]]),
        velocities_mps=mean[:, 2:],
        sizes_m=box[:, 1:4],
        yaws_rad=box[:, 4],
        class_ids=np.array([f.class_id for f in followers], dtype=np.int64),
        class_scores=np.ones(n),
        existence=np.array([f.score for f in followers]),
        state_cov=np.array([f.cov for f in followers]),
        last_seen_ns=np.array([f.last_seen_ns for f in followers], dtype=np.int64),
        first_seen_ns=np.array([f.first_seen_ns for f in followers], dtype=np.int64),
        sensors=np.ones(n, dtype=np.int64),
    )
