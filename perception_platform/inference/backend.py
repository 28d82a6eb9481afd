"""What runs a model: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from perception_platform.core.objects import ModelRef

Tensor = npt.NDArray[Any]


class ModelError(RuntimeError):
    """A model ran and failed: an error of its runtime, or an output that means nothing."""


class Backend(Protocol):
    """One loaded model."""

    @property
    def model(self) -> ModelRef:
        """Its id, and the digest of its files."""

    @property
    def name(self) -> str:
        """What runs it, e.g. ``onnxruntime/CPUExecutionProvider``."""

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in the model's order."""

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the model's order."""

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name.

        Raises:
            ModelError: if the runtime fails or an output is not finite.
        """


def check_finite(outputs: Mapping[str, Tensor]) -> None:
    """Refuse outputs that mean nothing.

    Raises:
        ModelError: names the output that holds NaN or infinity.
    """
    for name, tensor in outputs.items():
        if np.issubdtype(tensor.dtype, np.floating) and not np.isfinite(tensor).all():
            raise ModelError(f"output {name} is not finite")
