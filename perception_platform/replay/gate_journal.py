"""The gate's own record of a run: each beat's inputs and what came of them, so that every decision can be made again.

A line of JSON a beat. It has all that the gate looks at, as it looked at it: values with how long nothing had come
since, faults that the middleware told of, the time of the beat. A value that stays the same is written once. The gate
reads no clock and draws no lots, so from its first beat on the same lines give the same decisions, byte for byte.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from queue import Full, Queue
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.model_status import Assurance, ModelState, ModelStatus
from perception_platform.core.objects import ModelRef
from perception_platform.core.sensor_data import (
    EgoState,
    PointCloud,
    SensorHealth,
    SensorProblem,
    SensorStatus,
)
from perception_platform.core.verdicts import (
    Action,
    Assessment,
    Decision,
    Finding,
    GateState,
    NearObjects,
    ObjectRisks,
    Reason,
    Without,
)
from perception_platform.robot.load import load_robot
from perception_platform.safety.config import GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import Event, GateInputs, Seen

FORMAT = 1
JOURNAL = "gate.jsonl"  # its name in the folder of a live run
WAITING_BEATS = 500  # that may wait for the disk; what comes then is left out, which the journal says
_KIND = "_"
_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Action, Assessment, Assurance, Decision, EgoState, Event, Finding, GateState, Lineage, ModelRef, ModelState,
        ModelStatus, NearObjects, ObjectRisks, PointCloud, Reason, SensorHealth, SensorProblem, SensorStatus,
        SourceStamp, StageTiming, Transform, Without,
    )
}  # fmt: skip


def encode(value: Any) -> Any:
    """A value of the gate's inputs or a decision as JSON takes it; nothing is rounded.

    Raises:
        TypeError: if it is of a kind that the gate does not know.
    """
    match value:
        case Enum():
            return {_KIND: type(value).__name__, "is": value.value}
        case np.ndarray():
            data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
            return {_KIND: "array", "dtype": value.dtype.str, "shape": value.shape, "data": data}
        case np.generic():
            return value.item()
        case None | bool() | int() | float() | str():
            return value
        case tuple() | list():
            return [encode(one) for one in value]
    if is_dataclass(value) and type(value).__name__ in _TYPES:
        return {
            _KIND: type(value).__name__, **{f.name: encode(getattr(value, f.name)) for f in fields(value)}
        }  # fmt: skip
    raise TypeError(f"{type(value).__name__} is none of the gate's values")


def decode(told: Any) -> Any:
    """What ``encode`` made of a value.

    Raises:
        ValueError: if it is none of that.
    """
    if isinstance(told, list):
        return tuple(decode(one) for one in told)
    if not isinstance(told, dict):
        return told
    kind = told[_KIND]
    if kind == "array":
        array = np.frombuffer(base64.b64decode(told["data"]), dtype=told["dtype"])
        return array.reshape(told["shape"]).copy()
    if kind not in _TYPES:
        raise ValueError(f"{kind!r} is none of the gate's values")
    if issubclass(_TYPES[kind], Enum):
        return _TYPES[kind](told["is"])
    return _TYPES[kind](**{name: decode(one) for name, one in told.items() if name != _KIND})


class GateJournal:
    """Writes a journal in a thread of its own, so that no beat waits for a disk, nor fails with it.

    Args:
        path: file; lines are appended, as a gate that was started again goes on in it.
        robot_text: the robot file that the gate runs by.
        complain: told when the disk refuses; nothing is written from then on.

    Raises:
        InputError: if the file cannot be written to begin with.
    """

    def __init__(self, path: Path, robot_text: str, complain: Callable[[str], object] = print) -> None:
        self._waiting: Queue[tuple[Any, ...] | None] = Queue(WAITING_BEATS)
        self._lost = 0
        self._complain = complain
        self._file: IO[str] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
            self._write({"gate_journal": FORMAT, "robot": robot_text})
        except OSError as error:
            self._close_file()
            raise InputError(path, f"cannot be written: {error.strerror}", "journal") from error
        self._known: dict[int, tuple[int, Any]] = {}
        self._count = 0
        self._thread = threading.Thread(target=self._work, name="gate journal")
        self._thread.start()

    def put(self, *entry: Any) -> None:
        """``"beat"`` with time, inputs and decision, ``"reset"``, or ``"override"`` with time and duration."""
        try:
            self._waiting.put_nowait((self._lost, entry))
            self._lost = 0
        except Full:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # that of a disk that has refused before
                self._file.close()

    def _work(self) -> None:
        works = True
        while (waiting := self._waiting.get()) is not None:
            try:
                if works:
                    self._write_entry(*waiting)
            except OSError as error:
                works = False
                self._complain(f"the journal ends here: {error}")

    def _write_entry(self, lost: int, entry: tuple[Any, ...]) -> None:
        if lost:
            self._write({"lost": lost})
        match entry:
            case ("beat", now_ns, inputs, decision):
                self._write(self._line(now_ns, inputs, decision))
            case ("override", now_ns, duration_s):
                self._write({"override": now_ns, "duration_s": duration_s})
            case (what,):
                self._write({what: True})

    def _write(self, line: dict[str, Any]) -> None:
        assert self._file is not None  # it is opened first of all
        self._file.write(_text(line) + "\n")
        self._file.flush()

    def _line(self, now_ns: int, inputs: GateInputs, decision: Decision) -> dict[str, Any]:
        new: dict[str, Any] = {}
        known: dict[int, tuple[int, Any]] = {}

        def number(value: Any) -> int:
            """Of a value; the same one for the same object as in the beat before."""
            if id(value) not in self._known and id(value) not in known:
                self._count += 1
                known[id(value)] = (self._count, value)
                new[str(self._count)] = encode(value)
            found = known[id(value)] = known.get(id(value)) or self._known[id(value)]
            return found[0]

        def seen(one: Seen[Any] | None) -> list[Any] | None:
            return None if one is None else [number(one.value), one.silence_s]

        line = {
            "beat": now_ns,
            "assessment": seen(inputs.assessment),
            "ego": seen(inputs.ego),
            "obstacles": {name: seen(one) for name, one in inputs.obstacles.items()},
            "health": {name: seen(one) for name, one in inputs.health.items()},
            "command": seen(inputs.command),
            "events": encode(inputs.events),
            "speed_factor": inputs.speed_factor,
            "models": {head: number(status) for head, status in inputs.models.items()},
            "decision": encode(decision),
        }
        self._known = known
        return {"new": new, **line}


class JournaledGate(SafetyGate):
    """A gate that writes down what it was given and what it made of it."""

    def __init__(self, config: GateConfig, journal: GateJournal) -> None:
        super().__init__(config)
        self._journal = journal

    def step(self, now_ns: int, inputs: GateInputs) -> Decision:
        """One beat."""
        decision = super().step(now_ns, inputs)
        self._journal.put("beat", now_ns, inputs, decision)
        return decision

    def reset(self) -> None:
        """Release a latched stop."""
        super().reset()
        self._journal.put("reset")

    def override(self, now_ns: int, duration_s: float) -> None:
        """Grant an override."""
        super().override(now_ns, duration_s)
        self._journal.put("override", now_ns, duration_s)


@dataclass(frozen=True, slots=True)
class JournalCheck:
    """What came of making all decisions of a journal again.

    Attributes:
        decisions: how many there are.
        same: how many came out byte for byte the same.
        first_other: sequence number of the first that did not, or None.
        lost: beats that were not written, as the disk was slow; until the gate was started again no decision after them
            can be made again.
        cut: whether the last line breaks off, as that of a gate that was killed does.
    """

    decisions: int
    same: int
    first_other: int | None
    lost: int
    cut: bool


def check_journal(path: Path) -> tuple[JournalCheck, list[Decision]]:
    """Make every decision of a journal again from its own inputs.

    Returns:
        How many came out the same, and the decisions as made again.

    Raises:
        InputError: names file and line of what is no journal.
    """
    gate: SafetyGate | None = None
    values: dict[int, Any] = {}
    made: list[Decision] = []
    told = same = lost = 0
    whole = True  # since the gate was started
    first_other: int | None = None
    for number, line in _lines(path):
        try:
            if "gate_journal" in line:
                gate, values, whole = _gate(line), {}, True
            elif "lost" in line:
                lost, whole = lost + line["lost"], False
            elif gate is None:
                raise ValueError("nothing says which robot's it is")
            elif "reset" in line:
                gate.reset()
            elif "override" in line:
                gate.override(line["override"], line["duration_s"])
            else:
                told += 1
                if not whole:
                    continue
                inputs, values = _inputs(line, values)
                made.append(gate.step(line["beat"], inputs))
                is_same = _text(encode(made[-1])) == _text(line["decision"])
                same += is_same
                if not is_same and first_other is None:
                    first_other = made[-1].sequence
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(path, f"is no journal of a gate: {error}", f"line {number}") from error
    if not told:
        raise InputError(path, "has no decision")
    cut = not path.read_bytes().endswith(b"\n")
    return JournalCheck(told, same, first_other, lost, cut), made


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered lines; a last one that breaks off is left out."""
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith("\n"):
                return
            try:
                line = json.loads(text)
            except json.JSONDecodeError as error:
                raise InputError(path, f"is no journal of a gate: {error}", f"line {number}") from error
            if not isinstance(line, dict):
                raise InputError(path, "is no journal of a gate", f"line {number}")
            yield number, line


