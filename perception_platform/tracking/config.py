"""What the tracker assumes of the world, per class of object. All of it is in seconds and metres, none in frames."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from perception_platform.core.geometry import Array
from perception_platform.core.objects import ObjectClass

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """Base of all settings: nothing unknown, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassConfig(Settings):
    """How objects of one class move and show themselves.

    They stand or move, and change between the two at random times.

    Attributes:
        first_speed_mps: 1-sigma of each velocity component of an object just seen, if it moves.
        speed_change_mps: 1-sigma change of each velocity component over one second of moving.
        moving_prior: probability that an object just seen moves.
        stands_for_s: mean time a standing one keeps standing.
        moves_for_s: mean time a moving one keeps moving.
        standing_drift_m: 1-sigma by which the visible shape of a standing one wanders in one second.
        moving_odds_per_look: most that one look may speak for moving, as a factor on the odds: what is seen anew
            jumps once, what moves goes on.
        shape_sigma: 1-sigma of a measured centre along a side both of whose ends are seen, as a fraction of the
            side: long sides end where sight ends, and what has no name may be any piece of something.
        face_sigma_m: 1-sigma of a face that is turned to the sensor: range noise, and the box fit's edge.
        acceleration_mps2: 1-sigma of each component of the acceleration of a moving one.
        acceleration_s: time over which it stays alike.
        sideways_mps: 1-sigma of the speed across the heading; infinite where heading and motion are not related.
    """

    first_speed_mps: Positive
    speed_change_mps: Positive
    moving_prior: Probability
    stands_for_s: Positive
    moves_for_s: Positive
    standing_drift_m: Positive
    moving_odds_per_look: Annotated[float, Field(gt=1, allow_inf_nan=False)]
    shape_sigma: Positive
    face_sigma_m: Positive
    acceleration_mps2: Positive
    acceleration_s: Positive
    sideways_mps: Annotated[float, Field(gt=0, allow_inf_nan=True)] = math.inf


# Speeds: free walking is 1.34 +- 0.26 m/s (Weidmann 1993); forklifts indoors are held to 6 to 8 km/h. Changes: people
# reach walking speed within a step or two; comfortable braking of vehicles is 2 to 3 m/s2 (ISO 15622). The times are
# set so that one odd measurement does not make a standing thing move, and three in a row do.
CLASSES = {
    ObjectClass.UNKNOWN: ClassConfig(
        first_speed_mps=1.5,
        speed_change_mps=1.5,
        moving_prior=0.05,
        stands_for_s=10.0,
        moves_for_s=5.0,
        standing_drift_m=0.3,
        moving_odds_per_look=3.0,
        shape_sigma=0.3,
        face_sigma_m=0.15,
        acceleration_mps2=0.7,
        acceleration_s=0.7,
    ),
    ObjectClass.PERSON: ClassConfig(
        first_speed_mps=1.3,
        speed_change_mps=0.9,
        moving_prior=0.2,
        stands_for_s=4.0,
        moves_for_s=8.0,
        standing_drift_m=0.1,
        moving_odds_per_look=8.0,
        shape_sigma=0.1,
        face_sigma_m=0.07,
        acceleration_mps2=0.7,
        acceleration_s=0.7,
    ),
    ObjectClass.CYCLIST: ClassConfig(
        first_speed_mps=4.0,
        speed_change_mps=1.5,
        moving_prior=0.4,
        stands_for_s=5.0,
        moves_for_s=20.0,
        standing_drift_m=0.2,
        moving_odds_per_look=10.0,
        shape_sigma=0.05,
        face_sigma_m=0.07,
        acceleration_mps2=0.8,
        acceleration_s=1.0,
    ),
    ObjectClass.CAR: ClassConfig(
        first_speed_mps=8.0,
        speed_change_mps=2.0,
        moving_prior=0.15,
        stands_for_s=10.0,
        moves_for_s=20.0,
        standing_drift_m=0.15,
        moving_odds_per_look=10.0,
        shape_sigma=0.05,
        face_sigma_m=0.07,
        acceleration_mps2=1.0,
        acceleration_s=1.5,
    ),
    ObjectClass.TRUCK: ClassConfig(
        first_speed_mps=8.0,
        speed_change_mps=1.5,
        moving_prior=0.05,
        stands_for_s=10.0,
        moves_for_s=20.0,
        standing_drift_m=0.2,
        moving_odds_per_look=4.0,
        shape_sigma=0.3,
        face_sigma_m=0.1,
        acceleration_mps2=0.8,
        acceleration_s=1.5,
    ),
    ObjectClass.FORKLIFT: ClassConfig(
        first_speed_mps=2.0,
        speed_change_mps=1.5,
        moving_prior=0.3,
        stands_for_s=5.0,
        moves_for_s=10.0,
        standing_drift_m=0.15,
        moving_odds_per_look=10.0,
        shape_sigma=0.1,
        face_sigma_m=0.07,
        acceleration_mps2=0.8,
        acceleration_s=1.0,
    ),
    ObjectClass.STRUCTURE: ClassConfig(
        first_speed_mps=0.2,
        speed_change_mps=0.1,
        moving_prior=0.01,
        stands_for_s=600.0,
        moves_for_s=0.5,
        standing_drift_m=0.3,
        moving_odds_per_look=2.0,
        shape_sigma=0.3,
        face_sigma_m=0.15,
        acceleration_mps2=0.1,
        acceleration_s=1.0,
    ),
}


