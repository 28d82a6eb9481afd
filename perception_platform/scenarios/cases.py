"""Cases: a family with values for its parameters, and the seed of all noise."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.robot.parts import Finite, Name, Part
from perception_platform.scenarios.description import Amount, Family
from perception_platform.scenarios.expressions import evaluate

DIGITS = 6  # significant ones that values keep, so that a case written down is the case that ran


class Regression(Part):
    """A failure that was found, made as small as could be, and kept.

    Attributes:
        holds: what must hold in this case.
        found: what was wrong when it was found.
    """

    version: Literal[1]
    family: Name
    seed: int
    parameters: dict[str, Finite]
    holds: Literal["no_collision"]
    found: str


@dataclass(frozen=True)
class Case:
    """One scenario.

    Attributes:
        family: what it is one of.
        seed: of all noise.
        parameters: values.
    """

    family: Family
    seed: int
    parameters: dict[str, float]

    @cached_property
    def id(self) -> str:
        """Stable: family, seed and a digest of the values."""
        text = json.dumps(sorted(self.parameters.items()))
        return f"{self.family.family}-{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @cached_property
    def values(self) -> dict[str, float]:
        """Parameters and what is derived from them.

        Raises:
            ValueError: if an expression has no value.
        """
        values = dict(self.parameters)
        for name, text in self.family.derived.items():
            values[name] = evaluate(text, values)
        return values

    def amount(self, amount: Amount) -> float:
        """The value of a number or an expression.

        Raises:
            ValueError: if an expression has no value.
        """
        return evaluate(amount, self.values) if isinstance(amount, str) else float(amount)

    @property
    def in_domain(self) -> bool:
        """Whether the stack claims to handle it."""
        values = self.values
        within = all(low <= values[name] <= high for name, (low, high) in self.family.domain.items())
        return self.family.in_domain and within


def case_at(family: Family, seed: int, unit: Sequence[float] | Array) -> Case:
    """The case at a point of the unit cube, an axis a parameter in the order of the file."""
    values = {
        name: float(f"{distribution.quantile(float(u)):.{DIGITS}g}")
        for (name, distribution), u in zip(family.parameters.items(), unit, strict=True)
    }
    return Case(family, seed, values)


def draw(family: Family, suite_seed: int, index: int) -> Case:
    """The ``index``-th random case of a family; the same whatever other families are drawn."""
    rng = np.random.default_rng([suite_seed, zlib.crc32(family.family.encode()), index])
    return case_at(family, index, rng.random(len(family.parameters)))