def _gate(header: Mapping[str, Any]) -> SafetyGate:
    if header["gate_journal"] != FORMAT:
        raise ValueError(f"format {header['gate_journal']} is not {FORMAT}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "robot.yaml"
        path.write_text(header["robot"], encoding="utf-8")
        return SafetyGate(GateConfig.from_robot(load_robot(str(path))))


def _inputs(line: Mapping[str, Any], before: Mapping[int, Any]) -> tuple[GateInputs, dict[int, Any]]:
    """The inputs of a beat, and the values that the next may refer to: the gate sees the same objects again."""
    new = {int(number): decode(told) for number, told in line["new"].items()}
    used: dict[int, Any] = {}

    def value(number: int) -> Any:
        return used.setdefault(number, new[number] if number in new else before[number])

    def seen(told: list[Any] | None) -> Seen[Any] | None:
        return None if told is None else Seen(value(told[0]), told[1])

    def every(told: Mapping[str, list[Any]]) -> dict[str, Seen[Any]]:
        return {name: Seen(value(number), silence_s) for name, (number, silence_s) in told.items()}

    inputs = GateInputs(
        assessment=seen(line["assessment"]),
        ego=seen(line["ego"]),
        obstacles=every(line["obstacles"]),
        health=every(line["health"]),
        command=seen(line["command"]),
        events=decode(line["events"]),
        speed_factor=line["speed_factor"],
        models={head: value(number) for head, number in line["models"].items()},
    )
    return inputs, used


def _text(told: Any) -> str:
    return json.dumps(told, separators=(",", ":"))
