"""The fault bench on small cases: what it judges, that it can fail, and a robot that survives."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from perception_platform.bench.faults.bench import MOST_GROWN_BYTES, Effort, bench_faults, failures, summary
from perception_platform.bench.faults.ears import Reports
from perception_platform.bench.faults.judge import (
    AgeBounds,
    Heard,
    first_proceed,
    longest_gap_s,
    safe_since,
    stale_drives,
)
from perception_platform.bench.faults.orders import Orders
from perception_platform.bench.faults.rig import Rig, running
from perception_platform.bench.faults.table import Fault, fault_table
from perception_platform.bench.faults.trial import Try, attempt
from perception_platform.core.errors import InputError
from perception_platform.core.runtime_status import EdgeCount, RuntimeStatus
from perception_platform.core.verdicts import Action
from perception_platform.robot.environment import process_environment
from perception_platform.robot.load import load_robot

LOAD_S = 1.0
NOISE_S = 0.5  # a build machine is busy with other things
DRIVE, LIMIT, STOP = Action.PROCEED, Action.LIMIT, Action.STOP


def heard(*actions: Action, age_s: float = 0.1) -> list[Heard]:
    """One decision a second, from second 0 on."""
    return [Heard(float(i), action, age_s) for i, action in enumerate(actions)]


def table() -> dict[str, Fault]:
    return {fault.key: fault for fault in fault_table(load_robot("amr"), LOAD_S)}


# --- what is judged -----------------------------------------------------------------------------------------


def test_a_robot_is_safe_since_it_was_asked_to_stop_for_good() -> None:
    said = heard(STOP, DRIVE, STOP, DRIVE, STOP, Action.EMERGENCY_STOP)
    assert safe_since(said, 0.0, STOP) == 4.0
    assert safe_since([*said, *heard(DRIVE)], 0.0, STOP) is None
    assert safe_since(said, 4.5, STOP) == 5.0
    assert safe_since(heard(LIMIT), 0.0, STOP) is None
    assert safe_since([], 0.0, STOP) is None


def test_driving_again_is_driving_freely() -> None:
    assert first_proceed(heard(DRIVE, STOP, LIMIT, DRIVE), 1.0) == 3.0
    assert first_proceed(heard(DRIVE, STOP, LIMIT), 1.0) is None


@pytest.mark.parametrize(
    ("action", "age_s", "stale"),
    [
        (DRIVE, 0.35, False),
        (DRIVE, 0.36, True),
        (LIMIT, 0.45, False),
        (LIMIT, 0.46, True),
        (LIMIT, math.nan, True),
        (DRIVE, math.inf, True),
        (STOP, math.inf, False),
    ],
)
def test_who_drives_has_fresh_data(action: Action, age_s: float, stale: bool) -> None:
    found = stale_drives(heard(action, age_s=age_s), AgeBounds(proceed_s=0.35, limit_s=0.45))
    assert bool(found) == stale


def test_a_silence_at_either_end_counts_too() -> None:
    assert longest_gap_s([1.0, 2.0, 2.5], 0.5, 4.5) == 2.0
    assert longest_gap_s([], 0.0, 3.0) == 3.0


def test_a_lost_message_is_never_forgotten() -> None:
    reports = Reports()
    for processed in (10, 9, 10):
        reports.add(RuntimeStatus(0, "risk", (EdgeCount("/tracks", "latest", 10, processed),)))
    assert reports.unaccounted == 1


def test_orders_arrive_as_they_were_sent() -> None:
    orders = Orders(silent=("points",), shift_s={"scan": -5.0}, burst_s=0.5)
    assert Orders.from_json(orders.to_json()) == orders


def good(fault: str = "stop_chain") -> Try:
    return Try(fault, True, 0.3, 0.2, 1000, 0)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (replace(good(), safe=False, why="drove on"), "unsafe 1 times: drove on"),
        (replace(good(), recovered_s=None), "did not recover 1 times"),
        (replace(good(), unaccounted=2), "2 messages unaccounted for"),
        (replace(good(), grown_bytes=MOST_GROWN_BYTES), "memory grew by 64 MiB"),
    ],
)
def test_one_bad_try_fails_the_fault(bad: Try, says: str) -> None:
    fault = table()["stop_chain"]
    assert failures(summary(fault, [good(), good()])) == []
    assert failures(summary(fault, [good(), bad])) == [says]


def test_each_fault_has_a_bound_and_a_way_to_be_tried() -> None:
    rows = fault_table(load_robot("amr"), LOAD_S)
    assert len({row.key for row in rows}) == len(rows)
    assert all(0 < row.bound_s <= 0.55 and row.tries >= 1 and row.recovers_s > 0 for row in rows)


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(InputError, match="nonsense: no such fault; there are kill_chain"):
        bench_faults(1.0, 0, ["nonsense"], Effort(1, LOAD_S), lambda *_: None)


# --- real processes -----------------------------------------------------------------------------------------


def put_back(patch: pytest.MonkeyPatch) -> None:
    """Have the environment as it was, once the rig that changes it is gone."""
    for name in ("ROS_DOMAIN_ID", *process_environment()):
        patch.setenv(name, "")


def test_the_command_reports_and_writes_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    command = [
        sys.executable,
        "-c",
        "from perception_platform.cli.main import main; main()",
        "bench",
        "faults",
    ]
    command += ["--only", "clock_back", "--times", "1", "--json", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode in (0, 1), result.stderr
    (row,) = json.loads(path.read_text(encoding="utf-8"))["faults"]
    assert (row["fault"], row["tries"], row["unaccounted"]) == ("clock_back", 1, 0)
    assert result.returncode == (1 if failures(row) else 0)
    assert "1 of 1" in result.stdout or failures(row)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with pytest.MonkeyPatch.context() as patch:
        put_back(patch)
        with running("fed", 1.0) as made:
            yield made


def tried(rig: Rig, fault: Fault) -> Try:
    rig.until(rig.drives, 20.0)
    rng = Random(0)
    return attempt(rig, replace(fault, bound_s=fault.bound_s + NOISE_S, recovers_s=20.0), rng)


@pytest.mark.parametrize("key", ["stop_chain", "stop_gate", "stop_feeder", "stamp_past", "stamp_future"])
def test_a_fault_makes_the_robot_safe_until_it_ends(rig: Rig, key: str) -> None:
    result = tried(rig, table()[key])
    assert result.safe, result
    assert result.recovered_s is not None
    assert result.unaccounted == 0


def test_a_reader_that_stops_reading_stops_nobody(rig: Rig) -> None:
    fault = replace(
        table()["stuck_reader"], lasts_s=1.0, drives_on=False
    )  # a busy machine may stop the robot
    before = rig.ears.reports.newest["tracker"].edges
    result = tried(rig, fault)
    assert result.recovered_s is not None
    rig.until(lambda: rig.ears.reports.newest["tracker"].edges != before, 5.0)
    assert sum(e.processed for e in rig.ears.reports.newest["tracker"].edges) > sum(
        e.processed for e in before
    )


def test_a_robot_that_drives_on_is_found_out(rig: Rig) -> None:
    """Nothing is done to it, and yet it is expected to stop."""
    rig.until(rig.drives, 20.0)
    harmless = replace(table()["stop_chain"], begin=lambda rig, _rng: rig.order(Orders()), bound_s=0.1)
    result = attempt(rig, harmless, Random(0))
    assert not result.safe
    assert result.why in (
        "drove on",
        f"safe after {result.measured_s:.3f} s only" if result.measured_s else "",
    )


def test_a_bound_that_is_missed_is_said(rig: Rig) -> None:
    rig.until(rig.drives, 20.0)
    result = attempt(rig, replace(table()["stop_chain"], bound_s=0.0), Random(0))
    assert not result.safe
    assert result.measured_s is not None
    assert result.why == f"safe after {result.measured_s:.3f} s only"
