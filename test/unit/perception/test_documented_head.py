"""The head of one's own in docs/perception.md: the very text is put into a file and an entry, and run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from perception_platform.perception.load import build_graph, graph_path
from perception_platform.robot.load import load_robot
from test.conftest import REPOSITORY
from test.unit.perception.sweeps import PERSON_SIZE_M, Solid, sweep

AMR = load_robot("amr")
PAGE = (REPOSITORY / "docs" / "perception.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first block of a language in the section about a head of one's own."""
    section = PAGE.split("## A head of your own", 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_one_file_and_one_entry_add_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_robot").mkdir()
    (tmp_path / "my_robot" / "low_things.py").write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    file = yaml.safe_load(graph_path("shared").read_text(encoding="utf-8"))
    file["applications"] += yaml.safe_load(block("yaml"))
    (tmp_path / "graph.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    try:
        graph = build_graph(tmp_path / "graph.yaml", AMR)
        graph.warm_up()
        scene = [Solid(6.0, 2.5, PERSON_SIZE_M), Solid(4.0, -0.7, (0.4, 0.6, 0.3))]
        graph.step(sweep(scene, AMR.lidars[0].mounting.transform(), "lidar_top"))
        reports = graph.serve()
    finally:
        sys.modules.pop("my_robot.low_things", None)
        sys.modules.pop("my_robot", None)
    (report,) = [r for r in reports if r.application == "low_things"]
    assert report.point_m is not None
    assert report.point_m == pytest.approx((4.0, -0.7), abs=0.35), "on the box, not on the person behind it"
    assert report.text == f"something low at {report.value:.1f} m"
    assert len(reports) == 4
