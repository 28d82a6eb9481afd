"""Wheel odometry: the vehicle's motion as it measures it, drifting as dead reckoning does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import EgoState
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.vehicle import VehicleState


@dataclass(frozen=True, slots=True)
class OdometryNoise:
    """Errors of the measured motion; all zero gives exact odometry.

    Attributes:
        speed_scale: relative error of every distance and speed, e.g. of the wheel radius.
        speed_sigma_mps: noise of each measured speed while moving.
        yaw_rate_sigma_radps: noise of each measured turn rate.
    """

    speed_scale: float = 0.0
    speed_sigma_mps: float = 0.0
    yaw_rate_sigma_radps: float = 0.0


def odometry(scene: Scene, times_s: Array, noise: OdometryNoise) -> list[EgoState]:
    """Dead reckoning at growing times (N,), from the true pose at the first one."""
    states = scene.trajectory.states_at(times_s)
    rng = scene.noise("odometry", float(times_s[0]))
    drawn = rng.standard_normal((len(times_s), 2)) * (noise.speed_sigma_mps, noise.yaw_rate_sigma_radps)
    drawn[np.abs(states[:, 3]) < 1e-6] = 0.0  # wheels that stand still count nothing
    pose, measured = Transform.planar(*states[0, :3]), []
    for i, t_s in enumerate(times_s):
        if i:
            pose = pose @ _step(states[i - 1], states[i], float(times_s[i] - times_s[i - 1]), drawn[i], noise)
        speed = states[i, 3] * (1 + noise.speed_scale) + drawn[i, 0]
        yaw_rate = float(states[i, 4] + drawn[i, 1])
        measured.append(EgoState(scene.stamp_ns(float(t_s)), pose, (float(speed), 0.0), yaw_rate))
    return measured


class Odometer:
    """The same while the drive is still going on; wheels that slip count what they turn.

    Args:
        start: the true state at the beginning, whose pose it starts from.
        noise: errors of the measured motion.
        rng: of the noise.
    """

    def __init__(self, start: VehicleState, noise: OdometryNoise, rng: np.random.Generator) -> None:
        self._noise, self._rng = noise, rng
        self._pose = start.transform()
        self._before = _row(start)

    def measure(self, t_ns: int, state: VehicleState, wheel_mps: float, dt_s: float) -> EgoState:
        """The motion since the last call, ``dt_s`` ago.

        Args:
            t_ns: stamp.
            state: the true state.
            wheel_mps: speed of the wheels' rims, which is the vehicle's unless they slip.
            dt_s: time since the last measurement.
        """
        after, noise = _row(state), self._noise
        drawn = self._rng.standard_normal(2) * (noise.speed_sigma_mps, noise.yaw_rate_sigma_radps)
        drawn *= abs(wheel_mps) > 1e-6  # wheels that stand still count nothing
        slip = np.array([wheel_mps - state.speed_mps, 0.0])
        self._pose = self._pose @ _step(self._before, after, dt_s, drawn + slip, noise)
        self._before = after
        speed_mps = wheel_mps * (1 + noise.speed_scale) + drawn[0]
        yaw_rate_radps = state.yaw_rate_radps + drawn[1]
        return EgoState(t_ns, self._pose, (float(speed_mps), 0.0), float(yaw_rate_radps))


def _row(state: VehicleState) -> Array:
    return np.array([state.x_m, state.y_m, state.yaw_rad, state.speed_mps, state.yaw_rate_radps])


def _step(before: Array, after: Array, dt_s: float, drawn: Array, noise: OdometryNoise) -> Transform:
    """Measured motion between two samples: the true one, scaled, with the noise of its rates."""
    true = Transform.planar(*before[:3]).inverse() @ Transform.planar(*after[:3])
    ahead, side = true.translation_m[:2] * (1 + noise.speed_scale)
    return Transform.planar(ahead + drawn[0] * dt_s, side, true.yaw_rad + drawn[1] * dt_s)
