"""What an image says about its camera: frozen, dark, saturated."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from perception_platform.core.sensor_data import Image, SensorProblem

# Every eighth pixel both ways is enough to judge by, and cheap.
STEP_PX = 8
# Of 255. Noise alone lifts a lit scene above the first; only blown-out pixels are above the second.
DARK_LEVEL, SATURATED_LEVEL = 16, 250
DARK_SHARE, SATURATED_SHARE = 0.95, 0.5
# In a row: shorter is a lamp that flickers or the glare of a passing headlight.
BRIGHTNESS_FRAMES = 3
FROZEN_FRAMES = 5


@dataclass(slots=True)
class ImageChecks:
    """Looks at image after image; ``problems`` holds what is wrong now.

    A live sensor's noise changes some pixel in every image, even of a scene that stands still: identical bytes mean
    that no new image was captured. Clipped to black or white an image has no noise, so then it doesn't count.
    """

    problems: frozenset[SensorProblem] = frozenset()
    _digest: int = -1
    _same: int = 0
    _dark: int = 0
    _saturated: int = 0

    def observe(self, image: Image) -> None:
        """Take the next image."""
        pixels = np.ascontiguousarray(image.bgr[::STEP_PX, ::STEP_PX])
        brightness = pixels.max(axis=2)
        dark = np.mean(brightness < DARK_LEVEL) >= DARK_SHARE
        saturated = np.mean(brightness > SATURATED_LEVEL) >= SATURATED_SHARE
        digest = zlib.crc32(pixels.tobytes())
        same = digest == self._digest and not (dark or saturated)
        self._digest = digest
        self._same = self._same + 1 if same else 1
        self._dark = self._dark + 1 if dark else 0
        self._saturated = self._saturated + 1 if saturated else 0
        found = {
            SensorProblem.FROZEN_IMAGE: self._same >= FROZEN_FRAMES,
            SensorProblem.DARK_IMAGE: self._dark >= BRIGHTNESS_FRAMES,
            SensorProblem.SATURATED_IMAGE: self._saturated >= BRIGHTNESS_FRAMES,
        }
        self.problems = frozenset(problem for problem, is_so in found.items() if is_so)
