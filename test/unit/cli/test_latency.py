"""The latency command: a run and a bag tell the same, and what cannot be read is one clear line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from perception_platform.bags.writer import BagWriter
from perception_platform.cli.latency import WORST
from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.verdicts import Action, Decision, GateState
from perception_platform.messages.verdicts import decision_to_msg
from perception_platform.replay.records import decision_line

MS = 1_000_000
START_NS = 1_767_225_600_000_000_000
DECISION = "/safety/decision"
SAFETY = "perception_platform_msgs/msg/SafetyDecision"


def decision(number: int, compute_ms: int = 20, no_core_ms: int = 0, gate_behind_ms: int = 0) -> Decision:
    """On a sweep of its own: captured, 2 ms on the way, 1 in the queue, worked on, 3 to the gate, 5 until the beat."""
    t_ns = START_NS + number * 100 * MS
    at, back = [t_ns + i * MS for i in range(200)], gate_behind_ms
    done = 3 + compute_ms
    stages = (
        StageTiming("perception", at[2], at[2], at[3], at[done], at[done], no_core_ns=no_core_ms * MS),
        StageTiming("safety_gate", *(at[done + later] - back * MS for later in (3, 3, 8, 9, 9))),
    )
    lineage = Lineage((SourceStamp("lidar_top", t_ns),), stages)
    zero = (0.0, 0.0, 0.0)
    return Decision(
        stages[-1].started_ns,
        number,
        Action.PROCEED,
        GateState.NORMAL,
        1.0,
        1.0,
        (),
        False,
        7,
        None,
        zero,
        lineage,
    )


def decisions(**changes: Any) -> list[Decision]:
    slow = decision(30, compute_ms=61, no_core_ms=38, **changes)
    return [*(decision(i, **changes) for i in range(30)), slow]


def as_run(folder: Path, made: list[Decision]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(decision_line(d, None)) for d in made]
    (folder / "decisions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def as_bag(path: Path, made: list[Decision]) -> Path:
    with BagWriter(path) as bag:
        for d in made:
            bag.write(DECISION, SAFETY, d.t_ns, decision_to_msg(d, "base_link", bag.make))
    return path


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["latency", *map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def figures_of(source: Path, tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "figures.json"
    run(source, "--json", file)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def refused(*arguments: object) -> InputError:
    error = CliRunner().invoke(app, ["latency", *map(str, arguments)]).exception
    assert isinstance(error, InputError), error
    assert "\n" not in str(error)
    return error


def test_the_figures_of_a_run(tmp_path: Path) -> None:
    figures = figures_of(as_run(tmp_path / "run", decisions()), tmp_path)
    assert figures["new_results"] | {"p99": None} == {
        "p50": 32.0, "p90": 32.0, "p99": None, "max": 73.0, "samples": 31,
    }  # fmt: skip
    assert figures["parts"]["perception compute"]["p50"] == 20.0
    assert figures["parts"]["wait for beat"]["max"] == 5.0
    assert "tracker compute" not in figures["parts"]
    assert len(figures["worst"]) == WORST
    first = figures["worst"][0]
    assert (first["total"], first["cause"]) == (73.0, "preemption")
    assert first["text"] == "perception compute 61 ms (median 20): 38 ms without a core"
    assert math.isclose(sum(first["parts"].values()), first["total"])
    assert sum(row["count"] for row in figures["histogram"]) == 31


def test_a_bag_tells_the_same_as_a_run(tmp_path: Path) -> None:
    of_run = figures_of(as_run(tmp_path / "run", decisions()), tmp_path)
    of_bag = figures_of(as_bag(tmp_path / "bag.mcap", decisions()), tmp_path)
    assert of_bag | {"source": ""} == of_run | {"source": ""}


def test_what_is_printed_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "latency.png"
    said = run(as_run(tmp_path / "run", decisions()), "--plot", picture)
    for words in ("perception compute", "wait for beat", "every decision", "preemption", "█"):
        assert words in said
    assert "clock of" not in said
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_same_run_draws_the_same_bytes(tmp_path: Path) -> None:
    folder = as_run(tmp_path / "run", decisions())
    for name in ("one.png", "two.png"):
        run(folder, "--plot", tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_clock_that_differs_is_reported_as_a_bound(tmp_path: Path) -> None:
    folder = as_run(tmp_path / "run", decisions(gate_behind_ms=50))
    assert figures_of(folder, tmp_path)["clock_behind_at_least"]["safety_gate"] == 47.0
    said = " ".join(run(folder).split())
    assert "clock of safety_gate: at least 47.0 ms behind that of the sensors; times are corrected" in said


def test_decisions_on_nothing_are_counted(tmp_path: Path) -> None:
    blind = Decision(
        START_NS, 0, Action.STOP, GateState.STARTING, 0.0, 1.0, (), False, -1, None, (0.0, 0.0, 0.0)
    )
    assert "left out: 1 decisions without sensor data" in run(as_run(tmp_path / "run", [blind, *decisions()]))
    assert "no decision with a known latency: 1 without sensor data" in str(
        refused(as_run(tmp_path / "run", [blind]))
    )


@pytest.mark.parametrize("arguments", [[], ["somewhere", "--live"]])
def test_either_a_source_or_live(arguments: list[str]) -> None:
    assert "give either a run or a bag, or --live" in str(refused(*arguments))


def test_a_robot_goes_with_live(tmp_path: Path) -> None:
    assert "it goes with --live" in str(refused(tmp_path, "--robot", "amr"))


def test_what_is_no_run_and_no_bag_is_said(tmp_path: Path) -> None:
    assert "no such run or bag" in str(refused(tmp_path / "nowhere"))
    assert "no .mcap or .db3 in it" in str(refused(tmp_path))
    with BagWriter(tmp_path / "other.mcap"):
        pass
    assert f"has no {DECISION}" in str(refused(tmp_path / "other.mcap"))


def spoilt(line: str) -> list[tuple[str, str]]:
    return [
        (line.replace('"published_ns"', '"sent_ns"'), "lineage: stages: lacks published_ns"),
        (line.replace(f'"started_ns": {START_NS + 3 * MS}', '"started_ns": "soon"'), "soon"),
        (line.replace(f'"started_ns": {START_NS + 3 * MS}', '"started_ns": 5'), "out of order"),
        (
            line.replace(f'"started_ns": {START_NS + 3 * MS}', '"started_ns": Infinity'),
            "lineage: cannot convert",
        ),
        (line.replace(f'"t_ns": {START_NS}', '"t_ns": 1' + "0" * 30), "is no time in ns"),
        (line[:40], "is not JSON"),
    ]


@pytest.mark.parametrize("which", range(6))
def test_a_line_that_is_no_decision_is_named(which: int, tmp_path: Path) -> None:
    folder = as_run(tmp_path / "run", [decision(0)])
    file = folder / "decisions.jsonl"
    good = file.read_text()
    bad, words = spoilt(good)[which]
    assert bad != good
    file.write_text(good + bad.rstrip() + "\n")
    said = str(refused(folder))
    assert "line 2" in said
    assert words in said


def test_decisions_in_another_encoding_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "decisions.jsonl").write_bytes(b'{"t_ns": "\xff\xfe"}\n')
    assert "utf-8" in str(refused(tmp_path))
