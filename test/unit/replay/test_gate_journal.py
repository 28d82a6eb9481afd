"""A gate's journal: the decisions of its beats come out again byte for byte, and what is no journal is named."""

from __future__ import annotations

import errno
import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.sensor_data import SensorHealth, SensorProblem, SensorStatus
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Decision, NearObjects, Reason
from perception_platform.replay.gate_journal import GateJournal, JournaledGate, check_journal, decode, encode
from perception_platform.robot.load import robot_path
from perception_platform.safety.inputs import Event, GateInputs, Seen
from test.unit.safety.healthy import CONFIG, PERIOD_NS, assessment, finding, healthy
from test.unit.scenes import points

ROBOT_TEXT = robot_path("amr").read_text(encoding="utf-8")
START_NS = from_s(10.0)


def eventful(count: int = 40) -> Iterator[tuple[int, GateInputs]]:
    """Beats in which much happens: a start, a stop by points, a fault of each kind of input, silence, odd numbers."""
    stands = NearObjects(np.array([3]), np.full((1, 4, 2), 2.0), np.zeros((1, 2)))
    health = SensorHealth(
        0, "lidar_top", SensorStatus.DEGRADED, (SensorProblem.SECTOR_BLIND,), 9.5, math.inf, 1, 0, 0, 0,
        ((-1.0, 0.5),), "dirt",
    )  # fmt: skip
    model = ModelStatus(0, "camera_objects", None, ModelState.FALLBACK, "", math.nan, 0.0, 0, 0, "why")
    for beat in range(count):
        now_ns = START_NS + beat * PERIOD_NS
        inputs = healthy(now_ns)
        if beat < 2:
            inputs = replace(inputs, assessment=None)
        if 8 <= beat < 12:
            clouds = dict(inputs.obstacles)
            clouds["scan_front"] = Seen(
                points(*[(0.7, 0.1 * i, 0.2) for i in range(-2, 3)], t_ns=now_ns), 0.0
            )
            inputs = replace(inputs, obstacles=clouds)
        if beat == 14:
            inputs = replace(
                inputs, health={"lidar_top": Seen(health, 0.1)}, models={"camera_objects": model}
            )
        if beat == 18:
            inputs = replace(inputs, events=(Event(Reason.PUBLISHER_LOST, "gone", "odometry"),))
        if beat == 22:
            inputs = replace(inputs, command=Seen((math.nan, 0.0, 0.0), 0.0), speed_factor=0.25)
        if beat == 26:
            verdict = assessment(now_ns - from_s(0.1), finding(Action.STOP), near=stands)
            inputs = replace(inputs, assessment=Seen(verdict, 1 / 3))
        yield now_ns, inputs


def written(path: Path, count: int = 40) -> list[Decision]:
    """A journal of these beats, with a reset and an override among them."""
    journal, made = GateJournal(path, ROBOT_TEXT), []
    gate = JournaledGate(CONFIG, journal)
    for beat, (now_ns, inputs) in enumerate(eventful(count)):
        if beat == 5:
            gate.reset()
        if beat == 17:
            gate.override(now_ns, 1.0)
        made.append(gate.step(now_ns, inputs))
    journal.close()
    return made


def test_every_decision_comes_out_again(tmp_path: Path) -> None:
    made = written(tmp_path / "gate.jsonl")
    check, again = check_journal(tmp_path / "gate.jsonl")
    assert (check.decisions, check.same, check.first_other, check.lost, check.cut) == (40, 40, None, 0, False)
    assert {decision.action for decision in made} == set(Action)
    assert [json.dumps(encode(d)) for d in again] == [json.dumps(encode(d)) for d in made]


def test_a_value_that_stays_is_written_once(tmp_path: Path) -> None:
    journal = GateJournal(tmp_path / "gate.jsonl", ROBOT_TEXT)
    gate = JournaledGate(CONFIG, journal)
    inputs = healthy(START_NS)
    for beat in range(3):
        now_ns = START_NS + beat * PERIOD_NS
        gate.step(now_ns, inputs)
    journal.close()
    lines = [json.loads(line) for line in (tmp_path / "gate.jsonl").read_text().splitlines()[1:]]
    assert [len(line["new"]) for line in lines] == [5, 0, 0]
    assert check_journal(tmp_path / "gate.jsonl")[0].same == 3


@pytest.mark.parametrize("what", ["speed_factor", "decision"])
def test_a_changed_number_is_noticed(tmp_path: Path, what: str) -> None:
    written(tmp_path / "gate.jsonl")
    lines = (tmp_path / "gate.jsonl").read_text().splitlines()
    at = next(i for i, text in enumerate(lines) if json.loads(text).get("decision", {}).get("sequence") == 30)
    line = json.loads(lines[at])
    line["speed_factor"], line["decision"]["speed_limit_mps"] = (
        (0.5, line["decision"]["speed_limit_mps"]) if what == "speed_factor" else (1.0, 1.49)
    )
    lines[at] = json.dumps(line)
    (tmp_path / "gate.jsonl").write_text("\n".join(lines) + "\n")
    check, _ = check_journal(tmp_path / "gate.jsonl")
    assert check.first_other == 30
    assert check.same < check.decisions


def test_a_gate_that_was_started_again_goes_on_in_the_same_file(tmp_path: Path) -> None:
    written(tmp_path / "gate.jsonl", 12)
    written(tmp_path / "gate.jsonl", 15)
    check, _ = check_journal(tmp_path / "gate.jsonl")
    assert (check.decisions, check.same) == (27, 27)


