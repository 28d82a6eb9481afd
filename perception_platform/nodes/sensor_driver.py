"""What both drivers share: a thread that reads one sensor of the robot file, its health, its place on the robot."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, Generic, TypeVar

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image, PointCloud, SensorHealth
from perception_platform.core.time import from_s
from perception_platform.messages.motion import transform_to_msg
from perception_platform.robot.sensors import Camera, Lidar
from perception_platform.ros.make import make
from perception_platform.ros.node import PlatformNode
from perception_platform.ros.topics import TOPICS, rate_hz, sensor_topic
from perception_platform.sensing.clock import Clock, SystemClock
from perception_platform.sensing.health import HealthMonitor
from perception_platform.sensing.reconnect import keep_reading
from perception_platform.sensing.source import Reading, Source

SensorT = TypeVar("SensorT", Camera, Lidar)
DataT = TypeVar("DataT", Image, PointCloud)
# A change of health is told within this time; without a change, health is told at the table's rate.
LOOK_EVERY_S = 0.1


class SensorDriver(PlatformNode, Generic[SensorT, DataT]):
    """Reads one sensor in a thread; one process a sensor.

    Parameter ``sensor``: its name in the robot file, besides those of every node.
    """

    kind: type[SensorT]
    sensor: SensorT

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.declare_parameter("sensor", "")
        self._clock = SystemClock()

    # --- what a driver gives --------------------------------------------------------------------------------

    def source(self, clock: Clock) -> Source[DataT]:
        """The source of ``self.sensor``, and publishers for its data."""
        raise NotImplementedError

    def publish(self, data: DataT) -> None:
        """Publish an image or a sweep."""
        raise NotImplementedError

    def observe(self, monitor: HealthMonitor, data: DataT, now_ns: int) -> None:
        """Show it to the monitor."""
        raise NotImplementedError

    # --- node -----------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Begin to read; data, health and the sensor's place are published while the node is active."""
        self.sensor = self._find_sensor()
        self._topic = sensor_topic(self.sensor)
        self._clock = SystemClock()
        self._lock = Lock()
        self._monitor = HealthMonitor(self.sensor, self.robot.gate.future_tolerance_s)
        self._told: SensorHealth | None = None
        self._health = self.output("sensor_health")
        self._static = self.publisher_if_installed("tf_static")
        source = self.source(self._clock)
        self.every(LOOK_EVERY_S, self._tell_health)
        self.work(self.sensor.name, lambda: self._read(source))

    def tear_down(self) -> None:
        """Make the thread come to its end."""
        self._clock.stop()

    def diagnostics(self) -> Mapping[str, str]:
        """The health of the sensor in words."""
        health = self._told
        return {} if health is None else {f"{health.sensor} {health.status.name.lower()}": health.text}

    def _find_sensor(self) -> SensorT:
        name = self.get_parameter("sensor").value
        fitting = [sensor for sensor in self.robot.sensors if isinstance(sensor, self.kind)]
        for sensor in fitting:
            if sensor.name == name:
                return sensor
        names = ", ".join(sensor.name for sensor in fitting) or "none"
        raise InputError(self.get_name(), f"{name!r} is not one of {self.robot.name}'s: {names}", "sensor")

    def _read(self, source: Source[DataT]) -> None:
        for reading in keep_reading(source, self._clock, self._lost):
            self._take(reading)

    def _take(self, reading: Reading[DataT]) -> None:
        if reading.data is not None:
            self.read_one(self._topic.of(self.sensor.name))
            self.publish(reading.data)
        if reading.malformed:
            self.trouble("malformed", self._topic, self.sensor.name, reading.note)
        now_ns = self._clock.now_ns()
        with self._lock:
            if reading.packets_lost:
                self._monitor.packets_lost(reading.packets_lost, now_ns)
            if reading.malformed:
                self._monitor.malformed(reading.malformed, reading.note, now_ns)
            if reading.data is not None:
                self.observe(self._monitor, reading.data, now_ns)

    def _lost(self, reason: str) -> None:
        self.tally.add(self._topic.of(self.sensor.name), "lost")
        self.get_logger().warning(f"{self.sensor.name}: {reason}", throttle_duration_sec=1.0)
        with self._lock:
            self._monitor.lost(reason)

    def _tell_health(self) -> None:
        with self._lock:
            health = self._monitor.report(self._clock.now_ns())
        told = self._told
        period_ns = from_s(1.0 / rate_hz(TOPICS["sensor_health"], self.robot))
        # The clock may have been set back: then the time since the last report is negative.
        if told and told.problems == health.problems and 0 <= health.t_ns - told.t_ns < period_ns:
            return
        if told is None and self._static is not None:
            self._tell_place(health.t_ns)
        self._told = health
        self._health.publish(health)

    def _tell_place(self, t_ns: int) -> None:
        place = make("tf2_msgs/msg/TFMessage")
        mounting = self.sensor.mounting.transform()
        place.transforms = [transform_to_msg(t_ns, self.robot.base_frame, self.sensor.name, mounting, make)]
        self._static.publish(place)
