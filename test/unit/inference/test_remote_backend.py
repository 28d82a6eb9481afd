"""Bytes of the Open Inference Protocol v2; a real server answers in test/node/test_remote_model.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from perception_platform.inference.backend import ModelError
from perception_platform.inference.remote_backend import DATATYPES, outputs_of, request_of

TENSOR = st.sampled_from(sorted(DATATYPES)).flatmap(
    lambda name: arrays.arrays(np.dtype(DATATYPES[name]), arrays.array_shapes(max_dims=3, max_side=4))
)


@given(tensor=TENSOR)
def test_binary_tensors_are_the_bytes_behind_the_header(tensor: np.ndarray) -> None:
    header, buffers = request_of({"x": tensor, "y": tensor}, binary=True)
    described = json.loads(header)["inputs"]
    assert [d["parameters"]["binary_data_size"] for d in described] == [len(b) for b in buffers]
    answer = json.dumps({"outputs": described}).encode()
    outputs = outputs_of(answer + b"".join(buffers), len(answer))
    for name in "xy":
        assert outputs[name].shape == tensor.shape
        assert outputs[name].tobytes() == np.ascontiguousarray(tensor).tobytes()


def test_tensors_as_json_numbers() -> None:
    header, buffers = request_of({"x": np.array([[1.5, -2.0]], dtype=np.float32)}, binary=False)
    assert buffers == []
    (described,) = json.loads(header)["inputs"]
    assert described == {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, -2.0]}
    answer = json.dumps({"outputs": [described]}).encode()
    assert outputs_of(answer, len(answer))["x"].tolist() == [[1.5, -2.0]]


def test_big_endian_tensors_go_out_little_endian() -> None:
    _, (buffer,) = request_of({"x": np.array([1], dtype=">i2")}, binary=True)
    assert buffer == b"\x01\x00"


def test_a_type_that_the_protocol_lacks_is_refused() -> None:
    with pytest.raises(ModelError, match="input x: the protocol has no complex64"):
        request_of({"x": np.zeros(1, dtype=np.complex64)}, binary=True)


@pytest.mark.parametrize(
    "output",
    [
        {"name": "x", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 7}},
        {"name": "x", "shape": [2], "datatype": "FP33", "data": [1, 2]},
        {"name": "x", "datatype": "FP32", "data": [1, 2]},
    ],
)
def test_answers_that_do_not_add_up_are_refused(output: dict[str, object]) -> None:
    answer = json.dumps({"outputs": [output]}).encode()
    with pytest.raises((ValueError, KeyError)):
        outputs_of(answer + b"\x00" * 8, len(answer))
