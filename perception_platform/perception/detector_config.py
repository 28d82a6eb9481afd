"""``model.yaml``: what has to be known of an image detector to run it. The weights lie beside it as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
)

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.inference.spec import BackendSpec, GoldenSpec, OnnxSpec
from perception_platform.perception.score_calibration import ScoreCalibration
from perception_platform.robot.parts import Finite, Part, Positive

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Strides = Annotated[tuple[Annotated[int, Field(gt=0, le=1024)], ...], Field(min_length=1)]
Activation = Literal["none", "sigmoid", "softmax"]
BoxFormat = Literal["xyxy", "yxyx", "cxcywh"]
BoxUnit = Literal["pixels", "normalised"]


class ImageInput(Part):
    """The tensor a model takes.

    Attributes:
        width_px: width.
        height_px: height.
        batch: most images it takes in one run; 1 for a model exported with a batch of one.
        layout: order of batch, channel, height and width.
        dtype: type of its elements.
        channels: order of the colours.
        fit: keep an image's shape and pad it, or squash it.
        align: where a letterboxed image lies: YOLOX pads right and below, most others all round.
        padding: grey of what is padded.
        mean: taken off each channel, in the model's order, on a scale of 0 to 255.
        std: each channel is then divided by this.
        size_name: name of a second input that takes (batch, 2) width and height, as RT-DETR's authors export it; boxes
            then come in pixels of the network's input.
    """

    width_px: int = Field(gt=0, le=4096)
    height_px: int = Field(gt=0, le=4096)
    batch: int = Field(default=1, ge=1, le=64)
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    channels: Literal["bgr", "rgb"] = "bgr"
    fit: Literal["letterbox", "squash"] = "letterbox"
    align: Literal["centre", "top_left"] = "centre"
    padding: int = Field(default=114, ge=0, le=255)
    mean: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    size_name: str | None = None


class Tiles(Part):
    """Overlapping parts of an image, each as large to the network as the whole would be.

    Attributes:
        columns: tiles side by side.
        rows: tiles one above the other.
        overlap: of neighbours, as a share of a tile. What is larger than it and cut by every tile is for the whole.
    """

    columns: int = Field(default=2, ge=1, le=8)
    rows: int = Field(default=1, ge=1, le=8)
    overlap: Annotated[float, Field(ge=0, le=0.5)] = 0.2


class Regions(Part):
    """Parts of an image that the lidar or tracks point to.

    Attributes:
        most: regions looked at an image.
        context: height of a region, in heights of the box that asks for it.
        least_px: least side of a region.
    """

    most: int = Field(default=2, ge=1, le=16)
    context: Annotated[float, Field(ge=1, le=16)] = 3.0
    least_px: int = Field(default=200, ge=8)


class Views(Part):
    """What of an image the network is shown, a run each (or a place in a batch each).

    Attributes:
        whole: the whole image.
        tiles: parts that cover it.
        regions: parts that others point to, where there are any.
        mirror: each view once more, left and right exchanged: twice the cost, fewer misses.
        merge: what becomes of boxes of one object: the surest stays, or their mean weighted by score does (weighted
            boxes fusion, Solovyev et al., Image and Vision Computing 2021).
    """

    whole: bool = True
    tiles: Tiles | None = None
    regions: Regions | None = None
    mirror: bool = False
    merge: Literal["surest", "mean"] = "surest"


class FastestDet(Part):
    """One grid (5 + C, H, W): objectness, box offset (tanh) and size (sigmoid) relative to the image, classes."""

    type: Literal["fastestdet"]


class Distribution(Part):
    """NanoDet and PicoDet: class scores, and a distribution over distances from a cell to each side of its box.

    Outputs are (cells, C) a stride and then (cells, 4 * bins) a stride; or one of (cells, C + 4 * bins).

    Attributes:
        strides: of the levels, finest first.
        cell_offset: where in its cell a point lies: 0 the corner, 0.5 the centre.
        activation: what its class outputs still need.
        bins: of each distribution, where classes and distances share an output.
    """

    type: Literal["distribution"]
    strides: Strides = (8, 16, 32)
    cell_offset: Annotated[float, Field(ge=0, lt=1)] = 0.5
    activation: Activation = "none"
    bins: int = Field(default=8, ge=2, le=64)


class Yolox(Part):
    """YOLOX as its authors export it: (cells, 5 + C), box not yet decoded, objectness, classes.

    Attributes:
        strides: of the levels, finest first.
        activation: what objectness and classes still need.
    """

    type: Literal["yolox"]
    strides: Strides = (8, 16, 32)
    activation: Activation = "none"


class BoxTable(Part):
    """YOLOv8 to 11 without NMS: a decoded box and class scores a column (4 + C, N) or a row (N, 4 + C).

    YOLOv5 and 7, and YOLOX that decodes its boxes itself, have an objectness after the box.

    Attributes:
        type: ``yolov8``, or ``yolov5`` for a table with objectness.
        activation: what its scores still need.
        box_unit: of the boxes, which are centre and size.
    """

    type: Literal["yolov8", "yolov5"]
    activation: Activation = "none"
    box_unit: BoxUnit = "pixels"


class FinalBoxes(Part):
    """A network that ends with NMS or needs none: (N, 6) x1 y1 x2 y2 score class; or boxes, scores and classes apart.

    YOLOv8 exported with NMS, YOLOv10, RT-DETR as its authors export it, TensorFlow's and torchvision's SSD.

    Attributes:
        box_format: order of the four numbers of a box.
        box_unit: pixels of the network's input, or shares of it.
    """

    type: Literal["final"]
    box_format: BoxFormat = "xyxy"
    box_unit: BoxUnit = "pixels"


class Detr(Part):
    """DETR and RT-DETR: (queries, C) class logits and (queries, 4) centre and size as shares; or joined, box first.

    Attributes:
        activation: ``softmax`` for DETR, whose last class is "nothing"; ``sigmoid`` for RT-DETR.
    """

    type: Literal["detr"]
    activation: Activation = "sigmoid"


class Priors(Part):
    """Default boxes of an SSD (Liu et al., ECCV 2016), a list entry a feature map.

    Attributes:
        columns: cells side by side of each map.
        rows: cells one above the other.
        least: side of the small square, as a share of the input.
        greatest: the second square's side is the root of this times ``least``.
        ratios: width to height of further boxes, each also turned round.
    """

    columns: Strides
    rows: Strides
    least: Annotated[tuple[Share, ...], Field(min_length=1)]
    greatest: Annotated[tuple[Annotated[float, Field(gt=0, le=2)], ...], Field(min_length=1)]
    ratios: Annotated[tuple[tuple[Positive, ...], ...], Field(min_length=1)]

    @field_validator("rows", "least", "greatest", "ratios")
    @classmethod
    def _one_a_map(cls, value: tuple[Any, ...], info: Any) -> tuple[Any, ...]:
        if len(value) != len(info.data.get("columns", value)):
            raise ValueError(f"{len(value)} entries for {len(info.data['columns'])} feature maps")
        return value


class Ssd(Part):
    """SSD without its NMS: (N, 4) boxes and (N, C) class scores, of which class 0 is background.

    Attributes:
        priors: default boxes that the outputs are offsets from; boxes are x1 y1 x2 y2 as shares without.
        variances: that offsets of centre and size were divided by in training.
        activation: what the scores still need.
    """

    type: Literal["ssd"]
    priors: Priors | None = None
    variances: tuple[Positive, Positive] = (0.1, 0.2)
    activation: Activation = "softmax"


def _family(value: Any) -> Any:
    """A family that needs no more said may be its name alone."""
    return {"type": value} if isinstance(value, str) else value


AnyDecoder = Annotated[
    Annotated[
        FastestDet | Distribution | Yolox | BoxTable | FinalBoxes | Detr | Ssd, Field(discriminator="type")
    ],
    BeforeValidator(_family),
]


class Calibration(ScoreCalibration):
    """How often a box of a score is right, and how exact it is: fitted by ``evaluate camera --calibrate``.

    Attributes:
        side_sigma: standard deviations of the left, upper, right and lower side, as shares of the box's height.
        image_range: by measure (``brightness``, ``contrast``, ``sharpness``) the range in the images it was fitted on.
            An image outside of it is out of the domain.
    """

    side_sigma: tuple[Positive, Positive, Positive, Positive] = (0.05, 0.05, 0.05, 0.05)
    image_range: dict[Literal["brightness", "contrast", "sharpness"], tuple[Finite, Finite]] = Field(
        default_factory=dict
    )


class DetectorConfig(Part):
    """A whole model.yaml.

    Attributes:
        version: of this format.
        id: name and version of the model.
        weights: the ONNX file, in the same folder.
        input: the tensor it takes.
        views: what of an image it is shown.
        decoder: family of its output, with what differs within the family.
        outputs: names of its outputs in the order that the decoder takes them; the model's own order if left out.
        classes: class of each output class that is of use; others are left out.
        score_threshold: boxes below are left out; of scores as the network gives them.
        iou_threshold: of two boxes of a class that overlap more than this, the surer stays.
        calibration: of its scores and boxes.
        backends: what may run it, in the order in which they are asked.
        golden: inputs and the outputs that every backend has to give for them.
    """

    version: Literal[1]
    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+@[0-9]+$")]
    weights: Annotated[str, Field(pattern=r"^[^/\\]+\.onnx$")]
    input: ImageInput
    views: Views = Views()
    decoder: AnyDecoder
    outputs: tuple[str, ...] = ()
    classes: Annotated[dict[int, str], Field(min_length=1)]
    score_threshold: Share
    iou_threshold: Share
    calibration: Calibration | None = None
    backends: Annotated[list[BackendSpec], Field(min_length=1)] = Field(
        default=[OnnxSpec(kind="onnxruntime")]
    )
    golden: GoldenSpec | None = None

    @field_validator("views")
    @classmethod
    def _something_is_shown(cls, value: Views) -> Views:
        if not (value.whole or value.tiles):
            raise ValueError("neither whole nor tiles: nothing would be looked at where nobody points")
        return value

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
