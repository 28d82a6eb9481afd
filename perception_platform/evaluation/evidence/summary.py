"""The figures of a judgement as one JSON document: what the report shows, and what the safety case is bound to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from perception_platform.evaluation.evidence.gate import Check, Judgement, lost_pairs, paired
from perception_platform.evaluation.evidence.gate_file import Gate
from perception_platform.evaluation.evidence.results import EVENTS, Results, Run
from perception_platform.evaluation.statistics import Rate, mean_interval, rates_by

FORMAT = 1


def summary(gate: Gate, baseline: Results, candidate: Results, judgement: Judgement) -> dict[str, Any]:
    """Everything that was found, as JSON takes it.

    ``requirements`` holds the figures of each bound by requirement and by hazard (or family, or ``all``), with the one
    whose bound is highest as ``worst``; ``regressions`` those of each critical stratum.
    """
    return {
        "format": FORMAT,
        "verdict": judgement.verdict,
        "exit_code": judgement.verdict.exit_code,
        "gate": {
            "name": gate.name,
            "version": gate.version,
            "digest": gate.digest,
            "policy": gate.policy,
            "confidence": gate.confidence,
        },
        "baseline": _folder(baseline),
        "candidate": _folder(candidate),
        "checks": [asdict(check) for check in judgement.checks],
        **{check.kind.replace(" ", "_"): dict(check.figures) for check in judgement.checks
           if check.kind in ("completeness", "comparison", "latency", "time lost")},
        "requirements": _requirements(judgement.checks),
        "regressions": {c.name: dict(c.figures) for c in judgement.checks if c.kind == "critical"},
        "policies": {p: policy_figures(candidate.of(p), gate) for p in candidate.policies},
        "cost_beside": {p: cost_beside(candidate, p, gate) for p in candidate.policies if p != gate.policy},
        "hazards": strata(candidate, "hazard", gate.confidence),
        "families": strata(candidate, "family", gate.confidence),
    }  # fmt: skip


def policy_figures(runs: Sequence[Run], gate: Gate) -> dict[str, Any]:
    """How often, how hard, how close and at what cost, over the runs of a policy."""
    told = [run for run in runs if run.ran and run.events]
    events = [run.events for run in told if run.events]
    lost: dict[str, list[float]] = {}
    for run in told:
        if run.events:
            lost.setdefault(run.family, []).append(run.events.time_lost_s)
    interval = mean_interval(lost, gate.confidence, gate.resamples, gate.seed) if lost else None
    inside = [run for run in runs if run.in_domain]
    return {
        "runs": len(runs),
        "outcomes": {
            name: sum(r.outcome == name for r in runs) for name in ("ok", "collision", "crashed", "skipped")
        },
        "collision": event_rate(runs, "collision", gate.confidence).as_dict(),
        "collision_in_domain": event_rate(inside, "collision", gate.confidence).as_dict(),
        "late_stop": event_rate(runs, "late_stop", gate.confidence).as_dict(),
        "false_stop": event_rate(runs, "false_stop", gate.confidence).as_dict(),
        "time_lost_s": None
        if interval is None
        else dict(zip(("mean", "low", "high"), interval, strict=True)),
        "impact_speed_mps": spread([e.impact_speed_mps for e in events if e.impact_speed_mps is not None]),
        "min_separation_m": spread([e.min_separation_m for e in events if e.min_separation_m is not None]),
        "peak_decel_mps2": spread([e.peak_decel_mps2 for e in events]),
        "peak_jerk_mps3": spread([e.peak_jerk_mps3 for e in events]),
        "stops_per_run": sum(e.stops for e in events) / len(events) if events else None,
    }


def cost_beside(results: Results, other: str, gate: Gate) -> dict[str, Any] | None:
    """Time lost by the judged policy and by another, in the cases inside the domain that both came through unharmed.

    Over all runs, a policy that hits something seems quick: a run ends with the collision. So only pairs count of
    which neither run has a collision, a late stop, or something that ran into the robot; None if there is none.
    """
    theirs = {run.key: run.events for run in results.of(other) if _unharmed(run)}
    pairs = [
        (run.family, run.events.time_lost_s, them.time_lost_s)
        for run in results.of(gate.policy)
        if run.in_domain and _unharmed(run) and run.events and (them := theirs.get(run.key))
    ]
    if not pairs:
        return None
    added: dict[str, list[float]] = {}
    for family, own_s, their_s in pairs:
        added.setdefault(family, []).append(own_s - their_s)
    mean, low, high = mean_interval(added, gate.confidence, gate.resamples, gate.seed)
    return {
        "cases": len(pairs),
        "time_lost_s": float(np.mean([own for _, own, _ in pairs])),
        "their_time_lost_s": float(np.mean([their for _, _, their in pairs])),
        "added_s": {"mean": mean, "low": low, "high": high},
    }


def _unharmed(run: Run) -> bool:
    e = run.events
    return run.ran and e is not None and not (e.collision or e.late_stop or e.struck)


def could_happen(run: Run, event: str) -> bool:
    """Whether a run counts among the trials of an event: one has to stop to be late, and a right stop isn't false."""
    if run.outcome == "skipped":
        return False
    return event == "collision" or run.stop_expected == (event == "late_stop")


