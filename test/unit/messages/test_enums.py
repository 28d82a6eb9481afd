"""The constants of the .msg files are the enums of core, name by name."""

from __future__ import annotations

import re
from enum import IntEnum, IntFlag

import pytest

from perception_platform.bags.types import message_dir
from perception_platform.core.model_status import ModelState
from perception_platform.core.objects import ObjectClass, SensorKind
from perception_platform.core.sensor_data import SensorProblem, SensorStatus
from perception_platform.core.track_events import TrackChange, TrackReason
from perception_platform.core.verdicts import Action, GateState, Reason

CONSTANT = re.compile(r"^u?int\d+\s+([A-Z][A-Z0-9_]*)\s*=\s*(\d+)", re.MULTILINE)
PAIRS = [
    ("Detection", "CLASS", ObjectClass),
    ("Detection", "SENSOR", SensorKind),
    ("Track", "CLASS", ObjectClass),
    ("TrackEvent", "CHANGE", TrackChange),
    ("TrackEvent", "REASON", TrackReason),
    ("Finding", "ACTION", Action),
    ("Finding", "REASON", Reason),
    ("SafetyDecision", "STATE", GateState),
    ("SensorHealth", "STATUS", SensorStatus),
    ("SensorHealth", "PROBLEM", SensorProblem),
    ("ModelStatus", "STATE", ModelState),
]


def constants(message: str) -> dict[str, int]:
    text = (message_dir() / f"{message}.msg").read_text(encoding="utf-8")
    return {name: int(value) for name, value in CONSTANT.findall(text)}


@pytest.mark.parametrize(("message", "prefix", "enum"), PAIRS)
def test_constants_are_the_enum(message: str, prefix: str, enum: type[IntEnum] | type[IntFlag]) -> None:
    expected = {f"{prefix}_{m.name}": int(m) for m in enum if not (enum is SensorKind and m == 0)}
    assert {k: v for k, v in constants(message).items() if k.startswith(f"{prefix}_")} == expected


def test_no_constant_is_left_without_an_enum() -> None:
    known = {(message, prefix) for message, prefix, _ in PAIRS}
    found = {
        (path.stem, name.split("_")[0])
        for path in message_dir().glob("*.msg")
        for name in constants(path.stem)
    }
    assert found == known


def test_an_empty_message_is_the_strictest() -> None:
    assert (Action(0), SensorStatus(0), ModelState(0)) == (
        Action.EMERGENCY_STOP,
        SensorStatus.FAILED,
        ModelState.FAILED,
    )
