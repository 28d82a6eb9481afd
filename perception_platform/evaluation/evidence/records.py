"""Records of JSON files, checked: a mistake is named by file, line, field and value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from perception_platform.core.errors import InputError


class Record(BaseModel):
    """Base of all parts: nothing unknown, nothing changed later, no number from a text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


RecordT = TypeVar("RecordT", bound=BaseModel)


def parsed(kind: type[RecordT], text: str, path: Path, where: str | None = None) -> RecordT:
    """A record from JSON.

    Raises:
        InputError: naming file, place, field and value.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise refused(error, path, where) from error


def refused(error: ValidationError, path: Path, where: str | None = None) -> InputError:
    """The first of a record's errors, as one line."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    place = ": ".join(part for part in (where, field) if part) or None
    got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
    return InputError(path, f"{first['msg']}{got}"[:300], place)


def file_text(path: Path) -> str:
    """All of a text file.

    Raises:
        InputError: if it is missing or no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(path, str(error)) from error
    except OSError as error:
        raise InputError(path, error.strerror or str(error)) from error


def document(path: Path) -> Any:
    """Any JSON document.

    Raises:
        InputError: if it cannot be read or is not JSON.
    """
    try:
        return json.loads(file_text(path))
    except ValueError as error:
        raise InputError(path, f"is not JSON: {error}") from error
