"""Objects in images, by the first model of each camera's chain that can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from perception_platform.core.model_status import ModelStatus
from perception_platform.core.objects import Detections
from perception_platform.core.sensor_data import Image
from perception_platform.perception.camera_regions import asked_regions
from perception_platform.perception.camera_views import PointedImage
from perception_platform.perception.component import SOURCES, Component, Moment, NoParams, Port, Ports, Setup
from perception_platform.perception.fusion import ImageObjects

# Luminance, 0 to 255, and its standard deviation outside of which no detector was trained on anything.
_DARKEST, _BRIGHTEST, _FLATTEST = 8.0, 247.0, 4.0
_NOWHERE = np.zeros((0, 4))
_EVERY_PX = 16  # a pixel in so many each way is enough to judge that


class CameraObjects(Component):
    """Lets each camera's chain look at its newest image."""

    inputs: ClassVar[Ports] = {
        "images": SOURCES["images"],
        "objects": Port(Detections, unit="m", frame="base"),
    }
    outputs: ClassVar[Ports] = {"objects": Port(tuple, unit="px", frame="image", head=True)}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._cameras = setup.cameras
        asked = any(camera.looks_at_regions for camera in setup.cameras)
        self.unneeded: frozenset[str] = frozenset() if asked else frozenset({"objects"})
        self._sensors = {camera.name: camera for camera in setup.robot.cameras}
        self._troubles = [""] * len(setup.cameras)

    def step(
        self, moment: Moment, images: Mapping[str, Image], objects: Detections | None
    ) -> tuple[ImageObjects, ...]:
        """What was found in each image that a model could look at; the lidar's objects say where to look closer."""
        found = []
        for i, camera in enumerate(self._cameras):
            image = images.get(camera.sensor)
            if image is None:
                continue
            self._troubles[i] = unlike_a_picture(image.bgr)
            asked_px = _NOWHERE if objects is None else asked_regions(objects, self._sensors[camera.sensor])
            pointed = PointedImage(image.t_ns, image.frame_id, image.sensor, image.bgr, asked_px)
            answer = camera.chain.run(image.t_ns, pointed)
            if answer is not None:
                found.append(answer)
        return tuple(found)

    def model_status(self, t_ns: int) -> Sequence[ModelStatus]:
        """Of each camera's chain."""
        return [
            camera.chain.status(t_ns, trouble)
            for camera, trouble in zip(self._cameras, self._troubles, strict=True)
        ]


def unlike_a_picture(bgr: npt.NDArray[np.uint8]) -> str:
    """Why an image (H, W, 3) is outside what any detector was trained on, or nothing."""
    thinned = bgr[::_EVERY_PX, ::_EVERY_PX].astype(np.float32).mean(axis=-1)
    mean, deviation = float(thinned.mean()), float(thinned.std())
    if mean < _DARKEST or mean > _BRIGHTEST:
        return f"the image is {'dark' if mean < _DARKEST else 'white'}: mean luminance {mean:.0f} of 255"
    if deviation < _FLATTEST:
        return f"the image shows nothing: its luminance varies by {deviation:.1f} of 255"
    return ""
