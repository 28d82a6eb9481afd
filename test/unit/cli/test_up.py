from __future__ import annotations

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nobody"], "nobody: no such robot; there are amr"),
        (["amr", "--host", "elsewhere"], "no node runs on 'elsewhere', only on robot"),
        (["amr", "--only", "brakes"], "there is no group 'brakes', only drivers, perception, safety"),
        (["amr", "--only", "drivers", "--no-drivers"], "nothing to run: no nodes in no group"),
    ],
)
def test_what_cannot_be_run_is_one_clear_error(arguments: list[str], problem: str) -> None:
    error = CliRunner().invoke(app, ["up", *arguments]).exception
    assert isinstance(error, InputError)
    assert problem in str(error)
