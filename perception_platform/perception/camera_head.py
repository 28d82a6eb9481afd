"""Objects in cameras' images by a detector that was brought along as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from perception_platform.core.model_status import Assurance
from perception_platform.core.objects import Ints, ModelRef
from perception_platform.core.sensor_data import Image
from perception_platform.inference.backend import Backend, ModelError, Tensor
from perception_platform.inference.golden import Golden
from perception_platform.perception.camera_views import Bgr, Fitted, Fitter, PointedImage, choose_views
from perception_platform.perception.decoders import Candidates, decode
from perception_platform.perception.detector_config import DetectorConfig
from perception_platform.perception.fusion import ImageObjects
from perception_platform.perception.image_boxes import box_iou
from perception_platform.perception.image_domain import out_of_domain
from perception_platform.perception.score_calibration import calibrate

Shown = tuple[Bgr, Ints, bool]  # an image, the part of it, and whether left and right are exchanged

_NOWHERE = np.zeros((0, 4))
_UNCALIBRATED_SIGMA = 0.05  # of a box's sides, as a share of its height


def suppress(candidates: Candidates, config: DetectorConfig) -> Candidates:
    """One box an object, surest first, without the unsure and the unused classes."""
    used = np.isin(candidates.classes, list(config.classes)) & (candidates.scores >= config.score_threshold)
    used &= (candidates.boxes_px[:, 2:] > candidates.boxes_px[:, :2]).all(axis=1)
    left = candidates.at(np.flatnonzero(used))
    if len(left) < 2:
        return left
    xywh = np.column_stack([left.boxes_px[:, :2], left.boxes_px[:, 2:] - left.boxes_px[:, :2]])
    kept = cv2.dnn.NMSBoxesBatched(
        xywh.tolist(),
        left.scores.tolist(),
        left.classes.tolist(),
        config.score_threshold,
        config.iou_threshold,
    )
    surest = left.at(np.asarray(kept, dtype=np.int64).reshape(-1))
    return surest if config.views.merge == "surest" else _averaged(surest, left, config.iou_threshold)


def _averaged(surest: Candidates, boxes: Candidates, iou_threshold: float) -> Candidates:
    """Each of the surest as the mean, weighted by score, of the boxes of its class that overlap it most."""
    overlap = box_iou(surest.boxes_px, boxes.boxes_px)
    overlap = np.where(surest.classes[:, None] == boxes.classes, overlap, 0.0)
    own = (overlap == overlap.max(axis=0)) & (overlap > iou_threshold)
    weight = own * boxes.scores
    return replace(surest, boxes_px=weight @ boxes.boxes_px / weight.sum(axis=1, keepdims=True))


class Detector:
    """A model and what has to be done before and after it, for images of any camera.

    Attributes:
        config: how it is described.
        network: what runs it.
    """

    def __init__(self, config: DetectorConfig, backend: Backend) -> None:
        self.config = config
        self.network = backend
        self._fitter = Fitter(config.input)
        self._class_ids = np.zeros(max(config.classes) + 1, dtype=np.int64)
        for index, class_id in config.class_map.items():
            self._class_ids[index] = class_id

    @property
    def model(self) -> ModelRef:
        """Model in use."""
        return self.network.model

    @property
    def backend(self) -> str:
        """What runs it."""
        return self.network.name

    def with_config(self, config: DetectorConfig) -> Detector:
        """The same model, described otherwise."""
        return Detector(config, self.network)

    def detect(self, images: Sequence[Image]) -> list[ImageObjects]:
        """Objects in each image, surest first. Views of all images share the model's batches.

        Args:
            images: of one or several cameras; a PointedImage asks for a closer look.

        Raises:
            ModelError: if the model fails or its output means nothing.
        """
        shown, owner = self._views(images)
        found: list[list[Candidates]] = [[] for _ in images]
        strange = [False] * len(images)
        for begin in range(0, len(shown), self.config.input.batch):
            batch = slice(begin, begin + self.config.input.batch)
            for i, part, odd in zip(owner[batch], *self._look(shown[batch]), strict=True):
                found[i].append(part)
                strange[i] |= odd
        return [
            self._objects(*three) for three in zip(images, map(Candidates.join, found), strange, strict=True)
        ]

    def runs(self, image: Image) -> int:
        """How many places in the model's batches an image takes."""
        return len(self._views([image])[0])

    def _views(self, images: Sequence[Image]) -> tuple[list[Shown], list[int]]:
        """What the network is shown of all images, and of which image each is."""
        shown: list[Shown] = []
        owner: list[int] = []
        for i, image in enumerate(images):
            asked = image.asked_px if isinstance(image, PointedImage) else _NOWHERE
            height_px, width_px = image.bgr.shape[:2]
            views = choose_views(height_px, width_px, self.config.views, self.config.input, asked)
            ways = (False, True) if self.config.views.mirror else (False,)
            shown += [(image.bgr, view, mirrored) for mirrored in ways for view in views]
            owner += [i] * (len(views) * len(ways))
        return shown, owner

    def _look(self, shown: Sequence[Shown]) -> tuple[list[Candidates], list[bool]]:
        """One run of the model: boxes in the image for each view, and which whole image is out of the domain."""
        tensor = self._fitter.tensor(len(shown))
        fitted, strange = [], []
        for (bgr, view, mirrored), place in zip(shown, tensor, strict=True):
            fitted.append(self._fitter.fit(bgr, view, place, mirrored))
            whole = bool((view[2:] - view[:2] == bgr.shape[1::-1]).all())
            strange.append(whole and out_of_domain(self._fitter.canvas, self.config.calibration))
        outputs = self._run(tensor)
        parts = []
        for i, (bgr, _, _) in enumerate(shown):
            parts.append(self._in_image(decode([o[i] for o in outputs], self.config), fitted[i], bgr))
        return parts, strange

    def _run(self, tensor: Tensor) -> list[Tensor]:
        """The outputs that the decoder takes."""
        network, size_name = self.config.input, self.config.input.size_name
        image_name = next(name for name in self.network.input_names if name != size_name)
        inputs = {image_name: tensor}
        if size_name:
            size = np.array([network.width_px, network.height_px], dtype=np.int64)
            inputs[size_name] = np.tile(size, (len(tensor), 1))
        outputs = self.network.run(inputs)
        try:
            taken = [outputs[name] for name in self.config.outputs or self.network.output_names]
        except KeyError as error:
            raise ModelError(f"{self.model.id}: no output {error}, only {', '.join(outputs)}") from error
        if any(o.ndim == 0 or len(o) != len(tensor) for o in taken):
            raise ModelError(
                f"{self.model.id}: outputs {[o.shape for o in taken]} for a batch of {len(tensor)}"
            )
        return taken

    def _in_image(self, decoded: Candidates, fitted: Fitted, bgr: Bgr) -> Candidates:
        """Boxes of one view in the image, without the stumps of what the view cuts."""
        if not (np.isfinite(decoded.boxes_px).all() and np.isfinite(decoded.scores).all()):
            raise ModelError(f"{self.model.id}: a box or score is not finite")
        boxes = Candidates(fitted.to_image(decoded.boxes_px), decoded.classes, decoded.scores)
        return boxes.at(np.flatnonzero(~fitted.stumps(boxes.boxes_px, *bgr.shape[:2])))

    def _objects(self, image: Image, candidates: Candidates, strange: bool) -> ImageObjects:
        found = suppress(candidates, self.config)
        fitted = self.config.calibration
        sigma = np.array(fitted.side_sigma if fitted else [_UNCALIBRATED_SIGMA] * 4)
        heights_px = found.boxes_px[:, 3:] - found.boxes_px[:, 1:2]
        return ImageObjects(
            image.sensor,
            image.t_ns,
            found.boxes_px,
            self._class_ids[found.classes],
            calibrate(found.scores, fitted) if fitted else found.scores,
            self.model,
            heights_px * sigma,
            strange,
        )


