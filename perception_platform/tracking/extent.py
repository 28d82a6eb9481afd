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
    """Visible parts of boxes and how they are seen; arrays of any shape in front.

    Attributes:
        centers_m: (..., 2) centres of the visible parts.
        sizes_m: (..., 2) visible extents along the heading and across.
        yaws_rad: (...,) headings.
        axes: (..., 2, 2) directions of the sides, a row each.
        shares: (..., 2) along each side, whether it is seen from beyond its front end (1), from its middle (0), or
            from beyond its rear end (-1).
        cov_m2: (..., 2, 2) covariance of the centre, given the extent of the whole.
    """

    centers_m: Array
    sizes_m: Array
    yaws_rad: Array
    axes: Array
    shares: Array
    cov_m2: Array


def align(yaws_rad: Array, sizes_m: Array, reference_rad: Array) -> tuple[Array, Array]:
    """Describe boxes by the one of their four headings that is nearest to a reference.

    Args:
        yaws_rad: (...,) headings.
        sizes_m: (..., 2) extent along the heading and across.
        reference_rad: (...,) headings to be near to.

    Returns:
        Headings within 45 degrees of the reference, and sizes along and across them.
    """
    quarters = np.round((reference_rad - yaws_rad) / _QUARTER)
    swapped = (quarters % 2 == 1)[..., None]
    return yaws_rad + quarters * _QUARTER, np.where(swapped, sizes_m[..., ::-1], sizes_m)


def view_boxes(sightings: Sightings, reference_rad: Array, size_points: int) -> View:
    """How detections look when their headings are chosen near to a reference.

    Args:
        sightings: M detections.
        reference_rad: (M,) or (N, M) headings to be near to.
        size_points: lidar points from which on faces count as seen.

    Returns:
        The views, of the reference's shape.
    """
    seen_m = np.broadcast_to(sightings.sizes_m[:, :2], (*reference_rad.shape, 2))
    yaws_rad, sizes_m = align(sightings.yaws_rad, seen_m, reference_rad)
    c, s = np.cos(yaws_rad), np.sin(yaws_rad)
    axes = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], axis=-2)
    centers_m = np.broadcast_to(sightings.centers_m[:, :2], sizes_m.shape)
    viewer_m = np.einsum("...ij,...j->...i", axes, sightings.viewpoint_m - centers_m)
    shares = np.clip(viewer_m / (0.5 * sizes_m), -1.0, 1.0)
    faces_seen = (sightings.num_points >= size_points)[:, None]
    cov_m2 = _pinned(sightings.position_cov_m2, axes, np.where(faces_seen, np.abs(shares), 0.0))
    return View(centers_m, sizes_m, yaws_rad, axes, shares, cov_m2)


def _pinned(cov_m2: Array, axes: Array, shares: Array) -> Array:
    """Covariances (..., 2, 2) with the doubt about the far end taken out, in proportion to the shares.

    The centre of what is visible is unsure along a side as its far end is; the near face is a measured surface, as
    sure as the best-known direction of the box.
    """
    best = np.linalg.eigvalsh(cov_m2)[..., :1]
    along = np.einsum("...ki,...ij,...kj->...k", axes, cov_m2, axes)
    scale = np.sqrt((shares * best + (1 - shares) * along) / along)
    stretch = np.einsum("...ki,...k,...kj->...ij", axes, scale, axes)
    return np.asarray(stretch @ cov_m2 @ stretch)


def known_centers(view: View, known_m: Array, truncation: float) -> tuple[Array, Array]:
    """Where the centre of an object of known size is, given the part of it that is visible.

    Args:
        view: the visible part.
        known_m: (..., 2) extents of the whole.
        truncation: 1-sigma, as a fraction of the visible extent, of an end that may not be one.

    Returns:
        Centres (..., 2) and their covariance (..., 2, 2). A visible part that may lie anywhere within the whole is
        uniformly distributed, of variance width^2 / 12.
    """
    hidden_m = known_m - view.sizes_m
    shift_m = -0.5 * view.shares * hidden_m
    loose = 1 - np.abs(view.shares)
    variance = (loose * hidden_m) ** 2 / 12 + (loose * truncation * view.sizes_m) ** 2
    cov = view.cov_m2 + np.einsum("...ki,...k,...kj->...ij", view.axes, variance, view.axes)
    return view.centers_m + np.einsum("...k,...ki->...i", shift_m, view.axes), cov


def filtered_sizes(
    known_m: Array, seen_m: Array, num_points: Ints, dt_s: float, config: TrackerConfig
) -> Array:
    """(N, 3) extents after one more view: they grow soon and shrink late, as most views are partial."""
    seen_well = num_points >= config.size_points
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
    yaws_rad: Array, sizes_m: Array, velocities_mps: Array, class_ids: Ints, moving: npt.NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Turn boxes that move so that their heading points ahead; the box itself stays where it is.

    A vehicle's heading is brought to the side nearest to its motion; of anything else only front and rear are told
    apart.
    """
    ahead_rad = np.arctan2(velocities_mps[:, 1], velocities_mps[:, 0])
    off_rad = wrap_angle(ahead_rad - yaws_rad)
    vehicle = np.isin(class_ids, _VEHICLES)
    quarters = np.where(vehicle, np.round(off_rad / _QUARTER), 2.0)
    tolerance = np.where(vehicle, _TURN_TOLERANCE_RAD, _QUARTER + 0.2)
    quarters = np.where(moving & (np.abs(off_rad) > tolerance), quarters, 0.0)
    turned = sizes_m.copy()
    turned[:, :2] = np.where((quarters % 2 == 1)[:, None], sizes_m[:, 1::-1], sizes_m[:, :2])
    return wrap_angle(yaws_rad + quarters * _QUARTER), turned
