"""What the stack is compared with: other ways to turn the same obstacle points into a speed limit or a stop.

Each takes the gate's place in the same loop, with the same perception and the same latency of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import numpy as np

from perception_platform.core.geometry import Array, points_in_polygon
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s, to_s
from perception_platform.core.verdicts import Action, Decision, GateState
from perception_platform.replay.lockstep import Judge
from perception_platform.robot.description import Robot
from perception_platform.safety.config import GateConfig
from perception_platform.safety.inputs import GateInputs
from perception_platform.safety.profile import limit_command

PolicyName = Literal["ours", "fixed_field", "autoware_aeb", "none"]
POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)


def _decision(
    config: GateConfig, now_ns: int, sequence: int, inputs: GateInputs, action: Action, limit_mps: float
) -> Decision:
    command = inputs.command.value if inputs.command else None
    oldest_ns = min((seen.value.t_ns for seen in inputs.obstacles.values()), default=None)
    state = {Action.PROCEED: GateState.NORMAL, Action.LIMIT: GateState.LIMITED}.get(
        action, GateState.STOPPING
    )
    return Decision(
        now_ns,
        sequence,
        action,
        state,
        limit_mps,
        config.emergency_decel_mps2 if action <= Action.STOP else config.service_decel_mps2,
        (),
        latched=False,
        latency_ns=-1 if oldest_ns is None else now_ns - oldest_ns,
        command_mps=command,
        output_mps=limit_command(command, limit_mps, config),
    )


class NoProtection:
    """Lets every command through."""

    def __init__(self, robot: Robot) -> None:
        self._robot, self._config, self._sequence = robot, GateConfig.from_robot(robot), 0

    def step(self, now_ns: int, inputs: GateInputs) -> Decision:
        """One beat."""
        self._sequence += 1
        return _decision(
            self._config, now_ns, self._sequence, inputs, Action.PROCEED, self._robot.drive.max_speed_mps
        )


class FixedField:
    """A protective field with a slow-down field around it, as Nav2's collision monitor is usually set up.

    After its documentation (docs.nav2.org, "Using Collision Monitor"): a stop polygon and a larger slow-down polygon,
    each tripped by 4 points, a slow-down to 30 % of the commanded speed, data older than ``source_timeout`` 1 s
    taken for an invalid source, which stops. The polygons are rectangles ahead of the footprint: the stop field
    holds the way that the robot needs to stand from the slowed speed and the clearance that its file asks for, as
    the other policies do; the slow-down field the way that it needs to slow down to it from full speed and the stop
    field, so that someone who stands in the way is never touched.
    """

    MIN_POINTS = 4
    SLOWDOWN = 0.3
    SOURCE_TIMEOUT_S = 1.0
    BESIDE_M = 0.1

    def __init__(self, robot: Robot) -> None:
        self._robot, self._config, self._sequence = robot, GateConfig.from_robot(robot), 0
        drive = robot.drive
        slow_mps = self.SLOWDOWN * drive.max_speed_mps
        delay_s = drive.reaction_s + robot.latency.perception_ms / 1e3 + 1.0 / robot.gate.rate_hz + 0.1
        stop_m = slow_mps * delay_s + slow_mps**2 / (2 * drive.emergency_decel_mps2)
        stop_m += robot.clearance.ahead_m
        braking_m = (drive.max_speed_mps**2 - slow_mps**2) / (2 * drive.service_decel_mps2)
        self._stop = self._field(stop_m, self.BESIDE_M)
        self._slow = self._field(stop_m + drive.max_speed_mps * delay_s + braking_m, 2 * self.BESIDE_M)

    def _field(self, ahead_m: float, beside_m: float) -> Array:
        front_m = float(self._robot.footprint[:, 0].max())
        right_m, left_m = (
            self._robot.footprint[:, 1].min() - beside_m,
            self._robot.footprint[:, 1].max() + beside_m,
        )
        far_m = front_m + ahead_m
        return np.array([[far_m, left_m], [front_m, left_m], [front_m, right_m], [far_m, right_m]])

    def step(self, now_ns: int, inputs: GateInputs) -> Decision:
        """One beat."""
        self._sequence += 1
        action, limit_mps = self._verdict(now_ns, inputs)
        return _decision(self._config, now_ns, self._sequence, inputs, action, limit_mps)

    def _verdict(self, now_ns: int, inputs: GateInputs) -> tuple[Action, float]:
        clouds = [seen.value for seen in inputs.obstacles.values()]
        wanted = len(self._robot.lidars) + len(self._robot.scans)
        if len(clouds) < wanted or any(to_s(now_ns - c.t_ns) > self.SOURCE_TIMEOUT_S for c in clouds):
            return Action.STOP, 0.0
        if self._tripped(self._stop, clouds):
            return Action.STOP, 0.0
        if self._tripped(self._slow, clouds):
            wanted_mps = abs(inputs.command.value[0]) if inputs.command else 0.0
            return Action.LIMIT, max(self.SLOWDOWN * wanted_mps, 1e-3)
        return Action.PROCEED, self._robot.drive.max_speed_mps

    def _tripped(self, field_m: Array, clouds: list[PointCloud]) -> bool:
        counts = (int(points_in_polygon(c.xyz_m[:, :2], field_m).sum()) for c in clouds)
        return sum(counts) >= self.MIN_POINTS


class AutowareAeb:
    """Emergency braking by Autoware's published formula, for the nearest point in the robot's path alone.

    After its documentation (autoware_autonomous_emergency_braking): brake while the distance is below
    ``v t + v² / 2a - sign(vo) vo² / 2ao + offset`` with a constant reaction time t of 1 s; the object's speed along
    the path is that of the nearest point from sweep to sweep, the median of the last five; inactive below 0.1 m/s; a
    verdict is kept for 3 s. ``a`` is the robot's own emergency deceleration and ``ao`` 1 m/s²; the path is straight,
    3 s long, the footprint's width with 0.1 m to each side; points are the lidar's where there is one.
    """

    RESPONSE_S = 1.0
    OBJECT_DECEL_MPS2 = 1.0
    INACTIVE_MPS = 0.1
    KEEP_S = 3.0
    BESIDE_M = 0.1
    HORIZON_S = 3.0
    MIN_POINTS = 3
    JUMP_M = 1.0  # a nearest point that jumps further is another object's

    def __init__(self, robot: Robot) -> None:
        self._robot, self._config, self._sequence = robot, GateConfig.from_robot(robot), 0
        self._sensor = (robot.lidars or robot.scans)[0].name
        self._nearest: tuple[int, float] | None = None
        self._speeds: deque[float] = deque(maxlen=5)
        self._until_ns = 0

    def step(self, now_ns: int, inputs: GateInputs) -> Decision:
        """One beat."""
        self._sequence += 1
        seen, ego = inputs.obstacles.get(self._sensor), inputs.ego
        drives = ego is not None and abs(ego.value.velocity_mps[0]) > self.INACTIVE_MPS
        if drives and seen is not None and ego is not None and self._must_brake(seen.value, ego.value):
            self._until_ns = now_ns + from_s(self.KEEP_S)
        brakes = now_ns < self._until_ns
        action = Action.EMERGENCY_STOP if brakes else Action.PROCEED
        limit_mps = 0.0 if brakes else self._robot.drive.max_speed_mps
        return _decision(self._config, now_ns, self._sequence, inputs, action, limit_mps)

    def _must_brake(self, cloud: PointCloud, ego: EgoState) -> bool:
        v = ego.velocity_mps[0]
        distance_m = self._distance(cloud, v)
        if not np.isfinite(distance_m):
            self._nearest = None
            self._speeds.clear()
            return False
        self._watch(cloud.t_ns, distance_m, v)
        vo = float(np.median(self._speeds)) if self._speeds else 0.0
        drive = self._robot.drive
        needed_m = v * self.RESPONSE_S + v**2 / (2 * drive.emergency_decel_mps2)
        needed_m -= np.sign(vo) * vo**2 / (2 * self.OBJECT_DECEL_MPS2)
        return bool(distance_m < needed_m + self._robot.clearance.ahead_m)

    def _distance(self, cloud: PointCloud, v: float) -> float:
        footprint = self._robot.footprint
        x, y = cloud.xyz_m[:, 0], cloud.xyz_m[:, 1]
        ahead = x - footprint[:, 0].max()
        inside = (ahead > 0) & (ahead < max(v * self.HORIZON_S, 2.0))
        inside &= (y > footprint[:, 1].min() - self.BESIDE_M) & (y < footprint[:, 1].max() + self.BESIDE_M)
        near = np.sort(ahead[inside])
        return float(near[self.MIN_POINTS - 1]) if len(near) >= self.MIN_POINTS else np.inf

    def _watch(self, t_ns: int, distance_m: float, v: float) -> None:
        """Take the nearest point's speed over ground, once a sweep."""
        if self._nearest is not None and t_ns > self._nearest[0]:
            step_m = distance_m - self._nearest[1]
            if abs(step_m) < self.JUMP_M:
                self._speeds.append(step_m / to_s(t_ns - self._nearest[0]) + v)
            else:
                self._speeds.clear()
        if self._nearest is None or t_ns > self._nearest[0]:
            self._nearest = (t_ns, distance_m)


BASELINES: dict[PolicyName, Callable[[Robot], Judge]] = {
    "fixed_field": FixedField,
    "autoware_aeb": AutowareAeb,
    "none": NoProtection,
}


def chosen(names: list[str]) -> Iterator[PolicyName]:
    """The named policies, all if none is named.

    Raises:
        ValueError: if there is no such policy.
    """
    for name in names:
        if name not in POLICIES:
            raise ValueError(f"no such policy; there are {', '.join(POLICIES)}, not {name!r}")
    for policy in POLICIES:
        if not names or policy in names:
            yield policy
