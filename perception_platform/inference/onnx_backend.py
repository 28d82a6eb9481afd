"""ONNX models by onnxruntime: on the CPU with the same bits on every run, on a GPU where there is one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ModelRef
from perception_platform.inference.backend import ModelError, Tensor, check_finite

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_ONLY_ERRORS = 3


class OnnxBackend:
    """A model in an onnxruntime session."""

    def __init__(
        self, weights: bytes, model: ModelRef, threads: int = 1, providers: Sequence[str] = ("cpu",)
    ) -> None:
        """Start a session.

        Args:
            weights: the ONNX file's content.
            model: its id and digest.
            threads: threads within an operator; 1 leaves the other cores to their own work.
            providers: names in ``PROVIDERS`` in the order of preference; those that this machine lacks are passed over.

        Raises:
            InputError: if the content isn't a model that onnxruntime can run, or none of the providers is here.
        """
        here = onnxruntime.get_available_providers()
        usable = [PROVIDERS[name] for name in providers if PROVIDERS[name] in here]
        if not usable:
            raise InputError(
                model.id, f"onnxruntime here has none of {', '.join(providers)}, only {', '.join(here)}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = _ONLY_ERRORS
        try:
            self._session = onnxruntime.InferenceSession(weights, options, providers=usable)
        except Exception as error:  # onnxruntime's own errors share no base class
            raise InputError(
                model.id, f"onnxruntime can't load it: {' '.join(str(error).split())[:200]}"
            ) from error
        self._model = model
        self._passed_over = tuple(
            name for name in providers if PROVIDERS[name] not in self._session.get_providers()
        )

    @property
    def model(self) -> ModelRef:
        """Its id and digest."""
        return self._model

    @property
    def name(self) -> str:
        """What runs it: the first provider that took it, and those asked for before that are not here."""
        without = f" without {', '.join(self._passed_over)}" if self._passed_over else ""
        return f"onnxruntime/{self._session.get_providers()[0]}{without}"

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


def load_onnx(
    path: Path, model_id: str, threads: int = 1, providers: Sequence[str] = ("cpu",)
) -> OnnxBackend:
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
        return OnnxBackend(
            weights, ModelRef(model_id, hashlib.sha256(weights).hexdigest()), threads, providers
        )
    except InputError as error:
        raise InputError(path, error.problem) from error
