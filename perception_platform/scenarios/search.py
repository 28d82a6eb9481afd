"""Look for failures inside a family's ranges, say how likely they are, and make each as small as it can be.

Cases are points of a unit cube, an axis a parameter, in which the family's own distribution is even. Half of the budget
is drawn evenly: that half alone gives an exact bound. The other half follows the cross-entropy method (Rubinstein
and Kroese, 2004): a distribution of independent beta variables moves, round by round, towards the cases that came
nearest to a collision. An importance-sampling estimate weighs all samples by the mixture they were drawn from
(balance heuristic, Veach and Guibas, 1995).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

from perception_platform.core.geometry import Array
from perception_platform.scenarios.cases import Case, case_at
from perception_platform.scenarios.description import Family
from perception_platform.scenarios.distributions import Choice
from perception_platform.scenarios.job import Job
from perception_platform.scenarios.policies import PolicyName
from perception_platform.scenarios.runners import all_of

CONFIDENCE = 0.95
ELITE_SHARE = 0.2
# Every round keeps this share of its samples even, so that no part of the ranges is ever ruled out and no weight
# exceeds the inverse of it.
EVEN_SHARE = 0.2
ROUNDS = 4
SMOOTHING = 0.7  # share of the new distribution in the next one
NARROWEST = 0.05  # standard deviation of a beta variable is kept above this
SHRUNK_FAILURES = 3
HALVINGS = 4  # of each parameter's way to its middle, while a failure is made smaller
LATE_M = 0.3  # severity of a late stop, as if it had come so near


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Attributes:
        budget: runs to spend before failures are made smaller.
        seed: of all that is drawn.
        policy: who drives.
        in_domain: whether cases outside the stated domain are passed over.
    """

    budget: int
    seed: int
    policy: PolicyName = "ours"
    in_domain: bool = True


