"""Ship, no-ship or not enough evidence: a gate's requirements against two folders of results.

A crashed run counts as the event that must not happen; a missing or skipped one leaves the evidence incomplete. Neither
is ever a pass.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.gate_file import Gate, Requirement, Stratum
from perception_platform.evaluation.evidence.results import Results, Run
from perception_platform.evaluation.paired import Paired
from perception_platform.evaluation.statistics import Rate, further_trials, mean_interval

Pair = tuple[Run, Run]


class Verdict(StrEnum):
    """The three answers."""

    SHIP = "ship"
    NO_SHIP = "no-ship"
    NOT_ENOUGH = "not enough evidence"

    @property
    def exit_code(self) -> int:
        """0, 1, 2."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the gate, answered.

    Attributes:
        kind: of question.
        name: of the requirement or stratum.
        of: the hazard or family it is about, or ``all``.
        wanted: in words.
        found: in words.
        verdict: the answer.
        figures: what it rests on, for JSON and the safety case.
    """

    kind: str
    name: str
    of: str
    wanted: str
    found: str
    verdict: Verdict
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """All answers; the strictest is the verdict."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """No-ship before not enough evidence before ship."""
        given = {check.verdict for check in self.checks}
        return next((v for v in (Verdict.NO_SHIP, Verdict.NOT_ENOUGH) if v in given), Verdict.SHIP)


def judge(gate: Gate, baseline: Results, candidate: Results) -> Judgement:
    """Hold a candidate's results, and what they are against a baseline's, against a gate.

    Raises:
        InputError: if one of the folders is of another suite than the gate's.
    """
    for results in (baseline, candidate):
        if results.manifest.suite != gate.suite:
            raise InputError(
                results.folder / "manifest.json",
                f"{results.manifest.suite!r}, but gate {gate.name!r} judges {gate.suite!r}",
                "suite",
            )
    pairs = paired(gate, baseline, candidate)
    return Judgement((
        _same_suite(baseline, candidate),
        _complete(gate, candidate),
        *(check for requirement in gate.requirements for check in _bounds(gate, requirement, candidate)),
        *(_regressions(gate, stratum, baseline, candidate) for stratum in gate.critical),
        _comparison(gate, pairs),
        _latency(gate, candidate, pairs),
        _time_lost(gate, pairs),
    ))  # fmt: skip


def paired(gate: Gate, baseline: Results, candidate: Results) -> list[Pair]:
    """Runs of the same case and seed that the baseline ran to the end and the candidate did not skip, in order."""
    before = {run.key: run for run in baseline.of(gate.policy) if run.ran}
    after = {run.key: run for run in candidate.of(gate.policy) if run.outcome != "skipped"}
    return [(before[key], after[key]) for key in sorted(before.keys() & after.keys())]


def failed(run: Run, events: Iterable[str]) -> bool:
    """Whether any of the events happened; so it counts for a crashed run."""
    return any(run.happened(event) for event in events)


def lost_pairs(pairs: Iterable[Pair], events: Sequence[str]) -> list[Pair]:
    """Those that the candidate failed and the baseline did not."""
    return [(b, c) for b, c in pairs if failed(c, events) and not failed(b, events)]


def _same_suite(baseline: Results, candidate: Results) -> Check:
    """Same scenarios, and the same cases of them: a suite that shrank proves less, however clean it is."""
    ours, theirs = candidate.manifest, baseline.manifest
    other_cases = len(set(ours.expected_cases) ^ set(theirs.expected_cases))
    same = (ours.version, ours.digest, other_cases) == (theirs.version, theirs.digest, 0)
    found = f"version {ours.version}, digest {ours.digest[:12]}, {len(ours.expected_cases)} cases"
    if not same:
        found += f"; the baseline's is version {theirs.version}, digest {theirs.digest[:12]}"
        found += f", and {other_cases} cases are in one of them only"
    wanted = "baseline and candidate ran the same scenarios"
    return Check("suite", "same_suite", "all", wanted, found, Verdict.SHIP if same else Verdict.NOT_ENOUGH)


def _complete(gate: Gate, candidate: Results) -> Check:
    """A crash is no evidence here; as an event that must not happen it counts against the bounds."""
    runs = candidate.of(gate.policy)
    counts = {
        "expected": len(candidate.manifest.expected_cases),
        "missing": len(candidate.missing(gate.policy)),
        "skipped": sum(run.outcome == "skipped" for run in runs),
        "crashed": sum(run.outcome == "crashed" for run in runs),
    }
    found = ", ".join(f"{number} {name}" for name, number in counts.items())
    counts["unfinished"] = counts["missing"] + counts["skipped"] + counts["crashed"]
    whole = bool(runs) and counts["unfinished"] == 0
    verdict = Verdict.SHIP if whole else Verdict.NOT_ENOUGH
    return Check(
        "completeness", "complete", "all", "every expected case ran to its end", found, verdict, counts
    )


def _bounds(gate: Gate, requirement: Requirement, candidate: Results) -> Iterator[Check]:
    """One answer a hazard, family or scope; a scope without a run is one, too."""
    groups: dict[str, list[Run]] = {}
    for run in candidate.of(gate.policy):
        if requirement.scope.holds(run):
            of = "all" if requirement.per == "all" else str(getattr(run, requirement.per))
            groups.setdefault(of, []).append(run)
    for of, runs in sorted(groups.items()) or [("all", [])]:
        yield _bound(gate, requirement, of, runs)


def _bound(gate: Gate, requirement: Requirement, of: str, runs: Sequence[Run]) -> Check:
    told = [run for run in runs if run.outcome != "skipped"]
    rate = Rate(sum(run.happened(requirement.event) for run in told), len(told), gate.confidence)
    further = further_trials(rate.events, rate.trials, requirement.at_most, gate.confidence)
    tolerated = requirement.tolerated
    wanted = f"at most {requirement.at_most:g} at {100 * gate.confidence:g} %"
    wanted += "" if tolerated is None else f", at most {tolerated} seen"
    found = f"{rate.events} of {rate.trials}: at most {rate.at_most:.4f}"
    if (tolerated is not None and rate.events > tolerated) or rate.at_least > requirement.at_most:
        verdict = Verdict.NO_SHIP
    elif rate.at_most <= requirement.at_most and len(told) == len(runs):
        verdict = Verdict.SHIP
    else:
        verdict = Verdict.NOT_ENOUGH
        found += f"; {further} more without one would do" if further else f"; {len(runs) - len(told)} skipped"
    figures = {**rate.as_dict(), "wanted_at_most": requirement.at_most, "further_trials": further}
    return Check("bound", requirement.name, of, wanted, found, verdict, figures)


def _regressions(gate: Gate, stratum: Stratum, baseline: Results, candidate: Results) -> Check:
    """One new failure in the stratum blocks; a run that one side lacks leaves it open."""
    before = {run.key: run for run in baseline.of(gate.policy) if stratum.scope.holds(run)}
    after = {run.key: run for run in candidate.of(gate.policy) if stratum.scope.holds(run)}
    pairs = [(before[k], after[k]) for k in sorted(before.keys() & after.keys()) if before[k].ran]
    told = [(b, c) for b, c in pairs if c.outcome != "skipped"]
    lost = lost_pairs(told, stratum.events)
    open_runs = len(before.keys() | after.keys()) - len(told)
    if lost:
        verdict = Verdict.NO_SHIP
    else:
        verdict = Verdict.NOT_ENOUGH if open_runs or not told else Verdict.SHIP
    found = f"{len(lost)} of {len(told)} pairs" + (f", {open_runs} without a partner" if open_runs else "")
    found += "".join(f"; {c.case} seed {c.seed}" for _, c in lost[:3]) + ("; …" if len(lost) > 3 else "")
    figures = {"pairs": len(told), "regressions": len(lost), "unpaired": open_runs}
    return Check("critical", stratum.name, "all", "no new failure", found, verdict, figures)


def _comparison(gate: Gate, pairs: Sequence[Pair]) -> Check:
    rule = gate.comparison
    outcomes = [(failed(b, rule.events), failed(c, rule.events)) for b, c in pairs]
    split = Paired(len(pairs), sum(b and not c for b, c in outcomes), sum(c and not b for b, c in outcomes))
    sequential = rule.sequential.run(c for b, c in outcomes if b != c)
    worse = split.p_worse <= rule.significance
    if not pairs:
        verdict = Verdict.NOT_ENOUGH
    else:
        verdict = Verdict.NO_SHIP if worse else Verdict.SHIP
    found = (
        f"{split.only_candidate_failed} of {split.disagreements} disagreements lost in {len(pairs)} pairs, "
        f"p {split.p_worse:.3g}; sequential: {sequential.verdict} after {sequential.used}"
    )
    figures = {
        "pairs": len(pairs),
        "lost": split.only_candidate_failed,
        "won": split.only_baseline_failed,
        "p_worse": split.p_worse,
        "p_better": split.p_better,
        "p_different": split.p_different,
        "sequential": {
            "verdict": sequential.verdict,
            "used": sequential.used,
            "evidence": sequential.evidence,
        },
    }
    wanted = f"not worse than the baseline (exact McNemar, {rule.significance:g})"
    return Check("comparison", "comparison", "all", wanted, found, verdict, figures)


def _latency(gate: Gate, candidate: Results, pairs: Sequence[Pair]) -> Check:
    """What is added is the median of a family's pairs: the p99 of one run is that of two or three decisions."""
    limit = gate.latency_ms
    ran = [run for run in candidate.of(gate.policy) if run.ran]
    known = [run for run in ran if run.latency_ms]
    p99 = [r.latency_ms.p99 for r in known if r.latency_ms and r.hazard not in limit.except_hazards]
    added: dict[str, list[float]] = {}
    for b, c in pairs:
        if b.latency_ms and c.latency_ms:
            added.setdefault(c.family, []).append(c.latency_ms.p99 - b.latency_ms.p99)
    wanted = f"p99 at most {limit.p99_at_most:g} ms, in no family {limit.added_at_most:g} ms more than the baseline"
    if len(known) < len(ran) or not p99 or not added:
        found = f"{len(known)} of {len(ran)} runs, {sum(map(len, added.values()))} pairs with a latency"
        return Check("latency", "latency_ms", "all", wanted, found, Verdict.NOT_ENOUGH)
    figures = {"p99": max(p99), "added": max(statistics.median(ms) for ms in added.values())}
    holds = figures["p99"] <= limit.p99_at_most and figures["added"] <= limit.added_at_most
    found = f"p99 {figures['p99']:g} ms, {figures['added']:+g} ms"
    verdict = Verdict.SHIP if holds else Verdict.NO_SHIP
    return Check("latency", "latency_ms", "all", wanted, found, verdict, figures)