class TrackerConfig(Settings):
    """All settings of the tracker.

    Attributes:
        classes: how objects of each class move and show themselves.
        whole_boxes: detections are boxes of whole objects with headings, as trained detectors make them, and not of
            the parts in sight.
        position_sigma_m: least 1-sigma of a measured position: no sensor and no box fit is better.
        shared_error_m: 1-sigma of the part of the error of measured positions that stays alike from look to look, which
            no number of looks averages out: it is in the covariance that is reported, not in the filter's.
        flat_m: what is thinner is a surface, and how it slides along itself cannot be seen.
        flat_sigma: 1-sigma of the centre of such a surface along itself, as a fraction of its length.
        gate_probability: share of true measurements the association gate lets through (chi-square, 2 degrees).
        confident_from: detections at least this sure are assigned first; what is left of the tracks may take weaker
            ones, which keep it alive.
        overlap_weight: how much the overlap of whole boxes counts next to the distance of their centres: the cost of
            a pair falls by so much times its generalised overlap.
        overlap_gate: a pair whose generalised overlap is above it is possible, whatever the distance says.
        new_object_density_pm2: how many objects not followed yet (or false ones) a frame shows per square metre; a
            track takes a detection only if that explains it better than a new object would.
        class_floor: least probability given to an observed class when a measurement is weighed against a track.
        class_memory_s: time constant with which old votes about the class fade.
        grow_s: time constant of an extent that is seen larger than known.
        shrink_s: time constant of an extent that is seen smaller than known; long, since most views are partial.
        cut_rad: a body that lacks so much of its height, as an angle, is taken to be cut by the lowest or highest beam:
            more than the gaps between beams leave out.
        size_points: lidar points from which on an extent counts as well seen.
        sure_points: lidar points that make it sure, to 1 - 1/e, that something is there.
        height_s: time constant of the height above ground of a centre.
        yaw_change_rad: 1-sigma change of a heading over one second.
        heading_speed_mps: speed above which the motion tells the front of a vehicle from its side and rear.
        detection_probability: chance that an existing object is detected within ``evidence_s``.
        clutter_probability: chance that something that is no object is detected again within ``evidence_s``.
        evidence_s: time over which repeated looks count as one piece of evidence.
        survival_s: mean life of an object that nothing is heard of.
        birth_existence: existence of a new track, times the confidence of its detection.
        report_existence: existence from which on a track is reported.
        delete_existence: existence below which a track ends.
        merge_overlap: generalised overlap from which on a track that was not seen and one that was, of the same class
            and velocity, are taken for one object; 1 for never.
        late_window_s: measurements that come late by no more than this are put in where they belong, and what came
            after them is filtered again; later ones are left out.
        occlusion_memory_s: how long a person who went behind something is remembered.
        hidden_hold_s: how long not seeing an object of any class says nothing, while something nearer hides its middle.
        walking_speed_mps: and how fast the region grows in which they may be.
        max_existence: no track is surer than this, so that each can still end.
        sensor_memory_s: how long a sensor counts as having seen an object lately.
        trust_s: how long a track has to be seen surely until it is trusted half as far as one seen for ever.
        restart_s: stamps that keep running this long behind the newest one mean that the clock was set back.
        max_extrapolation_s: odometry older than this, against the sweep, is used as it is.
    """

    classes: dict[ObjectClass, ClassConfig] = CLASSES
    whole_boxes: bool = False
    position_sigma_m: Positive = 0.06
    shared_error_m: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    flat_m: Positive = 0.2
    flat_sigma: Positive = 0.5
    gate_probability: Probability = 0.999
    confident_from: Annotated[float, Field(ge=0, lt=1)] = 0.0
    overlap_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    overlap_gate: Annotated[float, Field(ge=-1, le=1)] = 1.0
    new_object_density_pm2: Positive = 0.01
    class_floor: Probability = 0.05
    class_memory_s: Positive = 10.0
    grow_s: Positive = 0.25
    shrink_s: Positive = 6.0
    cut_rad: Positive = 0.1
    size_points: Annotated[int, Field(gt=0)] = 5
    sure_points: Positive = 4.0
    height_s: Positive = 0.3
    yaw_change_rad: Positive = 0.3
    heading_speed_mps: Positive = 1.0
    detection_probability: Probability = 0.55
    clutter_probability: Probability = 0.1
    evidence_s: Positive = 0.1
    survival_s: Positive = 8.0
    birth_existence: Probability = 0.6
    report_existence: Probability = 0.5
    delete_existence: Probability = 0.05
    merge_overlap: Annotated[float, Field(gt=-1, le=1)] = 0.5
    late_window_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.3
    occlusion_memory_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    hidden_hold_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    walking_speed_mps: Positive = 1.6  # ISO 13855
    max_existence: Probability = 0.999
    sensor_memory_s: Positive = 0.5
    trust_s: Positive = 1.0
    restart_s: Positive = 0.5
    max_extrapolation_s: Positive = 0.3

    def by_class(self, name: str) -> Array:
        """One of the values that depend on the class, as an array over ObjectClass."""
        return np.array([getattr(self.classes[c], name) for c in ObjectClass], dtype=np.float64)

    @property
    def gate(self) -> float:
        """Largest squared Mahalanobis distance in the gate: the chi-square quantile, closed for two degrees."""
        return -2 * math.log1p(-self.gate_probability)

    @model_validator(mode="after")
    def _fits_together(self) -> TrackerConfig:
        missing = [c.name for c in ObjectClass if c not in self.classes]
        if missing:
            raise ValueError(f"classes: nothing is said of {', '.join(missing)}")
        if self.clutter_probability >= self.detection_probability:
            raise ValueError("clutter_probability is not below detection_probability: hits would say nothing")
        if self.delete_existence >= self.report_existence:
            raise ValueError("delete_existence is not below report_existence")
        return self
