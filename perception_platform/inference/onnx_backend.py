"""ONNX models on the CPU by onnxruntime, with the same bits on every run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnxruntime

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ModelRef
from perception_platform.inference.backend import ModelError, Tensor, check_finite

_PROVIDER = "CPUExecutionProvider"
_ONLY_ERRORS = 3


class OnnxBackend:
    """A model in an onnxruntime session."""

    def __init__(self, weights: bytes, model: ModelRef, threads: int = 1) -> None:
        """Start a session.

        Args:
            weights: the ONNX file's content.
            model: its id and digest.
            threads: threads within an operator; 1 leaves the other cores to their own work.

        Raises:
            InputError: if the content isn't a model that onnxruntime can run.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = _ONLY_ERRORS
        try:
            self._session = onnxruntime.InferenceSession(weights, options, providers=[_PROVIDER])
        except Exception as error:  # onnxruntime's own errors share no base class
            raise InputError(
                model.id, f"onnxruntime can't load it: {' '.join(str(error).split())[:200]}"
            ) from error
        self._model = model

    @property
    def model(self) -> ModelRef:
        """Its id and digest."""
        return self._model

    @property
    def name(self) -> str:
        """What runs it."""
        return f"onnxruntime/{_PROVIDER}"

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in the model's order."""
        return [i.name for i in self._session.get_inputs()]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the model's order."""
        return [o.name for o in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name.

        Raises:
            ModelError: if onnxruntime fails or an output is not finite.
        """
        try:
            values = self._session.run(None, dict(inputs))
        except Exception as error:  # see above
            raise ModelError(f"{self._model.id}: {' '.join(str(error).split())[:200]}") from error
        outputs = dict(zip(self.output_names, values, strict=True))
        check_finite(outputs)
        return outputs


def load_onnx(path: Path, model_id: str, threads: int = 1) -> OnnxBackend:
    """Read an ONNX file and start a session.

    Raises:
        InputError: if the file is missing or no model.
    """
    try:
        weights = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(path, f"the weights of {model_id} are missing: put its ONNX file there") from error
    except OSError as error:
        raise InputError(path, f"can't be read: {error.strerror}") from error
    try:
        return OnnxBackend(weights, ModelRef(model_id, hashlib.sha256(weights).hexdigest()), threads)
    except InputError as error:
        raise InputError(path, error.problem) from error
