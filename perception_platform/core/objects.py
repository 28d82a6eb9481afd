"""Objects as the layers pass them on: detections of one moment, tracks through time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.track_events import TrackEvent

Ints = npt.NDArray[np.int64]


class ObjectClass(IntEnum):
    """What a thing is (``Detection.msg`` and ``Track.msg`` have the same numbers).

    Unknown is an obstacle like any other; a name only sharpens what is assumed of its motion.
    """

    UNKNOWN = 0
    PERSON = 1
    CYCLIST = 2
    CAR = 3
    TRUCK = 4
    FORKLIFT = 5
    STRUCTURE = 6


class SensorKind(IntFlag):
    """Which kinds of sensor saw an object."""

    NONE = 0
    LIDAR = 1
    CAMERA = 2
    SCAN = 4


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model made a value: its id with version, and the SHA-256 of its files."""

    id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects seen at one moment, as arrays over N objects.

    Attributes:
        t_ns: capture time they are valid for, ns.
        frame_id: frame of centres and headings (the robot's base frame).
        centers_m: (N, 3) box centres.
        sizes_m: (N, 3) length along the heading, width, height, of what is visible.
        yaws_rad: (N,) headings; a box from geometry alone knows its heading only modulo pi.
        class_ids: (N,) values of ObjectClass.
        scores: (N,) confidence in [0, 1] that there is an object of that class.
        sensors: (N,) flags of SensorKind.
        num_points: (N,) lidar points on the object.
        position_cov_m2: (N, 2, 2) covariance of the centre in the ground plane.
        image_boxes_px: (N, 4) x1 y1 x2 y2 in the camera's image; NaN where no camera saw it.
        lineage: where it came from.
        models: models that took part.
    """

    t_ns: int
    frame_id: str
    centers_m: Array
    sizes_m: Array
    yaws_rad: Array
    class_ids: Ints
    scores: Array
    sensors: Ints
    num_points: Ints
    position_cov_m2: Array
    image_boxes_px: Array
    lineage: Lineage = field(default_factory=Lineage)
    models: tuple[ModelRef, ...] = ()

    def __len__(self) -> int:
        return len(self.centers_m)

    @classmethod
    def empty(cls, t_ns: int, frame_id: str, lineage: Lineage | None = None) -> Detections:
        """A moment in which nothing was seen."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            t_ns,
            frame_id,
            centers_m=np.zeros((0, 3)),
            sizes_m=np.zeros((0, 3)),
            yaws_rad=np.zeros(0),
            class_ids=none,
            scores=np.zeros(0),
            sensors=none,
            num_points=none,
            position_cov_m2=np.zeros((0, 2, 2)),
            image_boxes_px=np.zeros((0, 4)),
            lineage=lineage or Lineage(),
        )


@dataclass(frozen=True, slots=True)
class Tracks:
    """Objects followed through time, as arrays over N tracks.

    Attributes:
        t_ns: time the states are valid for, ns.
        frame_id: frame of positions, velocities and headings (a fixed frame, ``odom``).
        ids: (N,) identity of each track, never used twice.
        centers_m: (N, 3) box centres.
        velocities_mps: (N, 2) over ground.
        sizes_m: (N, 3) length, width, height.
        yaws_rad: (N,) headings.
        class_ids: (N,) values of ObjectClass.
        class_scores: (N,) probability of that class.
        existence: (N,) probability that there is an object at all.
        state_cov: (N, 4, 4) covariance of (x, y, vx, vy), m and m/s.
        last_seen_ns: (N,) capture time of the newest measurement.
        first_seen_ns: (N,) capture time of the first one.
        sensors: (N,) flags of SensorKind that have seen it lately.
        lineage: where it came from.
        models: models that took part.
        events: what happened to tracks, reported or not, since the moment before.
        accelerations_mps2: (N, 2) over ground.
        acceleration_cov: (N, 2, 2) their covariance, m²/s⁴.
        yaw_var_rad2: (N,) variances of the headings.
        region_radius_m: (N,) of what is hidden: it may be anywhere within so far of its centre; 0 for what is in
            sight.

    The last four are nought where nothing is said of them.
    """

    t_ns: int
    frame_id: str
    ids: Ints
    centers_m: Array
    velocities_mps: Array
    sizes_m: Array
    yaws_rad: Array
    class_ids: Ints
    class_scores: Array
    existence: Array
    state_cov: Array
    last_seen_ns: Ints
    first_seen_ns: Ints
    sensors: Ints
    lineage: Lineage = field(default_factory=Lineage)
    models: tuple[ModelRef, ...] = ()
    events: tuple[TrackEvent, ...] = ()
    accelerations_mps2: Array = field(default_factory=lambda: np.zeros((0, 2)))
    acceleration_cov: Array = field(default_factory=lambda: np.zeros((0, 2, 2)))
    yaw_var_rad2: Array = field(default_factory=lambda: np.zeros(0))
    region_radius_m: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        for name in ("accelerations_mps2", "acceleration_cov", "yaw_var_rad2", "region_radius_m"):
            said = getattr(self, name)
            if len(said) == 0 and len(self.ids):
                object.__setattr__(self, name, np.zeros((len(self.ids), *said.shape[1:])))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def hidden(self) -> npt.NDArray[np.bool_]:
        """(N,) which are out of sight: their centres and radii are regions of where they may be."""
        return np.asarray(self.region_radius_m > 0)

    @classmethod
    def empty(cls, t_ns: int, frame_id: str, lineage: Lineage | None = None) -> Tracks:
        """A moment without tracks."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            t_ns,
            frame_id,
            ids=none,
            centers_m=np.zeros((0, 3)),
            velocities_mps=np.zeros((0, 2)),
            sizes_m=np.zeros((0, 3)),
            yaws_rad=np.zeros(0),
            class_ids=none,
            class_scores=np.zeros(0),
            existence=np.zeros(0),
            state_cov=np.zeros((0, 4, 4)),
            last_seen_ns=none,
            first_seen_ns=none,
            sensors=none,
            lineage=lineage or Lineage(),
        )


@dataclass(frozen=True, slots=True)
class Percept:
    """What perception makes of one sweep: named objects, and everything that stands in the way, named or not.

    Attributes:
        detections: objects in the base frame.
        obstacles: points above the ground that are not the robot itself, in the base frame.
    """

    detections: Detections
    obstacles: PointCloud
