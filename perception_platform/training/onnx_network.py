"""A network as its ONNX file has it, to be trained on: the graph is walked node by node, its weights are parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from perception_platform.core.errors import InputError


class OnnxNetwork(nn.Module):
    """Gives the values of some of the graph's edges. Convolutions keep their batch normalisation folded in."""

    def __init__(self, path: Path, ends: Sequence[str]) -> None:
        """Read a graph.

        Args:
            path: ONNX file.
            ends: the edges whose values are wanted; what comes after them is left out.

        Raises:
            InputError: if it can't be read, has other operators than those in ``KNOWN``, or no such edges.
        """
        super().__init__()
        try:
            self.model = onnx.load(path)
        except Exception as error:  # protobuf's and onnx's own errors share no base class
            raise InputError(path, f"no ONNX file: {' '.join(str(error).split())[:200]}") from error
        graph = self.model.graph
        made = {name for node in graph.node for name in node.output}
        if missing := [end for end in ends if end not in made]:
            raise InputError(path, f"its graph has no {', '.join(missing)}")
        self.ends = tuple(ends)
        self.nodes = _leading_to(graph.node, ends)
        if unknown := sorted({node.op_type for node in self.nodes} - KNOWN):
            raise InputError(path, f"operators that can't be trained here: {', '.join(unknown)}")
        self.constants: dict[str, np.ndarray[Any, Any]] = {
            i.name: numpy_helper.to_array(i) for i in graph.initializer
        }
        for node in self.nodes:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        trained = {name for node in self.nodes if node.op_type == "Conv" for name in node.input[1:] if name}
        trained |= {n.input[0] for n in self.nodes if n.op_type == "Reshape" and n.input[0] in self.constants}
        self.names = {name: f"w{i}" for i, name in enumerate(sorted(trained))}
        for name, own in self.names.items():
            self.register_parameter(
                own, nn.Parameter(torch.tensor(self.constants[name], dtype=torch.float32))
            )
        self.input = next(i.name for i in graph.input if i.name not in self.constants)

    def weight(self, name: str) -> nn.Parameter:
        """The parameter that an initialiser of the graph became."""
        return self.get_parameter(self.names[name])

    def set_weight(self, name: str, value: torch.Tensor) -> None:
        """Another value, of another shape maybe."""
        self.register_parameter(self.names[name], nn.Parameter(value))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Values of the ends for (N, 3, H, W)."""
        values: dict[str, Any] = {self.input: image}

        def value(name: str) -> Any:
            if name in values:
                return values[name]
            return self.get_parameter(self.names[name]) if name in self.names else self.constants[name]

        for node in self.nodes:
            if node.op_type == "Constant":
                continue
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            given: Given = [value(name) if name else None for name in node.input]
            if node.op_type == "Reshape":
                shape = [int(n) for n in given[1]]
                if node.input[0] not in self.names:
                    shape[0] = len(given[0])  # exported for one image at a time
                result = [given[0].reshape(shape)]
            else:
                result = _OPERATORS[node.op_type](given, attributes)
            for name, part in zip(node.output, result, strict=True):
                values[name] = part
        return [values[end] for end in self.ends]


def _leading_to(nodes: Sequence[Any], ends: Sequence[str]) -> list[Any]:
    """The nodes that make some edges, in their order."""
    wanted, taken = set(ends), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            taken.append(node)
    return taken[::-1]


Given = list[Any]
Attributes = dict[str, Any]


def _conv(given: Given, attributes: Attributes) -> list[torch.Tensor]:
    x = given[0]
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, top, left = functional.pad(x, (left, right, top, bottom)), 0, 0
    bias = None if len(given) < 3 else torch.as_tensor(given[2], device=x.device)
    ways = (
        attributes.get("strides", 1),
        (top, left),
        attributes.get("dilations", 1),
        attributes.get("group", 1),
    )
    return [functional.conv2d(x, given[1], bias, *ways)]


def _max_pool(given: Given, attributes: Attributes) -> list[torch.Tensor]:
    pad = attributes["pads"]
    return [
        functional.max_pool2d(given[0], attributes["kernel_shape"], attributes["strides"], (pad[0], pad[1]))
    ]


def _resize(given: Given, attributes: Attributes) -> list[torch.Tensor]:
    """By whole factors."""
    scale = [float(s) for s in given[2]][2:]
    if attributes["mode"] == b"nearest":
        return [functional.interpolate(given[0], scale_factor=scale, mode="nearest")]
    return [functional.interpolate(given[0], scale_factor=scale, mode="bilinear", align_corners=False)]


def _hard_sigmoid(given: Given, attributes: Attributes) -> list[torch.Tensor]:
    return [(given[0] * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)).clamp(0.0, 1.0)]


# Operators as ONNX specifies them, on tensors; constants come as arrays.
_OPERATORS: dict[str, Callable[[Given, Attributes], list[torch.Tensor]]] = {
    "Add": lambda given, attributes: [given[0] + _plain(given[1], given[0])],
    "Clip": lambda given, attributes: [given[0].clamp(float(given[1]), float(given[2]))],
    "Concat": lambda given, attributes: [torch.cat(given, dim=attributes["axis"])],
    "Conv": _conv,
    "Div": lambda given, attributes: [given[0] / _plain(given[1], given[0])],
    "GlobalAveragePool": lambda given, attributes: [given[0].mean(dim=(2, 3), keepdim=True)],
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda given, attributes: [functional.leaky_relu(given[0], attributes.get("alpha", 0.01))],
    "MaxPool": _max_pool,
    "Mul": lambda given, attributes: [given[0] * _plain(given[1], given[0])],
    "Relu": lambda given, attributes: [functional.relu(given[0])],
    "Resize": _resize,
    "Sigmoid": lambda given, attributes: [torch.sigmoid(given[0])],
    "Split": lambda given, attributes: list(
        torch.split(given[0], list(attributes["split"]), dim=attributes["axis"])
    ),
    "Transpose": lambda given, attributes: [given[0].permute(*attributes["perm"])],
}
KNOWN = frozenset({*_OPERATORS, "Constant", "Reshape"})


def _plain(value: Any, like: torch.Tensor) -> Any:
    """An array as a number or a tensor on the other's device."""
    if isinstance(value, np.ndarray):
        return float(value) if value.size == 1 else torch.as_tensor(value, device=like.device)
    return value


