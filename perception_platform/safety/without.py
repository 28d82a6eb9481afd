"""The counterfactual that every decision carries: what would have been decided without what binds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception_platform.core.geometry import points_in_polygon
from perception_platform.core.verdicts import Action, Finding, NearObjects, Reason, Without

# Consequences of a stop: without its cause they would not be there either.
_CONSEQUENCES = frozenset({Reason.HOLD, Reason.ESCAPE, Reason.OPINIONS_DIFFER})
_SKIN = 1.3  # points this much outside a track's box, as a share of its size, still are the object's


def without_binding(findings: Sequence[Finding], near: NearObjects, max_speed_mps: float) -> Without | None:
    """The decision without the object that the binding finding is about, or without the fault; None if nothing binds.

    Args:
        findings: of the decision, the binding one first.
        near: outlines of tracks, which tell whose the points of a finding are.
        max_speed_mps: the limit where nothing limits.
    """
    if not findings or findings[0].action is Action.PROCEED:
        return None
    binding = next((f for f in findings if f.reason not in _CONSEQUENCES), findings[0])
    ids = _object_of(binding, near)
    left = [f for f in findings if f.reason not in _CONSEQUENCES and not _is_about(f, binding, ids, near)]
    strictest = min(left, key=lambda f: f.strictness, default=None)
    if strictest is None or strictest.action is Action.PROCEED:
        return Without(Action.PROCEED, max_speed_mps, None)
    limit_mps = 0.0 if strictest.action <= Action.STOP else min(f.speed_limit_mps for f in left)
    return Without(strictest.action, limit_mps, strictest.reason)


def _object_of(finding: Finding, near: NearObjects) -> frozenset[int]:
    """Tracks that a finding is about: those it names, else those whose outline its points lie in."""
    if finding.track_ids or not finding.points_m:
        return frozenset(finding.track_ids)
    points_m = np.asarray(finding.points_m)[:, :2]
    middles_m = near.corners_m.mean(axis=1, keepdims=True)
    outlines_m = middles_m + (near.corners_m - middles_m) * _SKIN
    inside = [bool(points_in_polygon(points_m, outline_m).any()) for outline_m in outlines_m]
    return frozenset(int(i) for i in near.track_ids[np.array(inside, dtype=bool)])


def _is_about(finding: Finding, binding: Finding, ids: frozenset[int], near: NearObjects) -> bool:
    """Whether a finding would go together with the binding one."""
    if finding is binding:
        return True
    if ids:
        return bool(_object_of(finding, near) & ids)
    return bool(binding.points_m) and finding.sensor == binding.sensor and bool(finding.points_m)
