"""Ray casting against a flat floor and upright solids that move during a sweep: one compiled loop over fans.

Rays come in fans: all beams that fire at one moment from one point, in one plane (a lidar's column).
Fan planes and boxes are tested against each other first (separating axis), and before that blocks of neighbouring fans
and balls around boxes: few pairs go to the exact tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.runtime.compiled import compiled
from perception_platform.simulation.solids import Solids

FLOOR = -1
NOTHING = -2
Ints = npt.NDArray[np.int64]
BLOCK = 16  # fans that are looked at together
_ROUNDING_M = 1e-6  # more than sums of world coordinates are off
_PARALLEL = 1e-12  # a ray that turns less towards a plane than this never meets it


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


def cast(fans: Fans, start: Solids, end: Solids) -> Hits:
    """First hits of all rays.

    Args:
        fans: the rays.
        start: all solids at the start of the sweep.
        end: the same solids at its end.
    """
    down = np.minimum(fans.directions[..., 2], -_PARALLEL)
    range_m = np.where(fans.directions[..., 2] < 0, -fans.origins_m[:, None, 2] / down, np.inf)
    index = np.where(np.isfinite(range_m), FLOOR, NOTHING).astype(np.int64)
    if len(start) and len(range_m):
        half_m, way_m = end.sizes_m / 2, end.centers_m - start.centers_m
        turn_rad = wrap_angle(end.yaws_rad - start.yaws_rad)
        # How far any point of a solid gets during the sweep.
        moved_m = np.linalg.norm(way_m, axis=1) + np.linalg.norm(half_m, axis=1) * np.abs(turn_rad)
        _nearest(
            _whole(fans.origins_m),
            _whole(fans.directions),
            _whole(fans.ahead),
            _whole(fans.normals),
            _whole(fans.share),
            _whole(start.centers_m),
            way_m,
            _whole(start.yaws_rad),
            turn_rad,
            half_m,
            np.ascontiguousarray(end.is_round),
            moved_m,
            range_m,
            index,
        )
    return Hits(range_m, index)


def _whole(array: Array) -> Array:
    """As compiled loops take it: in one piece."""
    return np.ascontiguousarray(array, dtype=np.float64)


@compiled("float64(float64[:,::1], int64, int64)", finite=False)
def _apart(points: Array, one: int, other: int) -> float:
    """Distance between two rows."""
    x, y = points[one, 0] - points[other, 0], points[one, 1] - points[other, 1]
    z = points[one, 2] - points[other, 2]
    return float(np.sqrt(x * x + y * y + z * z))


@compiled("boolean(float64, float64, float64, float64[::1])", finite=False)
def _slab(start: float, direction: float, half: float, span: Array) -> bool:
    """Cut a ray's span (entry, exit) to a slab of half thickness (Kay and Kajiya, 1986); False if nothing is left."""
    inverse = 1.0 / (direction if abs(direction) >= _PARALLEL else _PARALLEL)
    one, other = (-half - start) * inverse, (half - start) * inverse
    span[0], span[1] = max(span[0], min(one, other)), min(span[1], max(one, other))
    return bool(span[0] <= span[1])


@compiled("boolean(float64, float64, float64, float64, float64, float64[::1])", finite=False)
def _disc(x: float, y: float, dx: float, dy: float, radius: float, span: Array) -> bool:
    """Cut a ray's span to the roots of |start + t direction|² = radius², in the ground plane."""
    a = max(dx * dx + dy * dy, 1e-24)
    b = x * dx + y * dy
    discriminant = b * b - a * (x * x + y * y - radius * radius)
    if discriminant < 0:
        return False
    root = np.sqrt(discriminant)
    span[0], span[1] = max(span[0], (-b - root) / a), min(span[1], (-b + root) / a)
    return bool(span[0] <= span[1])


@compiled(
    "void(float64[:,::1], UniTuple(float64, 5), UniTuple(float64, 3), boolean, int64, float64[::1], float64[::1],"
    " int64[::1])",
    finite=False,
)
def _cast_fan(
    directions: Array,
    place: tuple[float, float, float, float, float],
    half_m: tuple[float, float, float],
    is_round: bool,
    solid: int,
    span: Array,
    range_m: Array,
    index: Ints,
) -> None:
    """Lower ``range_m`` (B,) of a fan's rays to a solid that they meet, and set their ``index`` to it.

    Args:
        directions: (B, 3) of the rays.
        place: where they start in the solid's own frame, x, y, z, and cosine and sine of its heading.
        half_m: half its sizes.
        is_round: whether it is a cylinder.
        solid: its index.
        span: (2,) to work in.
        range_m: (B,) nearest so far.
        index: (B,) of what.
    """
    x, y, z, cy, sy = place
    for b in range(len(directions)):
        dx, dy, dz = directions[b, 0], directions[b, 1], directions[b, 2]
        span[0], span[1] = -np.inf, range_m[b]
        if not _slab(z, dz, half_m[2], span):
            continue
        lx, ly = dx * cy + dy * sy, dy * cy - dx * sy
        if is_round:
            meets = _disc(x, y, lx, ly, half_m[0], span)
        else:
            meets = _slab(x, lx, half_m[0], span) and _slab(y, ly, half_m[1], span)
        if meets and span[0] > 0 and span[0] <= range_m[b]:
            range_m[b] = span[0]
            index[b] = solid