class CameraHead:
    """A detector for one camera."""

    def __init__(
        self, sensor: str, config: DetectorConfig, backend: Backend, golden: Golden | None = None
    ) -> None:
        self._sensor = sensor
        self.detector = Detector(config, backend)
        self._golden = golden
        self._strange = False

    @property
    def sensor(self) -> str:
        """Camera it looks at."""
        return self._sensor

    @property
    def model(self) -> ModelRef:
        """Model in use."""
        return self.detector.model

    @property
    def backend(self) -> str:
        """What runs it."""
        return self.detector.backend

    @property
    def assurance(self) -> Assurance:
        """What its file says of its scores and boxes, and whether its newest image is like those it was fitted on."""
        fitted = self.detector.config.calibration
        if fitted is None:
            return Assurance(uncertainty="sides of boxes: 5 % of their height, assumed")
        return Assurance(
            fitted.method,
            fitted.error,
            "sides of boxes: by labels",
            self._strange,
            "the image is unlike those that it was calibrated on" if self._strange else "",
        )

    def check(self) -> None:
        """Hold the backend against the golden outputs that came with the model, if any did.

        Raises:
            ModelError: if it fails or gives others.
        """
        if self._golden is not None:
            self._golden.check(self.detector.network)

    def step(self, image: Image) -> ImageObjects:
        """Objects in one image, surest first; a closer look is taken where a PointedImage asks for it.

        Raises:
            ModelError: if the model fails or its output means nothing.
        """
        (objects,) = self.detector.detect([image])
        self._strange = objects.out_of_domain
        return objects
