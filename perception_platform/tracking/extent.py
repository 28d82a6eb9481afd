"""Boxes of which only a part is visible.

A sensor sees the faces turned towards it; how far the object reaches behind them, it learns little by little. A
filter of visible centres takes every change of what is visible for motion. Here the centre is derived from the
face that is seen: along each side of the box, the measured interval is placed in the known extent by where the
viewer stands. From beyond its end, the near face holds; from the middle of it, both ends are seen and the centre
holds; in between, in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.sightings import Sightings

Mask = npt.NDArray[np.bool_]

_QUARTER = np.pi / 2
_LEAST_YAW_SIGMA_RAD = 0.05
_TURN_TOLERANCE_RAD = np.deg2rad(
    60.0
)  # beyond 45 degrees, so that a heading does not flicker between two sides
# Rolls where it points to, so its motion tells its front; people and unknown things go where they like.
_VEHICLES = (ObjectClass.CYCLIST, ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.FORKLIFT)


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


def view_boxes(sightings: Sightings, reference_rad: Array, config: TrackerConfig) -> View:
    """How K detections look when, of the headings a box may have, the one nearest to a reference is chosen.

    A box of what is visible knows its heading modulo a quarter turn, one of a whole object modulo half a turn.

    Args:
        sightings: the detections.
        reference_rad: (K,) headings to be near to.
        config: when faces count as seen, and how sure ends are.
    """
    turn_rad = np.pi if config.whole_boxes else _QUARTER
    turns = np.round((reference_rad - sightings.yaws_rad) / turn_rad)
    yaws_rad = sightings.yaws_rad + turns * turn_rad
    centers_m = np.ascontiguousarray(sightings.centers_m[:, :2])
    if config.whole_boxes:
        return _whole(sightings, centers_m, yaws_rad)
    sizes_m = _swapped(sightings.sizes_m[:, :2], turns)
    structure = sightings.class_ids == ObjectClass.STRUCTURE
    nameless = structure | (sightings.class_ids == ObjectClass.UNKNOWN)
    surface = structure | (nameless & (sizes_m.min(axis=1) < config.flat_m))
    ends_share = np.where(surface, config.flat_sigma, config.by_class("shape_sigma")[sightings.class_ids])
    axes, shares, cov_m2 = _seen_parts(
        np.stack([np.cos(yaws_rad), np.sin(yaws_rad)], axis=-1),
        sightings.viewpoint_m - centers_m,
        sizes_m,
        np.ascontiguousarray(sightings.position_cov_m2),
        sightings.num_points >= config.size_points,
        config.by_class("face_sigma_m")[sightings.class_ids],
        ends_share,
    )
    return View(centers_m, sizes_m, yaws_rad, axes, shares, cov_m2, nameless, surface)


def _whole(sightings: Sightings, centers_m: Array, yaws_rad: Array) -> View:
    """Nothing of it is hidden: what was measured is the centre."""
    n = len(sightings)
    none = np.zeros(n, dtype=np.bool_)
    axes, shares = np.tile(np.eye(2), (n, 1, 1)), np.zeros((n, 2))
    sizes_m = np.ascontiguousarray(sightings.sizes_m[:, :2])
    return View(centers_m, sizes_m, yaws_rad, axes, shares, sightings.position_cov_m2, none, none, whole=True)


def _swapped(sizes_m: Array, quarters: Array) -> Array:
    """Length and width (K, 2) after so many quarter turns of the heading."""
    return np.where((quarters % 2 == 1)[:, None], sizes_m[:, ::-1], sizes_m)


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
    "Tuple((f8[:,:,::1], f8[:,::1], f8[:,:,::1]))"
    "(f8[:,::1], f8[:,::1], f8[:,::1], f8[:,:,::1], b1[::1], f8[::1], f8[::1])"
)
def _seen_parts(
    ahead: Array,
    viewer_m: Array,
    sizes_m: Array,
    cov_m2: Array,
    faces: Mask,
    face_sigma_m: Array,
    ends: Array,
) -> tuple[Array, Array, Array]:
    """Axes, shares and covariances of K visible parts.

    The centre of what is visible is as unsure along a side as its far end is; the near face is a measured surface,
    so that the doubt about the far end is taken out in proportion to the shares. The middle between two visible ends
    is as unsure as ``ends``, a share of the size, as those may be where sight ends and not the object.
    """
    n = len(ahead)
    axes, shares, out = np.empty((n, 2, 2)), np.empty((n, 2)), np.empty((n, 2, 2))
    along, keep = np.empty(2), np.empty(2)
    for k in range(n):
        c, s = ahead[k]
        axes[k, 0, 0], axes[k, 0, 1], axes[k, 1, 0], axes[k, 1, 1] = c, s, -s, c
        xx, xy, yy = cov_m2[k, 0, 0], cov_m2[k, 0, 1], cov_m2[k, 1, 1]
        along[0] = c * c * xx + 2 * c * s * xy + s * s * yy
        along[1] = s * s * xx - 2 * c * s * xy + c * c * yy
        both = c * s * (yy - xx) + (c * c - s * s) * xy
        for a in range(2):
            seen_from_m = axes[k, a, 0] * viewer_m[k, 0] + axes[k, a, 1] * viewer_m[k, 1]
            shares[k, a] = min(max(seen_from_m / (0.5 * sizes_m[k, a]), -1.0), 1.0)
            pinned = abs(shares[k, a]) if faces[k] else 0.0
            face = min(along[a], face_sigma_m[k] ** 2)
            keep[a] = np.sqrt((pinned * face + (1 - pinned) * along[a]) / along[a])
            along[a] = keep[a] ** 2 * along[a] + ((1 - pinned) * ends[k] * sizes_m[k, a]) ** 2
        _turned(c, s, along[0], keep[0] * keep[1] * both, along[1], out[k])
    return axes, shares, out


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
    return _placed(view.centers_m, view.cov_m2, view.axes, view.shares, hidden_m, view.nameless)


@compiled(
    "Tuple((f8[:,::1], f8[:,:,::1]))(f8[:,::1], f8[:,:,::1], f8[:,:,::1], f8[:,::1], f8[:,::1], b1[::1])"
)
def _placed(
    centers_m: Array, cov_m2: Array, axes: Array, shares: Array, hidden_m: Array, nameless: Mask
) -> tuple[Array, Array]:
    """Centres and covariances of K wholes, of which ``hidden_m`` (K, 2) along the sides is out of sight."""
    out_m, out_cov = centers_m.copy(), np.empty_like(cov_m2)
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
    seen_well = (num_points >= config.size_points) | config.whole_boxes
    growth = np.where(seen_well, -np.expm1(-dt_s / config.grow_s), 0.0)[:, None]
    decline = -np.expm1(-dt_s / config.shrink_s)
    return known_m + np.where(seen_m > known_m, growth, decline) * (seen_m - known_m)


def filtered_yaws(
    yaws_rad: Array, variances: Array, view: View, position_sigma_m: float
) -> tuple[Array, Array]:
    """Headings and their variances after one more view, already aligned: the longer a side, the surer its direction."""
    sigma = np.hypot(2 * position_sigma_m / view.sizes_m.max(axis=1), _LEAST_YAW_SIGMA_RAD)
    gain = variances / (variances + sigma**2)
    return yaws_rad + gain * wrap_angle(view.yaws_rad - yaws_rad), (1 - gain) * variances


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
    ahead_rad = np.arctan2(velocities_mps[:, 1], velocities_mps[:, 0])
    off_rad = wrap_angle(ahead_rad - yaws_rad)
    if not (moving & (np.abs(off_rad) > _TURN_TOLERANCE_RAD)).any():
        return wrap_angle(yaws_rad), sizes_m
    vehicle = np.isin(class_ids, _VEHICLES) & (not whole_boxes)
    quarters = np.where(vehicle, np.round(off_rad / _QUARTER), 2.0)
    tolerance = np.where(vehicle, _TURN_TOLERANCE_RAD, _QUARTER + 0.2)
    quarters = np.where(moving & (np.abs(off_rad) > tolerance), quarters, 0.0)
    turned = np.column_stack([_swapped(sizes_m[:, :2], quarters), sizes_m[:, 2]])
    return wrap_angle(yaws_rad + quarters * _QUARTER), turned