def _time_lost(gate: Gate, pairs: Sequence[Pair]) -> Check:
    """Bootstrap by family: runs of one are variations of each other."""
    rule = gate.time_lost
    added: dict[str, list[float]] = {}
    for b, c in pairs:
        if b.events and c.events:
            added.setdefault(c.family, []).append(c.events.time_lost_s - b.events.time_lost_s)
    wanted = f"on average at most {rule.added_at_most_s:g} s more than the baseline"
    if len(added) < rule.least_families:
        found = f"pairs of {len(added)} families, of {rule.least_families} at least"
        return Check("time lost", "time_lost", "all", wanted, found, Verdict.NOT_ENOUGH)
    mean, low, high = mean_interval(added, 2 * gate.confidence - 1, gate.resamples, gate.seed)
    if low > rule.added_at_most_s:
        verdict = Verdict.NO_SHIP
    else:
        verdict = Verdict.SHIP if high <= rule.added_at_most_s else Verdict.NOT_ENOUGH
    figures = {"mean_s": mean, "at_least_s": low, "at_most_s": high, "families": len(added)}
    found = f"{mean:+.2f} s (from {low:+.2f} to {high:+.2f}, {len(added)} families)"
    return Check("time lost", "time_lost", "all", wanted, found, verdict, figures)
