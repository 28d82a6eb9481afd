"""Whatever is wrong with the input, the command ends with one line and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from perception_platform.cli import main


def last_words(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What the command writes to stderr before it ends with 2."""
    monkeypatch.setattr("sys.argv", ["perception-platform", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_file_in_the_place_of_a_folder_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "demo"
    said = last_words(["demo", "--headless", "--out", str(out)], monkeypatch, capsys)
    assert said == f"error: {out}: Not a directory\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "a.yaml"), "error: a.yaml: Permission denied\n"),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (OSError("no more of it"), "error: no more of it\n"),
        (TimeoutError(), "error: TimeoutError\n"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    error: OSError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(main, "app", refuse)
    assert last_words([], monkeypatch, capsys) == line


@pytest.mark.parametrize("command", ["demo", "replay"])
@pytest.mark.parametrize(
    ("rate", "problem"), [("0.49", "greater than or equal to 0.5"), ("2.01", "less than or equal to 2")]
)
def test_rates_at_which_the_gate_would_err_are_refused(
    command: str, rate: str, problem: str, tmp_path: Path
) -> None:
    needed = [str(tmp_path), "--robot", "amr", "--live"] if command == "replay" else ["--headless"]
    arguments = [command, *needed, "--out", str(tmp_path), "--rate", rate]
    refused = CliRunner().invoke(main.app, arguments, standalone_mode=False).exception
    assert problem in str(refused)