def save_network(network: OnnxNetwork, path: Path, heads: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Write the graph with the weights as they are now, kept as 16-bit floats and widened when it is loaded.

    Args:
        network: what was trained.
        path: the ONNX file to write.
        heads: nodes that make outputs of the ends.
        outputs: of the graph, as ``onnx.helper.make_tensor_value_info`` has them.
    """
    graph = network.model.graph
    nodes, initialisers = [], []
    for name in network.names:
        half = network.weight(name).detach().cpu().numpy().astype(np.float16)
        initialisers.append(numpy_helper.from_array(half, f"{name}/half"))
        nodes.append(onnx.helper.make_node("Cast", [f"{name}/half"], [name], to=onnx.TensorProto.FLOAT))
    made = {f"{name}/half" for name in network.names} | set(network.names)
    for node in network.nodes:
        if node.op_type == "Constant" and node.output[0] in made:
            continue
        nodes.append(node)
    needed = {name for node in [*nodes, *heads] for name in node.input}
    initialisers += [i for i in graph.initializer if i.name in needed and i.name not in made]
    entry = [i for i in graph.input if i.name == network.input]
    whole = onnx.helper.make_graph([*nodes, *heads], "detector", entry, list(outputs), initialisers)
    model = onnx.helper.make_model(
        whole, opset_imports=network.model.opset_import, ir_version=network.model.ir_version
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)
