"""Traces: what a run looked like from above, a line a moment after a line that says what stands there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.records import file_text, parsed
from perception_platform.robot.parts import Finite, NonNegative

# x, y, length, width, yaw (None for what is round), bottom and top, m and rad, in the world.
Outline = tuple[Finite, Finite, NonNegative, NonNegative, Finite | None, Finite, Finite]
Corners = Annotated[list[tuple[Finite, Finite]], Field(min_length=3)]


class _Line(BaseModel):
    """A trace may say more than is shown."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Scenery(_Line):
    """The first line.

    Attributes:
        footprint_m: corners of the robot in its own frame.
        zones_m: corners of its zones there.
        standing: what doesn't move.
    """

    footprint_m: Corners
    zones_m: dict[str, Corners]
    standing: list[Outline]


class Moment(_Line):
    """A further line.

    Attributes:
        t_s: time since the start.
        pose: x, y, yaw of the robot in the world.
        speed_mps: its speed.
        limit_mps: what the policy allowed; None before its first decision.
        action: what it asked for.
        why: the finding that bound it.
        moving: what moves.
        tracks: what the stack believed: id, class, x, y, length, width, yaw and velocity.
    """

    t_s: Finite
    pose: tuple[Finite, Finite, Finite]
    speed_mps: Finite
    limit_mps: Finite | None
    action: str
    why: str
    moving: list[Outline]
    tracks: list[tuple[int, str, Finite, Finite, NonNegative, NonNegative, Finite, Finite, Finite]]


class Trace(_Line):
    """A whole file, at least two moments."""

    scenery: Scenery
    moments: Annotated[list[Moment], Field(min_length=2)]

    def as_json(self) -> dict[str, Any]:
        """What a viewer needs, to the millimetre."""
        return {
            "footprint": self.scenery.footprint_m,
            "zones": list(self.scenery.zones_m.values()),
            "standing": [outline[:5] for outline in self.scenery.standing],
            "moments": [
                {
                    **m.model_dump(include={"t_s", "pose", "speed_mps", "limit_mps", "action", "why"}),
                    "moving": [outline[:5] for outline in m.moving],
                    "tracks": [track[1:7] for track in m.tracks],
                }
                for m in self.moments
            ],
        }


def read_trace(path: Path) -> Trace:
    """Read and check a trace.

    Raises:
        InputError: naming file, line and field, if it is missing or malformed, or its times do not rise.
    """
    lines = file_text(path).splitlines()
    if len(lines) < 3:
        raise InputError(path, f"{len(lines)} lines: what stands there and two moments are the least")
    scenery = parsed(Scenery, lines[0], path, "line 1")
    moments = [parsed(Moment, text, path, f"line {n}") for n, text in enumerate(lines[1:], start=2)]
    for number, (earlier, later) in enumerate(pairwise(moments), start=3):
        if later.t_s <= earlier.t_s:
            raise InputError(path, f"{later.t_s} after {earlier.t_s}", f"line {number}: t_s")
    return Trace(scenery=scenery, moments=moments)
