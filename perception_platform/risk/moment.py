"""One moment as all rules see it, and how they say what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.verdicts import Action, Finding, ObjectRisks, Reason
from perception_platform.risk.brakes import Brakes
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.measures import needed_way_m
from perception_platform.risk.path import Path

EVIDENCE_POINTS = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """What the rules look at.

    Attributes:
        tracks: N tracks in the odometry frame.
        corners_m: (N, 4, 2) of their boxes in the base frame.
        velocities_mps: (N, 2) over ground along the axes of the base frame; nought for what counts as standing.
        objects: their measures.
        doubt_m: (N,) what is taken off their gaps, since it is not known better where they are.
        surely_mps: (N,) speed along the path that they surely have.
        obstacles: obstacle points in the base frame, one cloud a sensor.
        ego: pose and motion at the time of the tracks.
        path: the swept band.
        brakes: with the present load and slope.
        reaction_s: from the capture of the data to the beginning of braking.
        payload_kg: what is loaded, or at most may be.
        config: the robot.
    """

    tracks: Tracks
    corners_m: Array
    velocities_mps: Array
    objects: ObjectRisks
    doubt_m: Array
    surely_mps: Array
    obstacles: Sequence[PointCloud]
    ego: EgoState
    path: Path
    brakes: Brakes
    reaction_s: float
    payload_kg: float
    config: RiskConfig

    @property
    def service_mps2(self) -> float:
        """Service deceleration from the present speed."""
        return self.brakes.at(self.path.speed_mps)

    @property
    def stopping_m(self) -> float:
        """Way to standstill from the present speed."""
        return float(needed_way_m(self.path.speed_mps, 0.0, self.reaction_s, self.service_mps2))

    @property
    def sure(self) -> npt.NDArray[np.bool_]:
        """(N,) which tracks are likely enough to be judged."""
        return np.asarray(self.tracks.existence >= self.config.min_existence)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a finding is about."""

    text: str
    track_ids: tuple[int, ...] = ()
    points_m: tuple[tuple[float, float, float], ...] = ()
    sensor: str = ""


def point_evidence(text: str, xyz_m: npt.NDArray[np.floating], sensor: str) -> Evidence:
    """The first few of points (N, 3)."""
    points_m = tuple((float(x), float(y), float(z)) for x, y, z in xyz_m[:EVIDENCE_POINTS])
    return Evidence(text, points_m=points_m, sensor=sensor)


def finding(
    reason: Reason,
    action: Action,
    speed_limit_mps: float,
    measure: tuple[str, float, float, str],
    text: str,
    evidence: Evidence,
    zone: str = "",
    upper: bool = False,
) -> Finding:
    """A finding; what it asks for is added to its text.

    Args:
        reason: which rule.
        action: what it asks for.
        speed_limit_mps: what it allows.
        measure: name, value, threshold and unit.
        text: what was found, for people.
        evidence: what it is about.
        zone: name of the zone.
        upper: whether the value has to stay below the threshold.
    """
    asks = f"at most {speed_limit_mps:.2f} m/s" if action is Action.LIMIT else _spoken(action)
    return Finding(
        reason,
        action,
        speed_limit_mps,
        *measure,
        upper=upper,
        zone=zone,
        track_ids=evidence.track_ids,
        points_m=evidence.points_m,
        sensor=evidence.sensor,
        text=f"{text}: {asks}",
    )


def _spoken(action: Action) -> str:
    return action.name.lower().replace("_", " ")
