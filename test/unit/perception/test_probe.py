"""What shapes tell of a detector, and the model.yaml that is written from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import Image
from perception_platform.inference.onnx_shapes import onnx_shapes
from perception_platform.perception.detector_config import load_detector_config
from perception_platform.perception.load import load_detector
from perception_platform.perception.probe import probe
from test.unit.perception.constant_models import constant_model
from test.unit.perception.test_decoders import describe, fastestdet

IMAGE = {"images": (1, 3, 640, 640)}


@pytest.mark.parametrize(
    ("outputs", "decoder", "more"),
    [
        ({"o": (1, 84, 8400)}, {"type": "yolov8"}, {}),
        ({"o": (1, 300, 6)}, {"type": "final"}, {}),
        ({"o": (1, 8400, 85)}, {"type": "yolox"}, {"input": "top_left"}),
        ({"o": (1, 25200, 85)}, {"type": "yolov5"}, {}),
        ({"o": (1, 300, 84)}, {"type": "detr", "activation": "none"}, {}),
        (
            {"logits": (1, 300, 80), "pred_boxes": (1, 300, 4)},
            {"type": "detr", "activation": "sigmoid"},
            {"outputs": ["logits", "pred_boxes"]},
        ),
        (
            {"logits": (1, 100, 92), "pred_boxes": (1, 100, 4)},
            {"type": "detr", "activation": "softmax"},
            {"outputs": ["logits", "pred_boxes"]},
        ),
        (
            {"labels": (1, 300), "boxes": (1, 300, 4), "scores": (1, 300)},
            {"type": "final"},
            {"outputs": ["boxes", "scores", "labels"]},
        ),
        ({"scores": (1, 3000, 21), "boxes": (1, 3000, 4)}, {"type": "ssd"}, {"outputs": ["boxes", "scores"]}),
        ({"o": (1, 8500, 112)}, {"type": "distribution", "strides": [8, 16, 32, 64]}, {}),
        (
            {"d8": (1, 6400, 32), "c8": (1, 6400, 80), "d16": (1, 1600, 32), "c16": (1, 1600, 80)},
            {"type": "distribution", "strides": [8, 16]},
            {"outputs": ["c8", "c16", "d8", "d16"]},
        ),
        ({"o": (1, 85, 20, 20)}, {"type": "fastestdet"}, {}),
    ],
)  # fmt: skip
def test_a_family_is_known_by_its_shapes(outputs: Any, decoder: Any, more: dict[str, Any]) -> None:
    described, reason = probe("some-model.onnx", IMAGE, outputs)
    assert described["decoder"] == decoder, reason
    assert described.get("outputs", []) == more.get("outputs", [])
    assert described["input"].get("align") == more.get("input")
    assert (described["id"], described["input"]["width_px"]) == ("some_model@1", 640)


def test_open_axes_sizes_and_layouts_are_seen() -> None:
    described, _ = probe("m.onnx", {"x": (None, 320, 416, 3)}, {"o": (1, 7, 2730)})
    assert (
        described["input"] | {"batch": 8, "layout": "nhwc", "width_px": 416, "height_px": 320}
        == described["input"]
    )
    assert described["classes"] == {0: "unknown", 1: "unknown", 2: "unknown"}


def test_a_second_input_for_the_size_is_seen_and_served(tmp_path: Path) -> None:
    """As RT-DETR's authors export it: boxes are shares times the size that was given."""
    shares = np.array([[0.25, 0.25, 0.75, 0.5]], np.float32)
    nodes = [
        helper.make_node("Cast", ["orig_target_sizes"], ["size"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["size", "size"], ["sizes"], axis=1),
        helper.make_node("Mul", ["shares", "sizes"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "one"], ["boxes"]),
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "one"], ["labels"]),
        helper.make_node("Add", ["labels", "sure"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sized",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 64, 128]),
            helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["n", 2]),
        ],
        [
            helper.make_tensor_value_info("labels", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 1, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            numpy_helper.from_array(shares, "shares"),
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.float32(0.9), "sure"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tmp_path / "rt.onnx",
    )
    result = CliRunner().invoke(app, ["models", "probe", str(tmp_path / "rt.onnx")])
    assert result.exit_code == 0, result.output
    made = load_detector(tmp_path)
    assert made.config.input.size_name == "orig_target_sizes"
    (found,) = made.detect([Image(0, "", "", np.zeros((64, 128, 3), np.uint8))])
    assert found.boxes_px == pytest.approx(np.array([[32, 16, 96, 32]]), abs=0.01)
    assert found.class_ids.tolist() == [ObjectClass.PERSON]


@pytest.mark.parametrize(
    ("inputs", "outputs", "problem"),
    [
        ({"x": (1, 10)}, {"o": (1, 84, 8400)}, "not an image"),
        ({"x": (4, 3, 640, 640)}, {"o": (4, 84, 8400)}, "x: takes batches of 4 and no fewer"),
        (IMAGE, {"o": (1, 1000)}, r"no family has outputs like o \[1000\]"),
    ],
)
def test_what_is_no_detector_is_refused(inputs: Any, outputs: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        probe("m.onnx", inputs, outputs)


def test_the_command_writes_a_folder_that_loads(tmp_path: Path) -> None:
    file = constant_model(tmp_path / "Tiny-Net.onnx", fastestdet()[1], "n")
    result = CliRunner().invoke(app, ["models", "probe", str(file)])
    assert result.exit_code == 0, result.output
    assert "one grid of 8 = 5 + 3 channels" in result.output
    described = load_detector_config(tmp_path)
    assert (described.id, described.decoder.type, described.input.batch) == ("tiny_net@1", "fastestdet", 8)
    assert load_detector(tmp_path).config.classes == {0: "unknown", 1: "unknown", 2: "unknown"}
    again = CliRunner().invoke(app, ["models", "probe", str(file)])
    assert isinstance(again.exception, InputError)
    assert "is there already" in str(again.exception)


def test_check_lists_what_a_model_finds_and_draws_it(tmp_path: Path) -> None:
    constant_model(tmp_path / "tiny.onnx", fastestdet()[1])
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(describe("fastestdet")))
    picture = tmp_path / "out" / "drawn.png"
    result = CliRunner().invoke(app, ["models", "check", str(tmp_path), "--out", str(picture)])
    assert result.exit_code == 0, result.output
    assert "person" in result.output
    assert "car" in result.output
    assert picture.is_file()


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no such file"):
        onnx_shapes(tmp_path / "none.onnx")
    with pytest.raises(InputError, match="can't load it"):
        onnx_shapes(tmp_path / "broken.onnx")


def test_the_models_at_hand_are_known(shared_data: Path) -> None:
    for name, family in (
        ("FastestDet", "fastestdet"),
        ("nanodet_m", "distribution"),
        ("picodet_s_416_coco", "distribution"),
    ):
        file = shared_data / "onnx" / f"{name}.onnx"
        if not file.is_file():
            pytest.skip(f"no {file.name} in the real recordings")
        described, _ = probe(file.name, *onnx_shapes(file))
        assert described["decoder"]["type"] == family
        assert np.isin([0, 2], list(described["classes"])).all()