def event_rate(runs: Iterable[Run], event: str, confidence: float) -> Rate:
    """How often an event happened where it could."""
    trials = [run for run in runs if could_happen(run, event)]
    return Rate(sum(run.happened(event) for run in trials), len(trials), confidence)


def strata(results: Results, by: str, confidence: float) -> dict[str, dict[str, dict[str, Any]]]:
    """Rates of each event under each policy, by hazard or by family: stratum, policy, event."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for event in EVENTS:
        rates = rates_by(
            (run for run in results.runs if could_happen(run, event)),
            lambda run: (str(getattr(run, by)), run.policy),
            lambda run: run.happened(event),  # noqa: B023 - used up within this turn
            confidence,
        )
        for (stratum, policy), rate in sorted(rates.items()):
            table.setdefault(stratum, {}).setdefault(policy, {})[event] = rate.as_dict()
    return table


def worst_runs(gate: Gate, baseline: Results, candidate: Results, most: int) -> list[tuple[str, Run]]:
    """The runs most worth a look, each with why: new failures, then by outcome, impact, lateness and separation."""
    lost = {c.key for _, c in lost_pairs(paired(gate, baseline, candidate), ("collision", "late_stop"))}

    def badness(run: Run) -> tuple[float, ...]:
        e = run.events
        if e is None:
            return (run.key in lost, run.outcome == "crashed", 0.0, 0.0, 0.0, 0.0, 0.0)
        separation_m = np.inf if e.min_separation_m is None else e.min_separation_m
        return (
            run.key in lost, run.outcome == "crashed", e.collision, e.impact_speed_mps or 0.0,
            e.late_stop, e.false_stop, -separation_m,
        )  # fmt: skip

    ranked = sorted(candidate.of(gate.policy), key=lambda run: (*(-x for x in badness(run)), run.key))
    return [(_why(run, run.key in lost), run) for run in ranked[:most]]


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Smallest, 5th percentile, median, 95th percentile and largest; None of nothing."""
    if not values:
        return None
    names = ("min", "p5", "p50", "p95", "max")
    return dict(zip(names, np.quantile(values, [0.0, 0.05, 0.5, 0.95, 1.0]).tolist(), strict=True))


def _why(run: Run, new: bool) -> str:
    return f"{_outcome(run)}, which the baseline did not have" if new else _outcome(run)


def _outcome(run: Run) -> str:
    events = run.events
    if events is None or not run.ran:
        return run.outcome
    if events.collision:
        return f"collision at {events.impact_speed_mps:.2f} m/s"
    if events.late_stop or events.false_stop:
        return "late stop" if events.late_stop else "false stop"
    near_m = events.min_separation_m
    return "nothing came near" if near_m is None else f"came within {near_m:.2f} m"


def _folder(results: Results) -> dict[str, Any]:
    manifest = results.manifest
    return {
        "folder": results.folder.name,
        "suite": manifest.suite,
        "version": manifest.version,
        "digest": manifest.digest,
        "made_utc": results.made_utc.isoformat(timespec="seconds"),
        "runs": len(results.runs),
    }


def _requirements(checks: Iterable[Check]) -> dict[str, dict[str, Any]]:
    by_name: dict[str, dict[str, Any]] = {}
    for check in checks:
        if check.kind == "bound":
            by_name.setdefault(check.name, {})[check.of] = dict(check.figures)
    for figures in by_name.values():
        figures["worst"] = max(figures.values(), key=lambda found: float(found["at_most"]))
    return by_name
