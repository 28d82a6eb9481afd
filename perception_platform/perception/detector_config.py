"""``model.yaml``: what has to be known of an image detector to run it. The weights lie beside it as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.inference.spec import BackendSpec, GoldenSpec, OnnxSpec

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class Part(BaseModel):
    """Base of all parts of the file: nothing unknown, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageInput(Part):
    """The tensor a model takes.

    Attributes:
        width_px: width.
        height_px: height.
        layout: order of batch, channel, height and width.
        channels: order of the colours.
        fit: keep the image's shape and pad it, or squash it.
        mean: taken off each channel, in the model's order, on a scale of 0 to 255.
        std: each channel is then divided by this.
    """

    width_px: int = Field(gt=0, le=4096)
    height_px: int = Field(gt=0, le=4096)
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["bgr", "rgb"] = "bgr"
    fit: Literal["letterbox", "squash"] = "letterbox"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @field_validator("std")
    @classmethod
    def _std_divides(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0:
            raise ValueError("every std has to be above 0")
        return value


class DetectorConfig(Part):
    """A whole model.yaml.

    Attributes:
        version: of this format.
        id: name and version of the model.
        weights: the ONNX file, in the same folder.
        input: the tensor it takes.
        decoder: family of its output: ``fastestdet`` (one grid, objectness, box and classes a cell) or ``distribution``
            (NanoDet, PicoDet: a distribution over distances to each side).
        cell_offset: where in its cell a point of the ``distribution`` family lies: 0 the corner, 0.5 the centre.
        classes: class of each output class that is of use; others are left out.
        score_threshold: boxes below are left out.
        iou_threshold: of two boxes of a class that overlap more than this, the surer stays.
        backends: what may run it, in the order in which they are asked.
        golden: inputs and the outputs that every backend has to give for them.
    """

    version: Literal[1]
    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+@[0-9]+$")]
    weights: Annotated[str, Field(pattern=r"^[^/\\]+\.onnx$")]
    input: ImageInput
    decoder: Literal["fastestdet", "distribution"]
    cell_offset: Annotated[float, Field(ge=0, lt=1)] = 0.5
    classes: Annotated[dict[int, str], Field(min_length=1)]
    score_threshold: Share
    iou_threshold: Share
    backends: Annotated[list[BackendSpec], Field(min_length=1)] = Field(
        default=[OnnxSpec(kind="onnxruntime")]
    )
    golden: GoldenSpec | None = None

    @field_validator("classes")
    @classmethod
    def _classes_exist(cls, value: dict[int, str]) -> dict[int, str]:
        known = [c.name.lower() for c in ObjectClass]
        for index, name in value.items():
            if index < 0 or name not in known:
                raise ValueError(f"{index}: {name!r} is no class; there are {', '.join(known)}")
        return value

    @property
    def class_map(self) -> dict[int, int]:
        """Value of ObjectClass by output class."""
        return {index: int(ObjectClass[name.upper()]) for index, name in self.classes.items()}


def load_detector_config(folder: Path) -> DetectorConfig:
    """Read ``model.yaml`` of a model's folder.

    Raises:
        InputError: names the file, the field and its value.
    """
    path = folder / "model.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return DetectorConfig.model_validate(data)
    except OSError as error:
        raise InputError(path, f"no model description: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise InputError(path, f"{first['msg']}, got {first['input']!r}"[:300], where) from error
