"""What light, motion and dirt make of a drawn image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.core.sensor_data import Image

GLARE_EDGE_PX = 12.0  # over which a blinded patch fades out
DIRT_BLUR_PX = 9.0


@dataclass(frozen=True, slots=True)
class CameraEffects:
    """How the image departs from that of a clean lens in daylight.

    Attributes:
        light: share of daylight.
        glare: share of the image that is blinded, from its middle.
        blur_px: standard deviation of the blur.
        dirt: share of the image behind dirt, from the lower edge.
    """

    light: float = 1.0
    glare: float = 0.0
    blur_px: float = 0.0
    dirt: float = 0.0


def through_lens(image: Image, effects: CameraEffects, rng: np.random.Generator) -> Image:
    """The image as that lens and light give it; noise stays, as it arises behind the lens."""
    bgr: npt.NDArray[Any] = image.bgr.astype(np.float32)
    if effects.blur_px > 0:
        bgr = cv2.GaussianBlur(bgr, (0, 0), effects.blur_px)
    height, width = bgr.shape[:2]
    if effects.dirt > 0:
        first = round(height * (1 - min(effects.dirt, 1.0)))
        if first < height:
            bgr[first:] = cv2.GaussianBlur(bgr[first:], (0, 0), DIRT_BLUR_PX) * 0.5 + 40.0
    bgr *= effects.light
    if effects.glare > 0:
        bgr += _patch(height, width, effects.glare)[..., None]
    bgr += rng.normal(0.0, 1.5, (height, width, 1)).astype(np.float32)
    return replace(image, bgr=np.clip(np.round(bgr), 0, 255).astype(np.uint8))


def _patch(height: int, width: int, share: float) -> npt.NDArray[np.float32]:
    """(H, W) light of a lamp that blinds a share of the image."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    radius_px = np.sqrt(min(share, 1.5) * height * width / np.pi)
    from_middle = np.hypot(u - width / 2, v - height / 2)
    return np.asarray(400.0 * np.clip((radius_px - from_middle) / GLARE_EDGE_PX + 0.5, 0.0, 1.0), np.float32)
