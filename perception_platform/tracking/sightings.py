"""Detections of one moment, made ready for the filter: checked, ordered, and in the fixed frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Detections, Ints, ObjectClass
from perception_platform.runtime.compiled import compiled

Mask = npt.NDArray[np.bool_]

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


def usable(detections: Detections) -> Mask:
    """(M,) which detections are finite and of a known class: the others would poison the filter."""
    d = detections
    n = len(d)
    if not n:
        return np.zeros(0, dtype=np.bool_)
    covariances = d.position_cov_m2.reshape(n, 4)
    numbers = np.concatenate(
        [d.centers_m, d.sizes_m, covariances, d.yaws_rad[:, None], d.scores[:, None]], axis=1
    )
    finite = np.isfinite(numbers).all(axis=1)
    return np.asarray(finite & (d.class_ids >= 0) & (d.class_ids < len(ObjectClass)))


def sight(
    detections: Detections, wanted: Mask, odom_from_base: Transform, position_sigma_m: float
) -> Sightings:
    """The wanted ones of the detections, taken from the base frame to the fixed frame.

    Their order is made to depend on nothing but themselves, so that whoever lists them changes no result.
    """
    if not len(detections):
        return _nothing(odom_from_base.translation_m[:2])
    order = _order(detections)
    order = order if wanted.all() else order[wanted[order]]
    turn = odom_from_base.rotation[:2, :2]
    return Sightings(
        viewpoint_m=odom_from_base.translation_m[:2],
        centers_m=odom_from_base.apply(detections.centers_m[order]),
        sizes_m=np.maximum(detections.sizes_m[order], _LEAST_SIZE_M),
        yaws_rad=detections.yaws_rad[order] + odom_from_base.yaw_rad,
        position_cov_m2=turn @ _proper(detections.position_cov_m2[order], position_sigma_m) @ turn.T,
        class_ids=np.asarray(detections.class_ids[order], dtype=np.int64),
        scores=np.minimum(np.maximum(detections.scores[order], 0.0), 1.0),
        sensors=np.asarray(detections.sensors[order], dtype=np.int64),
        num_points=np.asarray(detections.num_points[order], dtype=np.int64),
    )


def _nothing(viewpoint_m: Array) -> Sightings:
    """A look from there that shows nothing."""
    numbers, names = np.zeros(0), np.zeros(0, dtype=np.int64)
    vectors, cov_m2 = np.zeros((0, 3)), np.zeros((0, 2, 2))
    return Sightings(viewpoint_m, vectors, vectors, numbers, cov_m2, names, numbers, names, names)


def _order(d: Detections) -> Ints:
    """(M,) rows by height of the centre, and by all else where heights are the same."""
    heights_m = d.centers_m[:, 2]
    order = np.argsort(heights_m, kind="stable")
    if (heights_m[order[1:]] > heights_m[order[:-1]]).all():
        return order
    evidence = (d.sensors, d.num_points, d.scores)
    return np.lexsort((*evidence, d.yaws_rad, d.class_ids, *d.sizes_m.T, *d.centers_m.T))


def _proper(cov: Array, least_sigma: float) -> Array:
    """Covariances made symmetric, with no direction surer than ``least_sigma``."""
    symmetric, sure = _symmetric(np.ascontiguousarray(cov), least_sigma)
    if not sure:
        return np.asarray(symmetric)
    values, vectors = np.linalg.eigh(symmetric)
    values = np.maximum(values, least_sigma**2)
    return np.asarray(vectors * values[..., None, :] @ np.swapaxes(vectors, -1, -2))


@compiled("Tuple((f8[:,:,::1], b1))(f8[:,:,::1], f8)")
def _symmetric(cov: Array, least_sigma: float) -> tuple[Array, bool]:
    """The symmetric part of covariances, and whether one of them is surer in some direction than that."""
    out, surer = np.empty_like(cov), False
    for k in range(len(cov)):
        xx, yy = (cov[k, 0, 0] + cov[k, 0, 0]) / 2, (cov[k, 1, 1] + cov[k, 1, 1]) / 2
        xy = (cov[k, 0, 1] + cov[k, 1, 0]) / 2
        out[k, 0, 0], out[k, 0, 1], out[k, 1, 0], out[k, 1, 1] = xx, xy, xy, yy
        smaller = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)  # eigenvalue
        surer |= not smaller >= least_sigma**2
    return out, surer