def test_of_a_gate_that_was_killed_the_last_line_may_break_off(tmp_path: Path) -> None:
    written(tmp_path / "gate.jsonl", 12)
    whole = (tmp_path / "gate.jsonl").read_bytes()
    (tmp_path / "gate.jsonl").write_bytes(whole[:-40])
    check, _ = check_journal(tmp_path / "gate.jsonl")
    assert (check.decisions, check.same, check.cut) == (11, 11, True)


def test_after_lost_beats_nothing_is_claimed(tmp_path: Path) -> None:
    written(tmp_path / "gate.jsonl", 12)
    lines = (tmp_path / "gate.jsonl").read_text().splitlines()
    lines[6:8] = [json.dumps({"lost": 2})]
    (tmp_path / "gate.jsonl").write_text("\n".join(lines) + "\n")
    check, made = check_journal(tmp_path / "gate.jsonl")
    assert (check.decisions, check.lost) == (11, 2)
    assert check.same == len(made) < check.decisions


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{}\n", "line 1"),
        ("nonsense\n", "line 1"),
        ("[1]\n", "line 1"),
        ('{"gate_journal": 9, "robot": ""}\n', "format 9"),
        ('{"beat": 1}\n', "nothing says which robot"),
        ("", "has no decision"),
    ],
)
def test_what_is_no_journal_is_named(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "gate.jsonl").write_text(text)
    with pytest.raises(InputError, match=where):
        check_journal(tmp_path / "gate.jsonl")


def test_a_gate_started_again_after_lost_beats_can_be_held_to_what_follows(tmp_path: Path) -> None:
    with (tmp_path / "gate.jsonl").open("w") as file:
        file.write(
            json.dumps({"gate_journal": 1, "robot": ROBOT_TEXT}) + "\n" + json.dumps({"lost": 7}) + "\n"
        )
    written(tmp_path / "gate.jsonl", 12)
    check, made = check_journal(tmp_path / "gate.jsonl")
    assert (check.decisions, check.same, check.lost, len(made)) == (12, 12, 7, 12)


def test_beats_that_a_slow_disk_leaves_no_room_for_are_told_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes the first beat only once all have come: one is being written, three wait, the rest is lost."""
    monkeypatch.setattr("perception_platform.replay.gate_journal.WAITING_BEATS", 3)
    path, begun, go_on = tmp_path / "gate.jsonl", threading.Event(), threading.Event()
    journal = GateJournal(path, ROBOT_TEXT)
    write = journal._write

    def slowly(line: dict[str, object]) -> None:
        begun.set()
        assert go_on.wait(20.0)
        write(line)

    monkeypatch.setattr(journal, "_write", slowly)
    gate = JournaledGate(CONFIG, journal)
    for beat, (now_ns, inputs) in enumerate(eventful(10)):
        gate.step(now_ns, inputs)
        if beat == 0:
            assert begun.wait(20.0)
    go_on.set()
    time.sleep(0.2)  # the queue is empty by then
    gate.step(START_NS + 10 * PERIOD_NS, healthy(START_NS + 10 * PERIOD_NS))
    journal.close()
    check, _ = check_journal(path)
    assert (check.decisions, check.same, check.lost) == (5, 4, 6)


def test_a_disk_that_refuses_ends_the_journal_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[str] = []
    journal = GateJournal(tmp_path / "gate.jsonl", ROBOT_TEXT, complaints.append)

    def full(line: dict[str, object]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal, "_write", full)
    gate = JournaledGate(CONFIG, journal)
    for now_ns, inputs in [*eventful(), *eventful()]:
        gate.step(now_ns, inputs)
    journal.close()
    assert len(complaints) == 1
    assert "No space left" in complaints[0]
    if Path("/dev/full").exists():
        with pytest.raises(InputError, match="No space left"):
            GateJournal(Path("/dev/full"), ROBOT_TEXT)


def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        GateJournal(tmp_path, ROBOT_TEXT)


def test_only_the_gates_own_values_are_read_and_written() -> None:
    with pytest.raises(TypeError, match="Path"):
        encode(Path())
    with pytest.raises(ValueError, match="'Path' is none"):
        decode({"_": "Path"})
    odd = (1, 0.1, np.float32(0.1), np.int64(7), None, "x", True, -math.inf)
    assert decode(json.loads(json.dumps(encode(odd)))) == (
        1,
        0.1,
        float(np.float32(0.1)),
        7,
        None,
        "x",
        True,
        -math.inf,
    )


def test_the_command_tells_of_a_journal(tmp_path: Path) -> None:
    written(tmp_path / "gate.jsonl")
    told = CliRunner().invoke(app, ["explain", str(tmp_path / "gate.jsonl"), "--decision", "9"])
    assert told.exit_code == 0, told.output
    assert "decision 9 at 0.45 s: emergency_stop" in told.output
    assert "40 of 40 decisions, byte for byte" in told.output
    text = (tmp_path / "gate.jsonl").read_text()
    (tmp_path / "gate.jsonl").write_text(text.replace('"speed_factor":0.25', '"speed_factor":0.5'))
    changed = CliRunner().invoke(app, ["explain", str(tmp_path / "gate.jsonl"), "--time", "1"])
    assert changed.exit_code == 1
    assert "otherwise: decision 22" in changed.output
    missing = CliRunner().invoke(app, ["explain", str(tmp_path / "none.jsonl"), "--time", "1"])
    assert missing.exit_code != 0
