"""What a graph that takes the tracks of earlier moments gains and costs, in simulation, against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Detections, Percept, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.evaluation.lidar_measures import Boxes, covering, inside, near_side, pieces_of
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.load import load_graph
from perception_platform.perception.predicted import predicted
from perception_platform.robot.description import Robot
from perception_platform.simulation.catalogue import forklift, person, wall
from perception_platform.simulation.lidar import sweep
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids, cylinder, join
from perception_platform.simulation.vehicle import Trajectory
from perception_platform.simulation.world import Actor, TimedPath, World
from perception_platform.tracking.tracker import Tracker

_SWEEP_S = 0.1
_FEWEST_POINTS = 20
_OWN = 0.5  # an object is merged into a box of which it is less than this
_FOLLOWED_M = 0.7
_PERSON_M, _FORKLIFT_M = (0.6, 0.6, 1.75), (2.9, 1.2, 2.2)
_PILLARS_X_M = (7.0, 10.0, 13.0)


def evaluate_looking_back(
    robot: Robot, graphs: Sequence[str], scenes: int, sweeps: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Cuts, merges and continuity of people and forklifts that pass each other, pillars and a wall.

    Args:
        robot: its first lidar looks, standing still.
        graphs: names or paths of graphs; each is run on the same sweeps, with a tracker of its own.
        scenes: how many.
        sweeps: of each.
        seed: of people's ways and of noise.

    Returns:
        Counts by graph.
    """
    reports: dict[str, dict[str, Any]] = {}
    for graph in graphs:
        counts: dict[str, int] = dict.fromkeys(
            ("seen", "found", "cut", "merged", "followed", "ids_beyond_the_first", "boxes", "points"), 0
        )
        for scene in range(scenes):
            for name, count in _run(
                robot.model_copy(update={"perception": graph}), seed + scene, sweeps
            ).items():
                counts[name] += count
        reports[graph] = counts
    return reports


def _run(robot: Robot, seed: int, sweeps: int) -> dict[str, int]:
    graph, tracker, tracks = load_graph(robot), Tracker(frame_id=robot.odom_frame), None
    lidar, world = robot.lidars[0], _world(np.random.default_rng(seed))
    standing = Trajectory(np.zeros(1), np.zeros((1, 5)), np.zeros((1, 2)))
    scene = Scene(world, standing, 0, seed)
    known: list[set[int]] = [set() for _ in world.actors]
    counts: dict[str, int] = {}
    for i in range(1, sweeps + 1):
        t_s = i * _SWEEP_S
        cloud = sweep(scene, lidar, t_s)
        ego = EgoState(cloud.t_ns, Transform.identity(), (0.0, 0.0), 0.0)
        percept = _step(graph, cloud, tracks, ego, robot)
        tracks = tracker.step(cloud.t_ns, percept.detections, ego)
        truth = _truth(world, t_s)
        for name, count in _held(robot, cloud, percept, tracks, truth, known).items():
            counts[name] = counts.get(name, 0) + count
    counts["ids_beyond_the_first"] = sum(max(len(ids) - 1, 0) for ids in known)
    return counts


def _step(
    graph: PerceptionGraph, cloud: PointCloud, tracks: Tracks | None, ego: EgoState, robot: Robot
) -> Percept:
    back = tracks is not None and graph.looks_back
    before = predicted(tracks, ego, cloud.t_ns, robot.base_frame) if tracks is not None and back else None
    return graph.step(cloud, tracks=before)


def _held(
    robot: Robot,
    cloud: PointCloud,
    percept: Percept,
    tracks: Tracks,
    truth: Boxes,
    known: list[set[int]],
) -> dict[str, int]:
    """One sweep's counts; adds the tracks that follow each object to what is known of it."""
    base_from_lidar = robot.lidars[0].mounting.transform()
    points_m = base_from_lidar.apply(cloud.xyz_m)
    boxes, origin_m = _boxes(percept.detections), base_from_lidar.translation_m
    counts = {"boxes": len(boxes), "points": len(percept.obstacles)}
    seen = found = cut = merged = followed = 0
    for k in range(len(truth)):
        if inside(points_m, truth, k).sum() < _FEWEST_POINTS:
            continue
        seen += 1
        about = Boxes(truth.centers_m - origin_m, truth.sizes_m, truth.yaws_rad)
        there = Boxes(boxes.centers_m - origin_m, boxes.sizes_m, boxes.yaws_rad)
        box = covering(near_side(points_m - origin_m, about, k), there)
        if box is not None:
            parts, own = pieces_of(points_m - origin_m, about, k, there, box)
            found, cut, merged = found + 1, cut + (parts > 1), merged + (own < _OWN)
        apart_m = np.linalg.norm(tracks.centers_m[:, :2] - truth.centers_m[k, :2], axis=1)
        if len(apart_m) and apart_m.min() <= _FOLLOWED_M:
            followed += 1
            known[k].add(int(tracks.ids[apart_m.argmin()]))
    return counts | {"seen": seen, "found": found, "cut": cut, "merged": merged, "followed": followed}


def _boxes(found: Detections) -> Boxes:
    return Boxes(found.centers_m, found.sizes_m, found.yaws_rad)


def _truth(world: World, t_s: float) -> Boxes:
    """Where the actors are, in the frame of a robot that stands at the origin."""
    poses = np.array([actor.path.pose(t_s) for actor in world.actors])
    sizes_m = np.array([_FORKLIFT_M if actor.body is _forklift else _PERSON_M for actor in world.actors])
    return Boxes(np.column_stack([poses[:, :2], 0.5 * sizes_m[:, 2]]), sizes_m, poses[:, 2])


def _forklift(travelled_m: float) -> Solids:
    return forklift()


def _world(rng: np.random.Generator) -> World:
    """People side by side, people that meet, one along a wall, one past pillars, and a forklift behind pillars."""

    def walk(x: float, y: float, to_x: float, to_y: float, speed_mps: float) -> Actor:
        way_m = float(np.hypot(to_x - x, to_y - y))
        path = TimedPath.through([(0.0, x, y), (way_m / speed_mps, to_x, to_y)])
        return Actor(partial(person, height_m=float(rng.uniform(1.6, 1.9))), path)

    beside_m, speed = float(rng.uniform(0.6, 0.9)), rng.uniform(0.8, 1.5, 6)
    x_m = float(rng.uniform(4.0, 7.0))
    actors = [
        walk(x_m, -6.0, x_m, 6.0, speed[0]),
        walk(x_m + beside_m, -6.0, x_m + beside_m, 6.0, speed[0]),
        walk(-5.0, -5.0, -5.0, 5.0, speed[1]),
        walk(-5.0 - beside_m, 5.0, -5.0 - beside_m, -5.0, speed[2]),
        walk(-8.0, 7.4, 8.0, 7.4, speed[3]),
        walk(3.0, -4.0, 14.0, -4.0 - float(rng.uniform(0.5, 0.8)), speed[4]),
    ]
    ahead = TimedPath.through([(0.0, 4.0, -6.5), (8.0, 16.0, -6.5)])
    actors.append(Actor(_forklift, ahead))
    pillars = [cylinder((x, -5.2), 0.25, 3.0) for x in _PILLARS_X_M]
    walls: Array = np.array([0.0, 8.0, np.pi / 2])
    return World(join([wall(24.0).placed(*walls), *pillars]), tuple(actors))
