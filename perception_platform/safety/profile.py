"""How fast the gate lets the robot through: limits are reached along a braking profile, not in one step."""

from __future__ import annotations

import math

from perception_platform.core.verdicts import Action
from perception_platform.safety.config import Drive, GateConfig

Command = tuple[float, float, float]  # vx, vy, yaw rate; m/s, rad/s
STILL: Command = (0.0, 0.0, 0.0)


class VelocityProfile:
    """The highest speed let through now, on its way to the limit of each decision.

    Towards a lower limit it falls with the service deceleration, which is reached with bounded jerk; in an emergency
    with the emergency deceleration, at once. It begins at the speed the robot really has, if that is known, and never
    above what was let through before: a limit makes no robot faster. A higher limit is reached with the service
    deceleration, too, in place of a step.
    """

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._bound_mps = config.max_speed_mps
        self._decel_mps2 = 0.0
        self._out: Command = STILL

    def step(self, dt_s: float, action: Action, limit_mps: float, measured_mps: float | None) -> float:
        """The highest speed over ground for the time until the next beat, m/s.

        Args:
            dt_s: time since the beat before, s.
            action: what the decision asks for.
            limit_mps: the speed limit of the decision.
            measured_mps: speed over ground by odometry; None when that is not known.
        """
        config = self._config
        if limit_mps >= self._bound_mps:
            self._decel_mps2 = 0.0
            self._bound_mps = min(limit_mps, self._bound_mps + config.service_decel_mps2 * dt_s)
            return self._bound_mps
        now_mps = min(self._bound_mps, math.hypot(*self._out[:2]))
        if measured_mps is not None:
            now_mps = min(now_mps, measured_mps)
        if action is Action.EMERGENCY_STOP:
            self._decel_mps2 = config.emergency_decel_mps2
        else:
            harder_mps2 = self._decel_mps2 + config.jerk_mps3 * dt_s
            self._decel_mps2 = max(min(harder_mps2, config.service_decel_mps2), self._lasting_mps2(action))
        self._bound_mps = max(limit_mps, now_mps - self._decel_mps2 * dt_s)
        return self._bound_mps

    def _lasting_mps2(self, action: Action) -> float:
        """An emergency brake is not eased off before the robot stands or may drive again."""
        emergency = self._decel_mps2 > self._config.service_decel_mps2 and action <= Action.STOP
        return self._decel_mps2 if emergency else 0.0

    def let_through(self, command: Command | None, bound_mps: float) -> Command:
        """What of a command goes out, kept for the next beat's profile."""
        self._out = limit_command(command, bound_mps, self._config)
        return self._out


def limit_command(command: Command | None, limit_mps: float, config: GateConfig) -> Command:
    """The commanded (vx, vy, yaw rate), scaled down to the limits so that its curvature stays; zero without one.

    A limit of zero lets nothing through, turning on the spot included. Sideways motion is let through for
    omnidirectional drives alone; a car-like robot cannot turn on the spot.
    """
    if command is None or not limit_mps > 0:
        return STILL
    vx, vy, yaw_rate = command
    if config.drive is not Drive.OMNIDIRECTIONAL:
        vy = 0.0
    speed_mps = math.hypot(vx, vy)
    if config.drive is Drive.ACKERMANN and not speed_mps:
        return STILL
    share = min(
        1.0,
        limit_mps / speed_mps if speed_mps else 1.0,
        config.max_yaw_rate_radps / abs(yaw_rate) if yaw_rate else 1.0,
    )
    return (vx * share, vy * share, yaw_rate * share)
