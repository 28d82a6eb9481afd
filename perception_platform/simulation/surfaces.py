"""Beams on glass and polished steel: let through unless they come square, or thrown on to something else.

What a mirrored beam meets is seen where the beam would have gone on straight: a ghost behind the surface.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, wrap_angle
from perception_platform.simulation.raycast import FLOOR, NOTHING, Fans, Hits, Ints, cast
from perception_platform.simulation.solids import Solids, Surface, take

SQUARE_COS = float(np.cos(np.deg2rad(10.0)))  # nearer to the normal than this, glass throws the beam back
_OFF_SURFACE_M = 1e-4  # where a mirrored beam starts, so that it does not meet the mirror again


def cast_to_echoes(fans: Fans, start: Solids, end: Solids) -> Hits:
    """What each ray's echo comes from: as ``cast``, with glass and mirrors followed once.

    Args:
        fans: the rays.
        start: all solids at the start of the sweep.
        end: the same solids at its end.
    """
    hits = cast(fans, start, end)
    if not end.surface.any():
        return hits
    hits = _through_glass(hits, fans, start, end)
    return _off_mirrors(hits, fans, start, end)


def _met(hits: Hits, end: Solids, surface: Surface) -> tuple[Ints, Ints]:
    """Fan and beam of the rays whose hit is of one surface; NOTHING and FLOOR pick the last two rows."""
    table = np.append(end.surface == surface, [False, False])
    fan, beam = np.nonzero(table[hits.index])
    return fan, beam


def _through_glass(hits: Hits, fans: Fans, start: Solids, end: Solids) -> Hits:
    fan, beam = _met(hits, end, Surface.GLASS)
    if not len(fan):
        return hits
    normals = _normals(hits, fans, start, end, fan, beam)
    through = np.abs((normals * fans.directions[fan, beam]).sum(axis=1)) < SQUARE_COS
    rows = np.flatnonzero(end.surface != Surface.GLASS)
    behind = cast(fans, take(start, rows), take(end, rows))
    fan, beam = fan[through], beam[through]
    range_m, index = hits.range_m.copy(), hits.index.copy()
    range_m[fan, beam] = behind.range_m[fan, beam]
    index[fan, beam] = np.append(rows, [NOTHING, FLOOR])[behind.index[fan, beam]]
    return Hits(range_m, index)


def _off_mirrors(hits: Hits, fans: Fans, start: Solids, end: Solids) -> Hits:
    fan, beam = _met(hits, end, Surface.MIRROR)
    if not len(fan):
        return hits
    normals = _normals(hits, fans, start, end, fan, beam)
    before = fans.directions[fan, beam]
    after = before - 2 * (before * normals).sum(axis=1)[:, None] * normals
    points = fans.origins_m[fan] + before * hits.range_m[fan, beam, None] + after * _OFF_SURFACE_M
    on = cast(_single_rays(points, after, fans.share[fan]), start, end)
    range_m, index = hits.range_m.copy(), hits.index.copy()
    range_m[fan, beam] += on.range_m[:, 0]
    index[fan, beam] = on.index[:, 0]
    return Hits(range_m, index)


def _single_rays(origins_m: Array, directions: Array, share: Array) -> Fans:
    """N fans of one ray each."""
    normals = np.cross(directions, [0.0, 0.0, 1.0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = np.where(lengths[:, None] > 1e-9, normals / np.maximum(lengths, 1e-9)[:, None], [1.0, 0.0, 0.0])
    return Fans(origins_m, directions[:, None], directions, normals, share)


def _normals(
    hits: Hits, fans: Fans, start: Solids, end: Solids, fan: npt.NDArray[np.int64], beam: Ints
) -> Array:
    """(N, 3) outward normals where N rays meet their solids."""
    solid, share = hits.index[fan, beam], fans.share[fan]
    point = fans.origins_m[fan] + fans.directions[fan, beam] * hits.range_m[fan, beam, None]
    center = start.centers_m[solid] + share[:, None] * (end.centers_m - start.centers_m)[solid]
    yaw = start.yaws_rad[solid] + share * wrap_angle(end.yaws_rad - start.yaws_rad)[solid]
    offset, c, s = point - center, np.cos(yaw), np.sin(yaw)
    local = np.column_stack(
        [offset[:, 0] * c + offset[:, 1] * s, offset[:, 1] * c - offset[:, 0] * s, offset[:, 2]]
    )
    face = np.abs(local / (end.sizes_m[solid] / 2)).argmax(axis=1)
    out = np.zeros_like(local)
    out[np.arange(len(face)), face] = np.sign(local[np.arange(len(face)), face])
    return np.column_stack([out[:, 0] * c - out[:, 1] * s, out[:, 0] * s + out[:, 1] * c, out[:, 2]])
