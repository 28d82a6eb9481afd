"""An Open Inference Protocol v2 server for tests: KServe's own, with one ONNX model.

KServe needs numpy 2.4 and 529 MB of packages, so it is started by the Python of an environment of its own:
``v2_server.py MODEL.onnx NAME PORT``.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class OnnxModel(Model):  # type: ignore[misc]  # kserve has no types here
    """One ONNX model behind the server."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.ready = True

    async def get_input_types(self) -> list[dict[str, Any]]:
        return [{"name": i.name, "datatype": "FP32", "shape": i.shape} for i in self._session.get_inputs()]

    async def get_output_types(self) -> list[dict[str, Any]]:
        return [{"name": o.name, "datatype": "FP32", "shape": o.shape} for o in self._session.get_outputs()]

    def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        values = self._session.run(None, {i.name: i.as_numpy() for i in payload.inputs})
        outputs = []
        for described, value in zip(self._session.get_outputs(), values, strict=True):
            output = InferOutput(described.name, list(value.shape), "FP32")
            output.set_data_from_numpy(value.astype(np.float32), binary_data=payload.parameters is not None)
            outputs.append(output)
        return InferResponse(payload.id, self.name, outputs)


if __name__ == "__main__":
    model_path, model_name, http_port = sys.argv[1:]
    ModelServer(http_port=int(http_port), enable_grpc=False, workers=1).start(
        [OnnxModel(model_name, model_path)]
    )
