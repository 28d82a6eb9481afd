"""Made-up result folders: a robot on a line that brakes for what it sees, so that faults do what they would do.

A mock of the closed-loop simulation: a stop takes ``v t + v²/2a``, and whether that is in time follows from when
something is seen and how old the data is. Nothing else of the world is in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SERVICE_MPS2, HARDEST_MPS2, KEEP_M = 0.8, 2.0, 0.5
LATENCY_MS = {"ours": 60.0, "fixed_field": 60.0, "autoware_aeb": 1000.0, "none": 60.0}


@dataclass(frozen=True)
class Family:
    """One family: its hazard, whether to stop in it, whether it is inside the domain."""

    name: str
    hazard: str
    stop_expected: bool = True
    in_domain: bool = True
    tags: tuple[str, ...] = ("people",)


FAMILIES = (
    Family("child_behind_vehicle", "occluded_person"),
    Family("crouching_worker", "low_person"),
    Family("reversing_truck", "crossing_vehicle", tags=("vehicles",)),
    Family("cyclist_blind_side", "crossing_cyclist"),
    Family("low_obstacle", "low_object", tags=("obstacles",)),
    Family("person_beside_path", "none", stop_expected=False),
    Family("wall_beside_path", "none", stop_expected=False, tags=("obstacles",)),
    Family("person_on_ladder", "occluded_person"),
    Family("cross_traffic", "crossing_vehicle", tags=("vehicles",)),
    Family("glass_door", "glass", tags=("obstacles",)),
    Family("slippery_floor", "braking", in_domain=False),
)


@dataclass(frozen=True)
class Faults:
    """What is wrong with a version.

    Attributes:
        added_latency_ms: to every decision.
        blind_deg: sector in which nothing is seen until it is near.
        crouching_missed: share of crouching people that are seen late.
    """

    added_latency_ms: float = 0.0
    blind_deg: tuple[float, float] | None = None
    crouching_missed: float = 0.0


SOUND = Faults()


def write_results(
    folder: Path, suite: str = "smoke", per_family: int = 12, faults: Faults = SOUND, seed: int = 1
) -> Path:
    """Write a folder; the same seed gives the same scenarios, whatever the faults."""
    folder.mkdir(parents=True)
    runs, cases = [], []
    for number, family in enumerate(FAMILIES):
        for k in range(per_family):
            rng = np.random.default_rng([seed, number, k])
            cases.append(f"{family.name}/{k:03d}")
            runs += [drive(family, cases[-1], drawn(family, rng), policy, faults) for policy in LATENCY_MS]
    for run in runs:
        if run["policy"] == "ours" and run["case"][-3:] < "012":
            run["trace"] = f"traces/{run['case'].replace('/', '_')}.jsonl"
            write_lines(folder / run["trace"], trace(run))
    manifest = {
        "suite": suite,
        "version": 1,
        "digest": "5" * 64,
        "families": {family.name: per_family for family in FAMILIES},
        "expected_cases": cases,
    }
    write_json(folder / "manifest.json", manifest)
    write_runs(folder, runs)
    return folder


def drawn(family: Family, rng: np.random.Generator) -> dict[str, float]:
    """Parameters of a case; what has to be stopped for is seen with some way to spare."""
    return {
        "speed_mps": round(float(rng.uniform(0.8, 1.5)), 3),
        "spare_m": round(float(rng.uniform(0.03, 0.8)), 3),
        "bearing_deg": round(float(rng.uniform(-60, 60)), 1),
        "chance": round(float(rng.uniform()), 4),
        "friction": 0.35 if family.name == "slippery_floor" else 1.0,
    }


def drive(
    family: Family, case: str, parameters: Mapping[str, float], policy: str, faults: Faults
) -> dict[str, Any]:
    """One run."""
    latency_ms = LATENCY_MS[policy] + (faults.added_latency_ms if policy == "ours" else 0.0)
    speed, gap_m = parameters["speed_mps"], needed_m(parameters["speed_mps"], 60.0) + parameters["spare_m"]
    if policy == "ours" and unseen(family, parameters, faults):
        gap_m = 0.4
    hardest = HARDEST_MPS2 * parameters["friction"]
    reached_m = math.inf if policy == "none" else speed * latency_ms / 1e3 + speed**2 / (2 * hardest)
    collision = family.stop_expected and reached_m > gap_m
    late = family.stop_expected and gap_m < needed_m(speed, latency_ms)
    ahead_m = max(gap_m - reached_m, 0.0)
    impact = min(speed, math.sqrt(max(2 * hardest * (reached_m - gap_m), 0.0))) if collision else None
    events = {
        "collision": collision,
        "impact_speed_mps": impact,
        "min_separation_m": (ahead_m if family.stop_expected else 0.3 + parameters["spare_m"]),
        "late_stop": late,
        "false_stop": not family.stop_expected and policy in ("fixed_field", "autoware_aeb"),
        "time_lost_s": time_lost_s(family, speed, policy),
        "peak_decel_mps2": hardest if late else SERVICE_MPS2 * family.stop_expected,
        "peak_jerk_mps3": 4.0,
        "stops": int(family.stop_expected and policy != "none"),
    }
    return {
        "family": family.name,
        "case": case,
        "policy": policy,
        "seed": 1,
        "parameters": dict(parameters),
        "tags": list(family.tags),
        "hazard": family.hazard,
        "in_domain": family.in_domain,
        "stop_expected": family.stop_expected,
        "outcome": "collision" if collision else "ok",
        "events": events,
        "latency_ms": {"p50": latency_ms, "p99": latency_ms + 20.0},
        "trace": None,
    }


def needed_m(speed_mps: float, latency_ms: float) -> float:
    """Way that a stop by the service brake takes, with the distance that it keeps."""
    return speed_mps * latency_ms / 1e3 + speed_mps**2 / (2 * SERVICE_MPS2) + KEEP_M


def unseen(family: Family, parameters: Mapping[str, float], faults: Faults) -> bool:
    """Whether a fault hides what there is until it is near."""
    if faults.blind_deg and faults.blind_deg[0] <= parameters["bearing_deg"] <= faults.blind_deg[1]:
        return True
    return family.hazard == "low_person" and parameters["chance"] < faults.crouching_missed


def time_lost_s(family: Family, speed_mps: float, policy: str) -> float:
    """A stop costs braking and starting again; a policy that stops for nothing loses time there as well."""
    stops = policy != "none" and (family.stop_expected or policy != "ours")
    return (speed_mps / SERVICE_MPS2 + (1.5 if policy == "autoware_aeb" else 0.5)) * stops


def trace(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is to be seen: beside a shelf the robot brakes towards a person who comes in."""
    speed, t_s = run["parameters"]["speed_mps"], np.arange(0.0, 4.0, 0.1).round(2)
    v = np.maximum(speed - SERVICE_MPS2 * np.maximum(t_s - 1.0, 0.0), 0.0)
    x = np.cumsum(v) * 0.1
    stands_m = float(x[-1]) + 1.0
    scenery = {
        "case": run["case"],
        "footprint_m": [[0.45, 0.3], [-0.45, 0.3], [-0.45, -0.3], [0.45, -0.3]],
        "zones_m": {"protective": [[1.15, 0.4], [0.45, 0.4], [0.45, -0.4], [1.15, -0.4]]},
        "standing": [[2.0, 1.5, 4.0, 0.8, 0.0, 0.0, 2.0], [3.0, -1.5, 0.3, 0.3, None, 0.0, 2.0]],
    }
    moments = []
    for t, place, now in zip(t_s.tolist(), x.tolist(), v.tolist(), strict=True):
        person = [stands_m, 2.0 - 0.5 * t, 0.4, 0.4, None, 0.0, 1.7]
        track = [7, "person", *person[:4], 0.0, 0.0, -0.5]
        moments.append({
            "t_s": t, "pose": [place, 0.0, 0.0], "speed_mps": now,
            "limit_mps": None if t < 1.0 else now,
            "action": "proceed" if t < 1.0 else "limit" if now > 0.3 else "stop",
            "why": "" if t < 1.0 else "person 7 in the path",
            "moving": [] if t < 0.5 else [person], "tracks": [] if t < 0.8 else [track],
        })  # fmt: skip
    return [scenery, *moments]


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """The runs of a folder as they are in the file."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def write_runs(folder: Path, runs: list[dict[str, Any]]) -> None:
    """Write them back."""
    write_lines(folder / "results.jsonl", runs)


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write a document a line."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a document."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
