"""Small families for tests."""

from __future__ import annotations

from typing import Any

from perception_platform.scenarios.cases import Case, case_at
from perception_platform.scenarios.description import Family


def described(**changes: Any) -> dict[str, Any]:
    """A block in the way of an AMR, and the changes."""
    return {
        "version": 1,
        "family": "block_ahead",
        "title": "A block stands in the way",
        "hazard": "structure",
        "robot": "amr",
        "tags": ["site.hall"],
        "in_domain": True,
        "stop_expected": True,
        "parameters": {"at": {"kind": "uniform", "low": 4.0, "high": 6.0}},
        "cruise_mps": 1.2,
        "route_m": 8.0,
        "duration_s": 12.0,
        "lidar_columns": 180,
        "actors": [{"thing": "block", "size": {"height_m": 1.0, "width_m": 0.8}, "path_m": [["at", 0.0]]}],
    } | changes


def family(**changes: Any) -> Family:
    """The same, checked."""
    return Family.model_validate(described(**changes))


def middle(**changes: Any) -> Case:
    """The case in the middle of all ranges."""
    one = family(**changes)
    return case_at(one, 3, [0.5] * len(one.parameters))
