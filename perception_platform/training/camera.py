"""A detector for images, fine-tuned from one that comes as ONNX (PicoDet), for other classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
import yaml
from torch import Tensor

from perception_platform.core.errors import InputError
from perception_platform.evaluation.camera_measures import Found, judge, match
from perception_platform.inference.golden import save_golden
from perception_platform.inference.onnx_backend import load_onnx
from perception_platform.training.camera_images import augmented, read_examples
from perception_platform.training.camera_loss import Cells, boxes_of, detection_loss
from perception_platform.training.loop import Plan, choose_device
from perception_platform.training.onnx_network import OnnxNetwork, save_network

SIDE_PX = 416
STRIDES = (8, 16, 32, 64)
BINS = 8
CELL_OFFSET = 0.5
# PicoDet's normalisation, red first.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_COCO_CLASSES = 80
# Which of COCO's classes a class of ours begins as; what is not there begins as a truck.
_BEGINS_AS = {"person": 0, "cyclist": 1, "car": 2, "truck": 7, "forklift": 7}
_MOSAIC = 0.5
_IOU_THRESHOLD = 0.6
_LEAST_SCORE = 0.02
_MOST = 100


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """What is trained from what.

    Attributes:
        data: folder with ``images/train``, ``images/val``, ``labels/train`` and ``labels/val`` in YOLO's format.
        names: class of each label index.
        start: ONNX file of PicoDet-S 416 with COCO's classes.
        batch: images in a step.
    """

    data: Path
    names: tuple[str, ...]
    start: Path
    batch: int = 32


class CameraTask:
    """See ``loop.Task``."""

    def __init__(self, settings: CameraSettings, plan: Plan) -> None:
        """Read the images and the start.

        Raises:
            InputError: names the file that is missing or wrong.
        """
        if unknown := [n for n in settings.names if n not in _BEGINS_AS]:
            raise InputError(
                "--names", f"{', '.join(unknown)}: only {', '.join(_BEGINS_AS)} can be begun with"
            )
        self._settings, self._seed = settings, plan.seed
        self._device = choose_device(plan.device)
        self.network: torch.nn.Module = start_network(settings.start, settings.names)
        self.train = read_examples(settings.data, "train", list(settings.names), SIDE_PX).to(self._device)
        self.val = read_examples(settings.data, "val", list(settings.names), SIDE_PX).to(self._device)
        self._cells = Cells.of(SIDE_PX, STRIDES, CELL_OFFSET, self._device)
        self._mean = torch.tensor(MEAN, device=self._device)[:, None, None] / 255.0
        self._std = torch.tensor(STD, device=self._device)[:, None, None] / 255.0

    def steps(self) -> int:
        """Batches in an epoch."""
        return max(1, len(self.train) // self._settings.batch)

    def batches(self, epoch: int) -> Iterator[Any]:
        """The training images in another order each epoch, each changed at random."""
        rng = torch.Generator(self._device).manual_seed(self._seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train), generator=rng, device=self._device)
        for step in range(self.steps()):
            rows = order[step * self._settings.batch : (step + 1) * self._settings.batch]
            yield augmented(self.train, rows, rng, _MOSAIC)

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Parts of the loss, see ``camera_loss``."""
        images, boxes_px, classes = batch
        logits, distances = self.answers(self.network, images)
        return detection_loss(logits, distances, self._cells, boxes_px, classes)

    def answers(self, network: torch.nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, A, C) class logits and (B, A, 4 * BINS) distance logits of images of 0 to 1."""
        levels = network((images - self._mean) / self._std)
        table = torch.cat([level.flatten(2) for level in levels], -1).transpose(1, 2)
        return table[..., : -4 * BINS], table[..., -4 * BINS :]

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """AP at IoU 0.5 and over 0.5 to 0.95 of each class on the validation images; their mean decides."""
        with torch.no_grad():
            return self._validated(network)

    def _validated(self, network: torch.nn.Module) -> dict[str, float]:
        """See ``validate``."""
        found: list[list[Found]] = [[] for _ in self._settings.names]
        for begin in range(0, len(self.val), self._settings.batch):
            rows = slice(begin, begin + self._settings.batch)
            logits, distances = self.answers(network, self.val.images[rows].float() / 255.0)
            scores, boxes = logits.sigmoid().cpu().numpy(), boxes_of(distances, self._cells).cpu().numpy()
            labels, classes = self.val.boxes_px[rows].cpu().numpy(), self.val.classes[rows].cpu().numpy()
            for i in range(len(scores)):
                for c, of_class in enumerate(found):
                    of_class.append(_surest(scores[i, :, c], boxes[i], labels[i][classes[i] == c]))
        figures: dict[str, float] = {}
        for name, of_class in zip(self._settings.names, found, strict=True):
            judged = judge(match(of_class), 0.4)
            figures |= {f"{name}_ap50": judged["ap50"], f"{name}_ap": judged["ap"]}
        figures["score"] = float(
            np.nanmean([figures[f"{n}_ap50"] + figures[f"{n}_ap"] for n in self._settings.names]) / 2
        )
        return figures


def start_network(start: Path, names: tuple[str, ...]) -> OnnxNetwork:
    """The network of the start, its last layers cut down to the classes asked for.

    Raises:
        InputError: if it is not PicoDet-S with COCO's classes.
    """
    network = OnnxNetwork(start, _ends(start))
    rows = [_BEGINS_AS[name] for name in names] + list(range(_COCO_CLASSES, _COCO_CLASSES + 4 * BINS))
    for node in network.nodes:
        if node.output[0] in network.ends:
            for name in node.input[1:]:
                weight = network.weight(name).detach()
                if len(weight) != _COCO_CLASSES + 4 * BINS:
                    raise InputError(start, f"{node.output[0]} has {len(weight)} channels, PicoDet-S has 112")
                network.set_weight(name, weight[rows].clone())
    return network


def _ends(start: Path) -> list[str]:
    """The edges between the last convolutions and what turns them into outputs: one a level, finest first."""
    try:
        graph = onnx.load(start).graph
    except Exception as error:  # protobuf's own errors share no base class
        raise InputError(start, f"no ONNX file: {' '.join(str(error).split())[:200]}") from error
    maker = {name: node for node in graph.node for name in node.output}
    ends = []
    for output in [o.name for o in graph.output][: len(STRIDES)]:
        node = maker.get(output)
        while node is not None and node.op_type != "Conv":
            node = maker.get(node.input[0])
        if node is None:
            raise InputError(start, f"output {output} comes from no convolution: not PicoDet-S")
        ends.append(node.output[0])
    return ends


def _surest(scores: Any, boxes: Any, labels: Any) -> Found:
    """Boxes of one class in one image after non-maximum suppression, surest first."""
    rows = np.flatnonzero(scores > _LEAST_SCORE)
    corners = boxes[rows]
    xywh = np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    kept = cv2.dnn.NMSBoxes(xywh.tolist(), scores[rows].tolist(), _LEAST_SCORE, _IOU_THRESHOLD)
    rows = rows[np.asarray(kept, dtype=np.int64).reshape(-1)[:_MOST]]
    nowhere = np.zeros((0, 4))
    return Found(
        boxes[rows].astype(np.float64), scores[rows].astype(np.float64), labels.astype(np.float64), nowhere
    )


def write_bundle(network: OnnxNetwork, names: tuple[str, ...], model_id: str, folder: Path) -> str:
    """The folder that ``models`` loads: ONNX file, ``model.yaml``, golden outputs; returns the weights' SHA-256.

    The golden input is coarse coloured blocks, which pack small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{model_id.partition('@')[0]}.onnx"
    heads, outputs = _heads(network, len(names))
    save_network(network, weights, heads, outputs)
    described = {
        "version": 1,
        "id": model_id,
        "weights": weights.name,
        "input": {
            "width_px": SIDE_PX, "height_px": SIDE_PX, "channels": "rgb", "fit": "letterbox",
            "mean": list(MEAN), "std": list(STD),
        },
        "decoder": {"type": "distribution", "strides": list(STRIDES), "cell_offset": CELL_OFFSET},
        "outputs": [o.name for o in outputs],
        "classes": dict(enumerate(names)),
        "score_threshold": 0.4,
        "iou_threshold": _IOU_THRESHOLD,
        "golden": {"file": "golden.npz"},
    }  # fmt: skip
    text = yaml.safe_dump(described, sort_keys=False, default_flow_style=None, width=110)
    (folder / "model.yaml").write_text(
        f"# Made by perception-platform train camera; see CARD.md.\n{text}", encoding="utf-8"
    )
    backend = load_onnx(weights, model_id)
    blocks = np.random.default_rng(0).integers(-2, 3, (1, 3, 13, 13)).astype(np.float32)
    pixels = np.kron(blocks, np.ones((1, 1, SIDE_PX // 13, SIDE_PX // 13), np.float32))
    save_golden(folder / "golden.npz", backend, {backend.input_names[0]: pixels})
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def _heads(network: OnnxNetwork, classes: int) -> tuple[list[Any], list[Any]]:
    """Nodes from each level's last convolution to (cells, classes) scores and (cells, 4 * bins) distances."""
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes: list[Any] = []
    scores, distances = [], []
    for end, stride in zip(network.ends, STRIDES, strict=True):
        score, distance = f"score_{stride}", f"distance_{stride}"
        nodes += [
            node("Split", [end], [f"{score}/raw", f"{distance}/raw"], axis=1, split=[classes, 4 * BINS]),
            node("Sigmoid", [f"{score}/raw"], [f"{score}/map"]),
            node("Reshape", [f"{score}/map", f"{score}/shape"], [f"{score}/flat"]),
            node("Reshape", [f"{distance}/raw", f"{distance}/shape"], [f"{distance}/flat"]),
            node("Transpose", [f"{score}/flat"], [score], perm=[0, 2, 1]),
            node("Transpose", [f"{distance}/flat"], [distance], perm=[0, 2, 1]),
        ]
        for name, channels in ((score, classes), (distance, 4 * BINS)):
            shape = onnx.helper.make_tensor(f"{name}/shape", onnx.TensorProto.INT64, [3], [1, channels, -1])
            nodes.insert(0, node("Constant", [], [f"{name}/shape"], value=shape))
        cells = (-(-SIDE_PX // stride)) ** 2
        scores.append(info(score, onnx.TensorProto.FLOAT, [1, cells, classes]))
        distances.append(info(distance, onnx.TensorProto.FLOAT, [1, cells, 4 * BINS]))
    return nodes, scores + distances
