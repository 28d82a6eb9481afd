"""Objects in one camera's images by a detector that was brought along as a folder."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.model_status import Assurance
from perception_platform.core.objects import Ints, ModelRef
from perception_platform.core.sensor_data import Image
from perception_platform.inference.backend import Backend, ModelError, Tensor
from perception_platform.inference.golden import Golden
from perception_platform.perception.decoders import DECODERS, Candidates
from perception_platform.perception.detector_config import DetectorConfig, ImageInput
from perception_platform.perception.fusion import ImageObjects

_PADDING = 114  # the grey that detectors are trained with


@dataclass(frozen=True, slots=True)
class Fitted:
    """An image as a network takes it, and how to get back.

    Attributes:
        tensor: (1, 3, H, W) or (1, H, W, 3) float32.
        scale: (2,) network pixels per image pixel in x and y.
        offset_px: (2,) where the image begins in the network's.
    """

    tensor: Tensor
    scale: Array
    offset_px: Array

    def to_image(self, boxes_px: Array) -> Array:
        """Boxes (N, 4) x1 y1 x2 y2 from the network's input to the image."""
        return np.asarray((boxes_px - np.tile(self.offset_px, 2)) / np.tile(self.scale, 2))


def fit_image(bgr: npt.NDArray[np.uint8], config: ImageInput) -> Fitted:
    """Resize, pad, order and normalise an image (H, W, 3)."""
    height, width = bgr.shape[:2]
    scale = np.array([config.width_px / width, config.height_px / height])
    if config.fit == "letterbox":
        scale[:] = scale.min()
    size = (max(round(width * scale[0]), 1), max(round(height * scale[1]), 1))
    offset = np.array([(config.width_px - size[0]) // 2, (config.height_px - size[1]) // 2])
    canvas = np.full((config.height_px, config.width_px, 3), _PADDING, dtype=np.uint8)
    resized = cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
    canvas[offset[1] : offset[1] + size[1], offset[0] : offset[0] + size[0]] = resized
    pixels = canvas[..., ::-1] if config.channels == "rgb" else canvas
    mean, std = np.array(config.mean, dtype=np.float32), np.array(config.std, dtype=np.float32)
    tensor = (pixels.astype(np.float32) - mean) / std
    if config.layout == "nchw":
        tensor = tensor.transpose(2, 0, 1)
    return Fitted(
        np.ascontiguousarray(tensor[None]), np.array(size) / (width, height), offset.astype(np.float64)
    )


def suppress(candidates: Candidates, config: DetectorConfig) -> Candidates:
    """Without the unsure, the unused classes, and all but the surest of boxes of a class that overlap."""
    used = np.isin(candidates.classes, list(config.classes)) & (candidates.scores >= config.score_threshold)
    used &= (candidates.boxes_px[:, 2:] > candidates.boxes_px[:, :2]).all(axis=1)
    boxes, classes, scores = candidates.boxes_px[used], candidates.classes[used], candidates.scores[used]
    xywh = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    kept = cv2.dnn.NMSBoxesBatched(
        xywh.tolist(), scores.tolist(), classes.tolist(), config.score_threshold, config.iou_threshold
    )
    order = np.asarray(kept, dtype=np.int64).reshape(-1)
    return Candidates(boxes[order], classes[order], scores[order])


class CameraHead:
    """A detector for one camera."""

    def __init__(
        self, sensor: str, config: DetectorConfig, backend: Backend, golden: Golden | None = None
    ) -> None:
        self._sensor = sensor
        self._config = config
        self._backend = backend
        self._class_ids = config.class_map
        self._golden = golden

    @property
    def sensor(self) -> str:
        """Camera it looks at."""
        return self._sensor

    @property
    def model(self) -> ModelRef:
        """Model in use."""
        return self._backend.model

    @property
    def backend(self) -> str:
        """What runs it."""
        return self._backend.name

    @property
    def assurance(self) -> Assurance:
        """Nothing is known of its scores beyond what its maker says."""
        return Assurance()

    def check(self) -> None:
        """Hold the backend against the golden outputs that came with the model, if any did.

        Raises:
            ModelError: if it fails or gives others.
        """
        if self._golden is not None:
            self._golden.check(self._backend)

    def step(self, image: Image) -> ImageObjects:
        """Objects in one image, surest first.

        Raises:
            ModelError: if the model fails or its output means nothing.
        """
        fitted = fit_image(image.bgr, self._config.input)
        outputs = self._backend.run({self._backend.input_names[0]: fitted.tensor})
        decoded = DECODERS[self._config.decoder](
            [outputs[n] for n in self._backend.output_names], self._config
        )
        if not (np.isfinite(decoded.boxes_px).all() and np.isfinite(decoded.scores).all()):
            raise ModelError(f"{self.model.id}: a box or score is not finite")
        found = suppress(decoded, self._config)
        height, width = image.bgr.shape[:2]
        boxes_px = np.clip(fitted.to_image(found.boxes_px), 0, (width, height, width, height))
        class_ids: Ints = np.array([self._class_ids[int(c)] for c in found.classes], dtype=np.int64)
        return ImageObjects(image.sensor, image.t_ns, boxes_px, class_ids, found.scores, self.model)
