"""A planar vehicle that follows velocity commands with limited acceleration, and its drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.robot.description import Drive

STEP_S = 0.005


@dataclass(frozen=True, slots=True)
class Command:
    """What a driver asks for: speed ahead, m/s, and turn rate, rad/s."""

    speed_mps: float
    yaw_rate_radps: float = 0.0


@dataclass(frozen=True, slots=True)
class VehicleState:
    """Pose of the base frame in the world and the motion along its x axis."""

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0
    speed_mps: float = 0.0
    yaw_rate_radps: float = 0.0

    def transform(self) -> Transform:
        """``odom_from_base``."""
        return Transform.planar(self.x_m, self.y_m, self.yaw_rad)


Driver = Callable[[float, VehicleState], Command]


def advance(state: VehicleState, command: Command, drive: Drive, dt_s: float) -> VehicleState:
    """The state after ``dt_s``: speeds up at the service deceleration's rate, brakes at the emergency one's.

    Unicycle model: a differential or an Ackermann drive seen from the middle of its fixed axle.
    """
    target = float(np.clip(command.speed_mps, -drive.max_speed_mps, drive.max_speed_mps))
    speeds_up = abs(target) > abs(state.speed_mps) and target * state.speed_mps >= 0
    rate = drive.service_decel_mps2 if speeds_up else drive.emergency_decel_mps2
    speed = state.speed_mps + float(np.clip(target - state.speed_mps, -rate * dt_s, rate * dt_s))
    yaw_rate = float(np.clip(command.yaw_rate_radps, -drive.max_yaw_rate_radps, drive.max_yaw_rate_radps))
    distance, turn = (state.speed_mps + speed) / 2 * dt_s, yaw_rate * dt_s
    heading = state.yaw_rad + turn / 2
    return VehicleState(
        state.x_m + distance * float(np.cos(heading)),
        state.y_m + distance * float(np.sin(heading)),
        state.yaw_rad + turn,
        speed,
        yaw_rate,
    )


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A drive as it happened.

    Attributes:
        t_s: (K,) times from 0, s.
        states: (K, 5) x, y, yaw, speed, yaw rate.
        commands: (K, 2) speed and yaw rate that the driver asked for.
    """

    t_s: Array
    states: Array
    commands: Array

    def states_at(self, t_s: Array) -> Array:
        """(N, 5) states at N times; the first and last state hold outside the drive."""
        return np.column_stack([np.interp(t_s, self.t_s, column) for column in self.states.T])

    def state_at(self, t_s: float) -> VehicleState:
        """The state at one time."""
        return VehicleState(*(float(v) for v in self.states_at(np.array([t_s]))[0]))

    def command_at(self, t_s: float) -> Command:
        """The command in force at one time."""
        row = int(np.clip(np.searchsorted(self.t_s, t_s, side="right") - 1, 0, len(self.t_s) - 1))
        return Command(*(float(v) for v in self.commands[row]))


def drive_along(driver: Driver, drive: Drive, start: VehicleState, duration_s: float) -> Trajectory:
    """Let a driver drive: it sees time and state, 200 times a second."""
    state, states, commands = start, [], []
    times: Array = np.arange(round(duration_s / STEP_S) + 1, dtype=np.float64) * STEP_S
    for t_s in times:
        command = driver(float(t_s), state)
        states.append((state.x_m, state.y_m, state.yaw_rad, state.speed_mps, state.yaw_rate_radps))
        commands.append((command.speed_mps, command.yaw_rate_radps))
        state = advance(state, command, drive, STEP_S)
    return Trajectory(times, np.array(states), np.array(commands))
