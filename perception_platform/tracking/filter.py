"""What one look at the world makes of the tracks: predict, associate, update, begin, end. It keeps nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform, wrap_angle
from perception_platform.core.objects import Detections, Ints, SensorKind
from perception_platform.core.track_events import TrackEvent
from perception_platform.tracking import events
from perception_platform.tracking.acceleration import RampModel
from perception_platform.tracking.association import Association, associate, fragments, seen_twice
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
from perception_platform.tracking.merging import merged
from perception_platform.tracking.motion import MotionModel
from perception_platform.tracking.occlusion import Memory, behind, gone_behind, remembered, seconds_since
from perception_platform.tracking.sightings import Sightings, sight, usable
from perception_platform.tracking.table import TrackTable

SENSOR_KINDS = np.array([SensorKind.LIDAR, SensorKind.CAMERA, SensorKind.SCAN], dtype=np.int64)
_NEVER_NS = -(2**62)
_FIRST_YAW_VAR = (np.pi / 8) ** 2

Number = Callable[[Ints], Ints]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a look made of the tracks.

    Attributes:
        table: the tracks after it.
        events: what happened to them.
        ids: (M,) of the tracks that the detections were given to; 0 for none or a new one.
    """

    table: TrackTable
    events: tuple[TrackEvent, ...]
    ids: Ints


