"""Settings of the tracker for boxes of a trained detector, one file a category: config/tracking/kitti_car.yaml, …"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.robot.load import share_dir
from perception_platform.tracking.config import CLASSES, ClassConfig, Positive, Settings, TrackerConfig

Finite = Annotated[float, Field(allow_inf_nan=False)]
CATEGORY_CLASSES = {
    "Car": ObjectClass.CAR,
    "Pedestrian": ObjectClass.PERSON,
    "Cyclist": ObjectClass.CYCLIST,
}


class DetectorConfig(Settings):
    """How a detector's boxes err.

    Attributes:
        score_scale: the probability that a box is true is the logistic function of scale * score + offset + per_m *
            range: a detector's scores fall with range faster than its boxes get worse.
        score_offset: see there.
        score_per_m: see there.
        position_sigma_m: 1-sigma of each coordinate of a centre close by.
        position_sigma_share: what is added to it, as a fraction of the range.
        least_score: boxes scored below it are left out.
    """

    score_scale: Positive
    score_offset: Finite
    score_per_m: Finite
    position_sigma_m: Positive
    position_sigma_share: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    least_score: Finite


class OutputConfig(Settings):
    """Which tracks are written besides those that were just seen.

    Attributes:
        hold_s: a track is written for so long after it was seen last, unless it leaves the image: what goes missing
            at the image's edge has gone, what goes missing inside it is hidden or was overlooked.
        hold_confidence: and only if it is trusted at least this far.
        confident_from: mean confidence from which on a trajectory is written among those that the tracker is sure of,
            for metrics that take every box for as good as any other.
    """

    hold_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    hold_confidence: Annotated[float, Field(ge=0, le=1)]
    confident_from: Annotated[float, Field(ge=0, le=1)]


class KittiConfig(Settings):
    """One category's settings.

    Attributes:
        version: of this format.
        detector: how its boxes err.
        motion: how objects of the class move.
        tracker: all else of the tracker that differs from its defaults.
        output: which tracks are written.
        without_ego: what differs of ``motion`` where no poses are known, so that turns of the camera seem to move
            everything.
    """

    version: Literal[1]
    detector: DetectorConfig
    motion: ClassConfig
    tracker: dict[str, Any]
    output: OutputConfig
    without_ego: dict[str, Any]

    def tracker_config(self, category: str) -> TrackerConfig:
        """The tracker's settings for a category.

        Raises:
            ValidationError: if they are not what the tracker takes.
        """
        classes = {**CLASSES, CATEGORY_CLASSES[category]: self.motion}
        return TrackerConfig(classes=classes, whole_boxes=True, **self.tracker)


def config_path(category: str) -> Path:
    """Of the settings that come with the package."""
    return share_dir() / "config" / "tracking" / f"kitti_{category.lower()}.yaml"


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a file as they stand in it, not checked yet.

    Raises:
        InputError: naming the file.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    if not isinstance(settings, dict):
        raise InputError(path, "expected a mapping with the parts detector, motion, tracker and output")
    return settings


def kitti_config(settings: dict[str, Any], category: str, with_ego: bool = True) -> KittiConfig:
    """Settings of a category, checked.

    Raises:
        ValidationError: if they are not what the tracker takes.
    """
    config = KittiConfig.model_validate(settings)
    changed = ClassConfig.model_validate({**config.motion.model_dump(), **config.without_ego})
    config = config if with_ego else config.model_copy(update={"motion": changed})
    config.tracker_config(category)
    return config


def load_kitti_config(category: str, with_ego: bool = True, path: Path | None = None) -> KittiConfig:
    """Read and check the settings of a category.

    Args:
        category: Car, Pedestrian or Cyclist.
        with_ego: whether poses are known.
        path: another file than the one that comes with the package.

    Raises:
        InputError: naming the file and the field.
    """
    path = path or config_path(category)
    try:
        return kitti_config(read_settings(path), category, with_ego)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(path, first["msg"], ".".join(str(part) for part in first["loc"])) from error
