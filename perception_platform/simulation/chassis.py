"""The vehicle in a closed loop: commands take time to arrive, floors let wheels slip, loads and slopes push."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import cos, sin

import numpy as np

from perception_platform.robot.description import GRAVITY_MPS2, Drive
from perception_platform.simulation.vehicle import STEP_S, Trajectory, VehicleState

KEPT_STEPS = 100  # of the drive, for sensors that look back over their last turn


@dataclass(frozen=True, slots=True)
class Ground:
    """What the floor and the load make of the brakes.

    Attributes:
        grip_mps2: the most the wheels can decelerate before they slide.
        grade: rise over run; negative downhill. The world is drawn level in the slope's own frame.
        brake_share: share of the asked deceleration that the brakes reach, below 1 with a load they were not
            set for.
        delay_s: added to the drive's own time from command to motion.
    """

    grip_mps2: float = float("inf")
    grade: float = 0.0
    brake_share: float = 1.0
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """A command on its way to the wheels: from when it holds, speed, turn rate, and how hard to brake for it."""

    from_s: float
    speed_mps: float
    yaw_rate_radps: float
    decel_mps2: float


class Chassis:
    """A planar vehicle whose wheels obey late, and slide where the floor does not hold them.

    Attributes:
        t_s: time of the state.
        state: true pose and motion.
        wheel_mps: speed of the wheels' rims.
        accel_mps2: of the last step, forward positive.
    """

    def __init__(self, drive: Drive, ground: Ground, start: VehicleState) -> None:
        self._drive, self._ground = drive, ground
        self._delay_s = drive.reaction_s + ground.delay_s
        self._order = Order(0.0, start.speed_mps, start.yaw_rate_radps, drive.service_decel_mps2)
        self._coming: deque[Order] = deque()
        self._past: deque[tuple[float, ...]] = deque(maxlen=KEPT_STEPS)
        self.t_s, self.state, self.wheel_mps, self.accel_mps2 = 0.0, start, start.speed_mps, 0.0
        self._remember()

    def command(self, t_s: float, speed_mps: float, yaw_rate_radps: float, decel_mps2: float) -> None:
        """Ask for a speed and turn rate at ``t_s``, braking with ``decel_mps2`` where that is slower."""
        top_mps, turn_radps = self._drive.max_speed_mps, self._drive.max_yaw_rate_radps
        speed_mps = min(max(speed_mps, -top_mps), top_mps)
        yaw_rate_radps = min(max(yaw_rate_radps, -turn_radps), turn_radps)
        self._coming.append(Order(t_s + self._delay_s, speed_mps, yaw_rate_radps, decel_mps2))

    def advance_to(self, t_s: float) -> None:
        """Drive on until ``t_s``."""
        while self.t_s < t_s - 1e-9:
            self._step(min(STEP_S, t_s - self.t_s))

    def trajectory(self) -> Trajectory:
        """The last half second of the drive."""
        rows = np.array(self._past)
        return Trajectory(rows[:, 0], rows[:, 1:], np.zeros((len(rows), 2)))

    def _step(self, dt_s: float) -> None:
        while self._coming and self._coming[0].from_s <= self.t_s + 1e-9:
            self._order = self._coming.popleft()
        before = self.state
        speed_mps, self.wheel_mps = self._speeds(before.speed_mps, dt_s)
        way_m, turn_rad = (before.speed_mps + speed_mps) / 2 * dt_s, self._order.yaw_rate_radps * dt_s
        heading_rad = before.yaw_rad + turn_rad / 2
        self.state = VehicleState(
            before.x_m + way_m * cos(heading_rad),
            before.y_m + way_m * sin(heading_rad),
            before.yaw_rad + turn_rad,
            speed_mps,
            self._order.yaw_rate_radps,
        )
        self.accel_mps2 = (speed_mps - before.speed_mps) / dt_s
        self.t_s += dt_s
        self._remember()

    def _speeds(self, speed_mps: float, dt_s: float) -> tuple[float, float]:
        """The vehicle's and the wheels' next speed."""
        wanted_mps = self._order.speed_mps
        if abs(wanted_mps) > abs(speed_mps) and wanted_mps * speed_mps >= 0:
            rate_mps2 = min(self._drive.service_decel_mps2, self._ground.grip_mps2)
            next_mps = _towards(speed_mps, wanted_mps, rate_mps2 * dt_s)
            return next_mps, next_mps
        asked_mps2 = self._order.decel_mps2 * self._ground.brake_share
        downhill_mps2 = -GRAVITY_MPS2 * self._ground.grade * (1.0 if speed_mps >= 0 else -1.0)
        reached_mps2 = max(min(asked_mps2, self._ground.grip_mps2) - downhill_mps2, 0.05)
        next_mps = _towards(speed_mps, wanted_mps, reached_mps2 * dt_s)
        if asked_mps2 <= self._ground.grip_mps2:
            return next_mps, next_mps
        return next_mps, _towards(self.wheel_mps, wanted_mps, asked_mps2 * dt_s)

    def _remember(self) -> None:
        s = self.state
        self._past.append((self.t_s, s.x_m, s.y_m, s.yaw_rad, s.speed_mps, s.yaw_rate_radps))


def _towards(value: float, target: float, most: float) -> float:
    return value + min(max(target - value, -most), most)
