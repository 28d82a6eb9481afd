"""A stand-in for a learned detector: an ONNX model that finds the magenta cape of one recording, and nothing else.

None is shipped with the project, so that the recording dresses its person in a colour that a dozen nodes can find. It goes
through the same model folder, runtime, decoder and fusion as a learned one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import NodeProto, TensorProto, helper, numpy_helper

WIDTH_PX, HEIGHT_PX = 320, 240
_CONSTANTS = {
    "bright": np.float32(60.0),  # below it, a pixel is too dark to have a colour
    "share": np.float32(1.5),  # blue and red against green
    "half": np.float32(0.5),  # of a neighbourhood: single pixels are noise
    "nought": np.float32(0.0),
    "x": np.arange(WIDTH_PX, dtype=np.float32)[None],
    "y": np.arange(HEIGHT_PX, dtype=np.float32)[None],
    "width": np.float32(WIDTH_PX),
    "height": np.float32(HEIGHT_PX),
    "far": np.float32(1e4),
    "one": np.float32(1.0),
    "two": np.float32(2.0),
    "low": np.float32(1e-3),
    "high": np.float32(1 - 1e-3),
    "sure": np.array([0.95], dtype=np.float32),
    "cell": np.array([1, 6, 1, 1], dtype=np.int64),
    "flat": np.array([1], dtype=np.int64),
}


def cape_detector(folder: Path) -> Path:
    """Write the model's folder: its box, where there is one, as the only cell of a FastestDet grid."""
    folder.mkdir(parents=True)
    graph = helper.make_graph(
        [*_mask(), *_side("x", "width", 2), *_side("y", "height", 3), *_cell()],
        "cape",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, HEIGHT_PX, WIDTH_PX])],
        [helper.make_tensor_value_info("grid", TensorProto.FLOAT, [1, 6, 1, 1])],
        [numpy_helper.from_array(value, name) for name, value in _CONSTANTS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "cape.onnx")
    description = {
        "version": 1,
        "id": "cape@1",
        "weights": "cape.onnx",
        "input": {"width_px": WIDTH_PX, "height_px": HEIGHT_PX},
        "decoder": "fastestdet",
        "classes": {0: "person"},
        "score_threshold": 0.5,
        "iou_threshold": 0.5,
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    return folder


def _mask() -> list[NodeProto]:
    """1 where most of the pixels around are magenta: blue and red well above green."""
    node = helper.make_node
    return [
        node("Split", ["image"], ["blue", "green", "red"], axis=1),
        node("Min", ["blue", "red"], ["least"]),
        node("Mul", ["green", "share"], ["greenish"]),
        node("Greater", ["least", "greenish"], ["purple"]),
        node("Greater", ["least", "bright"], ["lit"]),
        node("And", ["purple", "lit"], ["magenta"]),
        node("Cast", ["magenta"], ["ones"], to=TensorProto.FLOAT),
        node("AveragePool", ["ones"], ["around"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Greater", ["around", "half"], ["solid"]),
        node("Cast", ["solid"], ["mask"], to=TensorProto.FLOAT),
    ]


def _side(axis: str, length: str, other: int) -> list[NodeProto]:
    """Middle and extent of the mask along an axis, as shares of the image."""
    node = helper.make_node
    first, last = f"{axis}_first", f"{axis}_last"
    return [
        node("ReduceMax", ["mask"], [f"{axis}_any"], axes=[1, other], keepdims=0),
        node("Greater", [f"{axis}_any", "nought"], [f"{axis}_in"]),
        node("Where", [f"{axis}_in", axis, "far"], [f"{axis}_from"]),
        node("ReduceMin", [f"{axis}_from"], [first], axes=[1], keepdims=0),
        node("Where", [f"{axis}_in", axis, "nought"], [f"{axis}_to"]),
        node("ReduceMax", [f"{axis}_to"], [f"{axis}_end"], axes=[1], keepdims=0),
        node("Add", [f"{axis}_end", "one"], [last]),
        node("Add", [first, last], [f"{axis}_sum"]),
        node("Div", [f"{axis}_sum", "two"], [f"{axis}_middle"]),
        node("Div", [f"{axis}_middle", length], [f"{axis}_share"]),
        node("Clip", [f"{axis}_share", "low", "high"], [f"{axis}_c"]),
        node("Sub", [last, first], [f"{axis}_extent"]),
        node("Div", [f"{axis}_extent", length], [f"{axis}_size"]),
        node("Clip", [f"{axis}_size", "low", "high"], [f"{axis}_s"]),
    ]


def _cell() -> list[NodeProto]:
    """Objectness, centre (through tanh), size (through a sigmoid) and class, as the decoder undoes them."""
    node = helper.make_node
    nodes = [
        node("ReduceMax", ["mask"], ["found"], keepdims=0),
        node("Reshape", ["found", "flat"], ["objectness"]),
    ]
    for axis in ("x", "y"):
        nodes += [
            helper.make_node("Atanh", [f"{axis}_c"], [f"{axis}_offset"]),
            helper.make_node("Sub", ["one", f"{axis}_s"], [f"{axis}_rest"]),
            helper.make_node("Div", [f"{axis}_s", f"{axis}_rest"], [f"{axis}_odds"]),
            helper.make_node("Log", [f"{axis}_odds"], [f"{axis}_logit"]),
        ]
    parts = ["objectness", "x_offset", "y_offset", "x_logit", "y_logit", "sure"]
    return [
        *nodes,
        node("Concat", parts, ["row"], axis=0),
        node("Reshape", ["row", "cell"], ["grid"]),
    ]
