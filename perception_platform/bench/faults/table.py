"""The fault table: what is done, what must follow, within which time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from perception_platform.bench.faults.orders import Orders
from perception_platform.bench.faults.rig import FEEDER, GATE, VIEWER, Rig, Setup
from perception_platform.bench.faults.scene import CHAIN, DRIVER
from perception_platform.robot.description import Robot
from perception_platform.ros.topics import TOPICS

# ``stop``: decisions ask for a stop, and go on to until the fault ends. ``silence``: the gate itself is gone, DDS says
# so and no velocity comes. ``fresh``: driving goes on, never on data older than its bound.
Proof = Literal["stop", "silence", "fresh"]
QUICK, STUTTERS, HOGS, KILLS, READERS = 100, 8, 5, 3, 2  # tries
READER_S = 8.0  # long enough for what it leaves unread to fill every buffer
DELIVERY_S = 0.05  # on top of a lease or a time-out: what transport and a busy machine may add
RECOVERS_S = 2.0
RESTARTS_S = 15.0
WRONG_BY_S = 5.0
SHORT = {GATE: "gate", DRIVER: "driver"}
FRESH = "never drive on data older than the bound"
Begin = Callable[[Rig, Random], float]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Times that a robot promises, s; ``unshed_s``: after too much load, until it drives at full speed again."""

    silence_s: float
    lease_s: float
    gate_lease_s: float
    beat_s: float
    age_proceed_s: float
    age_limit_s: float
    unshed_s: float

    @classmethod
    def of(cls, robot: Robot) -> Bounds:
        """From its file and the topic table."""
        gate = robot.gate
        beat_s = 1.0 / gate.rate_hz
        return cls(
            silence_s=gate.input_timeout_s + beat_s + DELIVERY_S,
            lease_s=TOPICS["assessment"].liveliness_s + DELIVERY_S,
            gate_lease_s=TOPICS["decision"].liveliness_s + DELIVERY_S,
            beat_s=beat_s + DELIVERY_S,
            age_proceed_s=robot.latency.bound_ms / 1e3 + DELIVERY_S,
            age_limit_s=gate.input_timeout_s + DELIVERY_S,
            unshed_s=robot.shedding.window_s + robot.shedding.descend_after_s + RECOVERS_S,
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    Attributes:
        key: short name, for the command line.
        what: what is done.
        must: what has to follow.
        setup: which processes run.
        proof: how that is judged.
        bound_s: within which time the robot has to be safe, s; for ``fresh``, the oldest data it may drive on.
        begin: does it; when it began, by the steady clock, s.
        end: undoes it.
        tries: how often, by default.
        lasts_s: for ``fresh``, how long it is left to itself, s.
        momentary: whether it ends as it begins, and the rest is the robot's affair.
        drives_on: for ``fresh``, whether the robot must not even be stopped.
        recovers_s: within which time after its end the robot has to drive again, s.
    """

    key: str
    what: str
    must: str
    setup: Setup
    proof: Proof
    bound_s: float
    begin: Begin
    end: Callable[[Rig], object]
    tries: int = QUICK
    lasts_s: float = 0.0
    momentary: bool = False
    drives_on: bool = False
    recovers_s: float = RECOVERS_S


def fault_table(robot: Robot, load_s: float) -> tuple[Fault, ...]:
    """Every fault, with the bounds of a robot; overload lasts ``load_s``."""
    bounds = Bounds.of(robot)
    return (
        *_deaths(bounds),
        *_sleeps(bounds),
        *_bad_drivers(bounds),
        *_overloads(bounds, load_s),
        *_wrong_times(bounds),
    )


def _deaths(bounds: Bounds) -> tuple[Fault, ...]:
    def row(name: str, setup: Setup, proof: Proof, bound_s: float, must: str) -> Fault:
        what = f"kill -9 of the {name}"
        return Fault(
            f"kill_{SHORT.get(name, name)}",
            what,
            must,
            setup,
            proof,
            bound_s,
            _signal(name, signal.SIGKILL),
            _nothing,
            KILLS,
            recovers_s=RESTARTS_S,
            momentary=True,
        )

    return (
        row(CHAIN, "fed", "stop", bounds.lease_s, "stop when its lease runs out, or before"),
        row(
            GATE,
            "fed",
            "silence",
            bounds.gate_lease_s,
            "no velocity any more, and the lease of both outputs runs out",
        ),
        row(FEEDER, "fed", "stop", bounds.silence_s, "stop when all inputs are out of date"),
        row(DRIVER, "driver", "stop", bounds.silence_s, "stop when obstacle points are out of date"),
    )


def _sleeps(bounds: Bounds) -> tuple[Fault, ...]:
    def row(name: str, proof: Proof, bound_s: float, must: str) -> Fault:
        what = f"SIGSTOP of the {name}, then SIGCONT"
        begin, end = _signal(name, signal.SIGSTOP), lambda rig: rig.signal(name, signal.SIGCONT)
        return Fault(f"stop_{SHORT.get(name, name)}", what, must, "fed", proof, bound_s, begin, end)

    return (
        row(CHAIN, "stop", bounds.silence_s, "stop when the assessment is out of date"),
        row(
            GATE,
            "silence",
            bounds.gate_lease_s,
            "no velocity any more, and the lease of both outputs runs out",
        ),
        row(FEEDER, "stop", bounds.silence_s, "stop when all inputs are out of date"),
    )


def _bad_drivers(bounds: Bounds) -> tuple[Fault, ...]:
    return (
        Fault(
            "driver_stops",
            "SIGSTOP of the lidar's driver, then SIGCONT",
            "stop when obstacle points are out of date",
            "driver",
            "stop",
            bounds.silence_s,
            _signal(DRIVER, signal.SIGSTOP),
            lambda rig: rig.signal(DRIVER, signal.SIGCONT),
            recovers_s=bounds.unshed_s,  # what it still held comes late, and perception counts that as load
        ),
        Fault(
            "driver_stutters",
            "the lidar's driver pauses for 0.1 s to 0.7 s, three times",
            FRESH,
            "driver",
            "fresh",
            bounds.age_limit_s,
            _stutter,
            lambda rig: rig.signal(DRIVER, signal.SIGCONT),
            STUTTERS,
            lasts_s=0.1,
            recovers_s=bounds.unshed_s,
        ),
        Fault(
            "driver_bursts",
            "no sweep for a while, then all of them at once",
            FRESH,
            "fed",
            "fresh",
            bounds.age_limit_s,
            _burst,
            _speak_well,
            lasts_s=0.2,
            recovers_s=bounds.unshed_s,
        ),
    )


def _overloads(bounds: Bounds, load_s: float) -> tuple[Fault, ...]:
    return (
        Fault(
            "overload",
            "twice as many sweeps as perception gets done",
            FRESH,
            "fed",
            "fresh",
            bounds.age_limit_s,
            _overload,
            _speak_well,
            1,
            lasts_s=load_s,
            recovers_s=bounds.unshed_s,
        ),
        Fault(
            "cpu_hog",
            "a busy loop for every core",
            FRESH,
            "fed",
            "fresh",
            bounds.age_limit_s,
            _hog,
            lambda rig: rig.end_hogs(),
            HOGS,
            lasts_s=1.5,
        ),
        Fault(
            "stuck_reader",
            "an outside listener, reliable, that stops reading",
            "the robot drives on as before",
            "fed",
            "fresh",
            bounds.age_limit_s,
            _signal(VIEWER, signal.SIGSTOP),
            lambda rig: rig.signal(VIEWER, signal.SIGCONT),
            READERS,
            lasts_s=READER_S,
            drives_on=True,
        ),
    )


def _wrong_times(bounds: Bounds) -> tuple[Fault, ...]:
    return (
        Fault(
            "stamp_past",
            "sweeps, odometry or scans are stamped 5 s in the past",
            "stop: out of date",
            "fed",
            "stop",
            bounds.silence_s,
            _shift(-WRONG_BY_S),
            _speak_well,
        ),
        Fault(
            "stamp_future",
            "sweeps, odometry or scans are stamped 5 s in the future",
            "stop: clocks disagree",
            "fed",
            "stop",
            bounds.silence_s,
            _shift(WRONG_BY_S),
            _speak_well,
        ),
        Fault(
            "clock_back",
            "/clock jumps back by 5 s",
            "stop at the gate's next beat",
            "replayed",
            "stop",
            bounds.beat_s,
            lambda rig, _rng: rig.order(Orders(clock_back_s=WRONG_BY_S)),
            _nothing,
            momentary=True,
        ),
    )


def _nothing(_rig: Rig) -> None:
    """It ends by itself."""


def _speak_well(rig: Rig) -> None:
    rig.order(Orders())


def _signal(name: str, what: signal.Signals) -> Begin:
    return lambda rig, _rng: rig.signal(name, what)


def _shift(by_s: float) -> Begin:
    return lambda rig, rng: rig.order(Orders(shift_s={rng.choice(("points", "odometry", "scan")): by_s}))


def _stutter(rig: Rig, rng: Random) -> float:
    began_s = time.monotonic()
    for _ in range(3):
        rig.signal(DRIVER, signal.SIGSTOP)
        rig.wait(rng.uniform(0.1, 0.7))
        rig.signal(DRIVER, signal.SIGCONT)
        rig.wait(rng.uniform(0.05, 0.3))
    return began_s


def _burst(rig: Rig, rng: Random) -> float:
    pause_s = rng.uniform(0.1, 0.4)
    began_s = rig.order(Orders(silent=("points",)))
    rig.wait(pause_s)
    rig.order(Orders(burst_s=pause_s))
    return began_s


def _overload(rig: Rig, _rng: Random) -> float:
    return rig.order(Orders(sweeps_hz=2 * rig.sustainable_hz()))


def _hog(rig: Rig, _rng: Random) -> float:
    return rig.begin_hogs()
