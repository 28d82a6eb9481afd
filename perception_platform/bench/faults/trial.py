"""One try of one fault: begin it, watch, end it, watch the robot drive again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

from perception_platform.bench.faults.ears import FROM_THE_GATE
from perception_platform.bench.faults.judge import (
    AgeBounds,
    Heard,
    first_proceed,
    longest_gap_s,
    safe_since,
    stale_drives,
    story,
)
from perception_platform.bench.faults.rig import Rig
from perception_platform.bench.faults.table import DELIVERY_S, Bounds, Fault
from perception_platform.core.verdicts import Action

PHASE_S = 0.1  # faults begin at any moment of a sensor's period
DWELL_S = 0.03  # how long the proof of safety has to last
LONGEST_STORY = 40  # lines
SLACK_S = 1.0  # watched on after a missed bound, to report by how much


@dataclass(frozen=True, slots=True)
class Try:
    """How it went.

    Attributes:
        fault: its key.
        safe: whether all that had to follow did, in time.
        measured_s: time to safe; for ``fresh``, the oldest data that the robot drove on; None if it never was safe.
        recovered_s: time from the fault's end until the robot was let drive again; None if it was not in time.
        grown_bytes: how much the processes that lived through it grew.
        unaccounted: the most messages that any input could not account for.
        why: what was wrong, or an empty string.
        story: what was decided meanwhile, if the robot was not safe or did not recover.
    """

    fault: str
    safe: bool
    measured_s: float | None
    recovered_s: float | None
    grown_bytes: int
    unaccounted: int
    why: str = ""
    story: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a fault led to: the figure that has a bound, since when the robot was safe, and what was wrong."""

    measured_s: float | None
    safe_s: float
    why: str = ""


def attempt(rig: Rig, fault: Fault, rng: Random) -> Try:
    """Try a fault once, on a robot that drives."""
    rig.ears.forget()
    rig.wait(rng.uniform(0.0, PHASE_S))
    before = rig.rss_bytes()
    began_s = fault.begin(rig, rng)
    proof = _PROOFS[fault.proof](rig, fault, began_s)
    ended_s = began_s if fault.momentary else time.monotonic()
    fault.end(rig)
    from_s = max(ended_s, proof.safe_s)
    recovered_s = _recovery(rig, fault, ended_s, from_s)
    after = rig.rss_bytes()
    grown = sum(after[pid] - before[pid] for pid in after.keys() & before.keys())
    why = proof.why or _stale(rig, _heard(rig, from_s))
    told = story(rig.ears.decisions.copy(), began_s)[:LONGEST_STORY] if why or recovered_s is None else ()
    unaccounted = rig.ears.reports.unaccounted
    return Try(fault.key, not why, proof.measured_s, recovered_s, grown, unaccounted, why, tuple(told))


def _heard(rig: Rig, from_s: float) -> list[Heard]:
    return [one for one in rig.ears.decisions.copy() if one.at_s >= from_s]


def _stop(rig: Rig, fault: Fault, began_s: float) -> Proof:
    def since() -> float | None:
        return safe_since(_heard(rig, began_s), began_s, Action.STOP)

    rig.until(
        lambda: (at_s := since()) is not None and time.monotonic() >= at_s + DWELL_S, fault.bound_s + SLACK_S
    )
    at_s = since()
    if at_s is None:
        return Proof(None, time.monotonic(), "drove on")
    return Proof(at_s - began_s, at_s, _too_late(at_s - began_s, fault))


def _silence(rig: Rig, fault: Fault, began_s: float) -> Proof:
    def gone_s() -> float:
        leases = [b for b in rig.ears.broken.copy() if b.at_s >= began_s and b.kind == "lease"]
        return max(next((b.at_s for b in leases if b.key == key), float("inf")) for key in FROM_THE_GATE)

    rig.until(lambda: time.monotonic() >= gone_s() + DWELL_S, fault.bound_s + SLACK_S)
    now_s, at_s = time.monotonic(), gone_s()
    if at_s > now_s:
        return Proof(None, now_s, "no lease ran out")
    late = [t for t in rig.ears.commands_s.copy() if began_s + DELIVERY_S < t < now_s]
    why = "velocities went on" if late else _too_late(at_s - began_s, fault)
    return Proof(at_s - began_s, at_s, why)


def _fresh(rig: Rig, fault: Fault, began_s: float) -> Proof:
    rig.wait(fault.lasts_s)
    now_s, heard = time.monotonic(), _heard(rig, began_s)
    oldest_s = max((one.age_s for one in heard if one.action > Action.STOP), default=0.0)
    gap_s = longest_gap_s([one.at_s for one in heard], began_s, now_s)
    noticed = any(b.at_s >= began_s for b in rig.ears.broken.copy())
    why = _stale(rig, heard)
    if why:
        return Proof(oldest_s, began_s, why)
    if gap_s > Bounds.of(rig.robot).gate_lease_s and not noticed:
        why = f"no decision for {gap_s:.3f} s, and no lease ran out"
    elif fault.drives_on and any(one.action <= Action.STOP for one in heard):
        reasons = next(one.reasons for one in heard if one.action <= Action.STOP)
        why = f"stopped: {', '.join(r.name.lower() for r in reasons)}"
    return Proof(oldest_s, began_s, why)


_PROOFS = {"stop": _stop, "silence": _silence, "fresh": _fresh}


def _too_late(took_s: float, fault: Fault) -> str:
    return f"safe after {took_s:.3f} s only" if took_s > fault.bound_s else ""


def _recovery(rig: Rig, fault: Fault, ended_s: float, from_s: float) -> float | None:
    def driving() -> float | None:
        return first_proceed(_heard(rig, from_s), from_s)

    rig.until(lambda: driving() is not None, fault.recovers_s)
    at_s = driving()
    return None if at_s is None else at_s - ended_s


def _stale(rig: Rig, heard: list[Heard]) -> str:
    """What the robot drove on and should not have, in words; nothing if all of it was fresh enough."""
    bounds = Bounds.of(rig.robot)
    stale = stale_drives(heard, AgeBounds(bounds.age_proceed_s, bounds.age_limit_s))
    return f"{stale[0].action.name.lower()} on data {stale[0].age_s:.3f} s old" if stale else ""
