"""What a detector's numbers mean: calibrated scores, uncertain box sides, and images unlike those it was fitted on."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.perception.detector_config import Calibration

_SURE = 1e-6  # a score of 0 or 1 has no logit


def logit(scores: Array) -> Array:
    """log(p / (1 - p)), finite for 0 and 1 too."""
    p = np.clip(scores, _SURE, 1 - _SURE)
    return np.asarray(np.log(p / (1 - p)))


def calibrate(scores: Array, calibration: Calibration) -> Array:
    """(N,) how often a box of such a score is right.

    Temperature scaling with a shift (Guo et al., ICML 2017; Platt 1999) or a table from isotonic regression.
    """
    if calibration.method == "isotonic":
        return np.asarray(np.interp(scores, calibration.raw, calibration.calibrated))
    shifted = logit(scores) / calibration.temperature + calibration.bias
    return np.asarray(1 / (1 + np.exp(-shifted)))


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
