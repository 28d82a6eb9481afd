"""A run as lines for pictures: ten moments a second, from above."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.verdicts import Decision
from perception_platform.scenarios.setup import Setup
from perception_platform.simulation.solids import Solids
from perception_platform.simulation.vehicle import VehicleState

EVERY_S = 0.1


class Trace:
    """Collects the lines.

    Attributes:
        lines: the first says what stands and what the robot looks like; each other is a moment: the robot, what the
            judge decided and why, outlines of what moves, and the tracks (id, class, x, y, length, width, yaw, vx, vy).
            Outlines are (x, y, length, width, yaw, bottom, top); a cylinder's yaw is null.
    """

    def __init__(self, setup: Setup) -> None:
        robot, world = setup.robot, setup.world
        self._world, self._next_s = world, 0.0
        self.lines: list[dict[str, Any]] = [
            {
                "case": setup.case.id,
                "robot": robot.name,
                "footprint_m": _rounded(robot.footprint),
                "zones_m": {
                    zone.name: _rounded(outline_m)
                    for zone in robot.zones
                    for outline_m in zone.outlines_m(robot.footprint)[:1]
                },
                "route_m": round(setup.route_m, 3),
                "standing": outlines_of(world.standing),
            }
        ]

    def tick(self, t_s: float, state: VehicleState, decision: Decision | None, tracks: Tracks | None) -> None:
        """A moment; kept if it is time for the next line."""
        if t_s < self._next_s - 1e-9:
            return
        self._next_s = t_s + EVERY_S
        self.lines.append(
            {
                "t_s": round(t_s, 3),
                "pose": _rounded([state.x_m, state.y_m, state.yaw_rad]),
                "speed_mps": round(state.speed_mps, 3),
                "action": "starting" if decision is None else decision.action.name.lower(),
                "limit_mps": None if decision is None else round(decision.speed_limit_mps, 3),
                "why": decision.findings[0].text if decision is not None and decision.findings else "",
                "moving": outlines_of(self._world.moving_at(t_s)),
                "tracks": [] if tracks is None else _tracks(tracks),
            }
        )


def outlines_of(solids: Solids) -> list[list[float | None]]:
    """(x, y, length, width, yaw, bottom, top) of each solid; the yaw of a cylinder is None."""
    half = solids.sizes_m[:, 2] / 2
    bottom, top = solids.centers_m[:, 2] - half, solids.centers_m[:, 2] + half
    table = _rounded(
        np.column_stack([solids.centers_m[:, :2], solids.sizes_m[:, :2], solids.yaws_rad, bottom, top])
    )
    return [
        [None if i == 4 and is_round else value for i, value in enumerate(row)]
        for row, is_round in zip(table, solids.is_round.tolist(), strict=True)
    ]


def _tracks(tracks: Tracks) -> list[list[Any]]:
    shown = np.flatnonzero(tracks.existence > 0.5)
    table = np.column_stack(
        [tracks.centers_m[:, :2], tracks.sizes_m[:, :2], tracks.yaws_rad, tracks.velocities_mps]
    )
    names = [ObjectClass(int(c)).name.lower() for c in tracks.class_ids[shown]]
    rows = zip(tracks.ids[shown].tolist(), names, _rounded(table[shown]), strict=True)
    return [[i, name, *row] for i, name, row in rows]


def _rounded(values: npt.ArrayLike) -> list[Any]:
    return list((np.round(np.asarray(values, dtype=np.float64), 3) + 0.0).tolist())