@dataclass(frozen=True, slots=True)
class Sample:
    """A case that was run.

    Attributes:
        unit: (P,) its point of the unit cube.
        case: the case.
        line: its result.
        weight: how likely the family makes it, by how likely the search did.
    """

    unit: Array
    case: Case
    line: dict[str, Any]
    weight: float = 1.0

    @property
    def collided(self) -> bool:
        """Whether it is a failure; a crash of the run is one."""
        return bool(self.line["outcome"] != "ok")

    @property
    def margin(self) -> float:
        """How far from a failure, m: below 0 it is one, the lower the harder the impact."""
        events = self.line["events"]
        if self.collided:
            return -1.0 - float(events["impact_speed_mps"] or 0.0)
        separation_m = events["min_separation_m"]
        return min(10.0 if separation_m is None else separation_m, LATE_M if events["late_stop"] else np.inf)


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What a search found.

    Attributes:
        family: name.
        options: how it was searched.
        even: samples drawn from the family's own distribution.
        aimed: samples of the cross-entropy rounds.
        skipped: points that were passed over, as they lie outside the domain.
        minimal: failures made small, with what was wrong.
    """

    family: str
    options: SearchOptions
    even: list[Sample]
    aimed: list[Sample]
    skipped: int
    minimal: list[tuple[Case, str]]

    def as_json(self) -> dict[str, Any]:
        """For files and programs."""
        failures = [s for s in (*self.even, *self.aimed) if s.collided]
        return {
            "family": self.family,
            "policy": self.options.policy,
            "seed": self.options.seed,
            "runs": len(self.even) + len(self.aimed),
            "skipped_outside_domain": self.skipped,
            "failures": len(failures),
            "probability": {
                "exact": exact_interval(self.even),
                "weighted": weighted_interval(self.even, self.aimed),
            },
            "least_margin_m": round(min((s.margin for s in (*self.even, *self.aimed)), default=np.inf), 3),
            "failing_cases": [
                {"case": s.case.id, "parameters": s.case.parameters, **_brief(s)} for s in failures
            ],
            "minimal": [
                {"case": case.id, "seed": case.seed, "parameters": case.parameters, "found": found}
                for case, found in self.minimal
            ],
        }

    def text(self) -> list[str]:
        """For people."""
        report = self.as_json()
        exact, weighted = report["probability"]["exact"], report["probability"]["weighted"]
        lines = [
            f"{self.family}, {self.options.policy}: {report['failures']} collisions in {report['runs']} runs",
            f"probability of a collision, of {exact['runs']} even samples: {exact['estimate']:.4f}, "
            f"95 % interval {exact['low']:.4f} to {exact['high']:.4f} (Clopper-Pearson)",
            f"of all samples, weighted: {weighted['estimate']:.4f}, {weighted['low']:.4f} to {weighted['high']:.4f}; "
            f"as good as {weighted['effective']:.0f} even ones",
        ]
        return lines + [
            f"smallest failure {case.id}: {found} {case.parameters}" for case, found in self.minimal
        ]


def search_family(
    family: Family, options: SearchOptions, runner: Any, on_runs: Callable[[int], None] = lambda n: None
) -> SearchReport:
    """Spend the budget: half evenly, half on cross-entropy rounds; then make failures small."""
    searcher = _Searcher(family, options, runner, on_runs)
    half = options.budget // 2
    even = searcher.run(searcher.draw(None, half))
    aimed = searcher.rounds(even, options.budget - half)
    failures = sorted((s for s in (*even, *aimed) if s.collided), key=lambda s: s.margin)
    minimal = {}
    for sample in failures[:SHRUNK_FAILURES]:
        small = searcher.shrink(sample)
        minimal[small.case.id] = (small.case, _found(small))
    return SearchReport(family.family, options, even, aimed, searcher.skipped, list(minimal.values()))


class _Searcher:
    def __init__(
        self, family: Family, options: SearchOptions, runner: Any, on_runs: Callable[[int], None]
    ) -> None:
        self._family, self._options, self._runner, self._on_runs = family, options, runner, on_runs
        self._rng = np.random.default_rng([options.seed, 7])
        self._drawn = 0
        self.skipped = 0
        self.accepted = 1.0  # share of the last draws that lay inside the domain

    def draw(self, beta: Array | None, count: int) -> list[Sample]:
        """Points of the even or a beta distribution, inside the domain, not run yet."""
        found: list[Sample] = []
        tries = 0
        while len(found) < count and tries < 50 * count:
            tries += 1
            case, unit = self._draw_one(beta)
            if self._options.in_domain and not case.in_domain:
                self.skipped += 1
                continue
            found.append(Sample(unit, case, {}))
        self.accepted = len(found) / max(tries, 1)
        return found

    def _draw_one(self, beta: Array | None) -> tuple[Case, Array]:
        width = len(self._family.parameters)
        even = beta is None or self._rng.random() < EVEN_SHARE
        unit = self._rng.random(width) if even or beta is None else self._rng.beta(*beta)
        unit = np.clip(unit, 1e-6, 1 - 1e-6)
        self._drawn += 1
        return case_at(self._family, self._drawn, unit), unit

    def run(self, samples: list[Sample]) -> list[Sample]:
        """Drive them."""
        results = all_of(self._runner, [Job(s.case, self._options.policy) for s in samples])
        self._on_runs(len(samples))
        return [Sample(s.unit, s.case, r.line, s.weight) for s, r in zip(samples, results, strict=True)]

    def rounds(self, seen: list[Sample], budget: int) -> list[Sample]:
        """The cross-entropy rounds, each sample weighted by the mixture of the rounds that it could have come from."""
        aimed: list[Sample] = []
        drawn_from: list[tuple[Array, float]] = []
        beta = np.ones((2, len(self._family.parameters)))
        for k in range(ROUNDS):
            count = budget * (k + 1) // ROUNDS - budget * k // ROUNDS
            beta = _towards(beta, _elite([*seen, *aimed]))
            samples = self.draw(beta, count)
            drawn_from.append((beta, self.accepted))
            aimed += self.run(samples)
        return [Sample(s.unit, s.case, s.line, _weight(s.unit, drawn_from)) for s in aimed]

    def shrink(self, failure: Sample) -> Sample:
        """Bring one parameter after the other as near to the middle of its range as the failure lasts.

        What stays away from the middle is what the failure needs.
        """
        smallest = failure
        for axis, distribution in enumerate(self._family.parameters.values()):
            if isinstance(distribution, Choice):
                continue
            target, step = 0.5, 1.0
            for _ in range(HALVINGS):
                unit = smallest.unit.copy()
                unit[axis] += step * (target - unit[axis])
                tried = self.run([Sample(unit, case_at(self._family, failure.case.seed, unit), {})])[0]
                inside = tried.case.in_domain or not self._options.in_domain
                if tried.collided and inside:
                    smallest = tried
                    break
                step /= 2
        return smallest


def _elite(samples: list[Sample]) -> Array:
    """(E, P) points of the samples that came nearest to a failure, or are one."""
    ordered = sorted(samples, key=lambda s: s.margin)
    return np.array([s.unit for s in ordered[: max(3, int(ELITE_SHARE * len(ordered)))]])


def _towards(beta: Array, elite: Array) -> Array:
    """(2, P) shapes of beta variables with the elite's means and spreads, smoothed with those before."""
    mean = np.clip(elite.mean(axis=0), 0.02, 0.98)
    variance = np.maximum(elite.var(axis=0), NARROWEST**2)
    concentration = np.maximum(mean * (1 - mean) / variance - 1, 0.5)
    fitted = np.stack([mean * concentration, (1 - mean) * concentration])
    return np.asarray(SMOOTHING * fitted + (1 - SMOOTHING) * beta)


