"""How far the robot is from each solid, from the true geometry: in all directions, and along its way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.robot.description import Robot
from perception_platform.runtime.compiled import compiled
from perception_platform.simulation.solids import Solids
from perception_platform.simulation.vehicle import VehicleState

LOWEST_M = 0.05  # what is flatter can be driven over
# What lies so far behind the front edge was still ahead of it a moment ago: the way driven between two looks.
SLACK_M, SLACK_S = 0.02, 0.025


@dataclass(frozen=True, slots=True)
class Around:
    """Of S solids: distance from the footprint and free way ahead of its front, m; infinite for what cannot be hit.

    Attributes:
        distance_m: (S,) 0 where they overlap.
        ahead_m: (S,) along the straight swept path, without margin at its sides; infinite outside of it.
        near_ahead_m: (S,) the same with ``clearance.beside_m`` at each side.
    """

    distance_m: Array
    ahead_m: Array
    near_ahead_m: Array


def look_around(robot: Robot, solids: Solids, state: VehicleState) -> Around:
    """Distances to everything that stands between the lowest and the highest point of the robot.

    The footprint counts as convex.
    """
    distance_m, ahead_m = np.full(len(solids), np.inf), np.full((2, len(solids)), np.inf)
    _look(
        _counter_clockwise(robot.footprint),
        np.ascontiguousarray(solids.centers_m),
        np.ascontiguousarray(solids.sizes_m),
        solids.yaws_rad,
        solids.is_round,
        (state.x_m, state.y_m, state.yaw_rad),
        float(robot.height_m),
        float(robot.clearance.beside_m),
        SLACK_M + SLACK_S * abs(state.speed_mps),
        distance_m,
        ahead_m,
    )
    return Around(distance_m, ahead_m[0], ahead_m[1])


def _counter_clockwise(polygon_m: Array) -> Array:
    x, y = polygon_m.T
    area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    return np.ascontiguousarray(polygon_m if area > 0 else polygon_m[::-1])


@compiled("float64(float64, float64, float64[:,::1])", finite=False)
def _to_edges2(x: float, y: float, polygon_m: Array) -> float:
    """Squared distance from a point to the edges of a polygon."""
    nearest = np.inf
    count = len(polygon_m)
    for i in range(count):
        x0, y0 = polygon_m[i, 0], polygon_m[i, 1]
        ex, ey = polygon_m[(i + 1) % count, 0] - x0, polygon_m[(i + 1) % count, 1] - y0
        px, py = x - x0, y - y0
        share = min(max((px * ex + py * ey) / max(ex * ex + ey * ey, 1e-18), 0.0), 1.0)
        dx, dy = px - share * ex, py - share * ey
        nearest = min(nearest, dx * dx + dy * dy)
    return nearest


@compiled("boolean(float64, float64, float64[:,::1])", finite=False)
def _is_inside(x: float, y: float, polygon_m: Array) -> bool:
    """Whether a point lies within a convex, counter-clockwise polygon."""
    count = len(polygon_m)
    for i in range(count):
        x0, y0 = polygon_m[i, 0], polygon_m[i, 1]
        ex, ey = polygon_m[(i + 1) % count, 0] - x0, polygon_m[(i + 1) % count, 1] - y0
        if (y - y0) * ex < (x - x0) * ey:
            return False
    return True


@compiled("boolean(float64[:,::1], float64[:,::1])", finite=False)
def _apart(one: Array, other: Array) -> bool:
    """Whether an edge of the first convex, counter-clockwise polygon parts it from the second."""
    for i in range(len(one)):
        x0, y0 = one[i, 0], one[i, 1]
        ex, ey = one[(i + 1) % len(one), 0] - x0, one[(i + 1) % len(one), 1] - y0
        beyond = True
        for j in range(len(other)):
            beyond = beyond and (other[j, 0] - x0) * ey - (other[j, 1] - y0) * ex > 0
        if beyond:
            return True
    return False


@compiled("float64(float64[:,::1], float64[:,::1])", finite=False)
def _between(one: Array, other: Array) -> float:
    """Distance between two convex, counter-clockwise polygons; 0 where they overlap."""
    if not (_apart(one, other) or _apart(other, one)):
        return 0.0
    nearest = np.inf
    for i in range(len(one)):
        nearest = min(nearest, _to_edges2(one[i, 0], one[i, 1], other))
    for i in range(len(other)):
        nearest = min(nearest, _to_edges2(other[i, 0], other[i, 1], one))
    return float(np.sqrt(nearest))


@compiled("float64(float64[:,::1], float64, float64, float64)", finite=False)
def _ahead(corners_m: Array, front_m: float, right_m: float, left_m: float) -> float:
    """Least x beyond the front of the part of a convex polygon between two lines along x; infinite without one."""
    nearest = np.inf
    for i in range(len(corners_m)):
        after = (i + 1) % len(corners_m)
        x0, y0, x1, y1 = corners_m[i, 0], corners_m[i, 1], corners_m[after, 0], corners_m[after, 1]
        if right_m <= y0 <= left_m:
            nearest = min(nearest, x0)
        for line in (right_m, left_m):
            if (y0 < line) != (y1 < line):
                nearest = min(nearest, x0 + (x1 - x0) * (line - y0) / (y1 - y0))
    return nearest - front_m


@compiled("float64(float64, float64, float64, float64, float64, float64)", finite=False)
def _disc_ahead(x: float, y: float, radius: float, front_m: float, right_m: float, left_m: float) -> float:
    """The same of a disc."""
    off_m = max(right_m - y, y - left_m, 0.0)
    if off_m >= radius:
        return np.inf
    return float(x - np.sqrt(radius * radius - off_m * off_m) - front_m)


@compiled("void(float64, float64, float64, float64, float64, float64[:,::1])", finite=False)
def _corners(x: float, y: float, yaw: float, length: float, width: float, corners_m: Array) -> None:
    """The corners (4, 2) of a box, counter-clockwise."""
    c, s = np.cos(yaw), np.sin(yaw)
    for i in range(4):
        along, across = (0.5 if i in (0, 3) else -0.5) * length, (0.5 if i < 2 else -0.5) * width
        corners_m[i, 0], corners_m[i, 1] = x + along * c - across * s, y + along * s + across * c


@compiled(
    "void(float64[:,::1], float64[:,::1], float64[:,::1], float64[:], boolean[:], UniTuple(float64, 3), float64,"
    " float64, float64, float64[::1], float64[:,::1])",
    finite=False,
)
def _look(
    footprint_m: Array,
    centers_m: Array,
    sizes_m: Array,
    yaws_rad: Array,
    is_round: npt.NDArray[np.bool_],
    pose: tuple[float, float, float],
    height_m: float,
    beside_m: float,
    slack_m: float,
    distance_m: Array,
    ahead_m: Array,
) -> None:
    """Fill in distances (S,) and ways ahead (2, S) of what stands in the robot's height."""
    front_m, right_m, left_m = footprint_m[:, 0].max(), footprint_m[:, 1].min(), footprint_m[:, 1].max()
    robot_x, robot_y, robot_yaw = pose
    cos, sin = np.cos(robot_yaw), np.sin(robot_yaw)
    corners_m = np.empty((4, 2))
    for s in range(len(centers_m)):
        middle, half = centers_m[s, 2], sizes_m[s, 2] / 2
        if middle - half >= height_m or middle + half <= LOWEST_M:
            continue
        dx, dy = centers_m[s, 0] - robot_x, centers_m[s, 1] - robot_y
        x, y, radius = dx * cos + dy * sin, dy * cos - dx * sin, sizes_m[s, 0] / 2
        if is_round[s]:
            inside = _is_inside(x, y, footprint_m)
            distance_m[s] = 0.0 if inside else max(np.sqrt(_to_edges2(x, y, footprint_m)) - radius, 0.0)
        else:
            _corners(x, y, yaws_rad[s] - robot_yaw, sizes_m[s, 0], sizes_m[s, 1], corners_m)
            distance_m[s] = _between(footprint_m, corners_m)
        for k in range(2):
            right, left = right_m - k * beside_m, left_m + k * beside_m
            if is_round[s]:
                gap_m = _disc_ahead(x, y, radius, front_m, right, left)
            else:
                gap_m = _ahead(corners_m, front_m, right, left)
            if gap_m > -slack_m:
                ahead_m[k, s] = max(gap_m, 0.0)
