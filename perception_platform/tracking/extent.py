"""Boxes of which only a part is visible.

A sensor sees the faces turned towards it; how far the object reaches behind them, it learns little by little. A
filter of visible centres takes every change of what is visible for motion. Here the centre is derived from the
face that is seen: along each side of the box, the measured interval is placed in the known extent by where the
viewer stands. From beyond its end, the near face holds; from the middle of it, both ends are seen and the centre
holds; in between, in proportion.

Near by, feet, knees and the front of a wheelchair fall below the lowest beam. What is left to see draws back, though
its owner goes on: where so much of the height is missing, there is no face to hold on to, and the centre holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.motion import MOVING
from perception_platform.tracking.sightings import Sightings
from perception_platform.tracking.table import TrackTable

Mask = npt.NDArray[np.bool_]

_QUARTER = np.pi / 2
_NEAREST_M = 0.1
_LEAST_YAW_SIGMA_RAD = 0.05
_TURN_TOLERANCE_RAD = np.deg2rad(
    60.0
)  # beyond 45 degrees, so that a heading does not flicker between two sides
# Rolls where it points to, so its motion tells its front; people and unknown things go where they like.
_VEHICLES = (ObjectClass.CYCLIST, ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.FORKLIFT)
_IS_VEHICLE = np.array([c in _VEHICLES for c in ObjectClass])
_NO_VEHICLE = np.zeros(len(ObjectClass), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class View:
    """The visible parts of K boxes and how they are seen.

    Attributes:
        centers_m: (K, 2) centres of the visible parts.
        sizes_m: (K, 2) visible extents along the heading and across.
        yaws_rad: (K,) headings.
        axes: (K, 2, 2) directions of the sides, a row each.
        shares: (K, 2) along each side, whether it is seen from beyond its front end (1), from its middle (0), or
            from beyond its rear end (-1).
        cov_m2: (K, 2, 2) covariance of the centre, given the extent of the whole.
        nameless: (K,) which may be pieces of anything.
        surface: (K,) which of those are bare surfaces.
        whole: whether nothing is hidden, so that what is seen is all there is.
    """

    centers_m: Array
    sizes_m: Array
    yaws_rad: Array
    axes: Array
    shares: Array
    cov_m2: Array
    nameless: Mask
    surface: Mask
    whole: bool = False


def view_boxes(sightings: Sightings, reference_rad: Array, bodies_m: Array, config: TrackerConfig) -> View:
    """How K detections look when, of the headings a box may have, the one nearest to a reference is chosen.

    A box of what is visible knows its heading modulo a quarter turn, one of a whole object modulo half a turn.

    Args:
        sightings: the detections.
        reference_rad: (K,) headings to be near to.
        bodies_m: (K,) heights of whole bodies, as far as they are known; see ``body_heights``.
        config: when faces count as seen, and how sure ends are.
    """
    turn_rad = np.pi if config.whole_boxes else _QUARTER
    axes, yaws_rad, sizes_m = _oriented(sightings.yaws_rad, reference_rad, sightings.sizes_m, turn_rad)
    centers_m = sightings.centers_m[:, :2]
    if config.whole_boxes:  # nothing of it is hidden: what was measured is the centre
        none = np.zeros(len(sightings), dtype=np.bool_)
        cov_m2 = sightings.position_cov_m2
        return View(
            centers_m, sizes_m, yaws_rad, axes, np.zeros_like(sizes_m), cov_m2, none, none, whole=True
        )
    structure = sightings.class_ids == ObjectClass.STRUCTURE
    nameless = structure | (sightings.class_ids == ObjectClass.UNKNOWN)
    surface = structure | (nameless & (sizes_m.min(axis=1) < config.flat_m))
    ends_share = np.where(surface, config.flat_sigma, config.by_class("shape_sigma")[sightings.class_ids])
    shares, cov_m2 = _seen_parts(
        axes,
        sightings.viewpoint_m - centers_m,
        sizes_m,
        sightings.position_cov_m2,
        sightings.num_points >= config.size_points,
        bodies_m - sightings.sizes_m[:, 2],
        config.cut_rad,
        config.by_class("face_sigma_m")[sightings.class_ids],
        ends_share,
    )
    return View(centers_m, sizes_m, yaws_rad, axes, shares, cov_m2, nameless, surface)


def body_heights(table: TrackTable) -> Array:
    """(N,) heights of people who likely move, and 0 for all else: what stands, and what is upright, keeps its face."""
    moves = table.motion.weight[:, MOVING] > 0.5
    return np.where(moves & (table.class_ids == ObjectClass.PERSON), table.sizes_m[:, 2], 0.0)


@compiled("Tuple((f8[:,:,::1], f8[::1], f8[:,::1]))(f8[:], f8[:], f8[:,:], f8)")
def _oriented(
    yaws_rad: Array, reference_rad: Array, sizes_m: Array, turn_rad: float
) -> tuple[Array, Array, Array]:
    """Axes, headings and sizes along and across of boxes that are turned by so many turns as they are off."""
    n = len(yaws_rad)
    axes, turned_rad, out_m = np.empty((n, 2, 2)), np.empty(n), np.empty((n, 2))
    for k in range(n):
        turns = np.round((reference_rad[k] - yaws_rad[k]) / turn_rad)
        turned_rad[k] = yaws_rad[k] + turns * turn_rad
        c, s = np.cos(turned_rad[k]), np.sin(turned_rad[k])
        axes[k, 0, 0], axes[k, 0, 1], axes[k, 1, 0], axes[k, 1, 1] = c, s, -s, c
        swapped = 1 if turn_rad == _QUARTER and turns % 2 == 1 else 0
        out_m[k, 0], out_m[k, 1] = sizes_m[k, swapped], sizes_m[k, 1 - swapped]
    return axes, turned_rad, out_m


def slides(view: View, offset_m: Array) -> Array:
    """The part (K, 2) of offsets (K, 2) between seen and foreseen centres that says nothing about motion.

    Along itself, a bare surface ends where something hides it, and the ends of shadows move as the viewer does.
    """
    if not view.surface.any():
        return np.zeros_like(offset_m)
    lengthwise = view.axes[np.arange(len(offset_m)), np.argmax(view.sizes_m, axis=1)]
    along = np.where(view.surface, np.einsum("ki,ki->k", lengthwise, offset_m), 0.0)
    return np.asarray(along[:, None] * lengthwise)


@compiled("void(f8, f8, f8, f8, f8, f8[:,::1])")
def _turned(c: float, s: float, p: float, q: float, r: float, out: Array) -> None:
    """[[p, q], [q, r]] of the axes of a box, which are turned by an angle of cosine c and sine s."""
    out[0, 0] = c * c * p - 2 * c * s * q + s * s * r
    out[0, 1] = out[1, 0] = c * s * (p - r) + (c * c - s * s) * q
    out[1, 1] = s * s * p + 2 * c * s * q + c * c * r


@compiled(
    "Tuple((f8[:,::1], f8[:,:,::1]))(f8[:,:,::1], f8[:,::1], f8[:,::1], f8[:,:,:], b1[::1], f8[::1], f8, f8[::1],"
    " f8[::1])"
)
def _seen_parts(
    axes: Array,
    viewer_m: Array,
    sizes_m: Array,
    cov_m2: Array,
    faces: Mask,
    missing_m: Array,
    cut_rad: float,
    face_sigma_m: Array,
    ends: Array,
) -> tuple[Array, Array]:
    """Shares and covariances of K visible parts.

    The centre of what is visible is as unsure along a side as its far end is; the near face is a measured surface,
    so that the doubt about the far end is taken out in proportion to the shares. Of these less and less is left where
    ``missing_m`` (K,), height that is out of sight, spans ``cut_rad`` to twice as much. The middle between two visible
    ends is as unsure as ``ends``, a share of the size, as those may be where sight ends and not the object.
    """
    n = len(axes)
    shares, out = np.empty((n, 2)), np.empty((n, 2, 2))
    along, keep = np.empty(2), np.empty(2)
    for k in range(n):
        c, s = axes[k, 0]
        xx, xy, yy = cov_m2[k, 0, 0], cov_m2[k, 0, 1], cov_m2[k, 1, 1]
        along[0] = c * c * xx + 2 * c * s * xy + s * s * yy
        along[1] = s * s * xx - 2 * c * s * xy + c * c * yy
        both = c * s * (yy - xx) + (c * c - s * s) * xy
        away_m = max(np.hypot(viewer_m[k, 0], viewer_m[k, 1]), _NEAREST_M)
        in_full = min(max(2.0 - missing_m[k] / (cut_rad * away_m), 0.0), 1.0)
        for a in range(2):
            seen_from_m = axes[k, a, 0] * viewer_m[k, 0] + axes[k, a, 1] * viewer_m[k, 1]
            shares[k, a] = in_full * min(max(seen_from_m / (0.5 * sizes_m[k, a]), -1.0), 1.0)
            pinned = abs(shares[k, a]) if faces[k] else 0.0
            face = min(along[a], face_sigma_m[k] ** 2)
            keep[a] = np.sqrt((pinned * face + (1 - pinned) * along[a]) / along[a])
            along[a] = keep[a] ** 2 * along[a] + ((1 - pinned) * ends[k] * sizes_m[k, a]) ** 2
        _turned(c, s, along[0], keep[0] * keep[1] * both, along[1], out[k])
    return shares, out


def known_centers(view: View, known_m: Array) -> tuple[Array, Array]:
    """Where the centres of objects of known size are, given the part of them that is visible.

    Args:
        view: the visible parts.
        known_m: (K, 2) extents of the whole.

    Returns:
        Centres (K, 2) and their covariance (K, 2, 2). A visible part that may lie anywhere within the whole is
        uniformly distributed, of variance width^2 / 12.
    """
    if view.whole:
        return view.centers_m, view.cov_m2
    hidden_m = known_m - view.sizes_m
    centers_m, cov_m2 = _placed(view.centers_m, view.cov_m2, view.axes, view.shares, hidden_m, view.nameless)
    return centers_m, cov_m2


@compiled("Tuple((f8[:,::1], f8[:,:,::1]))(f8[:,:], f8[:,:,:], f8[:,:,::1], f8[:,::1], f8[:,::1], b1[::1])")
def _placed(
    centers_m: Array, cov_m2: Array, axes: Array, shares: Array, hidden_m: Array, nameless: Mask
) -> tuple[Array, Array]:
    """Centres and covariances of K wholes, of which ``hidden_m`` (K, 2) along the sides is out of sight."""
    out_m, out_cov = centers_m.copy(), np.empty(cov_m2.shape)
    anywhere = np.empty(2)
    for k in range(len(centers_m)):
        for a in range(2):
            shift_m = -0.5 * shares[k, a] * hidden_m[k, a]
            out_m[k, 0] += shift_m * axes[k, a, 0]
            out_m[k, 1] += shift_m * axes[k, a, 1]
            loose = 1.0 if nameless[k] else 1 - abs(shares[k, a])
            anywhere[a] = (loose * hidden_m[k, a]) ** 2 / (4 if nameless[k] else 12)
        _turned(axes[k, 0, 0], axes[k, 0, 1], anywhere[0], 0.0, anywhere[1], out_cov[k])
        out_cov[k] += cov_m2[k]
    return out_m, out_cov


def filtered_sizes(
    known_m: Array, seen_m: Array, num_points: Ints, dt_s: float, config: TrackerConfig
) -> Array:
    """(N, 3) extents after one more view: they grow soon and shrink late, as most views are partial."""
    growth, decline = -np.expm1(-dt_s / config.grow_s), -np.expm1(-dt_s / config.shrink_s)
    fewest = 0 if config.whole_boxes else config.size_points
    return np.asarray(_sizes(known_m, seen_m, num_points, fewest, growth, decline))


@compiled("f8[:,::1](f8[:,:], f8[:,:], i8[:], i8, f8, f8)")
def _sizes(
    known_m: Array, seen_m: Array, num_points: Ints, fewest: int, growth: float, decline: float
) -> Array:
    out = np.empty(known_m.shape)
    for k in range(len(known_m)):
        for i in range(3):
            off = seen_m[k, i] - known_m[k, i]
            rate = decline if seen_m[k, i] <= known_m[k, i] else growth if num_points[k] >= fewest else 0.0
            out[k, i] = known_m[k, i] + rate * off
    return out


def filtered_yaws(
    yaws_rad: Array, variances: Array, view: View, position_sigma_m: float
) -> tuple[Array, Array]:
    """Headings and their variances after one more view, already aligned: the longer a side, the surer its direction."""
    headings, left = _yaws(yaws_rad, variances, view.yaws_rad, view.sizes_m, position_sigma_m)
    return headings, left


@compiled("Tuple((f8[::1], f8[::1]))(f8[:], f8[:], f8[::1], f8[:,::1], f8)")
def _yaws(
    yaws_rad: Array, variances: Array, seen_rad: Array, sizes_m: Array, position_sigma_m: float
) -> tuple[Array, Array]:
    out, left = np.empty(len(yaws_rad)), np.empty(len(yaws_rad))
    for k in range(len(yaws_rad)):
        sigma = np.hypot(2 * position_sigma_m / max(sizes_m[k, 0], sizes_m[k, 1]), _LEAST_YAW_SIGMA_RAD)
        gain = variances[k] / (variances[k] + sigma**2)
        off = (seen_rad[k] - yaws_rad[k] + np.pi) % (2 * np.pi) - np.pi
        out[k], left[k] = yaws_rad[k] + gain * off, (1 - gain) * variances[k]
    return out, left


def faced_forward(
    yaws_rad: Array,
    sizes_m: Array,
    velocities_mps: Array,
    class_ids: Ints,
    moving: Mask,
    whole_boxes: bool = False,
) -> tuple[Array, Array]:
    """Turn boxes that move so that their heading points ahead; the box itself stays where it is.

    A vehicle's heading is brought to the side nearest to its motion; of anything else, and of whole boxes, only front
    and rear are told apart.
    """
    vehicles = _IS_VEHICLE if not whole_boxes else _NO_VEHICLE
    yaws_rad, sizes_m = _forward(yaws_rad, sizes_m, velocities_mps, vehicles[class_ids], moving)
    return yaws_rad, sizes_m


@compiled("Tuple((f8[::1], f8[:,::1]))(f8[:], f8[:,:], f8[:,:], b1[::1], b1[::1])")
def _forward(
    yaws_rad: Array, sizes_m: Array, velocities_mps: Array, vehicle: Mask, moving: Mask
) -> tuple[Array, Array]:
    out_rad, out_m = np.empty(len(yaws_rad)), sizes_m.copy()
    for k in range(len(yaws_rad)):
        quarters = 0.0
        if moving[k]:
            ahead_rad = np.arctan2(velocities_mps[k, 1], velocities_mps[k, 0])
            off_rad = (ahead_rad - yaws_rad[k] + np.pi) % (2 * np.pi) - np.pi
            if abs(off_rad) > (_TURN_TOLERANCE_RAD if vehicle[k] else _QUARTER + 0.2):
                quarters = np.round(off_rad / _QUARTER) if vehicle[k] else 2.0
        out_rad[k] = (yaws_rad[k] + quarters * _QUARTER + np.pi) % (2 * np.pi) - np.pi
        if quarters % 2 == 1:
            out_m[k, 0], out_m[k, 1] = sizes_m[k, 1], sizes_m[k, 0]
    return out_rad, out_m
