"""The onnxruntime backend: what it runs, what it refuses, and how it says so."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.inference.backend import ModelError
from perception_platform.inference.onnx_backend import load_onnx
from test.unit.inference.tiny_models import constant_detector

INPUT = np.ones((1, 3, 64, 64), dtype=np.float32)
OUTPUT = np.arange(8).reshape(1, 8)


def test_outputs_come_by_name_and_are_the_same_twice(tmp_path: Path) -> None:
    backend = load_onnx(constant_detector(tmp_path / "m.onnx", OUTPUT), "tiny@1")
    first, second = backend.run({"image": INPUT}), backend.run({"image": INPUT})
    assert list(first) == ["boxes"]
    assert first["boxes"] == pytest.approx(OUTPUT)
    assert first["boxes"].tobytes() == second["boxes"].tobytes()
    assert backend.name == "onnxruntime/CPUExecutionProvider"


def test_a_model_is_its_id_and_the_digest_of_its_file(tmp_path: Path) -> None:
    path = constant_detector(tmp_path / "m.onnx", OUTPUT)
    model = load_onnx(path, "tiny@1").model
    assert model.id == "tiny@1"
    assert model.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_missing_weights_say_where_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights of tiny@1 are missing: put its ONNX file there") as raised:
        load_onnx(tmp_path / "m.onnx", "tiny@1")
    assert raised.value.source == str(tmp_path / "m.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(constant_detector(tmp_path / "whole.onnx", OUTPUT).read_bytes()[:100])
    with pytest.raises(InputError, match="onnxruntime can't load it"):
        load_onnx(path, "tiny@1")


def test_nan_and_wrong_shapes_are_model_errors(tmp_path: Path) -> None:
    backend = load_onnx(constant_detector(tmp_path / "m.onnx", OUTPUT), "tiny@1")
    with pytest.raises(ModelError, match="output boxes is not finite"):
        backend.run({"image": INPUT * np.float32(np.nan)})
    with pytest.raises(ModelError, match=r"tiny@1: .*"):
        backend.run({"image": INPUT[:, :, :5]})
