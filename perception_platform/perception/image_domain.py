"""Images unlike those that a detector was fitted on."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.perception.detector_config import Calibration


def image_measures(bgr: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Brightness and contrast (0 to 255) and sharpness (logarithm of the Laplacian's deviation) of an image (H, W, 3).

    Of the image at the network's size, so that they compare between cameras.
    """
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return {
        "brightness": float(mean[0, 0]),
        "contrast": float(deviation[0, 0]),
        "sharpness": float(np.log1p(edges[0, 0])),
    }


def out_of_domain(bgr: npt.NDArray[np.uint8], calibration: Calibration | None) -> bool:
    """Whether an image is unlike those that the calibration was fitted on; never without one."""
    if calibration is None or not calibration.image_range:
        return False
    return outside(image_measures(bgr), calibration)


def outside(measured: dict[str, float], calibration: Calibration) -> bool:
    """Whether one of an image's measures is beyond the range of those that the calibration was fitted on."""
    return any(not low <= measured[name] <= high for name, (low, high) in calibration.image_range.items())
