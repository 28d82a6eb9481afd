"""What a look asks of all tracks, each a compiled loop over their records.

A call of numpy costs as much as such a loop over ten tracks, so that loops that ask everything at once save the most.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import boolean, float64, int64

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass, SensorKind
from perception_platform.core.time import NS_PER_S
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking import acceleration, motion, occlusion
from perception_platform.tracking.table import RECORDS, Mask, Records

SENSOR_KINDS = np.array([SensorKind.LIDAR, SensorKind.CAMERA, SensorKind.SCAN], dtype=np.int64)
_PERSON = int(ObjectClass.PERSON)
_TURN, _HALF_TURN = 2 * np.pi, np.pi

_rows, _mask, _numbers = int64[::1], boolean[::1], float64[::1]
_vectors, _matrices = float64[:, ::1], float64[:, :, ::1]


@compiled(numba.void(RECORDS, float64, float64, float64))
def age(tracks: Records, yaw_var: float, most_yaw_var: float, surviving: float) -> None:
    """Headings become less sure by a variance, up to a bound, rad², and existence falls to a share, in place."""
    for k in range(len(tracks)):
        tracks[k].yaw_var = min(tracks[k].yaw_var + yaw_var, most_yaw_var)
        tracks[k].existence *= surviving


@compiled(numba.types.Tuple((_numbers, _mask, boolean))(RECORDS, _mask, int64, float64))
def unseen(tracks: Records, seen: Mask, t_ns: int, sure_from: float) -> tuple[Array, Mask, bool]:
    """Since when tracks were not seen, s; which are people sure enough to be remembered; whether any are, or hide."""
    unseen_s, people, about = np.zeros(len(tracks)), np.zeros(len(tracks), dtype=np.bool_), False
    for k in range(len(tracks)):
        track = tracks[k]
        if not seen[k]:
            unseen_s[k] = (t_ns - track.last_seen_ns) / NS_PER_S
        people[k] = track.class_ids == _PERSON and track.confirmed and track.existence >= sure_from
        about |= people[k] or track.hidden
    return unseen_s, people, about


@compiled(numba.types.Tuple((_mask, _rows, boolean))(RECORDS, _mask, int64, float64, float64))
def endings(
    tracks: Records, hidden_before: Mask, t_ns: int, memory_s: float, delete_existence: float
) -> tuple[Mask, Ints, bool]:
    """Of whom the memory is over, the rows of those that stay, and whether anybody hid or was found."""
    forgotten, changed = np.zeros(len(tracks), dtype=np.bool_), False
    stay, n = np.empty(len(tracks), dtype=np.int64), 0
    for k in range(len(tracks)):
        track = tracks[k]
        forgotten[k] = track.hidden and (t_ns - track.last_seen_ns) / NS_PER_S > memory_s
        changed |= track.hidden != hidden_before[k]
        if not forgotten[k] and track.existence >= delete_existence:
            stay[n] = k
            n += 1
    return forgotten, stay[:n], changed


@compiled(_rows(RECORDS, float64))
def confirm(tracks: Records, report_existence: float) -> Ints:
    """Rows of those that are sure enough to be reported for the first time; from now on they have been."""
    rows, n = np.empty(len(tracks), dtype=np.int64), 0
    for k in range(len(tracks)):
        if tracks[k].existence >= report_existence and not tracks[k].confirmed:
            tracks[k].confirmed = True
            rows[n] = k
            n += 1
    return rows[:n]


@compiled(_rows(RECORDS, float64))
def reportable(tracks: Records, report_existence: float) -> Ints:
    """Rows of those that are sure enough, or remembered."""
    rows, n = np.empty(len(tracks), dtype=np.int64), 0
    for k in range(len(tracks)):
        if tracks[k].existence >= report_existence or tracks[k].hidden:
            rows[n] = k
            n += 1
    return rows[:n]


@compiled(_numbers(RECORDS, int64[:], int64, float64, float64))
def trust(tracks: Records, ids: Ints, t_ns: int, evidence_s: float, trust_s: float) -> Array:
    """(K,) mean confidence of tracks with these ids, over their lives and so much time before."""
    out, rows = np.empty(len(ids)), np.searchsorted(tracks["ids"], ids)
    for i in range(len(ids)):
        track = tracks[rows[i]]
        out[i] = track.confidence_s / ((t_ns - track.first_seen_ns) / NS_PER_S + evidence_s + trust_s)
    return out


@compiled(
    numba.types.Tuple(
        (_vectors, _vectors, _numbers, _numbers, _matrices, _rows, _vectors, _matrices, _numbers)
    )(RECORDS, int64, int64, float64, float64)
)
def described(
    tracks: Records, t_ns: int, lately_ns: int, shared_error_m: float, walking_speed_mps: float
) -> tuple[Array, Array, Array, Array, Array, Ints, Array, Array, Array]:
    """What is told of tracks that is not told as it stands in the table.

    What is hidden may be anywhere in a disc: each coordinate of its position has a variance of a quarter of the squared
    radius; so has that of a velocity that may be any up to walking speed.

    Returns:
        Centres (N, 3), velocities (N, 2), headings (N,) within half a turn, probabilities (N,) of the class,
        covariances (N, 4, 4) with the shared error, flags (N,) of the sensors that saw them lately, accelerations
        (N, 2) and their covariances (N, 2, 2), radii (N,) of the regions of what is hidden, 0 for the others.
    """
    n = len(tracks)
    mean, cov = motion.merged_states(tracks["motion_mean"], tracks["motion_cov"], tracks["motion_weight"])
    ramps = acceleration.merged_ramps(
        tracks["ramp_mean"], tracks["ramp_cov"], tracks["motion_weight"][:, motion.MOVING]
    )
    centers_m, yaws_rad, sensors = np.empty((n, 3)), np.empty(n), np.zeros(n, dtype=np.int64)
    class_scores, radius_m = np.zeros(n), np.zeros(n)
    for k in range(n):
        track = tracks[k]
        cov[k, 0, 0] += shared_error_m**2
        cov[k, 1, 1] += shared_error_m**2
        if track.hidden:
            speed_mps = max(track.memory_speed_mps, walking_speed_mps)
            radius_m[k] = track.memory_reach_m + speed_mps * ((t_ns - track.last_seen_ns) / NS_PER_S)
            mean[k, :2], mean[k, 2:], cov[k] = track.memory_centers_m, 0.0, 0.0
            for i in range(2):
                cov[k, i, i], cov[k, 2 + i, 2 + i] = 0.25 * radius_m[k] ** 2, 0.25 * speed_mps**2
        centers_m[k, :2], centers_m[k, 2] = mean[k, :2], track.z_m
        yaws_rad[k] = (track.yaws_rad + _HALF_TURN) % _TURN - _HALF_TURN
        class_scores[k] = track.class_votes.max()
        for i in range(len(SENSOR_KINDS)):
            sensors[k] += SENSOR_KINDS[i] * (t_ns - track.sensors_seen_ns[i] <= lately_ns)
    return centers_m, mean[:, 2:].copy(), yaws_rad, class_scores, cov, sensors, *ramps, radius_m


@compiled(_mask(RECORDS, _numbers, float64, float64[:], float64[:, :], float64[:, :], float64[:]))
def behind(
    tracks: Records,
    unseen_s: Array,
    hold_s: float,
    viewpoint_m: Array,
    centers_m: Array,
    sizes_m: Array,
    yaws_rad: Array,
) -> Mask:
    """(N,) whose middle, as foreseen, is out of sight, of those who have been unseen for no longer than ``hold_s``.

    Args:
        tracks: (N,) at the time of the look.
        unseen_s: (N,) time since they were seen; 0 for those that the look saw.
        hold_s: bound.
        viewpoint_m: (2,) of the look.
        centers_m: (M, 3) of what it saw.
        sizes_m: (M, 3) likewise.
        yaws_rad: (M,) likewise.
    """
    out, point_m, height_m = np.zeros(len(tracks), dtype=np.bool_), np.empty((1, 1, 2)), np.empty(1)
    for k in range(len(tracks)):
        if 0 < unseen_s[k] <= hold_s:
            track = tracks[k]
            for i in range(2):
                point_m[0, 0, i] = (
                    track.motion_weight[0] * track.motion_mean[0, i]
                    + track.motion_weight[1] * track.motion_mean[1, i]
                )
            height_m[0] = track.z_m
            out[k] = occlusion.cut(point_m, height_m, viewpoint_m, centers_m, sizes_m, yaws_rad)[0, 0]
    return out
