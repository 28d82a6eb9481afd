"""When the robot must stop and when it must not, from the true geometry alone: nothing here has seen a sensor.

The robot must stand still or brake while something is in one of its stop zones, or in its swept path so near that
braking at the service deceleration no longer keeps the clearance ahead. It must not stop at other times. Between
the two lie short spells in which either is right; they carry no label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import yaml

from perception_platform.core.geometry import Array, Transform, points_in_polygon
from perception_platform.replay.truth import RELEASE_WITHIN_S, Truth, Window
from perception_platform.robot.description import Robot
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids, outlines, take
from perception_platform.simulation.vehicle import VehicleState

STEP_S = 0.01
START_S = 0.4  # the chain starts: no verdict yet is no mistake
LEAD_S = 0.4  # a stop that motion or range noise brings this much early is right as well
LOWEST_M = 0.05  # what is flatter can be driven over
LOOK_AROUND_M = 6.0


def must_stop(robot: Robot, solids: Solids, state: VehicleState) -> bool:
    """Whether anything asks for a stop at one moment.

    The swept path is straight: the footprint's width and ``clearance.beside_m`` to each side.

    Args:
        robot: footprint, zones, braking and clearances.
        solids: everything above the floor, world frame.
        state: the robot's true pose and speed.
    """
    points = _outline_points(robot, solids, state.transform().inverse())
    if any(points_in_polygon(points, zone).any() for zone in _stop_zones(robot)):
        return True
    return path_gap_m(robot, points, state.speed_mps) < stopping_gap_m(robot, abs(state.speed_mps))


def path_gap_m(robot: Robot, points_m: Array, speed_mps: float) -> float:
    """Free distance along the straight swept path to the nearest of (N, 2) points, base frame; inf if none.

    Looks backwards when the speed is negative.
    """
    direction = -1.0 if speed_mps < 0 else 1.0
    footprint, beside = robot.footprint, robot.clearance.beside_m
    ahead = points_m[:, 0] * direction - (footprint[:, 0] * direction).max()
    right, left = footprint[:, 1].min() - beside, footprint[:, 1].max() + beside
    inside = (points_m[:, 1] > right) & (points_m[:, 1] < left) & (ahead > 0)
    return float(ahead[inside].min()) if inside.any() else float("inf")


def stopping_gap_m(robot: Robot, speed_mps: float) -> float:
    """Gap from which service braking, after the declared latency and reaction time, just keeps the clearance."""
    latency = robot.latency
    delay_s = (latency.perception_ms + latency.tracker_ms + latency.risk_ms) / 1e3 + robot.drive.reaction_s
    braking_m = speed_mps**2 / (2 * robot.drive.service_decel_mps2)
    return speed_mps * delay_s + braking_m + robot.clearance.ahead_m


def windows(robot: Robot, scene: Scene, duration_s: float, why_stop: str, why_not: str) -> list[Window]:
    """The windows of a recording, in order of time."""
    times = np.arange(round(duration_s / STEP_S) + 1) * STEP_S
    asked = [must_stop(robot, scene.world.solids_at(t), scene.trajectory.state_at(t)) for t in times]
    spans = [(float(times[a]), float(times[b])) for a, b in _runs(np.array(asked))]
    free_from = [START_S, *(to_s + RELEASE_WITHIN_S for _, to_s in spans)]
    free_to = [*(from_s - LEAD_S for from_s, _ in spans), duration_s]
    stops = [_window("stop", a, b, why_stop) for a, b in spans]
    free = [_window("no_stop", a, b, why_not) for a, b in zip(free_from, free_to, strict=True) if b > a]
    return sorted([*stops, *free], key=lambda w: w.from_s)


def _window(expect: Literal["stop", "no_stop"], from_s: float, to_s: float, why: str) -> Window:
    return Window(expect=expect, from_s=round(from_s, 2), to_s=round(to_s, 2), why=why)


def save(path: Path, truth: Truth) -> None:
    """Write ``truth.yaml``."""
    head = (
        "# Made from the true geometry by make_recordings.py. Times are seconds from the first message. No label,\n"
        f"# because either is right: the first {START_S} s (the chain starts), {LEAD_S} s before a stop window (a\n"
        f"# predicted or noisy early stop is right as well), {RELEASE_WITHIN_S} s after one (the stop is let go).\n"
    )
    text = yaml.safe_dump(truth.model_dump(), sort_keys=False, width=110)
    path.write_text(head + text, encoding="utf-8")


def _stop_zones(robot: Robot) -> list[Array]:
    """Polygons (M, 2) of the zones that nothing may be in while the robot moves."""
    zones = [zone for zone in robot.zones if zone.action == "stop" and not zone.classes]
    return [outline_m for zone in zones for outline_m in zone.outlines_m(robot.footprint)]


def _outline_points(robot: Robot, solids: Solids, base_from_world: Transform) -> Array:
    """(N, 2) outline points in the base frame of what is near and could be hit."""
    bottom = solids.centers_m[:, 2] - solids.sizes_m[:, 2] / 2
    top = solids.centers_m[:, 2] + solids.sizes_m[:, 2] / 2
    around = base_from_world.apply(solids.centers_m)[:, :2]
    reach = np.hypot(solids.sizes_m[:, 0], solids.sizes_m[:, 1]) / 2
    areas = [robot.footprint, *_stop_zones(robot)]
    width_m = max(float(np.abs(area[:, 1]).max()) for area in areas)
    beside = np.abs(around[:, 1]) - reach < width_m + robot.clearance.beside_m
    near = beside & (np.abs(around[:, 0]) - reach < LOOK_AROUND_M)
    chosen = take(solids, np.flatnonzero(near & (bottom < robot.height_m) & (top > LOWEST_M)))
    world = np.concatenate([np.zeros((0, 2)), *outlines(chosen)])
    return base_from_world.apply(np.column_stack([world, np.zeros(len(world))]))[:, :2]


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
