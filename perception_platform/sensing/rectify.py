"""Images as the camera model of a robot file says: of its size, and without distortion."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import CameraModel, Image
from perception_platform.robot.sensors import Camera


class Rectifier:
    """Makes images of a camera's raw pixels, with its distortion taken out.

    The rectified image keeps the intrinsic matrix, so that the robot file describes both.
    """

    def __init__(self, camera: Camera) -> None:
        self._name = camera.name
        self._size_px = (camera.intrinsics.width_px, camera.intrinsics.height_px)
        model = camera.intrinsics.model()
        self._maps = _maps(model) if np.any(model.distortion) else None

    def image(self, pixels: npt.NDArray[np.uint8], t_ns: int, source: object) -> Image:
        """The image of (H, W, 3) BGR or (H, W) grey pixels.

        Raises:
            InputError: names ``source`` if the size is not the robot file's.
        """
        height, width = pixels.shape[:2]
        if (width, height) != self._size_px:
            expected = "x".join(map(str, self._size_px))
            raise InputError(
                source, f"is {width}x{height}, the robot file says {expected}", f"{self._name}.intrinsics"
            )
        bgr = pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
        if self._maps is not None:
            bgr = cv2.remap(bgr, *self._maps, cv2.INTER_LINEAR)
        return Image(t_ns, self._name, self._name, np.ascontiguousarray(bgr, dtype=np.uint8))


def _maps(model: CameraModel) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    x, y = cv2.initUndistortRectifyMap(
        model.matrix,
        model.distortion,
        np.eye(3),
        model.matrix,
        (model.width_px, model.height_px),
        cv2.CV_16SC2,
    )
    return x.astype(np.int16, copy=False), y.astype(np.uint16, copy=False)
