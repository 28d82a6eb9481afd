"""show zones: a picture and the polygons behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("robot", ["amr", "forklift", "delivery_van"])
@pytest.mark.slow
def test_every_robots_zones_are_drawn(robot: str, tmp_path: Path) -> None:
    picture, values = tmp_path / "zones.png", tmp_path / "zones.json"
    got = CliRunner().invoke(app, ["show", "zones", robot, "--out", str(picture), "--json", str(values)])
    assert got.exit_code == 0, got.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    panels = json.loads(values.read_text())
    assert len(panels) == 3
    for panel in panels:
        names = [outline["name"] for outline in panel["outlines"]]
        assert {"path", "protective", "footprint"} <= set(names)


@pytest.mark.slow
def test_faster_reaches_further_and_latency_too(tmp_path: Path) -> None:
    def reach(*options: str) -> float:
        values = tmp_path / "zones.json"
        command = ["show", "zones", "amr", "--out", str(tmp_path / "z.png"), "--json", str(values), *options]
        assert CliRunner().invoke(app, command).exit_code == 0
        outlines = json.loads(values.read_text())[0]["outlines"]
        return max(x for o in outlines if o["name"] == "path" for x, _ in o["polygon_m"])

    assert reach("--speed", "0.5") < reach("--speed", "1.2")
    assert reach("--speed", "0.5") < reach("--speed", "0.5", "--latency-ms", "400")


def test_a_load_beyond_the_file_is_refused(tmp_path: Path) -> None:
    got = CliRunner().invoke(
        app, ["show", "zones", "amr", "--payload", "50", "--out", str(tmp_path / "z.png")]
    )
    assert isinstance(got.exception, InputError)
    assert "50 kg is more than the 0" in str(got.exception)


@pytest.mark.slow
def test_the_formulas_are_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "measures.png"
    got = CliRunner().invoke(app, ["show", "measures", "amr", "--out", str(picture)])
    assert got.exit_code == 0, got.output
    assert picture.read_bytes().startswith(b"\x89PNG")
