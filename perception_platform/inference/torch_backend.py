"""Exported programs by PyTorch, for models that were not turned into ONNX. PyTorch is an extra, loaded if asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ModelRef
from perception_platform.inference.backend import ModelError, Tensor, check_finite

Device = Literal["auto", "cpu", "cuda"]


class TorchBackend:
    """A program of ``torch.export``, which takes tensors in order and gives one or several."""

    def __init__(self, program: Any, model: ModelRef, device: str, passed_over: str = "") -> None:
        """Put a program on a device.

        Args:
            program: a ``torch.export.ExportedProgram``.
            model: its id and digest.
            device: ``cpu`` or ``cuda``.
            passed_over: the device that would have been better and is not here, for reports.
        """
        from torch.export.passes import move_to_device_pass

        # Not only weights: a program may also make tensors, on the device on which it was exported.
        self._module = move_to_device_pass(program, device).module()
        self._device = device
        self._passed_over = passed_over
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
        """What runs it, and which device is not here."""
        without = f" without {self._passed_over}" if self._passed_over else ""
        return f"torch/{self._device}{without}"

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
            values = made if isinstance(made, tuple | list) else [made]
            # A GPU tells of an error not before its results are fetched.
            outputs = {name: v.cpu().numpy() for name, v in zip(self._outputs, values, strict=True)}
        except Exception as error:  # of any kind: operators raise what they like
            raise ModelError(f"{self._model.id}: {' '.join(str(error).split())[:200]}") from error
        check_finite(outputs)
        return outputs


def load_torch(path: Path, model_id: str, threads: int = 1, device: Device = "auto") -> TorchBackend:
    """Read a program.

    Args:
        path: of the ``.pt2`` file.
        model_id: name and version.
        threads: within an operator, on the CPU.
        device: ``auto`` is ``cuda`` where PyTorch finds it, and ``cpu`` elsewhere.

    Raises:
        InputError: if PyTorch is not installed, the file is missing or no program, or the device is not here.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(
            path, "runs on PyTorch, which is not installed: make setup WITH=training, or pip install torch"
        ) from error
    torch.set_num_threads(threads)
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise InputError(path, "asks for cuda, and PyTorch finds none here: say device: auto or cpu")
    chosen = device if device != "auto" else "cuda" if has_cuda else "cpu"
    if chosen == "cuda":
        # The same bits on every run, and float32 as the CPU has it: golden outputs hold on both.
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        data = path.read_bytes()
        program = torch.export.load(path)
        model = ModelRef(model_id, hashlib.sha256(data).hexdigest())
        return TorchBackend(program, model, chosen, "cuda" if device == "auto" and not has_cuda else "")
    except OSError as error:
        raise InputError(
            path, f"the program of {model_id} can't be read: {error.strerror or error}"
        ) from error
    except Exception as error:  # whatever the reader stumbles on
        raise InputError(path, f"PyTorch can't load it: {' '.join(str(error).split())[:200]}") from error
