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
    """Pairs whose fan plane cuts the solid's box, on the side that the fan looks to."""
    turn = wrap_angle(end.yaws_rad - start.yaws_rad)
    share = fans.share[:, None]
    yaw = start.yaws_rad + share * turn
    to_x, to_y, to_z = (
        start.centers_m[:, k] + share * (end.centers_m - start.centers_m)[:, k] - fans.origins_m[:, k, None]
        for k in range(3)
    )
    c, s = np.cos(yaw), np.sin(yaw)
    half = end.sizes_m / 2

    def reach(axis: Array) -> tuple[Array, Array]:
        """Of each fan's axis (C, 3): distance to the solid's middle along it, and the solid's half extent."""
        x, y, z = (axis[:, k, None] for k in range(3))
        extent = half[:, 0] * abs(x * c + y * s) + half[:, 1] * abs(y * c - x * s) + half[:, 2] * abs(z)
        return x * to_x + y * to_y + z * to_z, extent

    offset, extent = reach(fans.normals)
    meets = np.abs(offset) <= extent
    offset, extent = reach(fans.ahead)
    meets &= offset + extent > 0
    fan, solid = np.nonzero(meets)
    c, s = c[fan, solid], s[fan, solid]
    away_x, away_y, away_z = -to_x[fan, solid], -to_y[fan, solid], -to_z[fan, solid]
    origin = np.column_stack([away_x * c + away_y * s, away_y * c - away_x * s, away_z])
    d, c, s = fans.directions[fan], c[:, None], s[:, None]
    local = np.stack([d[..., 0] * c + d[..., 1] * s, d[..., 1] * c - d[..., 0] * s, d[..., 2]], axis=-1)
    return _Pairs(fan, solid, origin, local)


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
