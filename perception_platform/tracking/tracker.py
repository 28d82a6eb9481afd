"""The tracker: detections of one moment after another in, objects with identity, motion and certainty out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.lineage import Lineage, merge
from perception_platform.core.objects import Detections, Ints, ModelRef, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s, to_s
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.events import ended_all, renamed
from perception_platform.tracking.filter import TrackFilter
from perception_platform.tracking.look_rows import described, reportable, trust
from perception_platform.tracking.sightings import Sightings, sight, usable
from perception_platform.tracking.table import TrackTable


@dataclass(slots=True)
class _Look:
    """What was seen at one moment, and the tracks before it, to go back to when something older comes late.

    Attributes:
        t_ns: when.
        sensors: whose it is; two sensors may look at the same time.
        sightings: M detections.
        ids: (M,) of the tracks that began with them, 0 where none did.
        before: the tracks that it was applied to.
        before_ns: their time; None at the start.
        lineage: where it came from.
        models: models that took part in it.
        events: what it changed.
    """

    t_ns: int
    sensors: tuple[str, ...]
    sightings: Sightings
    ids: Ints
    lineage: Lineage
    models: tuple[ModelRef, ...]
    before: TrackTable
    before_ns: int | None
    events: tuple[TrackEvent, ...] = ()

    @property
    def key(self) -> tuple[int, tuple[str, ...]]:
        """What orders looks, whichever came first."""
        return self.t_ns, self.sensors


class Tracker:
    """Follows objects in the fixed frame ``frame_id``, which is the odometry's.

    Bad input is never an error here, since the robot moves on: frames that come too late or twice, frames without a
    usable pose and detections that are not finite are left out and counted in ``rejected``.
    """

    def __init__(self, config: TrackerConfig | None = None, frame_id: str = "odom") -> None:
        self._config = config or TrackerConfig()
        self._filter = TrackFilter(self._config)
        self._frame_id = frame_id
        self._next_id = 1
        self._table = self._filter.nothing()
        self._t_ns: int | None = None
        self._newest: Tracks | None = None
        self._looks: list[_Look] = []
        self._behind_since_ns: int | None = None
        self._lost: list[TrackEvent] = []
        self.rejected = {"late_frames": 0, "repeated_frames": 0, "frames_without_pose": 0, "detections": 0}

    def step(self, t_ns: int, detections: Detections, ego: EgoState) -> Tracks:
        """Take in what was seen at one moment.

        Args:
            t_ns: capture time. A frame that is late by no more than ``late_window_s`` is put in where it belongs
                and what came after it is filtered again: the tracks are those of frames in order, and no id is used
                anew. An older one changes nothing; stamps that stay behind for ``restart_s`` start the tracker
                afresh.
            detections: what was seen, in the base frame; may be empty.
            ego: odometry close to that time.

        Returns:
            Tracks of sufficient existence in the fixed frame, ascending by id, valid for the newest ``t_ns``.
        """
        sensors = tuple(source.sensor for source in detections.lineage.sources)
        if not self._accepts((t_ns, sensors), ego):
            unseen = Tracks.empty(t_ns, self._frame_id, detections.lineage)
            return unseen if self._newest is None else replace(self._newest, events=())
        good = usable(detections)
        self.rejected["detections"] += int(len(good) - good.sum())
        sightings = sight(detections, good, self._pose(t_ns, ego), self._config.position_sigma_m)
        none = np.zeros(len(sightings), dtype=np.int64)
        lineage, models = detections.lineage, detections.models
        look = _Look(t_ns, sensors, sightings, none, lineage, models, self._table, self._t_ns)
        events, self._lost = (*self._lost, *self._take(look)), []
        newest = self._looks[-1]
        lineage = lineage if newest is look else merge([newest.lineage, lineage])
        self._newest = self._report(newest.t_ns, lineage, newest.models, events)
        return self._newest

    def confidences(self, ids: Ints) -> Array:
        """How far tracks are to be trusted, over all of their lives, to rank them by.

        The mean over time of the confidence of a track's detections, nought where it was missed, as if ``trust_s``
        without any had gone before: long and sure ranks above short and sure. Existence, by contrast, is of now.

        Args:
            ids: (K,) of tracks that the newest step has returned.
        """
        if self._t_ns is None or not len(ids):
            return np.zeros(len(ids))
        before_s = (self._config.evidence_s, self._config.trust_s)
        return np.asarray(trust(self._table.tracks, ids, self._t_ns, *before_s))

    def _pose(self, t_ns: int, ego: EgoState) -> Transform:
        """The pose at the time of the sweep; an estimate too old to be carried on is taken as it is."""
        near = abs(to_s(t_ns - ego.t_ns)) <= self._config.max_extrapolation_s
        return (ego.at(t_ns) if near else ego).odom_from_base

    def _accepts(self, key: tuple[int, tuple[str, ...]], ego: EgoState) -> bool:
        """Whether the frame can be used; notices a clock that was set back."""
        pose = ego.odom_from_base
        numbers = (*pose.rotation.flat, *pose.translation_m, *ego.velocity_mps, ego.yaw_rate_radps)
        if not all(map(math.isfinite, numbers)):
            self.rejected["frames_without_pose"] += 1
            return False
        t_ns = key[0]
        if self._t_ns is None or t_ns > self._t_ns:
            self._behind_since_ns = None
            return True
        if any(look.key == key for look in self._looks):
            self.rejected["repeated_frames"] += 1
            return False
        if to_s(self._t_ns - t_ns) <= self._config.late_window_s and self._reaches(t_ns):
            return True
        if self._behind_since_ns is None or t_ns < self._behind_since_ns:
            self._behind_since_ns = t_ns
        if to_s(t_ns - self._behind_since_ns) >= self._config.restart_s:
            self._restart()
            return True
        self.rejected["late_frames"] += 1
        return False

    def _reaches(self, t_ns: int) -> bool:
        """Whether the tracks before that time are still known."""
        before_ns = self._looks[0].before_ns
        return before_ns is None or t_ns > before_ns

    def _restart(self) -> None:
        assert self._t_ns is not None  # nothing can be behind nothing
        self._lost = ended_all(self._table, TrackReason.CLOCK_SET_BACK, self._t_ns)
        self._table, self._t_ns, self._newest = self._filter.nothing(), None, None
        self._looks, self._behind_since_ns = [], None

    def _take(self, look: _Look) -> tuple[TrackEvent, ...]:
        """Put one look in where it belongs and filter those after it again; what changed that was not said before."""
        again = [one for one in self._looks if one.key > look.key]
        if not again:
            self._apply(look)
            self._forget()
            return look.events
        said = {(e.track_id, e.change) for one in again for e in one.events}
        ids, first_new = self._table.ids, self._next_id
        del self._looks[-len(again) :]
        self._table, self._t_ns = again[0].before, again[0].before_ns
        for one in (look, *again):
            self._keep_names(one, self._apply(one), first_new)
        new = [e for one in (look, *again) for e in one.events if (e.track_id, e.change) not in said]
        return (*new, *self._revised(ids, said | {(e.track_id, e.change) for e in new}))

    def _apply(self, look: _Look) -> Ints:
        """Filter one look, and say to which tracks (M,) its detections were given."""
        look.before, look.before_ns = self._table, self._t_ns
        dt_s = 0.0 if self._t_ns is None else to_s(look.t_ns - self._t_ns)
        outcome = self._filter.advance(
            self._table, look.sightings, look.t_ns, dt_s, lambda rows: self._number(look, rows)
        )
        self._table, look.events, self._t_ns = outcome.table, outcome.events, look.t_ns
        self._looks.append(look)
        return outcome.ids

    def _keep_names(self, look: _Look, ids: Ints, first_new: int) -> None:
        """An object that a late look has shown to be older goes on under the id that was told first.

        Args:
            look: one that is filtered again.
            ids: (M,) of the tracks that its detections were given to this time.
            first_new: ids from here on were given this time.
        """
        for column in np.flatnonzero((ids >= first_new) & (look.ids > 0)).tolist():
            new, told = int(ids[column]), int(look.ids[column])
            self._table = self._table.renamed(new, told)
            look.ids[column] = 0  # the id is now that of the earlier detection, and of no other
            for one in self._looks:
                one.ids[one.ids == new] = told
                one.before = one.before.renamed(new, told)
                one.events = tuple(renamed(event, new, told) for event in one.events)

    def _number(self, look: _Look, rows: Ints) -> Ints:
        """Ids of tracks that begin with detections of a look: those of the first time, if it is filtered again."""
        fresh = rows[look.ids[rows] == 0]
        look.ids[fresh] = np.arange(self._next_id, self._next_id + len(fresh))
        self._next_id += len(fresh)
        return look.ids[rows]

    def _revised(self, ids: Ints, said: set[tuple[int, TrackChange]]) -> tuple[TrackEvent, ...]:
        """Ends of tracks that were there before something came late, and of which nothing else was said."""
        gone = np.setdiff1d(ids, self._table.ids).tolist()
        over = (TrackChange.ENDED, TrackChange.MERGED)
        assert self._t_ns is not None  # a look was just applied
        return tuple(
            TrackEvent(self._t_ns, track_id, TrackChange.ENDED, TrackReason.REVISED, 0.0)
            for track_id in gone
            if not any((track_id, change) in said for change in over)
        )

    def _forget(self) -> None:
        """Drop looks that nothing may come before any more."""
        oldest_ns = self._looks[-1].t_ns - from_s(self._config.late_window_s)
        while self._looks[0].t_ns < oldest_ns:
            del self._looks[0]

    def _report(
        self, t_ns: int, lineage: Lineage, models: tuple[ModelRef, ...], events: tuple[TrackEvent, ...]
    ) -> Tracks:
        """The tracks that are sure enough, as the other layers take them."""
        config = self._config
        table = self._table.only(reportable(self._table.tracks, config.report_existence))
        bounds = (from_s(config.sensor_memory_s), config.shared_error_m, config.walking_speed_mps)
        centers_m, velocities_mps, yaws_rad, class_scores, state_cov, sensors, *ramps, radius_m = described(
            table.tracks, t_ns, *bounds
        )
        return Tracks(
            t_ns,
            self._frame_id,
            ids=table.ids.copy(),
            centers_m=centers_m,
            velocities_mps=velocities_mps,
            sizes_m=table.sizes_m.copy(),
            yaws_rad=yaws_rad,
            class_ids=table.class_ids.copy(),
            class_scores=class_scores,
            existence=table.existence.copy(),
            state_cov=state_cov,
            last_seen_ns=table.last_seen_ns.copy(),
            first_seen_ns=table.first_seen_ns.copy(),
            sensors=sensors,
            lineage=lineage,
            models=models,
            events=events,
            accelerations_mps2=ramps[0],
            acceleration_cov=ramps[1],
            yaw_var_rad2=table.yaw_var.copy(),
            region_radius_m=radius_m,
        )
