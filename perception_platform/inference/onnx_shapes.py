"""What an ONNX file takes and gives, seen by running it once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from perception_platform.core.errors import InputError

Shapes = dict[str, tuple[int | None, ...]]

_TYPES: dict[str, type] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}
_ONLY_ERRORS = 3
_UNKNOWN_SIDE_PX = 640


def onnx_shapes(path: Path) -> tuple[Shapes, Shapes]:
    """Shapes of inputs as the file declares them, None for an axis that it leaves open, and of outputs of one run.

    Open axes are run with a batch of 1 and sides of 640 px.

    Raises:
        InputError: if it is no model, takes something that isn't an image, or does not run.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class
        raise InputError(path, f"onnxruntime can't load it: {' '.join(str(error).split())[:200]}") from error
    inputs = {i.name: tuple(d if isinstance(d, int) else None for d in i.shape) for i in session.get_inputs()}
    given: dict[str, npt.NDArray[np.generic]] = {}
    for i in session.get_inputs():
        if i.type not in _TYPES:
            raise InputError(path, f"takes {i.type} {i.shape}, not numbers of an image or its size", i.name)
        sides = [d or (1 if axis == 0 else _UNKNOWN_SIDE_PX) for axis, d in enumerate(inputs[i.name])]
        given[i.name] = np.full(sides, _UNKNOWN_SIDE_PX if i.type == "tensor(int64)" else 0, _TYPES[i.type])
    try:
        values = session.run(None, given)
    except Exception as error:  # see above
        shown = ", ".join(f"{n} {list(v.shape)}" for n, v in given.items())
        raise InputError(path, f"doesn't run on {shown}: {' '.join(str(error).split())[:200]}") from error
    return inputs, {o.name: v.shape for o, v in zip(session.get_outputs(), values, strict=True)}
