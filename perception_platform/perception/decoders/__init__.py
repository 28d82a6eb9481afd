"""From a detector's raw output to boxes in its input image, by family. Boxes overlap still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perception_platform.inference.backend import Tensor
from perception_platform.perception.decoders.common import Candidates
from perception_platform.perception.decoders.grids import distribution, fastestdet, yolox
from perception_platform.perception.decoders.tables import box_table, detr, final_boxes, ssd
from perception_platform.perception.detector_config import DetectorConfig

__all__ = ["Candidates", "decode"]

_FAMILIES: dict[str, Callable[[list[Tensor], Any, DetectorConfig], Candidates]] = {
    "fastestdet": fastestdet,
    "distribution": distribution,
    "yolox": yolox,
    "yolov8": box_table,
    "yolov5": box_table,
    "final": final_boxes,
    "detr": detr,
    "ssd": ssd,
}


def decode(outputs: list[Tensor], config: DetectorConfig) -> Candidates:
    """Boxes that reach the threshold.

    Args:
        outputs: of one image, without the batch's axis, in the order that the family takes them.
        config: of the model.

    Raises:
        ModelError: if the outputs are not of the family.
    """
    return _FAMILIES[config.decoder.type](outputs, config.decoder, config)
