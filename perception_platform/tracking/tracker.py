"""The tracker: detections of one moment after another in, objects with identity, motion and certainty out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perception_platform.core.geometry import Array, Transform, wrap_angle
from perception_platform.core.objects import Detections, Ints, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import NS_PER_S, from_s, to_s
from perception_platform.tracking.association import associate, fragments
from perception_platform.tracking.belief import class_likelihoods, class_votes, confidence, existence_after
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.extent import (
    faced_forward,
    filtered_sizes,
    filtered_yaws,
    known_centers,
    slides,
    view_boxes,
)
from perception_platform.tracking.motion import MotionModel
from perception_platform.tracking.sightings import Sightings, sight, usable
from perception_platform.tracking.table import TrackTable

_KINDS = np.array([SensorKind.LIDAR, SensorKind.CAMERA, SensorKind.SCAN], dtype=np.int64)
_NEVER_NS = -(2**62)
_FIRST_YAW_VAR = (np.pi / 8) ** 2


class Tracker:
    """Follows objects in the fixed frame ``frame_id``, which is the odometry's.

    Bad input is never an error here, since the robot moves on: late frames, frames without a usable pose and
    detections that are not finite are left out and counted in ``rejected``.
    """

    def __init__(self, config: TrackerConfig | None = None, frame_id: str = "odom") -> None:
        self._config = config or TrackerConfig()
        self._model = MotionModel.from_config(self._config)
        self._frame_id = frame_id
        self._next_id = 1
        nothing = Detections.empty(0, frame_id)
        self._table = self._born(sight(nothing, usable(nothing), Transform.identity(), 1.0), 0)
        self._newest: Tracks | None = None
        self._behind_since_ns: int | None = None
        self.rejected = {"late_frames": 0, "frames_without_pose": 0, "detections": 0}

    def step(self, t_ns: int, detections: Detections, ego: EgoState) -> Tracks:
        """Take in what was seen at one moment.

        Args:
            t_ns: capture time, later than the one before. A late frame changes nothing, and the newest tracks
                are returned again; stamps that stay behind for ``restart_s`` start the tracker afresh.
            detections: what was seen, in the base frame; may be empty.
            ego: odometry close to that time.

        Returns:
            Tracks of sufficient existence in the fixed frame, ascending by id, valid for ``t_ns``.
        """
        if not self._accepts(t_ns, ego):
            unseen = Tracks.empty(t_ns, self._frame_id, detections.lineage)
            return self._newest if self._newest is not None else unseen
        good = usable(detections)
        self.rejected["detections"] += int(len(good) - good.sum())
        pose = self._pose(t_ns, ego)
        sightings = sight(detections, good, pose, self._config.position_sigma_m)
        self._advance(t_ns, sightings)
        self._newest = self._report(t_ns, detections)
        return self._newest

    def confidences(self, ids: Ints) -> Array:
        """How far tracks are to be trusted, over all of their lives, to rank them by.

        The mean over time of the confidence of a track's detections, nought where it was missed, as if ``trust_s``
        without any had gone before: long and sure ranks above short and sure. Existence, by contrast, is of now.

        Args:
            ids: (K,) of tracks that the newest step has returned.
        """
        if self._newest is None or not len(ids):
            return np.zeros(len(ids))
        table = self._table.select(np.searchsorted(self._table.ids, ids))
        age_s = (self._newest.t_ns - table.first_seen_ns) / NS_PER_S
        return np.asarray(table.confidence_s / (age_s + self._config.evidence_s + self._config.trust_s))

    def _pose(self, t_ns: int, ego: EgoState) -> Transform:
        """The pose at the time of the sweep; an estimate too old to be carried on is taken as it is."""
        near = abs(to_s(t_ns - ego.t_ns)) <= self._config.max_extrapolation_s
        return (ego.at(t_ns) if near else ego).odom_from_base

    def _accepts(self, t_ns: int, ego: EgoState) -> bool:
        """Whether the frame can be used; notices a clock that was set back."""
        pose = ego.odom_from_base
        numbers = (*pose.rotation.flat, *pose.translation_m, *ego.velocity_mps, ego.yaw_rate_radps)
        if not np.isfinite(numbers).all():
            self.rejected["frames_without_pose"] += 1
            return False
        if self._newest is None or t_ns > self._newest.t_ns:
            self._behind_since_ns = None
            return True
        if self._behind_since_ns is None or t_ns < self._behind_since_ns:
            self._behind_since_ns = t_ns
        if to_s(t_ns - self._behind_since_ns) >= self._config.restart_s:
            self._table, self._newest, self._behind_since_ns = (
                self._table.select(np.zeros(0, np.int64)),
                None,
                None,
            )
            return True
        self.rejected["late_frames"] += 1
        return False

    def _advance(self, t_ns: int, sightings: Sightings) -> None:
        dt_s = 0.0 if self._newest is None else to_s(t_ns - self._newest.t_ns)
        table = self._predicted(dt_s)
        sure = confidence(sightings.scores, sightings.num_points, self._config)
        rows, columns = associate(table, sightings, sure, self._config)
        sureness, seen = np.zeros(len(table)), np.zeros(len(table), dtype=np.bool_)
        sureness[rows], seen[rows] = sure[columns], True
        existence = existence_after(table.existence, seen, sureness, dt_s, self._config)
        table = replace(table, existence=existence, confidence_s=table.confidence_s + sureness * dt_s)
        if len(rows):
            known = table if len(rows) == len(table) else table.select(rows)
            table = table.put(rows, self._seen(known, sightings.select(columns), t_ns, dt_s))
        new = ~fragments(table, sightings)
        new[columns] = False
        kept = table.where(table.existence >= self._config.delete_existence)
        born = self._born(sightings.select(np.flatnonzero(new)), t_ns) if new.any() else None
        self._table = kept.joined(born) if born else kept

    def _predicted(self, dt_s: float) -> TrackTable:
        table = self._table
        return replace(
            table,
            motion=self._model.predict(table.motion, table.class_ids, dt_s),
            yaw_var=np.minimum(table.yaw_var + self._config.yaw_change_rad**2 * dt_s, _FIRST_YAW_VAR),
            existence=table.existence * np.exp(-dt_s / self._config.survival_s),
        )

    def _seen(self, table: TrackTable, sightings: Sightings, t_ns: int, dt_s: float) -> TrackTable:
        """Tracks after the detections that belong to them, row by row."""
        config = self._config
        table = self._measured(table, sightings, dt_s)
        likelihoods = class_likelihoods(sightings.class_ids, sightings.scores)
        votes = class_votes(table.class_votes, likelihoods, dt_s, config)
        velocities_mps = table.motion.merged()[0][:, 2:]
        moving = np.hypot(velocities_mps[:, 0], velocities_mps[:, 1]) > config.heading_speed_mps
        class_ids = np.asarray(np.argmax(votes, axis=1), dtype=np.int64)
        yaws_rad, sizes_m = faced_forward(
            table.yaws_rad, table.sizes_m, velocities_mps, class_ids, moving, config.whole_boxes
        )
        return replace(
            table,
            yaws_rad=yaws_rad,
            sizes_m=sizes_m,
            class_votes=votes,
            last_seen_ns=np.full(len(table), t_ns, dtype=np.int64),
            sensors_seen_ns=np.where(_flagged(sightings.sensors), t_ns, table.sensors_seen_ns),
        )

    def _measured(self, table: TrackTable, sightings: Sightings, dt_s: float) -> TrackTable:
        """Motion, extent and heading after the detections. What grows or shrinks is the unseen end, see extent.py."""
        config = self._config
        view = view_boxes(sightings, table.yaws_rad, config)
        seen_m = np.column_stack([view.sizes_m, sightings.sizes_m[:, 2]])
        sizes_m = filtered_sizes(table.sizes_m, seen_m, sightings.num_points, dt_s, config)
        held = table.motion
        if not view.whole:
            grown_m = sizes_m[:, :2] - table.sizes_m[:, :2]
            held = held.moved(np.einsum("nk,nki->ni", -0.5 * view.shares * grown_m, view.axes))
        measured_m, cov_m2 = known_centers(view, sizes_m[:, :2])
        if view.surface.any():
            held = held.moved(slides(view, measured_m - held.merged()[0][:, :2]))
        yaws_rad, yaw_var = filtered_yaws(table.yaws_rad, table.yaw_var, view, config.position_sigma_m)
        rise = -np.expm1(-dt_s / config.height_s)
        class_ids = table.class_ids
        motion = self._model.update(held, measured_m, cov_m2, class_ids)
        if view.whole:
            motion = self._model.rolled(motion, yaws_rad, yaw_var, class_ids)
        return replace(
            table,
            motion=motion,
            z_m=table.z_m + rise * (sightings.centers_m[:, 2] - table.z_m),
            sizes_m=sizes_m,
            yaws_rad=yaws_rad,
            yaw_var=yaw_var,
        )

    def _born(self, sightings: Sightings, t_ns: int) -> TrackTable:
        """New tracks, one for each of the detections."""
        n = len(sightings)
        first_id = self._next_id
        self._next_id += n
        when = np.full(n, t_ns, dtype=np.int64)
        votes = class_likelihoods(sightings.class_ids, sightings.scores)
        sure = confidence(sightings.scores, sightings.num_points, self._config)
        classes = np.asarray(np.argmax(votes, axis=1), dtype=np.int64)
        return TrackTable(
            ids=np.arange(first_id, first_id + n, dtype=np.int64),
            motion=self._model.start(sightings.centers_m[:, :2], sightings.position_cov_m2, classes),
            z_m=sightings.centers_m[:, 2],
            sizes_m=sightings.sizes_m,
            yaws_rad=wrap_angle(sightings.yaws_rad),
            yaw_var=np.full(n, _FIRST_YAW_VAR),
            class_votes=votes,
            existence=self._config.birth_existence * sure,
            confidence_s=sure * self._config.evidence_s,
            first_seen_ns=when,
            last_seen_ns=when,
            sensors_seen_ns=np.where(_flagged(sightings.sensors), t_ns, _NEVER_NS),
        )

    def _report(self, t_ns: int, detections: Detections) -> Tracks:
        """The tracks that are sure enough, as the other layers take them."""
        table = self._table.where(self._table.existence >= self._config.report_existence)
        mean, cov = table.motion.merged()
        lately = t_ns - table.sensors_seen_ns <= from_s(self._config.sensor_memory_s)
        return Tracks(
            t_ns,
            self._frame_id,
            ids=table.ids,
            centers_m=np.column_stack([mean[:, :2], table.z_m]),
            velocities_mps=mean[:, 2:],
            sizes_m=table.sizes_m,
            yaws_rad=wrap_angle(table.yaws_rad),
            class_ids=table.class_ids,
            class_scores=table.class_votes.max(axis=1, initial=0.0),
            existence=table.existence,
            state_cov=cov,
            last_seen_ns=table.last_seen_ns,
            first_seen_ns=table.first_seen_ns,
            sensors=np.asarray((lately * _KINDS).sum(axis=1), dtype=np.int64),
            lineage=detections.lineage,
            models=detections.models,
        )


def _flagged(sensors: Ints) -> Array:
    """(N, 3) which kinds of sensor the flags name."""
    return np.asarray((sensors[:, None] & _KINDS) != 0)
