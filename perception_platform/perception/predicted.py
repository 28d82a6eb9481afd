"""Tracks carried on to the moment of a sweep, in the robot's frame: what perception may know of the moments before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception_platform.core.geometry import wrap_angle
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Detections, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s, to_s

# Tracks that are older say nothing of the sweep; nor do those that nobody has seen for so long, or that are less sure.
OLDEST_NS = from_s(0.5)
_SURE = 0.8
_SIGMA_M = 0.5


def predicted(tracks: Tracks, ego: EgoState, t_ns: int, base_frame: str) -> Tracks:
    """The tracks that a sweep may be looked at with, each carried on with its velocity; in the base frame.

    None is used where the odometry is half a second off. Left out are those that are hidden, doubtful, unseen for half
    a second, or whose place is not known to 0.5 m.

    Args:
        tracks: newest, in the fixed frame of ``ego``; from the future only by a clock that was set back: then none.
        ego: odometry close to ``t_ns``.
        t_ns: capture time of the sweep.
        base_frame: name of the frame of the result.
    """
    if not 0 <= t_ns - tracks.t_ns <= OLDEST_NS or abs(t_ns - ego.t_ns) > OLDEST_NS:
        return Tracks.empty(t_ns, base_frame)
    dt_s = to_s(t_ns - tracks.t_ns)
    place_var_m2, speed_var = tracks.state_cov[:, [0, 1], [0, 1]], tracks.state_cov[:, [2, 3], [2, 3]]
    crossed = tracks.state_cov[:, [0, 1], [2, 3]]
    var_m2 = (place_var_m2 + 2 * dt_s * crossed + dt_s**2 * speed_var).max(axis=1, initial=0.0)
    use = ~tracks.hidden & (tracks.existence >= _SURE) & (var_m2 <= _SIGMA_M**2)
    use &= t_ns - tracks.last_seen_ns <= OLDEST_NS
    base_from_odom = ego.at(t_ns).odom_from_base.inverse()
    velocities = np.column_stack([tracks.velocities_mps, np.zeros(len(tracks))])
    moved_m = base_from_odom.apply(tracks.centers_m + dt_s * velocities)
    yaws_rad = wrap_angle(tracks.yaws_rad + base_from_odom.yaw_rad)
    turned = base_from_odom.rotate(velocities)[:, :2]
    turn = np.kron(np.eye(2), base_from_odom.rotation[:2, :2])
    return Tracks(
        t_ns,
        base_frame,
        tracks.ids[use],
        moved_m[use],
        turned[use],
        tracks.sizes_m[use],
        yaws_rad[use],
        tracks.class_ids[use],
        tracks.class_scores[use],
        tracks.existence[use],
        turn @ tracks.state_cov[use] @ turn.T,
        tracks.last_seen_ns[use],
        tracks.first_seen_ns[use],
        tracks.sensors[use],
        models=tracks.models,
    )


def as_detections(tracks: Tracks) -> Detections:
    """Tracks as objects that no sensor has seen yet, in their frame; to say where to look, not what is there."""
    count = len(tracks)
    return replace(
        Detections.empty(tracks.t_ns, tracks.frame_id, Lineage()),
        centers_m=tracks.centers_m,
        sizes_m=tracks.sizes_m,
        yaws_rad=tracks.yaws_rad,
        class_ids=tracks.class_ids,
        scores=tracks.existence * tracks.class_scores,
        sensors=np.full(count, int(SensorKind.NONE), dtype=np.int64),
        num_points=np.zeros(count, dtype=np.int64),
        position_cov_m2=tracks.state_cov[:, :2, :2],
        image_boxes_px=np.full((count, 4), np.nan),
    )
