"""ONNX detectors that say the same of every image, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 64


def constant_model(path: Path, outputs: dict[str, np.ndarray], batch: int | str = 1) -> Path:
    """A model with outputs of given arrays (without the batch's axis), plus 0 times the image's mean.

    With a name for ``batch`` it takes any number of images.
    """
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE_PX, SIDE_PX])
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.float32(0), "zero")]
    declared = []
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value.astype(np.float32)[None], f"{name}_fixed"))
        constants.append(numpy_helper.from_array(np.array([-1] + [1] * value.ndim), f"{name}_shape"))
        nodes.append(helper.make_node("Reshape", ["nothing", f"{name}_shape"], [f"{name}_nothing"]))
        nodes.append(helper.make_node("Add", [f"{name}_fixed", f"{name}_nothing"], [name]))
        declared.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *value.shape]))
    graph = helper.make_graph(nodes, "constant", [image], declared, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
