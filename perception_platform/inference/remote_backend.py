"""Models on a server of the Open Inference Protocol v2 (Triton, KServe, OpenVINO model server, …) over plain HTTP.

The protocol is an HTTP request with a JSON header and, by its binary extension, the tensors' bytes behind it
(kserve.github.io, "Open Inference Protocol" and "Binary Tensor Data Extension"). That is little enough for the
standard library: Triton's own client would bring gevent's event loop into a process of ROS threads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from perception_platform.core.objects import ModelRef
from perception_platform.inference.backend import ModelError, Tensor, check_finite
from perception_platform.inference.spec import RemoteSpec

# The protocol's names of tensor types, all little-endian in binary.
DATATYPES: Mapping[str, npt.DTypeLike] = {
    "BOOL": np.bool_,
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_NAME_OF = {np.dtype(dtype): name for name, dtype in DATATYPES.items()}
_HEADER_LENGTH = "Inference-Header-Content-Length"


class RemoteBackend:
    """One model of a server, over one connection that is kept.

    Nothing is asked of the server before the first use: it may come up later than the robot, and go and come back.
    """

    def __init__(self, spec: RemoteSpec, model_id: str) -> None:
        self._spec = spec
        self._id = model_id
        self._path = f"/v2/models/{spec.model}" + (f"/versions/{spec.version}" if spec.version else "")
        self._connection: HTTPConnection | None = None
        self._metadata: dict[str, Any] | None = None

    @property
    def model(self) -> ModelRef:
        """Its id, and the digest of what the server says of it (name, versions, tensors); empty before it has."""
        if self._metadata is None:
            return ModelRef(self._id, "")
        said = json.dumps(self._metadata, sort_keys=True)
        return ModelRef(self._id, hashlib.sha256(said.encode()).hexdigest())

    @property
    def name(self) -> str:
        """What runs it."""
        return f"remote/{urlsplit(self._spec.url).netloc}"

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs; raises ModelError while the server does not answer."""
        return [tensor["name"] for tensor in self._described()["inputs"]]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs; raises ModelError while the server does not answer."""
        return [tensor["name"] for tensor in self._described()["outputs"]]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name.

        Raises:
            ModelError: if the server does not answer in time, refuses, or an output is not finite.
        """
        self._described()
        with self._failures_named():
            outputs = self._infer(inputs)
        check_finite(outputs)
        return outputs

    def _described(self) -> dict[str, Any]:
        """What the server says of the model, asked for once a connection."""
        if self._metadata is None:
            with self._failures_named():
                _, body = self._exchange("GET", self._path)
                metadata = json.loads(body)
                for kind in ("inputs", "outputs"):
                    if not metadata[kind]:
                        raise ValueError(f"the server names no {kind}")
                self._metadata = metadata
        return self._metadata

    def _infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        binary = self._spec.binary
        header, buffers = request_of(inputs, binary)
        body = b"".join([header, *buffers])
        headers = {"Content-Type": "application/octet-stream" if binary else "application/json"}
        if binary:
            headers[_HEADER_LENGTH] = str(len(header))
        said, answer = self._exchange("POST", f"{self._path}/infer", body, headers)
        return outputs_of(answer, int(said.get(_HEADER_LENGTH, len(answer))))

    def _exchange(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[HTTPMessage, bytes]:
        """One request on the kept connection; a server that closed it while idle gets one more try on a new one."""
        fresh = self._connection is None
        connection = self._connection or self._connect()
        self._connection = connection
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
        except (ConnectionError, HTTPException):
            self.close()
            if fresh:
                raise
            return self._exchange(method, path, body, headers)
        content = answer.read()
        if answer.status != 200:
            raise ModelError(f"HTTP {answer.status}: {content[:150].decode(errors='replace')}")
        return answer.headers, content

    def _connect(self) -> HTTPConnection:
        address = urlsplit(self._spec.url)
        kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
        return kind(address.hostname or "", address.port, timeout=self._spec.timeout_ms / 1e3)

    def close(self) -> None:
        """Let go of the connection, and forget what was heard on it: the next one may lead to another server."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._metadata = None

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        """Whatever goes wrong between here and the server becomes one kind of error."""
        try:
            yield
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            self.close()
            raise ModelError(f"{self.name}: {type(error).__name__}: {error}") from error


def request_of(inputs: Mapping[str, Tensor], binary: bool) -> tuple[bytes, list[bytes]]:
    """The JSON of a request, and the bytes of its tensors where they go in binary.

    Raises:
        ModelError: for a type of numbers that the protocol does not have.
    """
    tensors, buffers = [], []
    for name, tensor in inputs.items():
        little = np.ascontiguousarray(tensor).astype(tensor.dtype.newbyteorder("<"), copy=False)
        datatype = _NAME_OF.get(little.dtype)
        if datatype is None:
            raise ModelError(f"input {name}: the protocol has no {tensor.dtype}")
        described: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "datatype": datatype}
        if binary:
            buffers.append(little.tobytes())
            described["parameters"] = {"binary_data_size": len(buffers[-1])}
        else:
            described["data"] = little.ravel().tolist()
        tensors.append(described)
    request: dict[str, Any] = {
        "id": "1",
        "inputs": tensors,
    }  # optional, but KServe answers no request without one
    if binary:
        request["parameters"] = {"binary_data_output": True}
    return json.dumps(request, allow_nan=False).encode(), buffers


def outputs_of(body: bytes, header_length: int) -> dict[str, Tensor]:
    """Tensors of an answer; some may be in its JSON, the others behind it in their order.

    Raises:
        ValueError: if shape, type and bytes do not go together.
        KeyError: if the answer lacks a field.
    """
    answer = json.loads(body[:header_length])
    outputs, at = {}, header_length
    for described in answer["outputs"]:
        dtype = np.dtype(DATATYPES[described["datatype"]])
        size = (described.get("parameters") or {}).get("binary_data_size")
        if size is None:
            values = np.asarray(described["data"], dtype=dtype)
        else:
            values = np.frombuffer(body[at : at + size], dtype=dtype)
            at += size
        outputs[described["name"]] = values.reshape(described["shape"])
    return outputs
