"""Objects in images, by the first model of each camera's chain that can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from perception_platform.core.model_status import ModelStatus
from perception_platform.core.sensor_data import Image
from perception_platform.perception.component import SOURCES, Component, Moment, NoParams, Port, Ports, Setup
from perception_platform.perception.fusion import ImageObjects

# Luminance, 0 to 255, and its standard deviation outside of which no detector was trained on anything.
_DARKEST, _BRIGHTEST, _FLATTEST = 8.0, 247.0, 4.0
_EVERY_PX = 16  # a pixel in so many each way is enough to judge that


class CameraObjects(Component):
    """Lets each camera's chain look at its newest image."""

    inputs: ClassVar[Ports] = {"images": SOURCES["images"]}
    outputs: ClassVar[Ports] = {"objects": Port(tuple, unit="px", frame="image", head=True)}

    def __init__(self, setup: Setup, params: NoParams) -> None:
        self._cameras = setup.cameras
        self._troubles = [""] * len(setup.cameras)

    def step(self, moment: Moment, images: Mapping[str, Image]) -> tuple[ImageObjects, ...]:
        """What was found in each image that a model could look at."""
        found = []
        for i, camera in enumerate(self._cameras):
            image = images.get(camera.sensor)
            if image is None:
                continue
            self._troubles[i] = unlike_a_picture(image.bgr)
            objects = camera.chain.run(image.t_ns, image)
            if objects is not None:
                found.append(objects)
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
