"""A camera of the robot file in: device, stream, video or image folder; rectified Image, CameraInfo, health out."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np

from perception_platform.core.sensor_data import Image
from perception_platform.nodes.sensor_driver import SensorDriver
from perception_platform.robot.sensors import Camera
from perception_platform.ros.process import run
from perception_platform.sensing.clock import Clock
from perception_platform.sensing.health import HealthMonitor
from perception_platform.sensing.source import Source
from perception_platform.sensing.sources import camera_source


class CameraDriver(SensorDriver[Camera, Image]):
    """Publishes each image and its CameraInfo, both stamped with the capture time."""

    kind = Camera

    def __init__(self, **options: Any) -> None:
        super().__init__("camera_driver", **options)

    def source(self, clock: Clock) -> Source[Image]:
        """The camera."""
        self._images = self.output("image", self.sensor.name)
        self._infos = self.output("camera_info", self.sensor.name)
        # The source takes the distortion out.
        self._model = replace(self.sensor.intrinsics.model(), distortion=np.zeros(5))
        return camera_source(self.sensor, clock)

    def publish(self, data: Image) -> None:
        """Publish an image."""
        self._images.publish(data)
        self._infos.publish((self._model, data.t_ns, data.frame_id))

    def observe(self, monitor: HealthMonitor, data: Image, now_ns: int) -> None:
        """Show an image to the monitor."""
        monitor.observe_image(data, now_ns)


def main() -> None:
    """Run the node."""
    sys.exit(run(CameraDriver))


if __name__ == "__main__":
    main()
