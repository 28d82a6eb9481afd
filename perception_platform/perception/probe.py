"""A first ``model.yaml`` for an ONNX file, guessed from the names and shapes of its inputs and outputs.

What shapes cannot tell (order of colours, normalisation, what the classes are) is written down as what the family's
authors do, for a person to check against labelled or at least looked-at images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perception_platform.core.errors import InputError

_STRIDES = (8, 16, 32, 64, 128)
_COCO = {0: "person", 1: "cyclist", 2: "car", 3: "cyclist", 5: "truck", 7: "truck"}
_COCO_CLASSES = 80
_DISTANCES = 4 * 8
_UNIT_SCALE = {"channels": "rgb", "std": [255.0] * 3}
_IMAGENET = {"channels": "rgb", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}

# Lengths of an array's axes; None where only a run tells.
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Guess:
    """A family and why it is thought to be it.

    Attributes:
        decoder: as in model.yaml.
        classes: number of output classes; 0 where the shapes do not say.
        reason: for people.
        input: what the family's authors do to images.
        outputs: names in the decoder's order, if it is not the model's own.
    """

    decoder: dict[str, Any]
    classes: int
    reason: str
    input: dict[str, Any] = field(default_factory=lambda: dict(_UNIT_SCALE))
    outputs: tuple[str, ...] = ()


def probe(name: str, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> tuple[dict[str, Any], str]:
    """What to write into model.yaml, and why.

    Args:
        name: of the ONNX file.
        inputs: shapes by name.
        outputs: shapes of one run by name, or as the file declares them.

    Raises:
        InputError: if the input is no image, or no family has such outputs.
    """
    network = _network(name, inputs)
    size = (network["width_px"], network["height_px"])
    guess = guess_family(name, {n: s[1:] for n, s in outputs.items()}, size)
    stem = "".join(c if c.isalnum() else "_" for c in name.removesuffix(".onnx").lower()).strip("_")
    described: dict[str, Any] = {
        "version": 1,
        "id": f"{stem}@1",
        "weights": name,
        "input": {**network, **guess.input},
        "decoder": guess.decoder,
        "classes": _classes(guess),
        "score_threshold": 0.4,
        "iou_threshold": 0.5,
    }
    if guess.outputs:
        described["outputs"] = list(guess.outputs)
    return described, guess.reason


def _network(name: str, inputs: dict[str, Shape]) -> dict[str, Any]:
    """Size, layout and batch of the input that is an image, and the name of one that is its size."""
    sizes = [n for n, s in inputs.items() if len(s) == 2 and s[1] == 2]
    input_name, shape = next(((n, s) for n, s in inputs.items() if n not in sizes), ("", ()))
    if len(inputs) > 1 + len(sizes[:1]) or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise InputError(
            name,
            f"takes {shape}, not an image (batch, 3, height, width) or (batch, height, width, 3)",
            input_name,
        )
    layout = "nchw" if shape[1] == 3 else "nhwc"
    height, width = shape[2:] if layout == "nchw" else shape[1:3]
    found: dict[str, Any] = {"width_px": width or 640, "height_px": height or 640, "layout": layout}
    if sizes:
        found["size_name"] = sizes[0]
    if shape[0] is None:
        found["batch"] = 8
    elif shape[0] > 1:
        raise InputError(
            name,
            f"takes batches of {shape[0]} and no fewer; export it with a batch of 1 or an open one",
            input_name,
        )
    return found


def guess_family(name: str, outputs: dict[str, Shape], size_px: tuple[int, int]) -> Guess:
    """The family with such outputs, without the batch's axis.

    Raises:
        InputError: if there is none.
    """
    for guess in (_one_grid, _levels, _final, _pair, _table):
        found = guess(outputs, size_px)
        if found is not None:
            return found
    shown = ", ".join(f"{n} {list(s)}" for n, s in outputs.items())
    raise InputError(name, f"no family has outputs like {shown}; write its model.yaml by hand", "outputs")


def _one_grid(outputs: dict[str, Shape], size_px: tuple[int, int]) -> Guess | None:
    shapes = list(outputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 3 or (shapes[0][0] or 0) < 6:
        return None
    channels = shapes[0][0] or 0
    return Guess(
        {"type": "fastestdet"},
        channels - 5,
        f"one grid of {channels} = 5 + {channels - 5} channels",
        {"channels": "bgr", "fit": "squash", "std": [255.0] * 3},
    )


def _levels(outputs: dict[str, Shape], size_px: tuple[int, int]) -> Guess | None:
    """Pairs of class scores and distances whose cells are those of strides, or one of both."""
    if any(len(s) != 2 or s[1] == 4 for s in outputs.values()):  # four numbers are a box
        return None
    by_cells: dict[int, list[str]] = {}
    for output, shape in outputs.items():
        by_cells.setdefault(shape[0] or 0, []).append(output)
    strides = [s for s in _STRIDES if _cells(size_px, s) in by_cells]
    pairs = [by_cells[_cells(size_px, s)] for s in strides]
    if not pairs or len(pairs) != len(by_cells) or any(len(p) != 2 for p in pairs):
        return None
    # Published models have 8 bins, so 32 numbers; where that does not tell, scores come first.
    names = [p[::-1] if outputs[p[0]][1] == _DISTANCES != outputs[p[1]][1] else p for p in pairs]
    classes, bins = outputs[names[0][0]][1] or 0, (outputs[names[0][1]][1] or 0) // 4
    return Guess(
        {"type": "distribution", "strides": strides},
        classes,
        f"{len(pairs)} levels of strides {strides}: {classes} classes, distances of {bins} bins",
        dict(_IMAGENET),
        tuple(p[0] for p in names) + tuple(p[1] for p in names),
    )


def _final(outputs: dict[str, Shape], size_px: tuple[int, int]) -> Guess | None:
    """Boxes, scores and classes after NMS."""
    shapes = list(outputs.values())
    if len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] == 6:
        return Guess({"type": "final"}, 0, "one list of six numbers a box: it ends with NMS or needs none")
    boxes = [n for n, s in outputs.items() if len(s) == 2 and s[1] == 4]
    single = [n for n, s in outputs.items() if len(s) == 1]
    if len(boxes) != 1 or len(single) < 2:
        return None
    classes = next((n for n in single if "class" in n.lower() or "label" in n.lower()), single[-1])
    scores = next((n for n in single if n != classes and "num" not in n.lower()), single[0])
    return Guess(
        {"type": "final"},
        0,
        "boxes, scores and classes apart: it ends with NMS; whether boxes are pixels or shares, and in which order "
        "their numbers come, has to be looked up",
        outputs=(boxes[0], scores, classes),
    )


def _pair(outputs: dict[str, Shape], size_px: tuple[int, int]) -> Guess | None:
    """Boxes and class scores: hundreds are the queries of a DETR, thousands the default boxes of an SSD."""
    boxes = [n for n, s in outputs.items() if len(s) == 2 and s[1] == 4]
    scores = [n for n, s in outputs.items() if len(s) == 2 and s[1] != 4]
    if len(boxes) != 1 or len(scores) != 1 or outputs[boxes[0]][0] != outputs[scores[0]][0]:
        return None
    count, classes = outputs[scores[0]][0] or 0, outputs[scores[0]][1] or 0
    if count > 1000:
        return Guess(
            {"type": "ssd"},
            classes,
            f"{count} boxes and {classes} classes with background: an SSD; if its boxes are offsets, say its priors",
            dict(_IMAGENET),
            (boxes[0], scores[0]),
        )
    softmax = classes in (91 + 1, _COCO_CLASSES + 1)
    return Guess(
        {"type": "detr", "activation": "softmax" if softmax else "sigmoid"},
        classes - softmax,
        f"{count} queries and {classes} classes: {'DETR' if softmax else 'RT-DETR'}",
        dict(_IMAGENET) if softmax else {"fit": "squash", **_UNIT_SCALE},
        (scores[0], boxes[0]),
    )


def _table(outputs: dict[str, Shape], size_px: tuple[int, int]) -> Guess | None:
    """One table: YOLOX and YOLOv5 have rows of 5 + classes, YOLOv8 to 11 columns of 4 + classes, RT-DETR few rows."""
    shapes = list(outputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 2:
        return None
    first, second = shapes[0][0] or 0, shapes[0][1] or 0
    cells = sum(_cells(size_px, s) for s in _STRIDES[:3])
    if first < second and first > 4:
        return Guess(
            {"type": "yolov8"}, first - 4, f"{second} boxes as columns of 4 + {first - 4}: YOLOv8 to 11"
        )
    for strides in (_STRIDES[:3], _STRIDES[:4]):
        if first == sum(_cells(size_px, s) for s in strides) and second == _COCO_CLASSES + _DISTANCES:
            reason = f"{first} cells of strides {list(strides)} with classes and distances: NanoDet-Plus"
            family = {"type": "distribution", "strides": list(strides)}
            return Guess(family, _COCO_CLASSES, reason, dict(_IMAGENET) | {"channels": "bgr"})
    if first == cells and second > 5:
        return Guess(
            {"type": "yolox"},
            second - 5,
            f"{cells} cells of strides 8, 16, 32, rows of 5 + {second - 5}: YOLOX",
            {"channels": "bgr", "align": "top_left"},
        )
    if second > 4 and first <= 1000:
        return Guess(
            {"type": "detr", "activation": "none"},
            second - 4,
            f"{first} rows of 4 + {second - 4}: RT-DETR as Ultralytics exports it",
            {"fit": "squash", **_UNIT_SCALE},
        )
    if second > 5 and first == 3 * cells:
        return Guess(
            {"type": "yolov5"}, second - 5, f"{first} rows of 5 + {second - 5}, three a cell: YOLOv5 or 7"
        )
    return None


def _cells(size_px: tuple[int, int], stride: int) -> int:
    return -(-size_px[0] // stride) * -(-size_px[1] // stride)


def _classes(guess: Guess) -> dict[int, str]:
    """COCO's, moved by one where class 0 is background; else every class unknown, for a person to name."""
    if guess.decoder["type"] == "ssd":
        return {index + 1: name for index, name in _COCO.items()}
    if guess.classes in (0, _COCO_CLASSES):
        return dict(_COCO)
    return dict.fromkeys(range(guess.classes), "unknown")
