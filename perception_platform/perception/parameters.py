"""Parameters of the geometric path, with a digest, so that every object names the exact rules that made it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from perception_platform.core.objects import ModelRef


@dataclass(frozen=True, slots=True)
class GroundParams:
    """How the ground is told from what stands on it.

    Attributes:
        sectors: number of azimuth sectors of the polar grid around the lidar.
        step_up_m: how far the ground may rise above its own continuation from one cell to the next.
        step_down_m: how far it may fall below; larger, as nothing but a reflection is seen below the ground.
        slope_up: further rise allowed per metre without ground in between.
        slope_down: further fall allowed per metre.
        step_limit_m: the most a rise may be, however long no ground was seen.
        thickness_m: ground points lie within this above the lowest of their cell.
        slope_limit: steepest ground that a robot may meet, rise over run.
        narrow_m: what rises by more than ``step_up_m`` above both its sides, and is narrower than this, is no ground.
        clear_m: a point higher than this above the ground is an obstacle.
    """

    sectors: int = 240
    step_up_m: float = 0.06
    step_down_m: float = 0.15
    slope_up: float = 0.06
    slope_down: float = 0.25
    step_limit_m: float = 0.4
    thickness_m: float = 0.12
    slope_limit: float = 0.25
    narrow_m: float = 2.0
    clear_m: float = 0.15


@dataclass(frozen=True, slots=True)
class LowPartParams:
    """What little above the ground belongs to a low thing.

    Attributes:
        above_m: only what is higher than this above the ground.
        within_m: and no farther from what surely stands there ...
        tall_m: ... and is nowhere near as high as this.
    """

    above_m: float = 0.08
    within_m: float = 1.0
    tall_m: float = 0.5


@dataclass(frozen=True, slots=True)
class ClusterParams:
    """What belongs together.

    Attributes:
        cell_m: side of the grid's cells.
        reach_m: cells whose centres are at most this far apart are joined ...
        reach_per_m: ... plus this much per metre of range, as beams spread.
        grazing_per_m: reach along the line of sight, further to that, per metre of range: a side that is seen at a
            small angle shows points far behind each other.
        floating_m: a cell whose lowest point is higher than this above the ground is half hidden by something in front:
        behind_m: it is joined to what lies at most this far in front of it, like a roof to the boot below it.
        min_points: fewer points make no object; they stay obstacle points all the same.
        object_size_m: (length, width) of the largest thing that is kept in one box even if it's not flat.
        piece_m: larger things are cut into pieces no longer than this ...
        flat_m: ... unless a piece is no deeper than this, like a wall.
        max_cuts: how often a thing is halved at most.
    """

    cell_m: float = 0.15
    reach_m: float = 0.24
    reach_per_m: float = 0.008
    grazing_per_m: float = 0.04
    floating_m: float = 0.8
    behind_m: float = 0.8
    min_points: int = 4
    object_size_m: tuple[float, float] = (14.0, 3.0)
    piece_m: float = 2.5
    flat_m: float = 0.5
    max_cuts: int = 8


@dataclass(frozen=True, slots=True)
class BackscatterParams:
    """What is taken for fog, rain or spray.

    Attributes:
        dimmest: only points of at most this intensity, of [0, 1].
        farthest_m: only up to this far; drops farther away send back too little.
        window_m: side of the cube around a point in which others are counted.
        least_filled: fewer than this share of the beams that go through the window have to have stopped in it.
        fewest_beams: where fewer than these go through it, nothing is judged.
    """

    dimmest: float = 0.04
    farthest_m: float = 20.0
    window_m: float = 0.6
    least_filled: float = 0.06
    fewest_beams: float = 30.0


@dataclass(frozen=True, slots=True)
class GeometryParams:
    """All of the geometric path.

    Attributes:
        ground: ground segmentation.
        low_parts: what is taken for a part of a low thing.
        clusters: clustering and boxes.
        backscatter: what is left out as drops in the air; None leaves out nothing.
        body_margin_m: points this close to the footprint are the robot's own.
        tall_m: an object's height is followed up to this.
    """

    ground: GroundParams = GroundParams()
    low_parts: LowPartParams = LowPartParams()
    clusters: ClusterParams = ClusterParams()
    backscatter: BackscatterParams | None = BackscatterParams()
    body_margin_m: float = 0.05
    tall_m: float = 2.6

    def model_ref(self) -> ModelRef:
        """The geometric path as a model: its name and the SHA-256 of these values."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return ModelRef("geometry@1", hashlib.sha256(text.encode()).hexdigest())
