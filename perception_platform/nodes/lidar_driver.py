"""A lidar of the robot file in: Velodyne, Ouster, or a folder of sweeps; PointCloud2 and its health out."""

from __future__ import annotations

import sys
from typing import Any

from perception_platform.core.sensor_data import PointCloud
from perception_platform.nodes.sensor_driver import SensorDriver
from perception_platform.robot.sensors import Lidar
from perception_platform.ros.process import run
from perception_platform.sensing.clock import Clock
from perception_platform.sensing.health import HealthMonitor
from perception_platform.sensing.source import Source
from perception_platform.sensing.sources import lidar_source


class LidarDriver(SensorDriver[Lidar, PointCloud]):
    """Publishes each sweep, stamped with its end."""

    kind = Lidar

    def __init__(self, **options: Any) -> None:
        super().__init__("lidar_driver", **options)

    def source(self, clock: Clock) -> Source[PointCloud]:
        """The lidar."""
        self._points = self.output("points", self.sensor.name)
        return lidar_source(self.sensor, clock)

    def publish(self, data: PointCloud) -> None:
        """Publish a sweep."""
        self._points.publish(data)

    def observe(self, monitor: HealthMonitor, data: PointCloud, now_ns: int) -> None:
        """Show a sweep to the monitor."""
        monitor.observe_cloud(data, now_ns)


def main() -> None:
    """Run the node."""
    sys.exit(run(LidarDriver))


if __name__ == "__main__":
    main()
