#!/usr/bin/env python3
"""Make the recordings in this folder: what the sensors of a simulated robot deliver, and when it has to stop.

    python rosbags/make_recordings.py [NAME ...] [--out DIR]

The same code gives the same bytes. Truth comes from the true geometry, never from what the stack makes of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from perception_platform.replay.truth import Truth
from perception_platform.robot.load import load_robot
from perception_platform.simulation import catalogue, truth
from perception_platform.simulation.odometry import OdometryNoise
from perception_platform.simulation.recording import RecordingOptions, record
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids, box, join
from perception_platform.simulation.vehicle import Command, Driver, VehicleState, drive_along
from perception_platform.simulation.world import Actor, Marking, TimedPath, World

START_NS = 1_767_225_600_000_000_000  # 2026-01-01, 00:00 UTC
YELLOW = (60, 200, 235)
CAPE = (220, 30, 220)
REAL_ODOMETRY = OdometryNoise(speed_scale=0.002, speed_sigma_mps=0.005, yaw_rate_sigma_radps=0.001)


@dataclass(frozen=True)
class Recording:
    """One recording.

    Attributes:
        robot: name of the robot file.
        duration_s: length.
        world: what stands and moves around.
        driver: makes a driver, who closes the loop on the true state.
        start: state at the beginning.
        why_stop: why the robot has to stop in its stop windows.
        why_not: why it must not in the others.
        options: what the robot file leaves open.
    """

    robot: str
    duration_s: float
    world: Callable[[], World]
    driver: Callable[[], Driver]
    start: VehicleState
    why_not: str
    why_stop: str = ""
    # A quarter of a real sensor's firings a turn (about a degree apart): small files, and points enough.
    options: RecordingOptions = field(
        default_factory=lambda: RecordingOptions(lidar_columns=400, odometry_noise=REAL_ODOMETRY)
    )


def rack(first_x_m: float, last_x_m: float, y_m: float, seed: int) -> Solids:
    """A row of 2 m shelf bays along x with a closed panel at both ends."""
    bays = [
        catalogue.shelf_bay(seed + i).placed(float(x), y_m, 0.0)
        for i, x in enumerate(np.arange(first_x_m + 1.0, last_x_m, 2.0))
    ]
    panels = [box((x, y_m), (0.04, 0.84, 2.7), bgr=(150, 110, 60)) for x in (first_x_m, last_x_m)]
    return join(bays + panels)


def lane(length_m: float, half_width_m: float) -> tuple[Marking, ...]:
    """Two painted lines along x."""
    sides = ((y - 0.04, y + 0.04) for y in (-half_width_m, half_width_m))
    return tuple(Marking.strip((-5.0, length_m), side, YELLOW) for side in sides)


def steps(*table: tuple[float, float]) -> Driver:
    """A driver who asks for a speed from a time on: rows of (s, m/s)."""
    times = [t for t, _ in table]

    def drive(t_s: float, _state: VehicleState) -> Command:
        row = max(0, int(np.searchsorted(times, t_s, side="right")) - 1)
        return Command(table[row][1])

    return drive


def aisle_with_person() -> World:
    """An aisle 2.4 m wide that ends at a cross aisle; a person waits behind the left rack's end, then crosses."""
    racks = [rack(-6.0, 8.0, y, seed) for y, seed in ((1.6, 10), (-1.6, 30))]
    racks += [rack(11.0, 21.0, y, seed) for y, seed in ((1.6, 50), (-1.6, 70))]
    end_wall = catalogue.wall(12.0).placed(24.0, 0.0, 0.0)
    # Steps out at 4.2 s, reaches 1.4 m/s, stands in the way for 2 s, and walks on to the right.
    crossing = TimedPath.through(
        [(4.2, 8.50, 1.60), (4.5, 8.50, 1.39), (5.5, 8.50, 0.0), (7.5, 8.50, 0.0), (10.0, 8.50, -3.5)],
        first_yaw_rad=-np.pi / 2,
    )
    return World(join([*racks, end_wall]), (Actor(catalogue.person, crossing),), lane(24.0, 1.0))


def hall_with_pallets() -> World:
    """A lane through a hall: a loaded pallet and an empty one beside it, racks and a parked truck further off."""
    # The forklift's side is at 0.60 m; the pallets' near edges are at 1.05 and 1.00 m.
    loaded = catalogue.pallet(load_m=1.1).placed(7.0, 1.45, 0.0)
    parked = catalogue.pallet().placed(11.5, -1.40, 0.0)
    truck = catalogue.forklift().placed(15.5, 3.2, -2.6)
    racks = [rack(0.0, 20.0, 5.5, 110), rack(0.0, 20.0, -4.5, 130)]
    end_wall = catalogue.wall(16.0).placed(30.0, 0.0, 0.0)
    worker = Actor(catalogue.person, TimedPath.through([(0.0, 6.5, -2.6), (8.0, 16.1, -2.6)]))
    return World(join([loaded, parked, truck, *racks, end_wall]), (worker,), lane(30.0, 0.95))


def caped_person(travelled_m: float) -> Solids:
    """A person in a magenta rain cape: a colour that nothing else here has, so that it can be found without a model."""
    person = catalogue.person(travelled_m)
    return replace(person, bgr=np.tile(np.array(CAPE, dtype=person.bgr.dtype), (len(person), 1)))


