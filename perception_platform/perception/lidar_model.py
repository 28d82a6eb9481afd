"""A learned lidar model as a folder: model.yaml, ONNX file, golden outputs; and what asks it about a sweep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError, model_validator

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.model_status import Assurance
from perception_platform.core.objects import ModelRef
from perception_platform.inference.backend import Backend, ModelError
from perception_platform.inference.chain import BrokenLink
from perception_platform.inference.golden import Golden, load_golden
from perception_platform.inference.opening import open_backend
from perception_platform.inference.spec import BackendSpec, GoldenSpec, OnnxSpec
from perception_platform.perception.bird_view import (
    ANSWERS,
    CLASSES,
    EMBEDDING,
    BirdView,
    LearnedBoxes,
    boxes_of,
    planes,
)
from perception_platform.perception.score_calibration import ScoreCalibration, calibrate
from perception_platform.robot.parts import Finite, Part, Positive

OUTPUTS = ("peaks", "regressed", "occupied", "embedding")


class Domain(Part):
    """Embeddings of sweeps that a model is made for.

    Attributes:
        mean: of each number of the embedding.
        deviation: standard deviation of each.
        limit: a sweep is out of the domain whose numbers are farther off, as the root mean square in deviations.
    """

    mean: tuple[Finite, ...]
    deviation: tuple[Positive, ...]
    limit: Positive

    @model_validator(mode="after")
    def _as_long_as_the_embedding(self) -> Domain:
        if not len(self.mean) == len(self.deviation) == EMBEDDING:
            raise ValueError(f"mean and deviation need {EMBEDDING} numbers each")
        return self

    def distance(self, embedding: Array) -> float:
        """How far off an embedding (EMBEDDING,) is, in deviations."""
        return float(np.sqrt((((embedding - self.mean) / self.deviation) ** 2).mean()))


class LidarModelConfig(Part):
    """A whole model.yaml.

    Attributes:
        version: of this format.
        id: name and version of the model.
        weights: the ONNX file, in the same folder.
        input: what it looks at; there is one such view.
        score_threshold: boxes of which the network gives less are left out.
        calibration: how often a box of a score is right: ``evaluate lidar-heads --calibrate``.
        domain: what the sweeps that it was validated on looked like to it.
        backends: what may run it, in the order in which they are asked.
        golden: inputs and the outputs that every backend has to give for them.
    """

    version: Literal[1]
    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+@[0-9]+$")]
    weights: Annotated[str, Field(pattern=r"^[^/\\]+\.onnx$")]
    input: Literal["bird_view"]
    score_threshold: Annotated[float, Field(gt=0, lt=1)]
    calibration: ScoreCalibration | None = None
    domain: Domain
    backends: Annotated[list[BackendSpec], Field(min_length=1)] = Field(
        default=[OnnxSpec(kind="onnxruntime")]
    )
    golden: GoldenSpec | None = None


class LidarHead:
    """A learned lidar model on a backend, as a link of a chain."""

    def __init__(self, config: LidarModelConfig, backend: Backend, golden: Golden | None = None) -> None:
        self._config, self._backend, self._golden = config, backend, golden
        self._strange = False

    @property
    def model(self) -> ModelRef:
        """Model in use."""
        return self._backend.model

    @property
    def backend(self) -> str:
        """What runs it."""
        return self._backend.name

    @property
    def assurance(self) -> Assurance:
        """How its scores were calibrated, and whether the newest is like those it knows."""
        fitted = self._config.calibration
        return Assurance(
            calibration=fitted.method if fitted else "none",
            calibration_error=fitted.error if fitted else np.nan,
            uncertainty="none of its own: boxes only name and add",
            out_of_domain=self._strange,
            reason="the sweep's embedding is unlike those it was validated on" if self._strange else "",
        )

    def uncalibrated(self) -> LidarHead:
        """The same with the scores that the network gives."""
        return LidarHead(self._config.model_copy(update={"calibration": None}), self._backend, self._golden)

    def check(self) -> None:
        """Hold the backend against the golden outputs that came with the model, if any did.

        Raises:
            ModelError: if it fails or gives others.
        """
        if self._golden is not None:
            self._golden.check(self._backend)

    def step(self, view: BirdView) -> LearnedBoxes:
        """Boxes in a sweep seen from above.

        Raises:
            ModelError: if the model fails, its output is not finite or of other shapes.
        """
        outputs = self._backend.run({self._backend.input_names[0]: planes(view.bits)})
        missing = [name for name in OUTPUTS if name not in outputs]
        if missing or outputs["peaks"].shape != (1, len(CLASSES), ANSWERS, ANSWERS):
            raise ModelError(f"{self.model.id}: outputs {[(n, o.shape) for n, o in outputs.items()]}")
        found = boxes_of(
            outputs["peaks"][0],
            outputs["regressed"][0],
            outputs["embedding"][0],
            self._config.score_threshold,
            view.period_s,
        )
        self._strange = self._config.domain.distance(found.embedding) > self._config.domain.limit
        fitted = self._config.calibration
        return found if fitted is None else replace(found, scores=calibrate(found.scores, fitted))


def load_lidar_config(folder: Path) -> LidarModelConfig:
    """Read ``model.yaml`` of a model's folder.

    Raises:
        InputError: names the file, the field and its value.
    """
    path = folder / "model.yaml"
    try:
        return LidarModelConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(path, f"no model description: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise InputError(path, f"{first['msg']}, got {first['input']!r}"[:300], where) from error


def lidar_heads(folder: Path, threads: int = 1) -> list[LidarHead | BrokenLink]:
    """A learned lidar model on each of its backends; what can't be had is in its place, with the reason.

    Raises:
        InputError: names the file, if the model's description is missing or wrong.
    """
    config = load_lidar_config(folder)
    heads: list[LidarHead | BrokenLink] = []
    for spec in config.backends:
        try:
            backend = open_backend(spec, folder, config.weights, config.id, threads)
            golden = load_golden(folder, config.golden) if config.golden else None
            heads.append(LidarHead(config, backend, golden))
        except InputError as error:
            heads.append(BrokenLink(error.source, str(error).removeprefix(f"{error.source}: ")))
    return heads
