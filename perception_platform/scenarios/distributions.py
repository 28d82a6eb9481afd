"""How a parameter is spread over its range: each maps a number in [0, 1] to a value (its quantile function)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.stats import truncnorm

from perception_platform.robot.parts import Finite, Part, Positive


class Uniform(Part):
    """Evenly spread from ``low`` to ``high``."""

    kind: Literal["uniform"]
    low: Finite
    high: Finite

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        return self

    def quantile(self, u: float) -> float:
        """The value below which a share ``u`` of all lie."""
        return self.low + u * (self.high - self.low)


class Normal(Part):
    """Normally spread about ``mean`` and cut off at ``low`` and ``high``."""

    kind: Literal["normal"]
    mean: Finite
    sigma: Positive
    low: Finite
    high: Finite

    @model_validator(mode="after")
    def _ordered(self) -> Normal:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        return self

    def quantile(self, u: float) -> float:
        """The value below which a share ``u`` of all lie."""
        low, high = (self.low - self.mean) / self.sigma, (self.high - self.mean) / self.sigma
        return float(truncnorm.ppf(u, low, high, self.mean, self.sigma))


class Choice(Part):
    """One of a few values, all equally likely."""

    kind: Literal["choice"]
    of: Annotated[list[Finite], Field(min_length=2)]

    def quantile(self, u: float) -> float:
        """The value below or at which a share ``u`` of all lie."""
        return self.of[min(int(np.floor(u * len(self.of))), len(self.of) - 1)]


Distribution = Annotated[Uniform | Normal | Choice, Field(discriminator="kind")]
