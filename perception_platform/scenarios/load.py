"""Read scenario families and regression cases from the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from perception_platform.core.errors import InputError
from perception_platform.robot.load import share_dir
from perception_platform.scenarios.cases import Case, Regression
from perception_platform.scenarios.description import Family

ModelT = TypeVar("ModelT", bound=BaseModel)


def scenarios_dir() -> Path:
    """Folder of the scenarios that come with the package."""
    return share_dir() / "config" / "scenarios"


def load_family(path: Path) -> Family:
    """Read and check one family.

    Raises:
        InputError: names the file, the field and its value.
    """
    family = _validated(path, Family)
    if family.family != path.stem:
        raise InputError(path, f"is {family.family!r}, but the file's name says {path.stem!r}", "family")
    return family


def load_families(folder: Path | None = None) -> dict[str, Family]:
    """All families of a folder, by name.

    Raises:
        InputError: names the file, the field and its value; or that there is no family.
    """
    folder = folder or scenarios_dir() / "families"
    families = {path.stem: load_family(path) for path in sorted(folder.glob("*.yaml"))}
    if not families:
        raise InputError(folder, "has no scenario family (*.yaml)")
    return families


def choose(families: dict[str, Family], names: list[str]) -> list[Family]:
    """The named families, or all if none is named.

    Raises:
        InputError: if there is no such family.
    """
    for name in names:
        if name not in families:
            raise InputError(name, f"no such family; there are {', '.join(families)}")
    return [families[name] for name in names or families]


def load_regressions(families: dict[str, Family], folder: Path | None = None) -> list[Case]:
    """The failures that were found once and must not come back, as cases.

    Raises:
        InputError: names the file, the field and its value.
    """
    folder = folder or scenarios_dir() / "regressions"
    found = []
    for path in sorted(folder.glob("*.yaml")):
        regression = _validated(path, Regression)
        family = families.get(regression.family)
        if family is None:
            raise InputError(path, f"there is no family {regression.family!r}", "family")
        if set(regression.parameters) != set(family.parameters):
            raise InputError(path, f"has not the parameters {', '.join(family.parameters)}", "parameters")
        found.append(Case(family, regression.seed, regression.parameters))
    return found


def _validated(path: Path, model: type[ModelT]) -> ModelT:
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(path, f"{first['msg']}, got {first['input']!r}"[:400] + more, where) from error
