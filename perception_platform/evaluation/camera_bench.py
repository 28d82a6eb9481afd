"""What a detector's own run takes, and what preparing images and decoding add to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.objects import ModelRef
from perception_platform.core.sensor_data import Image
from perception_platform.evaluation.camera_labels import image_paths, read_image
from perception_platform.evaluation.lidar_bench import one_core
from perception_platform.inference.backend import Backend, ModelError, Tensor
from perception_platform.perception.camera_head import Detector
from perception_platform.perception.camera_views import Bgr
from perception_platform.perception.load import load_detector

_WARM_UP = 5
_NOISE_SHAPE = (720, 1280, 3)
_PICTURES = 16


class _Timed:
    """A backend that notes how long its runs took, s."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.spent_s = 0.0

    @property
    def model(self) -> ModelRef:
        return self._backend.model

    @property
    def name(self) -> str:
        return self._backend.name

    @property
    def input_names(self) -> list[str]:
        return self._backend.input_names

    @property
    def output_names(self) -> list[str]:
        return self._backend.output_names

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        began_s = time.perf_counter()
        outputs = self._backend.run(inputs)
        self.spent_s += time.perf_counter() - began_s
        return outputs


def bench_camera(
    folder: Path,
    images: Path | None,
    samples: int,
    cameras: int = 1,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Time a detector on one core for each thread: whole, the model's own part, and the rest as a share of that.

    Args:
        folder: of the model.
        images: folder of images; noise of 1280 x 720 without.
        samples: how many times all cameras' images are looked at.
        cameras: images that are looked at together: with a model that takes batches they share its runs.
        seed: of the noise.
        threads: of the model.
        progress: told of each sample.

    Raises:
        InputError: if the folder holds no model, it fails, or no image can be read.
    """
    described = load_detector(folder, threads)
    timed = _Timed(described.network)
    detector = Detector(described.config, timed)
    pictures = _pictures(images, seed)
    rows = []
    with one_core() if threads == 1 else nullcontext():
        for i in range(-_WARM_UP, samples):
            batch = [
                Image(0, "", str(c), pictures[(i * cameras + c) % len(pictures)]) for c in range(cameras)
            ]
            timed.spent_s, began_s = 0.0, time.perf_counter()
            try:
                detector.detect(batch)
            except ModelError as error:
                raise InputError(folder, str(error)) from error
            rows.append((1e3 * (time.perf_counter() - began_s), 1e3 * timed.spent_s))
            if i >= 0:
                progress()
    whole_ms, model_ms = np.array(rows[_WARM_UP:]).T
    return {
        "model": described.model.id,
        "backend": described.backend,
        "images": "recorded" if images else "noise",
        "sizes_px": sorted({f"{p.shape[1]}x{p.shape[0]}" for p in pictures}),
        "cameras": cameras,
        "runs_per_image": detector.runs(Image(0, "", "", pictures[0])),
        "samples": samples,
        "whole_ms": _statistics(whole_ms),
        "model_ms": _statistics(model_ms),
        "overhead_ms": _statistics(whole_ms - model_ms),
        "overhead_share": round(float(np.median(whole_ms - model_ms) / np.median(model_ms)), 4),
    }


def _pictures(folder: Path | None, seed: int) -> list[Bgr]:
    """The first images of a folder, or noise in patches as large as things in a picture."""
    if folder:
        return [read_image(path) for path in image_paths(folder)[:_PICTURES]]
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (_PICTURES, *(n // 16 for n in _NOISE_SHAPE[:2]), 3), dtype=np.uint8)
    return [np.ascontiguousarray(c.repeat(16, axis=0).repeat(16, axis=1)) for c in coarse]


def _statistics(times_ms: Array) -> dict[str, float]:
    p50, p99 = np.percentile(times_ms, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}
