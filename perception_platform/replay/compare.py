"""Comparison of a run with a reference: what changed, where, and by how much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError

COMPARED = ("decisions.jsonl", "tracks.jsonl")
LEFT_OUT = ("lineage", "models")  # of a reference: half of its size, and never compared
TOLERANCE = 0.02  # m, m/s: other processors and libraries differ by less, a change of behaviour by more
EXACT_FIELDS = {
    "decisions.jsonl": ("t_ns", "action", "state", "reasons", "latched"),
    "tracks.jsonl": ("t_ns",),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which a run departs from its reference: file, line (from 1), field and both values."""

    file: str
    line: int
    field: str
    reference: Any
    run: Any

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field} was {self.reference}, is {self.run}"


def save_reference(run_dir: Path, reference_dir: Path) -> None:
    """Keep what is compared of a run, and what it was decided on, as the reference of its recording."""
    reference_dir.mkdir(parents=True, exist_ok=True)
    for name in COMPARED:
        rows = (json.loads(line) for line in (run_dir / name).read_text(encoding="utf-8").splitlines())
        kept = ({key: row[key] for key in row if key not in LEFT_OUT} for row in rows)
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in kept)
        (reference_dir / name).write_text(text, encoding="utf-8")


def compare_runs(reference_dir: Path, run_dir: Path) -> list[Difference]:
    """Every difference between a run's decisions and tracks and those of a reference, in order.

    Times, actions, states and reasons have to be equal, speed limits and the state of tracks within a tolerance
    of 0.02 (m, m/s).

    Raises:
        InputError: if a file is missing or not JSON.
    """
    return [
        difference
        for name in COMPARED
        for difference in _compare_files(name, reference_dir / name, run_dir / name)
    ]


def _compare_files(name: str, reference: Path, run: Path) -> Iterator[Difference]:
    for number, (old, new) in enumerate(zip_longest(_lines(reference), _lines(run)), start=1):
        if old is None or new is None:
            yield Difference(name, number, "line", _presence(old), _presence(new))
            return
        for field in EXACT_FIELDS[name]:
            if old[field] != new[field]:
                yield Difference(name, number, field, old[field], new[field])
        yield from _compare_numbers(name, number, _numbers(name, old), _numbers(name, new))


def _compare_numbers(
    name: str, number: int, old: dict[str, float | None], new: dict[str, float | None]
) -> Iterator[Difference]:
    for field in sorted(old.keys() | new.keys()):
        a, b = old.get(field), new.get(field)
        if a is None or b is None:
            if a is not b or (field in old) != (field in new):
                yield Difference(name, number, field, a, b)
        elif abs(a - b) > TOLERANCE:
            yield Difference(name, number, field, a, b)


def _numbers(name: str, line: dict[str, Any]) -> dict[str, float | None]:
    """The numbers of a line that are compared, by a name that says whose they are."""
    if name == "decisions.jsonl":
        return {"speed_limit_mps": line["speed_limit_mps"]}
    return {
        f"track {track['id']} {field}[{i}]": value
        for track in line["tracks"]
        for field in ("center_odom_m", "velocity_mps")
        for i, value in enumerate(track[field])
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise InputError(path, "no such record of a run")
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            try:
                yield json.loads(text)
            except json.JSONDecodeError as error:
                raise InputError(path, f"not JSON: {error.msg}", f"line {number}") from error


def _presence(line: dict[str, Any] | None) -> str:
    return "absent" if line is None else "present"
