"""The trained lidar network as a folder that the perception layer loads: ONNX, 8-bit weights where they cost little."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from perception_platform.inference.golden import save_golden
from perception_platform.inference.onnx_backend import OnnxBackend, load_onnx
from perception_platform.perception.bird_view import BITS, CELLS
from perception_platform.perception.lidar_model import OUTPUTS
from perception_platform.training.lidar_data import Sweeps
from perception_platform.training.lidar_network import BirdViewNetwork, Deployed

_OPSET = 17
_CALIBRATED_ON = 48
_SCORE_THRESHOLD = 0.35
_DOMAIN_MARGIN = 1.1  # of how far off the strangest validation sweep is


def export(network: BirdViewNetwork, path: Path) -> None:
    """Write the network as ONNX, batch normalisation folded in."""
    mine = (
        copy.deepcopy(network).cpu().eval()
    )  # the exporter folds normalisation into the weights that it is given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its successor
        torch.onnx.export(
            Deployed(mine), (torch.zeros(1, BITS, CELLS, CELLS, dtype=torch.uint8),), str(path),
            dynamo=False, input_names=["planes"], output_names=list(OUTPUTS), opset_version=_OPSET,
        )  # fmt: skip


def quantise(path: Path, out: Path, sweeps: Sweeps) -> None:
    """Convolutions in 8 bits, ranges by the first sweeps of a set (static quantisation)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        """Sweeps one by one."""

        def __init__(self) -> None:
            count = min(_CALIBRATED_ON, len(sweeps))
            self._left: Iterator[Tensor] = iter(sweeps.batch(torch.arange(count)).planes.split(1))

        def get_next(self) -> dict[str, Any] | None:
            """The next sweep, or None."""
            one = next(self._left, None)
            return None if one is None else {"planes": one.numpy()}

    ready = out.with_suffix(".ready.onnx")
    quant_pre_process(str(path), str(ready))
    quantize_static(
        str(ready),
        str(out),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )
    ready.unlink()


class OnnxNetwork(nn.Module):
    """An exported network in the place of the trained one, to be validated as it will run."""

    def __init__(self, backend: OnnxBackend) -> None:
        super().__init__()
        self._backend = backend

    def forward(self, planes: Tensor) -> tuple[Tensor, ...]:
        """What ``Deployed`` gives, one sweep after the other."""
        runs = [self._backend.run({"planes": one.cpu().numpy()}) for one in planes.split(1)]
        return tuple(torch.from_numpy(np.concatenate([run[name] for run in runs])) for name in OUTPUTS)


def write_bundle(weights: Path, model_id: str, folder: Path, sweeps: Sweeps) -> str:
    """``model.yaml`` and golden outputs beside an ONNX file that is put there; returns its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{model_id.partition('@')[0]}.onnx"
    kept.write_bytes(weights.read_bytes())
    backend = load_onnx(kept, model_id)
    known = OnnxNetwork(backend)(sweeps.batch(torch.arange(min(256, len(sweeps)))).planes)[3]
    mean, deviation = known.mean(0), known.std(0).clamp(min=1e-3)
    farthest = float((((known - mean) / deviation) ** 2).mean(1).sqrt().max())
    described = {
        "version": 1,
        "id": model_id,
        "weights": kept.name,
        "input": "bird_view",
        "score_threshold": _SCORE_THRESHOLD,
        "domain": {
            "mean": [round(float(v), 4) for v in mean],
            "deviation": [round(float(v), 4) for v in deviation],
            "limit": round(farthest * _DOMAIN_MARGIN, 3),
        },
        "golden": {"file": "golden.npz", "rtol": 0.05, "atol": 0.05},
    }
    text = yaml.safe_dump(described, sort_keys=False, default_flow_style=None, width=110)
    (folder / "model.yaml").write_text(
        f"# Made by perception-platform train lidar; see CARD.md.\n{text}", encoding="utf-8"
    )
    save_golden(folder / "golden.npz", backend, {"planes": sweeps.batch(torch.arange(1)).planes.numpy()})
    return hashlib.sha256(kept.read_bytes()).hexdigest()
