"""Exported programs by PyTorch, for models that were not turned into ONNX. PyTorch is an extra, loaded if asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ModelRef
from perception_platform.inference.backend import ModelError, Tensor, check_finite


class TorchBackend:
    """A program of ``torch.export``, which takes tensors in order and gives one or several."""

    def __init__(self, program: Any, model: ModelRef, device: str) -> None:
        self._module = program.module().to(device)
        self._device = device
        self._model = model
        signature = program.graph_signature
        self._inputs = list(signature.user_inputs)
        self._outputs = list(signature.user_outputs)

    @property
    def model(self) -> ModelRef:
        """Its id and digest."""
        return self._model

    @property
    def name(self) -> str:
        """What runs it."""
        return f"torch/{self._device}"

    @property
    def input_names(self) -> list[str]:
        """Names of the program's arguments."""
        return self._inputs

    @property
    def output_names(self) -> list[str]:
        """Names of the program's results."""
        return self._outputs

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name.

        Raises:
            ModelError: if PyTorch fails or an output is not finite.
        """
        import torch

        try:
            given = [
                torch.from_numpy(np.ascontiguousarray(inputs[name])).to(self._device) for name in self._inputs
            ]
            with torch.inference_mode():
                made = self._module(*given)
        except Exception as error:  # of any kind: operators raise what they like
            raise ModelError(f"{self._model.id}: {' '.join(str(error).split())[:200]}") from error
        values = made if isinstance(made, tuple | list) else [made]
        outputs = {name: v.cpu().numpy() for name, v in zip(self._outputs, values, strict=True)}
        check_finite(outputs)
        return outputs


def load_torch(path: Path, model_id: str, threads: int = 1, device: str = "cpu") -> TorchBackend:
    """Read a program.

    Raises:
        InputError: if PyTorch is not installed, the file is missing or no program, or the device is not here.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(path, "runs on PyTorch, which is not installed: make setup WITH=training, or pip install torch") from error
    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(path, "asks for cuda, and PyTorch finds none here")
    try:
        data = path.read_bytes()
        program = torch.export.load(path)
    except OSError as error:
        raise InputError(
            path, f"the program of {model_id} can't be read: {error.strerror or error}"
        ) from error
    except Exception as error:  # whatever the reader stumbles on
        raise InputError(path, f"PyTorch can't load it: {' '.join(str(error).split())[:200]}") from error
    return TorchBackend(program, ModelRef(model_id, hashlib.sha256(data).hexdigest()), device)
