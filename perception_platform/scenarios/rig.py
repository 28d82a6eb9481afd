"""The robot's sensors in a closed loop: what each delivers when, with its faults, and how healthy it looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from perception_platform.core.sensor_data import Image, PointCloud, SensorHealth
from perception_platform.core.time import from_s
from perception_platform.robot.sensors import Camera, Lidar, Mounting, Scan
from perception_platform.scenarios.setup import Setup, TimedFault
from perception_platform.sensing.health import HealthMonitor
from perception_platform.simulation.camera import render
from perception_platform.simulation.camera_effects import through_lens
from perception_platform.simulation.chassis import Chassis
from perception_platform.simulation.lidar import LidarNoise, ScanReading, scan, sweep
from perception_platform.simulation.scene import Scene

HEALTH_EVERY_S = 1.0  # without a change
START_NS = 1_767_225_600_000_000_000  # 2026-01-01, 00:00 UTC


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something a sensor delivers, and when it comes, ns."""

    t_ns: int
    value: PointCloud | Image


@dataclass
class SensorRig:
    """All sensors of one robot that the scenario simulates.

    Args:
        setup: the case.
        chassis: the vehicle they sit on.
    """

    setup: Setup
    chassis: Chassis
    _last: dict[str, PointCloud | Image] = field(default_factory=dict)
    _monitors: dict[str, HealthMonitor] = field(default_factory=dict)
    _told: dict[str, SensorHealth] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tolerance_s = self.setup.robot.gate.future_tolerance_s
        for sensor in self.sensors():
            if not isinstance(sensor, Scan):  # another package's driver, which reports nothing
                self._monitors[sensor.name] = HealthMonitor(sensor, tolerance_s)

    def sensors(self) -> list[Lidar | Scan | Camera]:
        """Those that are simulated: the camera only where the scenario is about it."""
        simulated = [s for s in self.setup.robot.sensors if isinstance(s, Lidar | Scan | Camera)]
        return [s for s in simulated if s.kind != "camera" or self.setup.camera is not None]

    def deliver(self, sensor: Lidar | Scan | Camera, t_s: float) -> Delivery | None:
        """What a sensor makes of the moment ``t_s``; None if nothing comes."""
        faults = [f for f in self.setup.faults if f.sensor == sensor.kind and f.holds(t_s)]
        kinds = {fault.kind for fault in faults}
        if "dropout" in kinds:
            return None
        t_ns = START_NS + from_s(t_s)
        if "frozen" in kinds and sensor.name in self._last:
            value = replace(self._last[sensor.name], t_ns=t_ns)
        else:
            value = self._last[sensor.name] = self._measure(sensor, t_s, faults)
        for fault in faults:
            if fault.kind == "time_jump":
                value = replace(value, t_ns=value.t_ns + from_s(fault.amount))
            if fault.kind == "late":
                t_ns += from_s(fault.amount)
        return Delivery(t_ns, value)

    def arrived(self, value: PointCloud | Image, now_ns: int) -> None:
        """Let the driver's watch see what came."""
        monitor = self._monitors.get(value.sensor)
        if monitor is None:
            return
        if isinstance(value, Image):
            monitor.observe_image(value, now_ns)
        else:
            monitor.observe_cloud(value, now_ns)

    def reports(self, now_ns: int) -> Iterator[SensorHealth]:
        """Reports that the drivers publish now: on a change, or once a second."""
        for name, monitor in self._monitors.items():
            health, told = monitor.report(now_ns), self._told.get(name)
            if told and told.problems == health.problems and now_ns - told.t_ns < from_s(HEALTH_EVERY_S):
                continue
            self._told[name] = health
            yield health

    def _measure(
        self, sensor: Lidar | Scan | Camera, t_s: float, faults: list[TimedFault]
    ) -> PointCloud | Image:
        setup = self.setup
        scene = Scene(setup.world, self.chassis.trajectory(), START_NS, setup.case.seed)
        if isinstance(sensor, Camera):
            image = render(scene, sensor, t_s)
            effects = setup.camera
            return through_lens(image, effects, scene.noise("lens", t_s)) if effects else image
        really = {"mounting": _bumped(sensor.mounting, faults)}
        noise = LidarNoise(setup.case.family.range_sigma_m)
        if isinstance(sensor, Scan):
            reading = scan(scene, sensor.model_copy(update=really), t_s, noise=noise, air=setup.air)
            cloud = _in_base(reading, sensor, setup.robot.base_frame)
        else:
            columns = setup.case.family.lidar_columns
            bumped = sensor.model_copy(update=really)
            cloud = sweep(scene, bumped, t_s, columns=columns, noise=noise, air=setup.air)
        half = any(fault.kind == "half_blocked" for fault in faults)
        return _without_left_half(cloud) if half else cloud


def _in_base(reading: ScanReading, sensor: Scan, base_frame: str) -> PointCloud:
    """The points of a scan in the base frame, where its mounting, as the robot file has it, puts them."""
    angles = reading.first_angle_rad + reading.angle_step_rad * np.arange(len(reading.ranges_m))
    seen = np.isfinite(reading.ranges_m)
    r, a = reading.ranges_m[seen], angles[seen]
    flat = np.column_stack([r * np.cos(a), r * np.sin(a), np.zeros_like(r)])
    xyz_m = sensor.mounting.transform().apply(flat).astype(np.float32)
    return PointCloud(reading.t_ns, base_frame, reading.sensor, xyz_m)


def _without_left_half(cloud: PointCloud) -> PointCloud:
    """What a cover over the sensor's left half leaves."""
    right = cloud.xyz_m[:, 1] < 0
    return replace(
        cloud,
        xyz_m=cloud.xyz_m[right],
        intensity=None if cloud.intensity is None else cloud.intensity[right],
        ring=None if cloud.ring is None else cloud.ring[right],
        offset_s=None if cloud.offset_s is None else cloud.offset_s[right],
    )


def _bumped(mounting: Mounting, faults: list[TimedFault]) -> Mounting:
    """Where the sensor really sits after a knock; the stack goes on with what the robot file says."""
    roll, pitch, yaw = mounting.rpy_deg
    for fault in faults:
        pitch += fault.amount if fault.kind == "tilted" else 0.0
        yaw += fault.amount if fault.kind == "turned" else 0.0
    return mounting.model_copy(update={"rpy_deg": (roll, pitch, yaw)})