def room_with_crossing_person() -> World:
    """An empty room; a person walks across it, 5 m ahead."""
    across = TimedPath.through([(0.0, 5.0, -2.4), (6.0, 5.0, 2.4)])
    walls = [catalogue.wall(14.0).placed(9.1, 0.0, 0.0), catalogue.wall(12.0).placed(4.0, 5.5, np.pi / 2)]
    return World(join(walls), (Actor(caped_person, across),), lane(9.0, 0.9))


def room_with_wall() -> World:
    """A wall across the way at 8 m, a rack and side walls well clear of it."""
    walls = [
        catalogue.wall(9.0).placed(8.1, 0.0, 0.0),
        catalogue.wall(14.0).placed(1.0, 4.5, np.pi / 2),
        catalogue.wall(14.0).placed(1.0, -4.5, np.pi / 2),
    ]
    return World(join([*walls, rack(-2.0, 6.0, 3.0, 210)]), (), lane(7.9, 0.9))


def to_the_wall(wall_x_m: float) -> Driver:
    """Comes in at 1.2 m/s, slows early, creeps at 0.3 m/s to 0.55 m, stands 3 s, backs off by 1 m."""
    robot = load_robot("amr")
    bumper_m = float(robot.footprint[:, 0].max())
    stood_since: list[float] = []

    def drive(t_s: float, state: VehicleState) -> Command:
        gap = wall_x_m - bumper_m - state.x_m
        if not stood_since and gap <= 0.575:  # and 0.02 m of braking
            stood_since.append(t_s)
        if stood_since:
            backing_off = t_s > stood_since[0] + 3.0 and gap < 1.55
            return Command(-0.4 if backing_off else 0.0)
        # Slows as for a wall half a metre nearer, with seven tenths of the service deceleration.
        way = max(0.0, gap - robot.clearance.ahead_m - 0.5)
        return Command(float(np.clip(np.sqrt(2 * 0.7 * robot.drive.service_decel_mps2 * way), 0.3, 1.2)))

    return drive


RECORDINGS: dict[str, Recording] = {
    "amr_person": Recording(
        "amr", 12.0, aisle_with_person,
        # A human-like 0.25 s after the person is in the way, the driver brakes; drives on when the way is free.
        driver=partial(steps, (0.0, 1.2), (5.29, 0.0), (8.9, 1.2)),
        start=VehicleState(x_m=0.5, speed_mps=1.2),
        why_stop="a person stands or walks in the path, too near for service braking or in the protective zone",
        why_not="nothing is in the path near enough: shelves and people beside it are no reason to stop",
    ),
    "dirty_lidar": Recording(
        "amr", 6.0, room_with_crossing_person,
        driver=partial(steps, (0.0, 0.0)),
        start=VehicleState(),
        why_not="a person walks across 5 m ahead of the standing robot; the lidar, dirty in front, sees part of it",
        options=RecordingOptions(lidar_columns=320, odometry_noise=REAL_ODOMETRY, blind_deg=(-12.0, 12.0)),
    ),
    "forklift_pallet": Recording(
        "forklift", 8.0, hall_with_pallets,
        driver=partial(steps, (0.0, 2.0)),
        start=VehicleState(speed_mps=2.0),
        why_not="pallets and a worker are beside the path, never in it",
        options=RecordingOptions(lidar_columns=320, odometry_noise=REAL_ODOMETRY),
    ),
    "wall_approach": Recording(
        "amr", 12.5, room_with_wall,
        driver=partial(to_the_wall, wall_x_m=8.0),
        start=VehicleState(x_m=1.5, speed_mps=1.2),
        why_stop="the wall is in the protective zone",
        why_not="the wall is outside the protective zone and the speed leaves room to stop",
    ),
}  # fmt: skip


def make(name: str, out: Path) -> str:
    """Make one recording with its truth; returns a line that says what was made."""
    began = time.perf_counter()
    recording = RECORDINGS[name]
    robot = load_robot(recording.robot)
    trajectory = drive_along(recording.driver(), robot.drive, recording.start, recording.duration_s)
    scene = Scene(recording.world(), trajectory, START_NS, seed=sum(name.encode()))
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.mcap"
    count = record(path, robot, scene, recording.duration_s, recording.options)
    found = truth.windows(robot, scene, recording.duration_s, recording.why_stop, recording.why_not)
    truth.save(folder / "truth.yaml", Truth(version=1, robot=recording.robot, windows=found))
    stops = ", ".join(f"{w.from_s:.2f} to {w.to_s:.2f} s" for w in found if w.expect == "stop") or "none"
    took_s = time.perf_counter() - began
    return f"{path}: {count} messages, {path.stat().st_size / 1e6:.1f} MB, stop windows: {stops} ({took_s:.1f} s)"


def main() -> None:
    """Parse the command line and make what it asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which to make: {', '.join(RECORDINGS)} (all)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="where to (default: this folder)"
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in RECORDINGS:
            parser.error(f"no recording {name!r}; there are {', '.join(RECORDINGS)}")
    for name in arguments.names or RECORDINGS:
        print(make(name, arguments.out))


if __name__ == "__main__":
    main()
