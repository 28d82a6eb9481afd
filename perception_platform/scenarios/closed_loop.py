"""One run: the stack, or what it is compared with, drives a simulated robot through a case.

The stack is the same as in lockstep replay: the pure steps that the nodes run, each taking the time that the robot
file declares. Sensors measure at their rates, what they deliver may be late, and what the judge lets through of
the planner's command reaches the wheels after the drive's reaction time.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.objects import Detections, Tracks
from perception_platform.core.sensor_data import EgoState, Image, PointCloud
from perception_platform.core.time import from_s, to_ms, to_s
from perception_platform.core.verdicts import Decision, ObjectRisks
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.replay.lockstep import Lockstep
from perception_platform.robot.sensors import Camera, Lidar, Scan
from perception_platform.ros.topics import TOPICS
from perception_platform.runtime.latency import percentiles
from perception_platform.scenarios.events import MOVING_MPS, EventLog
from perception_platform.scenarios.geometry import look_around
from perception_platform.scenarios.policies import BASELINES, PolicyName
from perception_platform.scenarios.rig import START_NS, SensorRig
from perception_platform.scenarios.setup import Setup
from perception_platform.scenarios.trace import Trace
from perception_platform.sensing.health import WINDOW_S
from perception_platform.simulation.chassis import Chassis
from perception_platform.simulation.odometry import Odometer
from perception_platform.simulation.recording import ODOMETRY_HZ
from perception_platform.simulation.vehicle import VehicleState
from perception_platform.tracking.tracker import Tracker

HEALTH_HZ = 10.0
SETTLED_S = 3.0  # a robot that has stood so long while nothing else moves will stand for ever
AFTER_FAULT_S = WINDOW_S + SETTLED_S  # a sensor's health looks back on a fault that is over


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        outcome: ``ok`` or ``collision``.
        events: as in ``results.jsonl``.
        latency_ms: p50 and p99 of the age of the data behind the decisions, as declared.
        trace: lines for pictures; empty if none were asked for.
        simulated_s: length of the run.
        simulation_s: processor time of world, sensors, vehicle and events.
        total_s: processor time of all.
    """

    outcome: str
    events: dict[str, Any]
    latency_ms: dict[str, float | None]
    trace: list[dict[str, Any]]
    simulated_s: float
    simulation_s: float
    total_s: float


class _Listener:
    """What the chain tells its results to: it lets the vehicle obey, and keeps the newest for the trace."""

    def __init__(self, chassis: Chassis) -> None:
        self.start_ns: int | None = None
        self.latencies_ms: list[float] = []
        self.newest: Decision | None = None
        self.newest_tracks: Tracks | None = None
        self._chassis = chassis

    def detections(self, detections: Detections, obstacles: PointCloud) -> None:
        """Boxes are on their way to the tracker."""

    def application(self, report: ApplicationReport) -> None:
        """The vehicle obeys the gate alone."""

    def tracks(self, tracks: Tracks, risks: ObjectRisks, ego: EgoState) -> None:
        """Keep them."""
        self.newest_tracks = tracks

    def decision(self, decision: Decision, ego: EgoState | None) -> None:
        """Send what is let through to the wheels."""
        vx, _, yaw_rate = decision.output_mps
        self._chassis.command(to_s(decision.t_ns - START_NS), vx, yaw_rate, decision.deceleration_mps2)
        self.newest = decision
        if decision.latency_ns >= 0:
            self.latencies_ms.append(to_ms(decision.latency_ns))


