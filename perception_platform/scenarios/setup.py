"""From a case to what the simulation needs: world, actors that wait for their trigger, air, faults, vehicle."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.robot.description import Robot
from perception_platform.scenarios.cases import Case
from perception_platform.scenarios.description import ActorSpec, Amount, Fault
from perception_platform.scenarios.things import body
from perception_platform.simulation.air import Air, DustCloud
from perception_platform.simulation.camera_effects import CameraEffects
from perception_platform.simulation.catalogue import Body, swing_m
from perception_platform.simulation.chassis import Ground
from perception_platform.simulation.odometry import OdometryNoise
from perception_platform.simulation.solids import Solids, join
from perception_platform.simulation.world import TimedPath


@dataclass
class Mover:
    """An actor of a scenario: it stands at its first point until its trigger fires.

    Attributes:
        body: its solids in its own frame.
        path: where it is, when, counted from the trigger.
        turned_rad: how the body is turned against the way it goes.
        at_s: when it sets out; None while that depends on the robot.
        within_m: distance of the robot's front from its first point, along x, that sets it going.
    """

    body: Body
    path: TimedPath
    turned_rad: float
    at_s: float | None
    within_m: float | None

    def watch(self, front_x_m: float, t_s: float) -> None:
        """Set out if the robot is near enough."""
        if (
            self.at_s is None
            and self.within_m is not None
            and self.path.xy_m[0, 0] - front_x_m <= self.within_m
        ):
            self.at_s = t_s

    def pose_at(self, t_s: float) -> tuple[float, float, float, float]:
        """(x, y, yaw, swing of its legs) in the world frame, m and rad."""
        since_s = -1.0 if self.at_s is None else t_s - self.at_s
        x_m, y_m, yaw_rad = self.path.pose(since_s)
        return x_m, y_m, yaw_rad + self.turned_rad, swing_m(self.path.travelled_m(since_s))

    def is_done(self, t_s: float) -> bool:
        """Whether it moves no more."""
        return self.at_s is not None and t_s - self.at_s >= self.path.t_s[-1]


@dataclass(frozen=True)
class LiveWorld:
    """What stands and moves, for the simulated sensors.

    Attributes:
        standing: what never moves.
        movers: what may.
        floor_reflectivity: share of the lidar's light that the floor throws back.
        markings: paint on the floor: none.
    """

    standing: Solids
    movers: tuple[Mover, ...]
    floor_reflectivity: float
    markings: tuple[()] = ()

    def solids_at(self, t_s: float) -> Solids:
        """Everything above the floor, in the world frame; the order is the same at all times."""
        centers_m, yaws_rad = self._moved(t_s)
        return replace(
            self._all,
            centers_m=np.concatenate([self.standing.centers_m, centers_m]),
            yaws_rad=np.concatenate([self.standing.yaws_rad, yaws_rad]),
        )

    def moving_at(self, t_s: float) -> Solids:
        """The movers' solids."""
        centers_m, yaws_rad = self._moved(t_s)
        return replace(self._bodies, centers_m=centers_m, yaws_rad=yaws_rad)

    @cached_property
    def is_actor(self) -> npt.NDArray[np.bool_]:
        """(S,) which of the solids belong to movers."""
        return np.arange(len(self._all)) >= len(self.standing)

    @cached_property
    def _bodies(self) -> Solids:
        """All movers' solids, each in its own frame."""
        return join([mover.body.standing for mover in self.movers])

    @cached_property
    def _all(self) -> Solids:
        """Sizes and looks of everything."""
        return join([self.standing, self._bodies])

    @cached_property
    def _mover(self) -> npt.NDArray[np.int64]:
        """(M,) whose solid each of the moving ones is."""
        return np.repeat(np.arange(len(self.movers)), [len(mover.body.swing) for mover in self.movers])

    @cached_property
    def _swing(self) -> Array:
        return np.concatenate([np.zeros(0), *(mover.body.swing for mover in self.movers)])

    def _moved(self, t_s: float) -> tuple[Array, Array]:
        """Centres (M, 3) and headings (M,) of the moving solids in the world frame."""
        poses = np.array([mover.pose_at(t_s) for mover in self.movers]).reshape(-1, 4)
        c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
        of, own = self._mover, self._bodies
        x, y = own.centers_m[:, 0] + self._swing * poses[of, 3], own.centers_m[:, 1]
        x_m, y_m = x * c[of] - y * s[of] + poses[of, 0], x * s[of] + y * c[of] + poses[of, 1]
        return np.column_stack([x_m, y_m, own.centers_m[:, 2]]), own.yaws_rad + poses[of, 2]


@dataclass(frozen=True)
class TimedFault:
    """A fault with its values.

    Attributes:
        kind: as in the scenario file.
        sensor: kind of sensor.
        from_s: when it begins.
        until_s: when it ends.
        amount: how much.
    """

    kind: str
    sensor: str
    from_s: float
    until_s: float
    amount: float

    def holds(self, t_s: float) -> bool:
        """Whether it is there at a time."""
        return self.from_s <= t_s < self.until_s


@dataclass(frozen=True)
class Setup:
    """A case ready to run.

    Attributes:
        case: the case.
        robot: the robot's file.
        world: what stands and moves.
        air: rain and dust.
        ground: what the floor and the load make of the brakes.
        odometry: errors of the odometry.
        camera: what light and dirt make of the camera's image; None if it is not drawn.
        faults: what goes wrong.
        cruise_mps: what the planner asks for.
        start_mps: speed at the beginning.
        route_m: way after which the run ends.
        duration_s: time after which it ends.
    """

    case: Case
    robot: Robot
    world: LiveWorld
    air: Air
    ground: Ground
    odometry: OdometryNoise
    camera: CameraEffects | None
    faults: tuple[TimedFault, ...]
    cruise_mps: float
    start_mps: float
    route_m: float
    duration_s: float


