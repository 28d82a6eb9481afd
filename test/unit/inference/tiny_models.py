"""ONNX models of a few nodes, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 64


def constant_detector(
    path: Path, output: np.ndarray, side_px: int = SIDE_PX, fails_on_black: bool = False
) -> Path:
    """A model that always says ``output``, plus 0 times its input's mean, so that a NaN in it comes through.

    With ``fails_on_black`` it is 0 times the mean's logarithm: black images give NaN.
    """
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["brightness"], keepdims=0),
        helper.make_node("Log" if fails_on_black else "Identity", ["brightness"], ["mean"]),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["fixed", "nothing"], ["boxes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side_px, side_px])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, list(output.shape))],
        [
            numpy_helper.from_array(output.astype(np.float32), "fixed"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path
