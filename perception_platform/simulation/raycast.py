"""Vectorised ray casting against a flat floor and upright solids that move during a sweep.

Rays come in fans: all beams that fire at one moment from one point, in one plane (a lidar's column).
Fan planes and boxes are tested against each other first (separating axis): few pairs go to the exact tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.simulation.solids import Solids

FLOOR = -1
NOTHING = -2
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fans:
    """C fans of B rays each, in the world frame.

    Attributes:
        origins_m: (C, 3) where they start.
        directions: (C, B, 3) unit vectors.
        ahead: (C, 3) middle of each fan, unit vectors.
        normals: (C, 3) of the fans' planes, unit vectors.
        share: (C,) moment of each fan, from 0 at the start of the sweep to 1 at its end.
    """

    origins_m: Array
    directions: Array
    ahead: Array
    normals: Array
    share: Array


@dataclass(frozen=True, slots=True)
class Hits:
    """What each ray meets first: range (C, B), inf for nothing, and index of the solid, FLOOR or NOTHING."""

    range_m: Array
    index: Ints


@dataclass(frozen=True, slots=True)
class _Pairs:
    """P pairs of a fan and a solid that may meet, ordered by fan.

    Attributes:
        fan: (P,) index of the fan.
        solid: (P,) index of the solid.
        start_m: (P, 3) origin of the rays in the solid's own frame.
        directions: (P, B, 3) of the rays in the solid's own frame.
    """

    fan: Ints
    solid: Ints
    start_m: Array
    directions: Array


def cast(fans: Fans, start: Solids, end: Solids) -> Hits:
    """First hits of all rays.

    Args:
        fans: the rays.
        start: all solids at the start of the sweep.
        end: the same solids at its end.
    """
    down = np.minimum(fans.directions[..., 2], -1e-12)
    floor = np.where(fans.directions[..., 2] < 0, -fans.origins_m[:, None, 2] / down, np.inf)
    index = np.where(np.isfinite(floor), FLOOR, NOTHING).astype(np.int64)
    pairs = _candidate_pairs(fans, start, end)
    if len(pairs.fan) == 0:
        return Hits(floor, index)
    entry = _entry_m(pairs, end.sizes_m[pairs.solid] / 2, end.is_round[pairs.solid])
    first = np.flatnonzero(np.r_[True, np.diff(pairs.fan) > 0])
    nearest = np.minimum.reduceat(entry, first, axis=0)
    is_nearest = entry == np.repeat(nearest, np.diff(np.r_[first, len(entry)]), axis=0)
    owner = np.maximum.reduceat(np.where(is_nearest, pairs.solid[:, None], -1), first, axis=0)
    rows = pairs.fan[first]
    closer = nearest < floor[rows]
    floor[rows] = np.where(closer, nearest, floor[rows])
    index[rows] = np.where(closer, owner, index[rows])
    return Hits(floor, index)


def _candidate_pairs(fans: Fans, start: Solids, end: Solids) -> _Pairs:
    """Pairs that may meet, in the solids' own frames at the moments of the fans."""
    fan, solid = np.nonzero(_may_meet(fans, start, end))
    share = fans.share[fan]
    yaw = start.yaws_rad[solid] + share * wrap_angle(end.yaws_rad - start.yaws_rad)[solid]
    center = start.centers_m[solid] + share[:, None] * (end.centers_m - start.centers_m)[solid]
    origin, d = fans.origins_m[fan] - center, fans.directions[fan]
    c, s = np.cos(yaw), np.sin(yaw)
    start_m = np.column_stack(
        [origin[:, 0] * c + origin[:, 1] * s, origin[:, 1] * c - origin[:, 0] * s, origin[:, 2]]
    )
    c, s = c[:, None], s[:, None]
    local = np.stack([d[..., 0] * c + d[..., 1] * s, d[..., 1] * c - d[..., 0] * s, d[..., 2]], axis=-1)
    return _Pairs(fan, solid, start_m, local)


def _may_meet(fans: Fans, start: Solids, end: Solids) -> npt.NDArray[np.bool_]:
    """(C, S) whether a fan's plane cuts a solid's box, on the side it looks to; never false where a ray hits.

    Boxes are taken as at the start of the sweep and grow by what they move until its end.
    """
    half = end.sizes_m / 2
    radius = np.linalg.norm(half, axis=1)
    moved = np.linalg.norm(end.centers_m - start.centers_m, axis=1)
    moved += radius * np.abs(wrap_angle(end.yaws_rad - start.yaws_rad))
    c, s, zero = np.cos(start.yaws_rad), np.sin(start.yaws_rad), np.zeros(len(start))
    reach = np.abs(fans.normals @ (np.column_stack([c, s, zero]) * half[:, :1]).T)
    reach += np.abs(fans.normals @ (np.column_stack([-s, c, zero]) * half[:, 1:2]).T)
    reach += np.abs(fans.normals[:, 2:] * half[:, 2]) + moved
    offset = fans.normals @ start.centers_m.T - (fans.normals * fans.origins_m).sum(1)[:, None]
    ahead = fans.ahead @ start.centers_m.T - (fans.ahead * fans.origins_m).sum(1)[:, None]
    return np.asarray((np.abs(offset) <= reach) & (ahead + radius + moved > 0))


def _entry_m(pairs: _Pairs, half_m: Array, is_round: npt.NDArray[np.bool_]) -> Array:
    """(P, B) distance at which each ray enters its solid, inf where it misses or starts inside."""
    near, far = _slab(pairs.start_m[:, 2], pairs.directions[..., 2], half_m[:, 2])
    for chosen, span in ((~is_round, _rectangle_span), (is_round, _disc_span)):
        if chosen.any():
            flat_near, flat_far = span(
                pairs.start_m[chosen, :2], pairs.directions[chosen, :, :2], half_m[chosen, :2]
            )
            near[chosen] = np.maximum(near[chosen], flat_near)
            far[chosen] = np.minimum(far[chosen], flat_far)
    return np.where((near <= far) & (near > 0), near, np.inf)


def _slab(start: Array, direction: Array, half: Array) -> tuple[Array, Array]:
    """Entry and exit of rays (P, B) through slabs of half thickness (P,) (Kay and Kajiya, 1986)."""
    inverse = 1.0 / np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    one, other = (-half - start)[:, None] * inverse, (half - start)[:, None] * inverse
    return np.minimum(one, other), np.maximum(one, other)


def _rectangle_span(start: Array, directions: Array, half: Array) -> tuple[Array, Array]:
    along = _slab(start[:, 0], directions[..., 0], half[:, 0])
    across = _slab(start[:, 1], directions[..., 1], half[:, 1])
    return np.maximum(along[0], across[0]), np.minimum(along[1], across[1])


def _disc_span(start: Array, directions: Array, half: Array) -> tuple[Array, Array]:
    """Roots of |start + t direction|² = radius², in the ground plane; an empty span where there are none."""
    a = np.maximum((directions**2).sum(-1), 1e-24)
    b = np.einsum("pk,pbk->pb", start, directions)
    c = ((start**2).sum(-1) - half[:, 0] ** 2)[:, None]
    discriminant = b * b - a * c
    root = np.sqrt(np.maximum(discriminant, 0.0))
    misses = discriminant < 0
    return np.where(misses, np.inf, (-b - root) / a), np.where(misses, -np.inf, (-b + root) / a)
