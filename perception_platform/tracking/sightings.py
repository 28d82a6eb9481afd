"""Detections of one moment, made ready for the filter: checked, ordered, and in the fixed frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Detections, Ints, ObjectClass

_LEAST_SIZE_M = 0.05


@dataclass(frozen=True, slots=True)
class Sightings:
    """M detections in the fixed frame.

    Attributes:
        viewpoint_m: (2,) where they were seen from.
        centers_m: (M, 3) centres of what is visible.
        sizes_m: (M, 3) length along the heading, width, height of what is visible.
        yaws_rad: (M,) headings, known modulo a quarter turn at best.
        position_cov_m2: (M, 2, 2) covariance of the centres.
        class_ids: (M,) values of ObjectClass.
        scores: (M,) confidence in [0, 1].
        sensors: (M,) flags of SensorKind.
        num_points: (M,) lidar points.
    """

    viewpoint_m: Array
    centers_m: Array
    sizes_m: Array
    yaws_rad: Array
    position_cov_m2: Array
    class_ids: Ints
    scores: Array
    sensors: Ints
    num_points: Ints

    def __len__(self) -> int:
        return len(self.centers_m)

    def select(self, rows: Ints) -> Sightings:
        """Some of them, by row."""
        return Sightings(self.viewpoint_m, *[column[rows] for column in _columns(self)])


_columns = attrgetter(*[f.name for f in fields(Sightings)][1:])  # all but the viewpoint


def usable(detections: Detections) -> npt.NDArray[np.bool_]:
    """(M,) which detections are finite and of a known class: the others would poison the filter."""
    finite = (
        np.isfinite(detections.centers_m).all(axis=1)
        & np.isfinite(detections.sizes_m).all(axis=1)
        & np.isfinite(detections.yaws_rad)
        & np.isfinite(detections.scores)
        & np.isfinite(detections.position_cov_m2).all(axis=(1, 2))
    )
    return np.asarray(finite & (detections.class_ids >= 0) & (detections.class_ids < len(ObjectClass)))


def sight(
    detections: Detections, wanted: npt.NDArray[np.bool_], odom_from_base: Transform, position_sigma_m: float
) -> Sightings:
    """The wanted ones of the detections, taken from the base frame to the fixed frame.

    Their order is made to depend on nothing but themselves, so that whoever lists them changes no result.
    """
    order = _order(detections)
    order = order[wanted[order]]
    turn = odom_from_base.rotation[:2, :2]
    return Sightings(
        viewpoint_m=odom_from_base.translation_m[:2],
        centers_m=odom_from_base.apply(detections.centers_m[order]),
        sizes_m=np.maximum(detections.sizes_m[order], _LEAST_SIZE_M),
        yaws_rad=detections.yaws_rad[order] + odom_from_base.yaw_rad,
        position_cov_m2=turn @ _proper(detections.position_cov_m2[order], position_sigma_m) @ turn.T,
        class_ids=np.asarray(detections.class_ids[order], dtype=np.int64),
        scores=np.clip(detections.scores[order], 0.0, 1.0),
        sensors=np.asarray(detections.sensors[order], dtype=np.int64),
        num_points=np.asarray(detections.num_points[order], dtype=np.int64),
    )


def _order(d: Detections) -> Ints:
    """(M,) rows by height of the centre, and by all else where heights are the same."""
    heights_m = d.centers_m[:, 2]
    order = np.argsort(heights_m, kind="stable")
    if (np.diff(heights_m[order]) > 0).all():
        return order
    evidence = (d.sensors, d.num_points, d.scores)
    return np.lexsort((*evidence, d.yaws_rad, d.class_ids, *d.sizes_m.T, *d.centers_m.T))


def _proper(cov: Array, least_sigma: float) -> Array:
    """Covariances made symmetric, with no direction surer than ``least_sigma``."""
    cov = (cov + np.swapaxes(cov, -1, -2)) / 2
    half_m2, apart_m2 = (cov[:, 0, 0] + cov[:, 1, 1]) / 2, (cov[:, 0, 0] - cov[:, 1, 1]) / 2
    if (half_m2 - np.hypot(apart_m2, cov[:, 0, 1]) >= least_sigma**2).all():  # the smaller eigenvalue
        return np.asarray(cov)
    values, vectors = np.linalg.eigh(cov)
    values = np.maximum(values, least_sigma**2)
    return np.asarray(vectors * values[..., None, :] @ np.swapaxes(vectors, -1, -2))
