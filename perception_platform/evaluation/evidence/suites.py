"""The suites that gates judge: which cases of the scenario families, and who drives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.records import refused
from perception_platform.robot.load import share_dir
from perception_platform.robot.parts import Name, Part
from perception_platform.scenarios.load import load_families, load_regressions, regressions_dir
from perception_platform.scenarios.policies import PolicyName
from perception_platform.scenarios.suite import Suite, Traces, random_cases


class SuiteFile(Part):
    """A file of ``config/suites``.

    Attributes:
        format: of the file.
        name: of the suite.
        runs_per_family: random cases of each family.
        seed: they are drawn with.
        policies: who drives each case.
        regressions: whether the kept failures are in it, too.
        traces: which runs can be looked at afterwards.
    """

    format: Literal[1]
    name: Name
    runs_per_family: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)]
    policies: Annotated[list[PolicyName], Field(min_length=1)]
    regressions: bool
    traces: Traces


def load_suite(name: str) -> Suite:
    """A suite by name, with the families as they are now.

    Raises:
        InputError: naming file and field.
    """
    path = share_dir() / "config" / "suites" / f"{name}.yaml"
    file = _read(path)
    families = load_families()
    kept = load_regressions(families, regressions_dir()) if file.regressions else []
    cases = (*random_cases(list(families.values()), file.runs_per_family, file.seed), *kept)
    return Suite(file.name, cases, tuple(file.policies), file.traces)


def _read(path: Path) -> SuiteFile:
    try:
        return SuiteFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    except ValidationError as error:
        raise refused(error, path) from error