def _weight(unit: Array, drawn_from: list[tuple[Array, float]]) -> float:
    """One over the density of the mixture of all rounds at a point of the cube.

    Args:
        unit: (P,) the point.
        drawn_from: of each round, the shapes of its beta variables and the share of its draws inside the domain.
    """
    densities = [
        (EVEN_SHARE + (1 - EVEN_SHARE) * np.prod(stats.beta.pdf(unit, *beta))) / max(accepted, 1e-9)
        for beta, accepted in drawn_from
    ]
    return float(1.0 / np.mean(densities))


def exact_interval(samples: list[Sample]) -> dict[str, float]:
    """Share of failures among even samples with its Clopper-Pearson interval."""
    runs, failures = len(samples), sum(s.collided for s in samples)
    if runs == 0:
        return {"runs": 0, "failures": 0, "estimate": float("nan"), "low": 0.0, "high": 1.0}
    interval = stats.binomtest(failures, runs).proportion_ci(CONFIDENCE, method="exact")
    share = failures / runs
    return {"runs": runs, "failures": failures, "estimate": share, "low": interval.low, "high": interval.high}


def weighted_interval(even: list[Sample], aimed: list[Sample]) -> dict[str, float]:
    """The same from all samples by importance sampling, with a normal interval.

    The weights of the aimed half are normalised by their own mean: the share of the ranges inside the domain drops out.
    The two halves are joined by the inverse of their variances. Without a failure in the aimed half there is no
    spread to tell an interval from: then the exact one of the even half holds.
    """
    exact = exact_interval(even)
    weights = np.array([s.weight for s in aimed])
    hits = np.array([s.collided for s in aimed])
    if len(hits) < 2 or not hits.any():
        return {
            "estimate": exact["estimate"],
            "low": exact["low"],
            "high": exact["high"],
            "effective": float(len(even)),
        }
    weights = weights / weights.mean()
    mean = float((weights * hits).mean())
    parts = [(mean, float((weights * (hits - mean)).var(ddof=1)) / len(hits))]
    if even:
        # A share of nought has no spread of its own: Laplace's rule gives it one.
        share = (exact["failures"] + 1) / (len(even) + 2)
        parts.append((exact["estimate"], share * (1 - share) / len(even)))
    precision = np.array([1.0 / max(variance, 1e-12) for _, variance in parts])
    estimate = float((precision * [mean for mean, _ in parts]).sum() / precision.sum())
    half = float(stats.norm.ppf(0.5 + CONFIDENCE / 2) / np.sqrt(precision.sum()))
    effective = estimate * (1 - estimate) * float(precision.sum())
    return {
        "estimate": estimate,
        "low": max(0.0, estimate - half),
        "high": min(1.0, estimate + half),
        "effective": effective,
    }


def _brief(sample: Sample) -> dict[str, Any]:
    return {"outcome": sample.line["outcome"], "impact_speed_mps": sample.line["events"]["impact_speed_mps"]}


def _found(sample: Sample) -> str:
    impact = sample.line["events"]["impact_speed_mps"]
    return f"{sample.line['outcome']} at {impact} m/s" if impact is not None else str(sample.line["outcome"])


def keep(case: Case, found: str, folder: Path) -> Path:
    """Write a failure down as a regression case; ``scenarios run`` drives it from then on."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.id}.yaml"
    regression = {
        "version": 1,
        "family": case.family.family,
        "seed": case.seed,
        "parameters": dict(case.parameters),
        "holds": "no_collision",
        "found": found,
    }
    path.write_text(yaml.safe_dump(regression, sort_keys=False, width=110), encoding="utf-8")
    return path
