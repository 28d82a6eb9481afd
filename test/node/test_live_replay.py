"""Each recording through the real nodes over DDS: the same verdict in every window of truth as in lockstep."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.replay.gate_journal import check_journal
from perception_platform.replay.truth import STOPS, Truth, check_run, load_truth

RECORDINGS = Path(__file__).parents[2] / "rosbags"
RATE = "0.5"  # what is compared is what was decided, not whether this machine is quick enough for real time
LONGEST_START_S = 1.5  # from the first message until all processes have said something
MOST_APART_S = 0.3  # the first stop of a window may be two sweeps earlier or later
DOMAIN = 1 + os.getpid() % 100
NAMES = sorted(path.parent.name for path in RECORDINGS.glob("*/truth.yaml"))


COMMAND = (sys.executable, "-c", "from perception_platform.cli.main import main; main()", "replay")


def run_replay(*arguments: str, domain: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=150, check=False
    )


def nodes_in(domain: int) -> list[str]:
    """Command lines of the nodes that run in a DDS domain."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end while it is looked at
            environment = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if f"ROS_DOMAIN_ID={domain}".encode() in environment and "perception_platform.nodes" in command:
                found.append(command)
    return found


def replay(name: str, robot: str, out: Path, *more: str, domain: int) -> dict[str, Any]:
    """Run the command as a user does; its summary."""
    bag = RECORDINGS / name / f"{name}.mcap"
    done = run_replay(str(bag), "--robot", robot, "--out", str(out), *more, domain=domain)
    assert (out / "summary.json").is_file(), f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def beats(out: Path, summary: dict[str, Any]) -> list[tuple[float, str]]:
    """(time from the first message in s, action) of each decision."""
    lines = [json.loads(line) for line in (out / "decisions.jsonl").read_text().splitlines()]
    return [((line["t_ns"] - summary["start_ns"]) / 1e9, line["action"]) for line in lines]


def stopped_s(truth: Truth, run: list[tuple[float, str]]) -> list[float]:
    """How long each stop window was stopped, s, by the share of its beats."""
    found = []
    for window in (w for w in truth.windows if w.expect == "stop"):
        inside = [action in STOPS for t, action in run if window.from_s <= t <= window.to_s]
        found.append((window.to_s - window.from_s) * sum(inside) / len(inside))
    return found


def test_there_are_recordings() -> None:
    assert len(NAMES) >= 3


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", NAMES)
def test_live_and_lockstep_agree_on_every_window(name: str, tmp_path: Path) -> None:
    truth = load_truth(RECORDINGS / name / "truth.yaml")
    outs = {"lockstep": tmp_path / "lockstep", "live": tmp_path / "live"}
    step = replay(name, truth.robot, outs["lockstep"], domain=DOMAIN)
    # The gate judges silence in real time: where this machine stalls for long enough, it stops, as it should. That is
    # no difference between the two ways, so a run that fails a window is made once again, and the second one counts.
    for _ in range(2):
        live = replay(name, truth.robot, outs["live"], "--live", "--rate", RATE, domain=DOMAIN)
        assert nodes_in(DOMAIN) == []
        if all(r.passed for r in check_run(outs["live"] / "decisions.jsonl", live["start_ns"], truth)):
            break
    for mode, summary in (("lockstep", step), ("live", live)):
        results = check_run(outs[mode] / "decisions.jsonl", summary["start_ns"], truth)
        assert [r for r in results if not r.passed] == [], mode
    runs = {"lockstep": beats(outs["lockstep"], step), "live": beats(outs["live"], live)}
    assert next(t for t, action in runs["live"] if action not in STOPS) < LONGEST_START_S
    pairs = zip(stopped_s(truth, runs["lockstep"]), stopped_s(truth, runs["live"]), strict=True)
    assert all(abs(expected - found) <= MOST_APART_S for expected, found in pairs)
    assert set(live) == set(step)
    assert live["frames_in"] == step["frames_in"]
    assert live["latency_ms"]["p50"] > 0
    check, made = check_journal(outs["live"] / "gate.jsonl")
    assert check.same == check.decisions, check
    assert len(made) >= len(runs["live"])
    told = CliRunner().invoke(app, ["explain", str(outs["live"]), "--time", "3"])
    assert told.exit_code == 0, told.output
    assert f"{check.same} of {check.decisions} decisions, byte for byte" in told.output


@pytest.mark.timeout(60)
def test_a_truncated_recording_is_refused_in_one_line(tmp_path: Path) -> None:
    bag = tmp_path / "cut.mcap"
    whole = (RECORDINGS / NAMES[0] / f"{NAMES[0]}.mcap").read_bytes()
    bag.write_bytes(whole[: len(whole) // 2])
    done = run_replay(str(bag), "--robot", "amr", "--out", str(tmp_path / "out"), "--live", domain=DOMAIN)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(bag) in done.stderr
    assert nodes_in(DOMAIN) == []


def _heed_interrupts() -> None:
    """What a shell runs in the background ignores interrupts, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.timeout(60)
def test_an_interrupted_run_leaves_no_process_behind(tmp_path: Path) -> None:
    bag = RECORDINGS / NAMES[0] / f"{NAMES[0]}.mcap"
    arguments = [str(bag), "--robot", "amr", "--out", str(tmp_path / "out"), "--live"]
    environment = os.environ | {"ROS_DOMAIN_ID": str(DOMAIN)}
    running = subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL, preexec_fn=_heed_interrupts
    )
    try:
        deadline_s = time.monotonic() + 20
        while len(nodes_in(DOMAIN)) < 3 and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert len(nodes_in(DOMAIN)) == 3  # the chain, the gate and the player
        running.send_signal(signal.SIGINT)
        running.wait(timeout=20)
    finally:
        running.kill()
    assert running.returncode != 0
    assert nodes_in(DOMAIN) == []
