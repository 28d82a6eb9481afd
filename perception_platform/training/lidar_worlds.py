"""Made-up worlds for a lidar network: warehouses and streets at random, swept by lidars of many kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.bird_view import CLASSES, PERIOD_S, Heights
from perception_platform.perception.ground import height_above_ground
from perception_platform.perception.parameters import GroundParams
from perception_platform.robot.sensors import External, Lidar, Mounting, Velodyne
from perception_platform.scenarios.things import THINGS
from perception_platform.simulation import catalogue
from perception_platform.simulation.lidar import LidarNoise, sweep
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids, box, cylinder, join
from perception_platform.simulation.vehicle import Trajectory
from perception_platform.simulation.world import Actor, TimedPath, World

WORLDS_APART = 10_000_000  # between the seeds of two sets of worlds
AT_S = 1.0  # the newest sweep's end
REACH_M = 34.0
_OWN_M = 2.2  # nothing stands nearer to the lidar's axis than this
_LEAST_POINTS = 6
_CLEARANCE_M = 0.25
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Truth:
    """N objects with enough points on them, in the base frame of the newest sweep.

    Attributes:
        boxes: (N, 7) x, y, z of the centre, length, width, height, m, heading, rad.
        classes: (N,) index into ``bird_view.CLASSES``.
        velocities_mps: (N, 2) as seen from the robot: by how much it moves in its frame.
        points: (N,) on each.
    """

    boxes: Array
    classes: Array
    velocities_mps: Array
    points: Array


@dataclass(frozen=True, slots=True)
class Swept:
    """A made-up world and what a lidar that drives through it measured.

    Attributes:
        world: it.
        actors: of it, each with what it is.
        lidar: of a random kind.
        trajectory: of the robot.
        newest: the sweep that ends at ``AT_S``, in the lidar's frame.
        earlier: the one before.
    """

    world: World
    actors: list[tuple[Actor, _Thing]]
    lidar: Lidar
    trajectory: Trajectory
    newest: PointCloud
    earlier: PointCloud


@dataclass(frozen=True, slots=True)
class Example:
    """Two sweeps, the truth, and the outlines of all that stands there: (K, 5) x, y, length, width, heading."""

    sweep: Heights
    earlier: Heights
    truth: Truth
    outlines: Array


@dataclass(frozen=True, slots=True)
class _Thing:
    body: Callable[[float], Solids]
    class_index: int  # of CLASSES; -1: none of them
    fastest_mps: float


def make_example(seed: int) -> Example:
    """One world and what a lidar saw of it; the same seed gives the same bytes."""
    swept = sweep_world(seed)
    newest, earlier = seen_from_base(swept.newest, swept.lidar), seen_from_base(swept.earlier, swept.lidar)
    return Example(newest, earlier, truth_of(swept, newest), _outlines(swept.world))


def sweep_world(seed: int) -> Swept:
    """One world, swept twice."""
    rng = np.random.default_rng(seed)
    lidar, columns = _lidar(rng)
    world, actors = _world(rng)
    speed, turn = (0.0, 0.0) if rng.random() < 0.3 else (rng.uniform(0, 12), rng.normal(0, 0.15))
    trajectory = _drive(float(speed), float(turn))
    scene = Scene(world, trajectory, 0, seed)
    noise = LidarNoise(range_sigma_m=float(rng.uniform(0.005, 0.03)), dropout=float(rng.uniform(0.0, 0.15)))
    newest = sweep(scene, lidar, AT_S, columns=columns, noise=noise)
    earlier = sweep(scene, lidar, AT_S - PERIOD_S, columns=columns, noise=noise)
    return Swept(world, actors, lidar, trajectory, newest, earlier)


def _lidar(rng: Rng) -> tuple[Lidar, int]:
    """A lidar of one of the usual kinds, and its firings a turn."""
    kinds: tuple[tuple[Any, int, int], ...] = (
        ("HDL-64E S2", 64, 1024), ("HDL-64E S2", 64, 1500), ("VLP-32C", 32, 1024), ("VLP-16", 16, 1024),
        (None, 32, 1024), (None, 64, 1024), (None, 128, 900),
    )  # fmt: skip
    model, beams, columns = kinds[int(rng.integers(len(kinds)))]
    height_m = rng.uniform(1.5, 2.1) if model == "HDL-64E S2" else rng.uniform(0.6, 2.2)
    lidar = Lidar(
        name="lidar", kind="lidar", rate_hz=10, beams=beams, range_m=(0.5, 70.0),
        mounting=Mounting(xyz_m=(float(rng.uniform(0, 1)), 0.0, float(height_m)),
                          rpy_deg=(float(rng.normal(0, 0.4)), float(rng.normal(0, 0.6)), 0.0)),
        driver=External(type="external") if model is None else Velodyne(type="velodyne", model=model, port=2368),
    )  # fmt: skip
    return lidar, columns


def _drive(speed_mps: float, turn_radps: float) -> Trajectory:
    """A drive at constant speed and turn rate that comes through the origin, along x, at ``AT_S``."""
    since_s = np.linspace(-AT_S, 0.0, 101)
    yaw = turn_radps * since_s
    # sin(a)/a and (1 - cos(a))/a, also for a drive straight ahead.
    x = speed_mps * since_s * np.sinc(yaw / np.pi)
    y = speed_mps * since_s * np.sin(yaw / 2) * np.sinc(yaw / (2 * np.pi))
    one = np.ones_like(since_s)
    states = np.column_stack([x, y, yaw, speed_mps * one, turn_radps * one])
    return Trajectory(since_s + AT_S, states, states[:, 3:])


def seen_from_base(cloud: PointCloud, lidar: Lidar) -> Heights:
    """A sweep in the base frame, its ground found as the perception layer does."""
    base_from_lidar = lidar.mounting.transform()
    xyz_m = np.ascontiguousarray(base_from_lidar.apply(cloud.xyz_m), dtype=np.float32)
    xyz_m = xyz_m[np.hypot(xyz_m[:, 0], xyz_m[:, 1]) < REACH_M * 1.35]
    height_m = height_above_ground(xyz_m, base_from_lidar.translation_m, GroundParams())
    return Heights(xyz_m, height_m)


def truth_of(swept: Swept, seen: Heights) -> Truth:
    """What an application may ask for, where the lidar saw enough of it: the newest sweep, in the base frame."""
    state = swept.trajectory.state_at(AT_S)
    speed, turn = state.speed_mps, state.yaw_rate_radps
    boxes, classes, velocities, counts = [], [], [], []
    standing = seen.xyz_m[seen.height_m > 0.1].astype(np.float64)
    for actor, thing in swept.actors:
        if thing.class_index < 0:
            continue
        low, high = _extent(actor.body(actor.path.travelled_m(AT_S)))
        x, y, yaw = actor.path.pose(AT_S)
        x_before, y_before, _ = actor.path.pose(AT_S - PERIOD_S)
        c, s = np.cos(yaw), np.sin(yaw)
        middle, size = (low + high) / 2, high - low
        center = np.array([x + c * middle[0] - s * middle[1], y + s * middle[0] + c * middle[1], middle[2]])
        count = _points_in(standing, center, size, yaw)
        if count < _LEAST_POINTS or np.abs(center[:2]).max() > REACH_M - 2:
            continue
        vx, vy = (x - x_before) / PERIOD_S, (y - y_before) / PERIOD_S
        boxes.append([*center, *size, yaw])
        classes.append(thing.class_index)
        velocities.append([vx - speed + turn * center[1], vy - turn * center[0]])
        counts.append(count)
    return Truth(
        np.array(boxes, dtype=np.float64).reshape(-1, 7), np.array(classes, dtype=np.int64),
        np.array(velocities, dtype=np.float64).reshape(-1, 2), np.array(counts, dtype=np.int64),
    )  # fmt: skip


def _points_in(points_m: Array, center_m: Array, size_m: Array, yaw_rad: float) -> int:
    near = points_m[np.abs(points_m[:, :2] - center_m[:2]).max(axis=1) < np.hypot(size_m[0], size_m[1])]
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    at = near - center_m
    u, v = at[:, 0] * c + at[:, 1] * s, at[:, 1] * c - at[:, 0] * s
    half = size_m / 2 + 0.1
    return int(((np.abs(u) < half[0]) & (np.abs(v) < half[1]) & (np.abs(at[:, 2]) < half[2])).sum())


def _extent(solids: Solids) -> tuple[Array, Array]:
    """Lowest and highest corner of a body whose solids stand along its own axes."""
    half = solids.sizes_m / 2
    return (solids.centers_m - half).min(axis=0), (solids.centers_m + half).max(axis=0)


def _outlines(world: World) -> Array:
    """(K, 5) x, y, length, width and heading of what stands on the floor and could be driven into."""
    solids = world.solids_at(AT_S)
    half_m = solids.sizes_m[:, 2] / 2
    rows = (solids.centers_m[:, 2] - half_m < 1.8) & (solids.centers_m[:, 2] + half_m > 0.2)
    return np.column_stack([solids.centers_m[rows, :2], solids.sizes_m[rows, :2], solids.yaws_rad[rows]])


def _world(rng: Rng) -> tuple[World, list[tuple[Actor, _Thing]]]:
    """A street or a warehouse around the origin."""
    axis_rad = float(rng.choice([0.0, 0.0, np.pi / 2, rng.uniform(-np.pi, np.pi)]))
    street = rng.random() < 0.55
    counts = _STREET if street else _WAREHOUSE
    taken: list[tuple[float, float, float]] = [(0.0, 0.0, _OWN_M)]
    actors = []
    standing = [_bounds(rng, axis_rad, street)]
    for maker, most in counts:
        for _ in range(int(rng.integers(0, most + 1))):
            thing = maker(rng)
            actor = _placed(rng, thing, taken, axis_rad)
            if actor is not None:
                actors.append((actor, thing))
    return World(
        join(standing), tuple(a for a, _ in actors), floor_reflectivity=float(rng.uniform(0.15, 0.4))
    ), actors


def _bounds(rng: Rng, axis_rad: float, street: bool) -> Solids:
    """Facades or walls along the axis, in sections that stand back and forth."""
    parts = []
    for side in (-1, 1):
        if rng.random() < 0.2:
            continue
        away_m, x = rng.uniform(6, 22) if street else rng.uniform(4, 18), -40.0
        while x < 40:
            length = rng.uniform(3, 14)
            if rng.random() < 0.85:
                depth = rng.uniform(0.2, 0.6)
                y = side * (away_m + depth / 2 + rng.uniform(0, 1.5))
                size = (length, depth, rng.uniform(2.5, 9))
                parts.append(box((x + length / 2, y), size, reflectivity=float(rng.uniform(0.2, 0.7))))
            x += length + rng.uniform(0, 3) * (rng.random() < 0.4)
    return join(parts).placed(0.0, 0.0, axis_rad)


def _placed(
    rng: Rng, thing: _Thing, taken: list[tuple[float, float, float]], axis_rad: float
) -> Actor | None:
    """Somewhere free, nearer places likelier; None if there is none after some tries."""
    low, high = _extent(thing.body(0.0))
    radius = float(np.hypot(*np.maximum(np.abs(low[:2]), np.abs(high[:2])))) * 0.8
    for _ in range(12):
        away, angle = _OWN_M + radius + (REACH_M - _OWN_M) * rng.random() ** 0.8, rng.uniform(-np.pi, np.pi)
        x, y = away * np.cos(angle), away * np.sin(angle)
        if all(np.hypot(x - a, y - b) > radius + r + _CLEARANCE_M * rng.random() for a, b, r in taken):
            break
    else:
        return None
    taken.append((x, y, radius))
    along = rng.random() < 0.75
    yaw = (
        axis_rad + np.pi / 2 * int(rng.integers(4)) + rng.normal(0, 0.08)
        if along
        else rng.uniform(-np.pi, np.pi)
    )
    speed = 0.0 if rng.random() < 0.45 else rng.uniform(0, thing.fastest_mps)
    if speed <= 0.05:
        return Actor(thing.body, TimedPath.through([(0.0, x, y)], float(yaw)))
    dx, dy = speed * AT_S * np.cos(yaw), speed * AT_S * np.sin(yaw)
    swing = float(rng.uniform(0, 1.5))  # where in a step somebody is
    body = thing.body
    return Actor(lambda m: body(m + swing), TimedPath.through([(0.0, x - dx, y - dy), (AT_S, x, y)]))


def _scaled(solids: Solids, rng: Rng, share: float) -> Solids:
    """A body a little longer, wider and taller or the contrary."""
    by = 1 + rng.uniform(-share, share, 3)
    return replace(solids, centers_m=solids.centers_m * by, sizes_m=solids.sizes_m * by)


def _of(name: ObjectClass) -> int:
    return CLASSES.index(name)


def _person(rng: Rng) -> _Thing:
    which = rng.random()
    if which < 0.8:
        height, by = float(rng.uniform(1.1, 1.95)), 1 + rng.uniform(-0.2, 0.35)
        reflectivity = float(rng.uniform(0.08, 0.7))

        def walker(travelled_m: float) -> Solids:
            body = catalogue.person(travelled_m, height_m=height)
            wide = np.array([1.0, by, 1.0])
            return replace(
                body, centers_m=body.centers_m * wide, sizes_m=body.sizes_m * wide,
                reflectivity=np.full(len(body), reflectivity),
            )  # fmt: skip

        return _Thing(walker, _of(ObjectClass.PERSON), 2.2)
    name = "crouching" if which < 0.9 else "wheelchair_user"
    return _still(_scaled(THINGS[name]()(0.0), rng, 0.12), ObjectClass.PERSON, 1.0)


def _still(solids: Solids, name: ObjectClass | None, fastest_mps: float) -> _Thing:
    return _Thing(lambda travelled_m: solids, -1 if name is None else _of(name), fastest_mps)


def _cyclist(rng: Rng) -> _Thing:
    return _still(_scaled(THINGS["cyclist"]()(0.0), rng, 0.12), ObjectClass.CYCLIST, 7.0)


def _car(rng: Rng) -> _Thing:
    """A car as a stack of boxes that get shorter: hatchback to estate, saloon to van."""
    length, width, belt = rng.uniform(3.4, 5.1), rng.uniform(1.55, 1.95), rng.uniform(0.75, 1.0)
    clear, roof = rng.uniform(0.15, 0.3), rng.uniform(1.35, 2.1)
    dull, glass = float(rng.uniform(0.05, 0.6)), float(rng.uniform(0.02, 0.25))
    parts = [box((0.0, 0.0), (length, width, 0.55 * (belt - clear)), bottom_m=clear, reflectivity=dull)]
    parts.append(
        box(
            (0.0, 0.0),
            (0.96 * length, width, 0.45 * (belt - clear)),
            bottom_m=clear + 0.55 * (belt - clear),
            reflectivity=dull,
        )
    )
    levels, front, back = (
        int(rng.integers(2, 5)),
        rng.uniform(0.2, 0.42) * length,
        rng.uniform(0.02, 0.28) * length,
    )
    for i in range(levels):
        share = (i + 1) / levels
        x1, x0 = length / 2 - front * (0.6 + 0.6 * share), -length / 2 + back * (0.5 + 0.5 * share)
        size = (max(x1 - x0, 0.6), width * (0.95 - 0.12 * share), (roof - belt) / levels)
        shine = dull if i == levels - 1 else glass
        parts.append(
            box(((x0 + x1) / 2, 0.0), size, bottom_m=belt + (roof - belt) * i / levels, reflectivity=shine)
        )
    parts += [
        cylinder((x * length, y * width), 0.6, 0.6, reflectivity=0.08)
        for x in (-0.3, 0.31)
        for y in (-0.38, 0.38)
    ]
    return _still(join(parts), ObjectClass.CAR, 12.0)


def _van(rng: Rng) -> _Thing:
    return _still(_scaled(THINGS["van"]()(0.0), rng, 0.12), ObjectClass.CAR, 12.0)


def _truck(rng: Rng) -> _Thing:
    return _still(
        _scaled(THINGS["truck"](float(rng.uniform(5.5, 11)))(0.0), rng, 0.12), ObjectClass.TRUCK, 12.0
    )


def _forklift(rng: Rng) -> _Thing:
    load = float(rng.choice([0.0, 0.8, 1.2]))
    return _still(
        _scaled(THINGS["forklift"](load, float(rng.uniform(0.8, 1.2)))(0.0), rng, 0.12),
        ObjectClass.FORKLIFT,
        3.0,
    )


def _pallet(rng: Rng) -> _Thing:
    return _still(
        _scaled(catalogue.pallet(load_m=float(rng.choice([0.0, rng.uniform(0.3, 1.6)]))), rng, 0.1), None, 0.0
    )


def _shelf(rng: Rng) -> _Thing:
    return _still(THINGS["shelf"](float(rng.integers(1000)), float(rng.integers(1, 5)))(0.0), None, 0.0)


def _block(rng: Rng) -> _Thing:
    size = (float(rng.uniform(0.2, 2.5)), float(rng.uniform(0.2, 1.5)), float(rng.uniform(0.2, 2.5)))
    return _still(box((0.0, 0.0), size, reflectivity=float(rng.uniform(0.1, 0.7))), None, 0.0)


def _post(rng: Rng) -> _Thing:
    size = float(rng.uniform(0.06, 0.5)), float(rng.uniform(0.6, 6))
    return _still(cylinder((0.0, 0.0), *size, reflectivity=float(rng.uniform(0.1, 0.7))), None, 0.0)


def _cone(rng: Rng) -> _Thing:
    return _still(THINGS["cone"](float(rng.uniform(0.3, 1.0)))(0.0), None, 0.0)


def _bush(rng: Rng) -> _Thing:
    """Leaves: many small boxes in a ball or a hedge."""
    wide = rng.uniform(0.4, 1.2, 3) * np.array([rng.choice([1.0, 4.0]), 1.0, 1.3])
    parts = [
        box(
            (float(p[0]), float(p[1])),
            tuple(rng.uniform(0.1, 0.5, 3)),
            bottom_m=float(p[2]),
            reflectivity=0.3,
        )
        for p in rng.uniform(-0.5, 0.5, (int(rng.integers(6, 20)), 3)) * wide + np.array([0, 0, 0.5]) * wide
    ]
    return _still(join(parts), None, 0.0)


def _tree(rng: Rng) -> _Thing:
    trunk = cylinder((0.0, 0.0), float(rng.uniform(0.12, 0.6)), 4.0, reflectivity=0.3)
    crown = [
        box(
            (float(x), float(y)),
            tuple(rng.uniform(0.4, 1.2, 3)),
            bottom_m=float(rng.uniform(1.8, 4)),
            reflectivity=0.3,
        )
        for x, y in rng.normal(0, 0.8, (int(rng.integers(3, 9)), 2))
    ]
    return _still(join([trunk, *crown]), None, 0.0)


def _fence(rng: Rng) -> _Thing:
    """A fence or a kerb."""
    length, height = float(rng.uniform(2, 9)), float(rng.choice([0.15, rng.uniform(0.7, 2.0)]))
    return _still(box((0.0, 0.0), (length, 0.08, height), reflectivity=0.3), None, 0.0)


# What stands in a scene, and at most how many of each.
_STREET = (
    (_car, 14), (_van, 2), (_truck, 2), (_person, 9), (_cyclist, 4), (_tree, 8), (_bush, 6), (_post, 8), (_fence, 4),
    (_block, 4), (_cone, 2),
)  # fmt: skip
_WAREHOUSE = (
    (_shelf, 8), (_forklift, 4), (_person, 10), (_pallet, 8), (_block, 6), (_post, 6), (_cone, 3), (_fence, 2),
    (_truck, 1), (_cyclist, 1), (_car, 1),
)  # fmt: skip
