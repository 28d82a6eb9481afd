"""What a head's scores mean: how often a box of such a score is right."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from perception_platform.core.geometry import Array
from perception_platform.robot.parts import Finite, Part, Positive

_SURE = 1e-6  # a score of 0 or 1 has no logit


class ScoreCalibration(Part):
    """How often a box of a score is right, fitted to labels.

    Attributes:
        method: logits divided by a temperature and shifted, or a monotonous table.
        temperature: with ``bias``: score = sigmoid(logit(raw) / temperature + bias).
        bias: see there.
        raw: scores of the table, rising.
        calibrated: what they mean; between them it is linear.
        error: expected calibration error on what the fit did not see.
        fitted_on: boxes, and of what, for people.
    """

    method: Literal["temperature", "isotonic"]
    temperature: Positive = 1.0
    bias: Finite = 0.0
    raw: tuple[Finite, ...] = ()
    calibrated: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    error: Annotated[float, Field(ge=0, le=1)]
    fitted_on: str = ""

    @model_validator(mode="after")
    def _a_table_that_rises(self) -> ScoreCalibration:
        if len(self.raw) != len(self.calibrated):
            raise ValueError(f"{len(self.calibrated)} calibrated for {len(self.raw)} raw scores")
        if self.method == "isotonic" and not self.raw:
            raise ValueError("isotonic needs a table")
        if list(self.raw) != sorted(self.raw) or list(self.calibrated) != sorted(self.calibrated):
            raise ValueError("a table has to rise")
        return self


def logit(scores: Array) -> Array:
    """log(p / (1 - p)), finite for 0 and 1 too."""
    p = np.clip(scores, _SURE, 1 - _SURE)
    return np.asarray(np.log(p / (1 - p)))


def calibrate(scores: Array, calibration: ScoreCalibration) -> Array:
    """(N,) how often a box of such a score is right.

    Temperature scaling with a shift (Guo et al., ICML 2017; Platt 1999) or a table from isotonic regression.
    """
    if calibration.method == "isotonic":
        return np.asarray(np.interp(scores, calibration.raw, calibration.calibrated))
    shifted = logit(scores) / calibration.temperature + calibration.bias
    return np.asarray(1 / (1 + np.exp(-shifted)))
