"""A backend from its description."""

from __future__ import annotations

from pathlib import Path

from perception_platform.inference.backend import Backend
from perception_platform.inference.onnx_backend import load_onnx
from perception_platform.inference.remote_backend import RemoteBackend
from perception_platform.inference.spec import BackendSpec, OnnxSpec, RemoteSpec
from perception_platform.inference.torch_backend import load_torch


def open_backend(spec: BackendSpec, folder: Path, weights: str, model_id: str, threads: int = 1) -> Backend:
    """Load a model on a backend.

    Args:
        spec: which backend.
        folder: the model's.
        weights: its ONNX file there.
        model_id: name and version.
        threads: for one that runs on this machine.

    Raises:
        InputError: names what is missing or wrong. A server that does not answer is none: it may come up later.
    """
    if isinstance(spec, OnnxSpec):
        return load_onnx(folder / weights, model_id, threads, spec.providers)
    if isinstance(spec, RemoteSpec):
        return RemoteBackend(spec, model_id)
    return load_torch(folder / spec.program, model_id, threads, spec.device)
