"""Golden outputs: what a model has to answer, kept beside its weights, so that a wrong set-up is found at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.inference.backend import Backend, ModelError, Tensor
from perception_platform.inference.spec import GoldenSpec

_IN, _OUT = "input/", "output/"


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs, the outputs that belong to them, and how far off is still right.

    Attributes:
        inputs: by name.
        outputs: by name.
        rtol: an output may differ by this share of its own ...
        atol: ... and by this.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    rtol: float
    atol: float

    def check(self, backend: Backend) -> None:
        """Hold a backend against them.

        Raises:
            ModelError: if it fails, or gives other outputs: names the one that is farthest off.
        """
        answers = backend.run(self.inputs)
        for name, wanted in self.outputs.items():
            got = answers.get(name)
            if got is None or got.shape != wanted.shape:
                shape = "missing" if got is None else f"of shape {got.shape}"
                raise ModelError(f"golden output {name} is {shape}, not of shape {wanted.shape}")
            if not np.allclose(got, wanted, self.rtol, self.atol):
                off = float(np.abs(got.astype(np.float64) - wanted).max())
                raise ModelError(f"golden output {name} is off by up to {off:.3g}")


def load_golden(folder: Path, spec: GoldenSpec) -> Golden:
    """Read golden inputs and outputs.

    Raises:
        InputError: names the file if it can't be read or holds none.
    """
    path = folder / spec.file
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = dict(arrays)
    except (OSError, ValueError) as error:
        raise InputError(path, f"golden outputs can't be read: {error}") from error
    inputs = {name.removeprefix(_IN): value for name, value in held.items() if name.startswith(_IN)}
    outputs = {name.removeprefix(_OUT): value for name, value in held.items() if name.startswith(_OUT)}
    if not inputs or not outputs:
        raise InputError(path, f"needs arrays {_IN}NAME and {_OUT}NAME, has {', '.join(held) or 'none'}")
    return Golden(inputs, outputs, spec.rtol, spec.atol)


def save_golden(path: Path, backend: Backend, inputs: Mapping[str, Tensor]) -> None:
    """Write what a backend answers as golden outputs.

    Raises:
        ModelError: if it does not answer.
    """
    outputs = backend.run(inputs)
    named: dict[str, Any] = {_IN + name: value for name, value in inputs.items()}
    named |= {_OUT + name: value for name, value in outputs.items()}
    np.savez_compressed(path, **named)
