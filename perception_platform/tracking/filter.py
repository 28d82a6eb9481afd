"""What one look at the world makes of the tracks: predict, associate, update, begin, end. It keeps nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.core.objects import Ints, SensorKind
from perception_platform.core.track_events import TrackEvent
from perception_platform.tracking import events
from perception_platform.tracking.acceleration import RampModel
from perception_platform.tracking.association import Association, associate, fragments, seen_twice
from perception_platform.tracking.belief import class_likelihoods, class_votes, confidence, existence_after
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.extent import (
    body_heights,
    faced_forward,
    filtered_sizes,
    filtered_yaws,
    known_centers,
    slides,
    view_boxes,
)
from perception_platform.tracking.look_rows import SENSOR_KINDS, age, behind, confirm, endings, unseen
from perception_platform.tracking.merging import merged
from perception_platform.tracking.motion import MotionModel
from perception_platform.tracking.occlusion import Memory, gone_behind
from perception_platform.tracking.sightings import Sightings
from perception_platform.tracking.table import Mask, TrackTable

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
        return TrackTable.zeros(0)

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
        ids = np.zeros(len(sightings), dtype=np.int64)
        if not len(table) and not len(sightings):
            return Outcome(table, (), ids)
        table = self._predicted(table, dt_s)
        silent = dt_s > self._config.sensor_memory_s
        aged_out = silent & (table.existence < self._config.delete_existence)
        sure = confidence(sightings.scores, sightings.num_points, self._config)
        pairs = associate(table, sightings, sure, self._config)
        ids[pairs.columns] = table.ids[pairs.rows]
        before = table.hidden.copy()
        seen = self._update(table, sightings, pairs, sure, t_ns, dt_s)
        bounds = (self._config.occlusion_memory_s, self._config.delete_existence)
        forgotten, stay, changed = endings(table.tracks, before, t_ns, *bounds)
        happened = events.hidings(table, before, t_ns) if changed else []
        if len(stay) < len(table):
            happened += events.ends(table, stay, aged_out, forgotten, t_ns)
        born, begun = self._begun(table, sightings, pairs, sure, t_ns, number)
        kept, merges = merged(table.only(stay), seen[stay], t_ns, self._config)
        table = kept.joined(born).ascending() if born else kept
        newly = confirm(table.tracks, self._config.report_existence)
        happened += merges + begun + events.confirmations(table, newly, t_ns)
        return Outcome(table, tuple(happened), ids)

    def _predicted(self, table: TrackTable, dt_s: float) -> TrackTable:
        """A copy of the tracks ``dt_s`` later: from here on, a look changes its own."""
        table = table.copy()
        class_ids = table.class_ids
        table.motion = self._model.predict(table.motion, class_ids, dt_s)
        table.ramp = self._ramps.predict(table.ramp, class_ids, dt_s)
        turned, surviving = self._config.yaw_change_rad**2 * dt_s, np.exp(-dt_s / self._config.survival_s)
        age(table.tracks, turned, _FIRST_YAW_VAR, surviving)
        return table

    def _update(
        self, table: TrackTable, sightings: Sightings, pairs: Association, sure: Array, t_ns: int, dt_s: float
    ) -> Mask:
        """What hits and misses make of the tracks, in place; (N,) which were hit."""
        rows, columns = pairs.rows, pairs.columns
        sureness, seen = np.zeros(len(table)), np.zeros(len(table), dtype=np.bool_)
        sureness[rows], seen[rows] = sure[columns], True
        unseeable = self._hide(table, seen, sightings, t_ns)
        # What cannot be seen is as if it had been seen without any confidence: that says nothing.
        table.existence = existence_after(table.existence, seen | unseeable, sureness, dt_s, self._config)
        table.confidence_s += sureness * dt_s
        if len(rows) == len(table) == len(sightings) and (columns[1:] > columns[:-1]).all():
            self._see(table, sightings, t_ns, dt_s)
        elif len(rows):
            known = table.select(rows)
            self._see(known, sightings.select(columns), t_ns, dt_s)
            table.put(rows, known)
        return seen

    def _hide(self, table: TrackTable, seen: Mask, sightings: Sightings, t_ns: int) -> Mask:
        """Note which people are out of sight, in place; (N,) whom the look could not see."""
        config = self._config
        unseeable = np.zeros(len(table), dtype=np.bool_)
        if seen.all():
            return unseeable
        unseen_s, people, about = unseen(table.tracks, seen, t_ns, config.report_existence)
        if about:
            table.memory, unseeable = gone_behind(
                table.memory, table.motion, table.z_m, unseen_s, people, sightings, config
            )
        if config.hidden_hold_s > 0:
            boxes = (sightings.viewpoint_m, sightings.centers_m, sightings.sizes_m, sightings.yaws_rad)
            unseeable |= behind(table.tracks, unseen_s, config.hidden_hold_s, *boxes)
        return unseeable

    def _see(self, table: TrackTable, sightings: Sightings, t_ns: int, dt_s: float) -> None:
        """What the detections that belong to tracks, row by row, make of them, in place."""
        config = self._config
        yaws_rad, sizes_m = self._measure(table, sightings, dt_s)
        likelihoods = class_likelihoods(sightings.class_ids, sightings.scores)
        votes = class_votes(table.class_votes, likelihoods, dt_s, config)
        mean, cov = table.motion.merged()
        velocities_mps = mean[:, 2:]
        moving = np.hypot(velocities_mps[:, 0], velocities_mps[:, 1]) > config.heading_speed_mps
        class_ids = np.argmax(votes, axis=1)
        table.yaws_rad, table.sizes_m = faced_forward(
            yaws_rad, sizes_m, velocities_mps, class_ids, moving, config.whole_boxes
        )
        table.class_votes, table.class_ids = votes, class_ids
        table.memory = Memory.of(mean, cov)
        table.last_seen_ns = t_ns
        table.sensors_seen_ns[_flagged(sightings.sensors)] = t_ns

    def _measure(self, table: TrackTable, sightings: Sightings, dt_s: float) -> tuple[Array, Array]:
        """Motion and height after the detections, in place; headings, extents (see extent.py) not faced ahead yet."""
        config = self._config
        bodies_m = body_heights(table)
        view = view_boxes(sightings, table.yaws_rad, bodies_m, config)
        seen_m = np.concatenate([view.sizes_m, sightings.sizes_m[:, 2:]], axis=1)
        sizes_m = filtered_sizes(table.sizes_m, seen_m, sightings.num_points, dt_s, config)
        yaws_rad, yaw_var = filtered_yaws(table.yaws_rad, table.yaw_var, view, config.position_sigma_m)
        # A camera alone tells where something is, and guesses its size and heading.
        by_camera = sightings.sensors == int(SensorKind.CAMERA)
        if by_camera.any():
            sizes_m[by_camera] = table.sizes_m[by_camera]
            yaws_rad[by_camera], yaw_var[by_camera] = table.yaws_rad[by_camera], table.yaw_var[by_camera]
        measured_m, cov_m2 = known_centers(view, sizes_m[:, :2])
        held, ramp, class_ids = table.motion, table.ramp, table.class_ids
        if not view.whole:
            grown_m = sizes_m[:, :2] - table.sizes_m[:, :2]
            offset_m = np.einsum("nk,nki->ni", -0.5 * view.shares * grown_m, view.axes)
            offset_m += slides(view, measured_m - held.merged()[0][:, :2] - offset_m)
            held, ramp = held.moved(offset_m), ramp.moved(offset_m)
        motion = self._model.update(held, measured_m, cov_m2, class_ids)
        if view.whole:
            motion = self._model.rolled(motion, yaws_rad, yaw_var, class_ids)
        table.motion, table.ramp = motion, self._ramps.update(ramp, measured_m, cov_m2)
        rise = np.where(by_camera, 0.0, -np.expm1(-dt_s / config.height_s))
        table.z_m += rise * (sightings.centers_m[:, 2] - table.z_m)
        table.yaw_var = yaw_var
        return yaws_rad, sizes_m

    def _begun(
        self,
        table: TrackTable,
        sightings: Sightings,
        pairs: Association,
        sure: Array,
        t_ns: int,
        number: Number,
    ) -> tuple[TrackTable | None, list[TrackEvent]]:
        """Tracks of the detections that belong to none, if there are any."""
        new = ~(fragments(table, sightings) | seen_twice(sightings, pairs))
        new[pairs.columns] = False
        rows = new.nonzero()[0]
        if not len(rows):
            return None, []
        rivals = pairs.rivals(rows)
        rival_ids = np.append(table.ids, 0)[rivals]  # row -1, of no rival, is the nought at the end
        born = self._born(sightings.select(rows), number(rows), sure[rows], t_ns)
        return born, events.births(born, rival_ids, t_ns)

    def _born(self, sightings: Sightings, ids: Ints, sure: Array, t_ns: int) -> TrackTable:
        """New tracks, one for each of the detections."""
        votes = class_likelihoods(sightings.class_ids, sightings.scores)
        classes = np.argmax(votes, axis=1)
        places_m, cov_m2 = sightings.centers_m[:, :2], sightings.position_cov_m2
        motion = self._model.start(places_m, cov_m2, classes)
        born = TrackTable.zeros(len(sightings))
        born.ids = ids
        born.motion, born.ramp = motion, self._ramps.start(places_m, cov_m2, classes)
        born.memory = Memory.of(*motion.merged())
        born.z_m, born.sizes_m = sightings.centers_m[:, 2], sightings.sizes_m
        born.yaws_rad, born.yaw_var = wrap_angle(sightings.yaws_rad), _FIRST_YAW_VAR
        born.class_votes, born.class_ids = votes, classes
        born.existence = self._config.birth_existence * sure
        born.confidence_s = sure * self._config.evidence_s
        born.first_seen_ns = born.last_seen_ns = t_ns
        born.sensors_seen_ns = np.where(_flagged(sightings.sensors), t_ns, _NEVER_NS)
        return born


def _flagged(sensors: Ints) -> Array:
    """(N, 3) which kinds of sensor the flags name."""
    return np.asarray((sensors[:, None] & SENSOR_KINDS) != 0)
