"""The models of one camera, in the order in which they are asked."""

from __future__ import annotations

from dataclasses import dataclass

from perception_platform.core.sensor_data import Image
from perception_platform.inference.chain import Chain
from perception_platform.perception.fusion import ImageObjects


@dataclass(frozen=True, slots=True)
class CameraChain:
    """A camera and what finds objects in its images.

    Attributes:
        sensor: the camera's name.
        chain: its models.
        looks_at_regions: whether one of them asks where to look closely; if not, images need no lidar.
    """

    sensor: str
    chain: Chain[Image, ImageObjects]
    looks_at_regions: bool = True