@compiled(
    "Tuple((float64[::1], float64[::1], float64[::1]))(float64[:,::1], float64[:,::1], float64[:,::1])",
    finite=False,
)
def _within_blocks(origins_m: Array, ahead: Array, normals: Array) -> tuple[Array, Array, Array]:
    """Of each block of fans, the most that a normal, a middle and an origin differ from its first fan's, (N,) each."""
    count = (len(origins_m) + BLOCK - 1) // BLOCK
    turned, tilted, shifted = np.zeros(count), np.zeros(count), np.zeros(count)
    for c in range(len(origins_m)):
        block, first = c // BLOCK, c // BLOCK * BLOCK
        turned[block] = max(turned[block], _apart(normals, c, first))
        tilted[block] = max(tilted[block], _apart(ahead, c, first))
        shifted[block] = max(shifted[block], _apart(origins_m, c, first))
    return turned, tilted, shifted


@compiled(
    "void(float64[:,::1], float64[:,:,::1], float64[:,::1], float64[:,::1], float64[::1], float64[:,::1],"
    " float64[:,::1], float64[::1], float64[::1], float64[:,::1], boolean[::1], float64[::1], float64[:,::1],"
    " int64[:,::1])",
    finite=False,
)
def _nearest(
    origins_m: Array,
    directions: Array,
    ahead: Array,
    normals: Array,
    share: Array,
    centers_m: Array,
    way_m: Array,
    yaws_rad: Array,
    turn_rad: Array,
    half_m: Array,
    is_round: npt.NDArray[np.bool_],
    moved_m: Array,
    range_m: Array,
    index: Ints,
) -> None:
    """Lower ``range_m`` (C, B) to the nearest solid's and set its ``index``.

    A solid is looked at only if the fan's plane cuts its box, grown by what it moves, on the side the fan looks to. A
    block of fans is passed over if none of its planes can: its first fan's is too far away, even turned and moved as
    far as any of the block is against it.
    """
    turned, tilted, shifted = _within_blocks(origins_m, ahead, normals)
    # Numbers one by one: rows of arrays would be made anew for each of the many pairs.
    span = np.empty(2)
    cos, sin = np.cos(yaws_rad), np.sin(yaws_rad)
    for s in range(len(centers_m)):
        hx, hy, hz = half_m[s, 0], half_m[s, 1], half_m[s, 2]
        radius = np.sqrt(hx * hx + hy * hy + hz * hz) + moved_m[s]
        for block in range(len(turned)):
            first = block * BLOCK
            ox = centers_m[s, 0] - origins_m[first, 0]
            oy = centers_m[s, 1] - origins_m[first, 1]
            oz = centers_m[s, 2] - origins_m[first, 2]
            away = np.sqrt(ox * ox + oy * oy + oz * oz)
            off = abs(normals[first, 0] * ox + normals[first, 1] * oy + normals[first, 2] * oz)
            along = ahead[first, 0] * ox + ahead[first, 1] * oy + ahead[first, 2] * oz
            most = radius + shifted[block] + _ROUNDING_M
            if off > most + turned[block] * away or along + most + tilted[block] * away <= 0:
                continue
            for c in range(first, min(first + BLOCK, len(origins_m))):
                ox = centers_m[s, 0] - origins_m[c, 0]
                oy = centers_m[s, 1] - origins_m[c, 1]
                oz = centers_m[s, 2] - origins_m[c, 2]
                nx, ny, nz = normals[c, 0], normals[c, 1], normals[c, 2]
                off = abs(nx * ox + ny * oy + nz * oz)
                if off > radius or ahead[c, 0] * ox + ahead[c, 1] * oy + ahead[c, 2] * oz + radius <= 0:
                    continue
                reach = abs(nx * cos[s] + ny * sin[s]) * hx + abs(ny * cos[s] - nx * sin[s]) * hy
                if off > reach + abs(nz) * hz + moved_m[s]:
                    continue
                yaw = yaws_rad[s] + share[c] * turn_rad[s]
                cy, sy = np.cos(yaw), np.sin(yaw)
                ex, ey = ox + share[c] * way_m[s, 0], oy + share[c] * way_m[s, 1]
                x, y, z = -(ex * cy + ey * sy), ex * sy - ey * cy, -(oz + share[c] * way_m[s, 2])
                place, half = (x, y, z, cy, sy), (hx, hy, hz)
                _cast_fan(directions[c], place, half, is_round[s], s, span, range_m[c], index[c])