def set_up(case: Case, robot: Robot) -> Setup:
    """Work out all values of a case.

    Raises:
        ValueError: names the expression or value that makes no sense.
    """
    family, amount = case.family, case.amount
    around, vehicle, odometry = family.surroundings, family.vehicle, family.odometry
    cruise_mps = amount(family.cruise_mps)
    return Setup(
        case,
        robot,
        LiveWorld(_furniture(case), (*_actors(case), *_crowd(case)), amount(around.floor_reflectivity)),
        Air(amount(around.rain_mm_h), tuple(_dust(case))),
        Ground(
            *(amount(a) for a in (vehicle.grip_mps2, vehicle.grade, vehicle.brake_share, vehicle.delay_s))
        ),
        OdometryNoise(
            *(
                amount(a)
                for a in (odometry.speed_scale, odometry.speed_sigma_mps, odometry.yaw_rate_sigma_radps)
            )
        ),
        CameraEffects(*(amount(a) for a in (around.light, around.glare, around.blur_px, around.dirt)))
        if family.camera
        else None,
        tuple(_fault(case, fault) for fault in family.faults),
        cruise_mps,
        cruise_mps if family.start_mps is None else amount(family.start_mps),
        amount(family.route_m),
        family.duration_s,
    )


def _sized(case: Case, thing: str, size: dict[str, Amount]) -> Body:
    return body(thing, {name: case.amount(value) for name, value in size.items()})


def _furniture(case: Case) -> Solids:
    standing = []
    for thing in case.family.furniture:
        solids = _sized(case, thing.thing, thing.size)(0.0)
        x_m, y_m, yaw_deg = (case.amount(a) for a in (thing.x_m, thing.y_m, thing.yaw_deg))
        dx_m, dy_m = (case.amount(a) for a in thing.step_m[:2])
        standing += [
            solids.placed(x_m + i * dx_m, y_m + i * dy_m, float(np.deg2rad(yaw_deg)))
            for i in range(thing.count)
        ]
    return join(standing)


def _actors(case: Case) -> list[Mover]:
    return [_actor(case, spec) for spec in case.family.actors]


def _actor(case: Case, spec: ActorSpec) -> Mover:
    points = [[case.amount(a) for a in point] for point in spec.path_m]
    speed_mps = case.amount(spec.speed_mps)
    if len(points) > 1 and not speed_mps > 0:
        raise ValueError(f"{case.id}: {spec.thing} is to go at {speed_mps} m/s")
    path = TimedPath.through(_timed(points, speed_mps), float(np.deg2rad(case.amount(spec.yaw_deg))))
    at_s, within_m = (
        None if a is None else case.amount(a) for a in (spec.trigger.at_s, spec.trigger.robot_within_m)
    )
    turned_rad = float(np.deg2rad(case.amount(spec.turned_deg)))
    return Mover(_sized(case, spec.thing, spec.size), path, turned_rad, at_s, within_m)


def _timed(points: Sequence[Sequence[float]], speed_mps: float) -> list[tuple[float, float, float]]:
    """Points (x, y) or (x, y, pause) as (t, x, y), at one speed."""
    t_s, timed = 0.0, []
    for i, (x_m, y_m, *pause_s) in enumerate(points):
        if i:
            t_s += max(float(np.hypot(x_m - points[i - 1][0], y_m - points[i - 1][1])) / speed_mps, 1e-3)
        timed.append((t_s, x_m, y_m))
        if pause_s and pause_s[0] > 0:
            t_s += pause_s[0]
            timed.append((t_s, x_m, y_m))
    return timed


def _crowd(case: Case) -> list[Mover]:
    crowd = case.family.crowd
    if crowd is None:
        return []
    rng = np.random.default_rng([case.seed, zlib.crc32(b"crowd")])
    (x0, x1), (y0, y1), (slow, fast) = (
        [case.amount(a) for a in pair] for pair in (crowd.x_m, crowd.y_m, crowd.speed_mps)
    )
    movers = []
    for _ in range(crowd.count):
        start, end = rng.uniform((x0, y0), (x1, y1), (2, 2))
        height_m, speed_mps = float(np.round(rng.uniform(1.5, 1.9), 2)), float(rng.uniform(slow, fast))
        path = TimedPath.through(_timed([start.tolist(), end.tolist()], speed_mps))
        movers.append(Mover(body("person", {"height_m": height_m}), path, 0.0, 0.0, None))
    return movers


def _dust(case: Case) -> list[DustCloud]:
    clouds = []
    for dust in case.family.surroundings.dust:
        x_m, y_m, z_m = (case.amount(a) for a in (dust.x_m, dust.y_m, dust.z_m))
        others = (dust.radius_m, dust.extinction_per_m, dust.from_s, dust.until_s)
        clouds.append(DustCloud((x_m, y_m, z_m), *(case.amount(a) for a in others)))
    return clouds


def _fault(case: Case, fault: Fault) -> TimedFault:
    from_s = case.amount(fault.from_s)
    return TimedFault(
        fault.kind, fault.sensor, from_s, from_s + case.amount(fault.for_s), case.amount(fault.amount)
    )
