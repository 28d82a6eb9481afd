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
ELITE_SHARE = 0.08
# Every round keeps this share of its samples even, so that no part of the ranges is ever ruled out and no weight
# exceeds the inverse of it.
EVEN_SHARE = 0.2
ROUNDS = 4
SMOOTHING = 0.8  # share of the new distribution in the next one
NARROWEST = 0.05  # standard deviation of a beta variable is kept above this
SHRUNK_FAILURES = 3
HALVINGS = 4  # of each parameter's way to its middle, while a failure is made smaller
MOST_TRIES = 50  # draws for each sample that is to lie inside the domain
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
    """

    unit: Array
    case: Case
    line: dict[str, Any]

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
class Batch:
    """Samples that were drawn alike.

    Attributes:
        shapes: (2, P) of the beta variables; ones are the family's own distribution.
        accepted: share of the draws that lay inside the domain.
        samples: what was run.
    """

    shapes: Array
    accepted: float
    samples: list[Sample]

    def density(self, units: Array) -> Array:
        """How likely it makes each of (N, P) points, the domain counted."""
        beta = np.prod(stats.beta.pdf(units, *self.shapes), axis=1)
        return np.asarray((EVEN_SHARE + (1 - EVEN_SHARE) * beta) / max(self.accepted, 1e-9))


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What a search found.

    Attributes:
        family: name.
        options: how it was searched.
        batches: what was run: first what was drawn from the family's own distribution, then the cross-entropy rounds.
        skipped: points that were passed over, as they lie outside the domain.
        minimal: failures made small, with what was wrong.
    """

    family: str
    options: SearchOptions
    batches: list[Batch]
    skipped: int
    minimal: list[tuple[Case, str]]

    @property
    def samples(self) -> list[Sample]:
        """All of them."""
        return [sample for batch in self.batches for sample in batch.samples]

    def as_json(self) -> dict[str, Any]:
        """For files and programs."""
        samples = self.samples
        failures = [s for s in samples if s.collided]
        return {
            "family": self.family,
            "policy": self.options.policy,
            "seed": self.options.seed,
            "runs": len(samples),
            "skipped_outside_domain": self.skipped,
            "failures": len(failures),
            "probability": {
                "exact": exact_interval(self.batches[0].samples),
                "weighted": weighted_interval(self.batches),
            },
            "least_margin_m": round(min(s.margin for s in samples), 3) if samples else None,
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
    batches = [searcher.batch(np.ones((2, len(family.parameters))), half)]
    for k in range(ROUNDS):
        count = (options.budget - half) * (k + 1) // ROUNDS - (options.budget - half) * k // ROUNDS
        seen = [sample for batch in batches for sample in batch.samples]
        batches.append(searcher.batch(_towards(batches[-1].shapes, _elite(seen)), count))
    failures = sorted((s for b in batches for s in b.samples if s.collided), key=lambda s: s.margin)
    minimal = {}
    for sample in failures[:SHRUNK_FAILURES]:
        small = searcher.shrink(sample)
        minimal[small.case.id] = (small.case, _found(small))
    return SearchReport(family.family, options, batches, searcher.skipped, list(minimal.values()))


class _Searcher:
    def __init__(
        self, family: Family, options: SearchOptions, runner: Any, on_runs: Callable[[int], None]
    ) -> None:
        self._family, self._options, self._runner, self._on_runs = family, options, runner, on_runs
        self._rng = np.random.default_rng([options.seed, 7])
        self._drawn = 0
        self.skipped = 0

    def batch(self, shapes: Array, count: int) -> Batch:
        """Draw and drive; points outside the domain are passed over."""
        drawn: list[Sample] = []
        tries = 0
        while len(drawn) < count and tries < MOST_TRIES * count:
            tries += 1
            unit = self._point(shapes)
            case = case_at(self._family, self._drawn, unit)
            if case.in_domain or not self._options.in_domain:
                drawn.append(Sample(unit, case, {}))
        self.skipped += tries - len(drawn)
        return Batch(shapes, len(drawn) / max(tries, 1), self.run(drawn))

    def _point(self, shapes: Array) -> Array:
        self._drawn += 1
        even = self._rng.random() < EVEN_SHARE
        unit = self._rng.random(shapes.shape[1]) if even else self._rng.beta(*shapes)
        return np.asarray(np.clip(unit, 1e-6, 1 - 1e-6))

    def run(self, samples: list[Sample]) -> list[Sample]:
        """Drive them."""
        results = all_of(self._runner, [Job(s.case, self._options.policy) for s in samples])
        self._on_runs(len(samples))
        return [Sample(s.unit, s.case, r.line) for s, r in zip(samples, results, strict=True)]

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


def exact_interval(samples: list[Sample]) -> dict[str, float]:
    """Share of failures among even samples with its Clopper-Pearson interval."""
    runs, failures = len(samples), sum(s.collided for s in samples)
    if runs == 0:
        return {"runs": 0, "failures": 0, "estimate": float("nan"), "low": 0.0, "high": 1.0}
    interval = stats.binomtest(failures, runs).proportion_ci(CONFIDENCE, method="exact")
    share = failures / runs
    return {"runs": runs, "failures": failures, "estimate": share, "low": interval.low, "high": interval.high}


def weighted_interval(batches: list[Batch]) -> dict[str, float]:
    """The same from all samples, each weighted by the mixture of all batches, with a normal interval.

    Without two failures there is no spread to tell an interval from: then the exact one of the first batch holds.
    """
    samples = [sample for batch in batches for sample in batch.samples]
    exact = exact_interval(batches[0].samples)
    hits = np.array([s.collided for s in samples], dtype=np.float64)
    if hits.sum() < 2:
        effective = float(len(batches[0].samples))
        return {**{name: exact[name] for name in ("estimate", "low", "high")}, "effective": effective}
    units = np.array([s.unit for s in samples])
    shares = [len(batch.samples) / len(samples) for batch in batches]
    mixture = np.sum(
        [share * batch.density(units) for share, batch in zip(shares, batches, strict=True)], axis=0
    )
    scores = hits * batches[0].density(units) / mixture
    estimate, variance = float(scores.mean()), float(scores.var(ddof=1)) / len(samples)
    half = float(stats.norm.ppf(0.5 + CONFIDENCE / 2)) * variance**0.5
    return {
        "estimate": estimate,
        "low": max(0.0, estimate - half),
        "high": min(1.0, estimate + half),
        "effective": estimate * (1 - estimate) / variance if variance > 0 else float(len(samples)),
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
