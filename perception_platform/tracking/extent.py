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
from perception_platform.tracking.config import TrackerConfig
from perception_platform.tracking.sightings import Sightings

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
    nameless: npt.NDArray[np.bool_]
    surface: npt.NDArray[np.bool_]
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
    c, s = np.cos(yaws_rad), np.sin(yaws_rad)
    axes = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], axis=-2)
    viewer_m = np.einsum("kij,kj->ki", axes, sightings.viewpoint_m - centers_m)
    shares = np.clip(viewer_m / (0.5 * sizes_m), -1.0, 1.0)
    faces_seen = (sightings.num_points >= config.size_points)[:, None]
    pinned = np.where(faces_seen, np.abs(shares), 0.0)
    face_sigma_m = config.by_class("face_sigma_m")[sightings.class_ids][:, None]
    cov_m2 = _pinned(sightings.position_cov_m2, axes, pinned, face_sigma_m)
    structure = sightings.class_ids == ObjectClass.STRUCTURE
    nameless = structure | (sightings.class_ids == ObjectClass.UNKNOWN)
    surface = structure | (nameless & (sizes_m.min(axis=1) < config.flat_m))
    ends_sigma_m = _ends_sigma(sizes_m, surface, sightings.class_ids, config)
    cov_m2 = cov_m2 + _along(axes, ((1 - pinned) * ends_sigma_m) ** 2)
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


def _ends_sigma(
    sizes_m: Array, surface: npt.NDArray[np.bool_], class_ids: Ints, config: TrackerConfig
) -> Array:
    """(K, 2) 1-sigma of the middle between two visible ends, which may be where sight ends and not the object."""
    share = np.where(surface, config.flat_sigma, config.by_class("shape_sigma")[class_ids])
    return share[:, None] * sizes_m


def slides(view: View, offset_m: Array) -> Array:
    """The part (K, 2) of offsets (K, 2) between seen and foreseen centres that says nothing about motion.

    Along itself, a bare surface ends where something hides it, and the ends of shadows move as the viewer does.
    """
    if not view.surface.any():
        return np.zeros_like(offset_m)
    lengthwise = view.axes[np.arange(len(offset_m)), np.argmax(view.sizes_m, axis=1)]
    along = np.where(view.surface, np.einsum("ki,ki->k", lengthwise, offset_m), 0.0)
    return np.asarray(along[:, None] * lengthwise)


def _pinned(cov_m2: Array, axes: Array, shares: Array, face_sigma_m: Array) -> Array:
    """Covariances (K, 2, 2) with the doubt about the far end taken out, in proportion to the shares.

    The centre of what is visible is as unsure along a side as its far end is; the near face is a measured surface.
    """
    along = np.einsum("kai,kij,kaj->ka", axes, cov_m2, axes)
    face = np.minimum(along, face_sigma_m**2)
    stretch = _along(axes, np.sqrt((shares * face + (1 - shares) * along) / along))
    return np.asarray(stretch @ cov_m2 @ stretch)


def _along(axes: Array, diagonal: Array) -> Array:
    """(K, 2, 2) matrices that are diagonal in the axes of the boxes."""
    return np.asarray(np.einsum("kai,ka,kaj->kij", axes, diagonal, axes))


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
    shift_m = np.einsum("ka,kai->ki", -0.5 * view.shares * hidden_m, view.axes)
    loose = np.where(view.nameless[:, None], 1.0, 1 - np.abs(view.shares))
    anywhere = np.where(view.nameless[:, None], 1 / 4, 1 / 12) * (loose * hidden_m) ** 2
    return view.centers_m + shift_m, view.cov_m2 + _along(view.axes, anywhere)


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
    moving: npt.NDArray[np.bool_],
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