class ClosedLoop:
    """Drives one case with one policy.

    Args:
        setup: the case; it can be run once, as its actors remember that they set out.
        graph: perception of the robot; its state does not outlive a sweep.
        policy: who judges.
        trace: whether to keep lines for pictures.
    """

    def __init__(
        self, setup: Setup, graph: PerceptionGraph, policy: PolicyName = "ours", *, trace: bool = False
    ) -> None:
        robot, start = setup.robot, VehicleState(speed_mps=setup.start_mps)
        self._setup = setup
        self._chassis = Chassis(robot.drive, setup.ground, start)
        self._listener = _Listener(self._chassis)
        ours = policy == "ours"
        self._chain = Lockstep(
            robot,
            graph,
            Tracker(frame_id=robot.odom_frame) if ours else None,
            self._listener,
            None if ours else BASELINES[policy](robot),
        )
        self._rig = SensorRig(setup, self._chassis) if policy != "none" else None
        rng = np.random.default_rng([setup.case.seed, 1])
        self._odometer = Odometer(start, setup.odometry, rng)
        self._log = EventLog(robot, setup.cruise_mps, setup.world.is_actor)
        self._trace = Trace(setup) if trace else None
        self._agenda: list[tuple[int, int, Callable[[float], None]]] = []
        self._entries = 0
        self._stood_since_s: float | None = None
        self._chain_s = 0.0

    def run(self) -> Outcome:
        """Drive until the route is done, something is touched, or nothing will happen any more."""
        began = time.process_time()
        self._schedule()
        t_s, settled = 0.0, False
        while self._agenda and not (self._is_over() or settled):
            t_ns, _, act = heapq.heappop(self._agenda)
            t_s = to_s(t_ns - START_NS)
            self._in_chain(lambda now_ns=t_ns: self._chain.happen_until(now_ns))  # type: ignore[misc]
            self._chassis.advance_to(t_s)
            act(t_s)
            settled = self._is_settled(t_s)
        total_s = time.process_time() - began
        return self._outcome(self._setup.duration_s if settled else t_s, t_s, total_s)

    def _schedule(self) -> None:
        self._chain.begin(START_NS)
        self._every(ODOMETRY_HZ, 0, self._tick)
        self._every(TOPICS["command"].rate_hz or ODOMETRY_HZ, 0, self._command)
        if self._rig is None:
            return
        for sensor in self._rig.sensors():
            self._every(sensor.rate_hz, 1, self._measure(sensor))
        self._every(HEALTH_HZ, 1, self._report)

    def _every(self, rate_hz: float, first: int, act: Callable[[float], None]) -> None:
        """Do it at all multiples of the period, from the ``first`` one."""

        def schedule(k: int) -> None:
            def happen(t_s: float) -> None:
                act(t_s)
                schedule(k + 1)

            if k / rate_hz <= self._setup.duration_s + 1e-9:
                self._at(START_NS + from_s(k / rate_hz), happen)

        schedule(first)

    def _at(self, t_ns: int, act: Callable[[float], None]) -> None:
        heapq.heappush(self._agenda, (t_ns, self._entries, act))
        self._entries += 1

    def _tick(self, t_s: float) -> None:
        """The wheels report, and the truth is looked at."""
        chassis, setup = self._chassis, self._setup
        ego = self._odometer.measure(
            START_NS + from_s(t_s), chassis.state, chassis.wheel_mps, 1.0 / ODOMETRY_HZ
        )
        self._chain.odometry(ego, ego.t_ns)
        front_m = chassis.state.x_m + float(setup.robot.footprint[:, 0].max())
        for mover in setup.world.movers:
            mover.watch(front_m, t_s)
        around = look_around(setup.robot, setup.world.solids_at(t_s), chassis.state)
        self._log.tick(t_s, chassis.state.speed_mps, chassis.accel_mps2, around)
        if self._trace is not None:
            self._trace.tick(t_s, chassis.state, self._listener.newest, self._listener.newest_tracks)

    def _command(self, t_s: float) -> None:
        """The planner asks for its cruising speed; it sees nothing."""
        velocity = (self._setup.cruise_mps, 0.0, 0.0)
        self._chain.command(velocity, START_NS + from_s(t_s))

    def _measure(self, sensor: Lidar | Scan | Camera) -> Callable[[float], None]:
        def measure(t_s: float) -> None:
            assert self._rig is not None  # without sensors there is nothing to measure
            delivery = self._rig.deliver(sensor, t_s)
            if delivery is None:
                return
            if delivery.t_ns <= START_NS + from_s(t_s):
                self._deliver(delivery.value, delivery.t_ns)
            else:
                self._at(delivery.t_ns, lambda now_s: self._deliver(delivery.value, START_NS + from_s(now_s)))

        return measure

    def _deliver(self, value: PointCloud | Image, now_ns: int) -> None:
        assert self._rig is not None  # it made the value
        self._rig.arrived(value, now_ns)
        if isinstance(value, Image):
            self._chain.image(value)
        elif value.frame_id == self._setup.robot.base_frame:
            self._in_chain(lambda: self._chain.source(value, now_ns))
        else:
            self._in_chain(lambda: self._chain.sweep(value, now_ns))

    def _report(self, t_s: float) -> None:
        assert self._rig is not None  # it watches the sensors
        now_ns = START_NS + from_s(t_s)
        for health in self._rig.reports(now_ns):
            self._chain.health(health, now_ns)

    def _in_chain(self, act: Callable[[], None]) -> None:
        began = time.process_time()
        act()
        self._chain_s += time.process_time() - began

    def _is_over(self) -> bool:
        return self._log.touched or self._chassis.state.x_m >= self._setup.route_m

    def _is_settled(self, t_s: float) -> bool:
        """Whether the robot stands and nothing is left that could change that."""
        if abs(self._chassis.state.speed_mps) > MOVING_MPS:
            self._stood_since_s = None
            return False
        if self._stood_since_s is None:
            self._stood_since_s = t_s
        setup = self._setup
        coming = any(m.at_s is not None and not m.is_done(t_s - SETTLED_S) for m in setup.world.movers)
        ends = [fault.until_s for fault in setup.faults] + [cloud.until_s for cloud in setup.air.dust]
        coming |= any(t_s - AFTER_FAULT_S < end < setup.duration_s for end in ends)
        return not coming and t_s - self._stood_since_s >= SETTLED_S

    def _outcome(self, end_s: float, simulated_s: float, total_s: float) -> Outcome:
        spans_s = [(fault.from_s, fault.until_s) for fault in self._setup.faults]
        events = self._log.events(self._chassis.state.x_m, end_s, spans_s)
        found = percentiles(self._listener.latencies_ms)
        return Outcome(
            "collision" if self._log.collided else "ok",
            events,
            {q: found[q] for q in ("p50", "p99")},
            [] if self._trace is None else self._trace.lines,
            simulated_s,
            total_s - self._chain_s,
            total_s,
        )