class TrackFilter:
    """The steps of the tracker as functions of the tracks before."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._model = MotionModel.from_config(config)
        self._ramps = RampModel.from_config(config)

    def nothing(self) -> TrackTable:
        """No tracks."""
        none = Detections.empty(0, "")
        return self._born(sight(none, usable(none), Transform.identity(), 1.0), np.zeros(0, np.int64), 0)

    def advance(
        self, table: TrackTable, sightings: Sightings, t_ns: int, dt_s: float, number: Number
    ) -> Outcome:
        """The tracks after one more look, and what happened to them.

        Args:
            table: tracks ``dt_s`` earlier.
            sightings: what was seen.
            t_ns: when.
            dt_s: time since the tracks' own.
            number: gives the ids of the tracks that begin, by row of the sightings.
        """
        table = self._predicted(table, dt_s)
        silent = dt_s > self._config.sensor_memory_s
        aged_out = silent & (table.existence < self._config.delete_existence)
        sure = confidence(sightings.scores, sightings.num_points, self._config)
        pairs = associate(table, sightings, sure, self._config)
        ids = np.zeros(len(sightings), dtype=np.int64)
        ids[pairs.columns] = table.ids[pairs.rows]
        before = table.memory.hidden
        table, seen = self._updated(table, sightings, pairs, sure, t_ns, dt_s)
        happened = events.hidings(table, before, t_ns)
        forgotten = table.memory.hidden & (
            seconds_since(t_ns, table.last_seen_ns) > self._config.occlusion_memory_s
        )
        ended = forgotten | (table.existence < self._config.delete_existence)
        happened += events.ends(table, ended, aged_out, forgotten, t_ns)
        born, begun = self._begun(table, sightings, pairs, t_ns, number)
        kept, merges = merged(table.where(~ended), seen[~ended], t_ns, self._config)
        table = kept.joined(born).ascending() if born else kept
        newly = (table.existence >= self._config.report_existence) & ~table.confirmed
        happened += merges + begun + events.confirmations(table, newly, t_ns)
        if newly.any():
            table = replace(table, confirmed=table.confirmed | newly)
        return Outcome(table, tuple(happened), ids)

    def _predicted(self, table: TrackTable, dt_s: float) -> TrackTable:
        class_ids = table.class_ids
        return replace(
            table,
            motion=self._model.predict(table.motion, class_ids, dt_s),
            ramp=self._ramps.predict(table.ramp, class_ids, dt_s),
            yaw_var=np.minimum(table.yaw_var + self._config.yaw_change_rad**2 * dt_s, _FIRST_YAW_VAR),
            existence=table.existence * np.exp(-dt_s / self._config.survival_s),
        )

    def _updated(
        self, table: TrackTable, sightings: Sightings, pairs: Association, sure: Array, t_ns: int, dt_s: float
    ) -> tuple[TrackTable, npt.NDArray[np.bool_]]:
        """The tracks after hits and misses, and which were hit."""
        rows, columns = pairs.rows, pairs.columns
        sureness, seen = np.zeros(len(table)), np.zeros(len(table), dtype=np.bool_)
        sureness[rows], seen[rows] = sure[columns], True
        memory, unseeable = self._hidden(table, seen, sightings, t_ns)
        # What cannot be seen is as if it had been seen without any confidence: that says nothing.
        existence = existence_after(table.existence, seen | unseeable, sureness, dt_s, self._config)
        table = replace(
            table, existence=existence, confidence_s=table.confidence_s + sureness * dt_s, memory=memory
        )
        if len(rows):
            known = table if len(rows) == len(table) else table.select(rows)
            table = table.put(rows, self._seen(known, sightings.select(columns), t_ns, dt_s))
        return table, seen

    def _hidden(
        self, table: TrackTable, seen: npt.NDArray[np.bool_], sightings: Sightings, t_ns: int
    ) -> tuple[Memory, npt.NDArray[np.bool_]]:
        """What is remembered of people out of sight, and whom the look could not see."""
        config = self._config
        people = remembered(table.class_ids, table.existence, table.confirmed, config)
        asked = people | table.memory.hidden if config.hidden_hold_s <= 0 else ~seen
        if seen.all() or not asked.any():
            return table.memory, np.zeros(len(table), dtype=np.bool_)
        unseen_s = np.where(seen, 0.0, seconds_since(t_ns, table.last_seen_ns))
        memory, unseeable = gone_behind(
            table.memory, table.motion, table.z_m, unseen_s, people, sightings, config
        )
        if config.hidden_hold_s > 0:
            unseeable |= behind(table.motion, table.z_m, unseen_s, sightings, config.hidden_hold_s)
        return memory, unseeable

    def _seen(self, table: TrackTable, sightings: Sightings, t_ns: int, dt_s: float) -> TrackTable:
        """Tracks after the detections that belong to them, row by row."""
        config = self._config
        table = self._measured(table, sightings, dt_s)
        likelihoods = class_likelihoods(sightings.class_ids, sightings.scores)
        votes = class_votes(table.class_votes, likelihoods, dt_s, config)
        mean, cov = table.motion.merged()
        velocities_mps = mean[:, 2:]
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
            class_ids=class_ids,
            memory=Memory.of(mean, cov),
            last_seen_ns=np.full(len(table), t_ns, dtype=np.int64),
            sensors_seen_ns=np.where(_flagged(sightings.sensors), t_ns, table.sensors_seen_ns),
        )

    def _measured(self, table: TrackTable, sightings: Sightings, dt_s: float) -> TrackTable:
        """Motion, extent and heading after the detections. What grows or shrinks is the unseen end, see extent.py."""
        config = self._config
        view = view_boxes(sightings, table.yaws_rad, config)
        seen_m = np.column_stack([view.sizes_m, sightings.sizes_m[:, 2]])
        # A camera alone tells where something is, and guesses its size and heading.
        shaped = (sightings.sensors & ~int(SensorKind.CAMERA)) != 0
        sizes_m = filtered_sizes(table.sizes_m, seen_m, sightings.num_points, dt_s, config)
        sizes_m = np.where(shaped[:, None], sizes_m, table.sizes_m)
        measured_m, cov_m2 = known_centers(view, sizes_m[:, :2])
        held, ramp = table.motion, table.ramp
        if not view.whole:
            grown_m = sizes_m[:, :2] - table.sizes_m[:, :2]
            offset_m = np.einsum("nk,nki->ni", -0.5 * view.shares * grown_m, view.axes)
            offset_m += slides(view, measured_m - held.merged()[0][:, :2] - offset_m)
            held, ramp = held.moved(offset_m), ramp.moved(offset_m)
        yaws_rad, yaw_var = filtered_yaws(table.yaws_rad, table.yaw_var, view, config.position_sigma_m)
        yaws_rad, yaw_var = np.where(shaped, (yaws_rad, yaw_var), (table.yaws_rad, table.yaw_var))
        rise = np.where(shaped, -np.expm1(-dt_s / config.height_s), 0.0)
        class_ids = table.class_ids
        motion = self._model.update(held, measured_m, cov_m2, class_ids)
        if view.whole:
            motion = self._model.rolled(motion, yaws_rad, yaw_var, class_ids)
        return replace(
            table,
            motion=motion,
            ramp=self._ramps.update(ramp, measured_m, cov_m2),
            z_m=table.z_m + rise * (sightings.centers_m[:, 2] - table.z_m),
            sizes_m=sizes_m,
            yaws_rad=yaws_rad,
            yaw_var=yaw_var,
        )

    def _begun(
        self, table: TrackTable, sightings: Sightings, pairs: Association, t_ns: int, number: Number
    ) -> tuple[TrackTable | None, list[TrackEvent]]:
        """Tracks of the detections that belong to none, if there are any."""
        new = ~(fragments(table, sightings) | seen_twice(sightings, pairs))
        new[pairs.columns] = False
        rows = np.flatnonzero(new)
        if not len(rows):
            return None, []
        rivals = pairs.rivals(rows)
        rival_ids = np.append(table.ids, 0)[rivals]  # row -1, of no rival, is the nought at the end
        born = self._born(sightings.select(rows), number(rows), t_ns)
        return born, events.births(born, rival_ids, t_ns)

    def _born(self, sightings: Sightings, ids: Ints, t_ns: int) -> TrackTable:
        """New tracks, one for each of the detections."""
        n = len(sightings)
        when = np.full(n, t_ns, dtype=np.int64)
        votes = class_likelihoods(sightings.class_ids, sightings.scores)
        sure = confidence(sightings.scores, sightings.num_points, self._config)
        classes = np.asarray(np.argmax(votes, axis=1), dtype=np.int64)
        motion = self._model.start(sightings.centers_m[:, :2], sightings.position_cov_m2, classes)
        return TrackTable(
            ids=ids,
            motion=motion,
            memory=Memory.of(*motion.merged()),
            ramp=self._ramps.start(sightings.centers_m[:, :2], sightings.position_cov_m2, classes),
            z_m=sightings.centers_m[:, 2],
            sizes_m=sightings.sizes_m,
            yaws_rad=wrap_angle(sightings.yaws_rad),
            yaw_var=np.full(n, _FIRST_YAW_VAR),
            class_votes=votes,
            class_ids=classes,
            existence=self._config.birth_existence * sure,
            confirmed=np.zeros(n, dtype=np.bool_),
            confidence_s=sure * self._config.evidence_s,
            first_seen_ns=when,
            last_seen_ns=when,
            sensors_seen_ns=np.where(_flagged(sightings.sensors), t_ns, _NEVER_NS),
        )


def _flagged(sensors: Ints) -> Array:
    """(N, 3) which kinds of sensor the flags name."""
    return np.asarray((sensors[:, None] & SENSOR_KINDS) != 0)
