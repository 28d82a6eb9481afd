"""Dashboard and documentation name the metrics that there are, with the labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from perception_platform.core.runtime_status import ComponentCount
from perception_platform.robot.load import share_dir
from perception_platform.telemetry.metrics import Metrics
from test.conftest import REPOSITORY
from test.unit.telemetry import said

PREFIX = "perception_platform_"
METRIC = re.compile(rf"{PREFIX}\w+")
MATCHER = re.compile(r"(\w+)(?:=~|!~|!=|=)\"")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
LEGEND = re.compile(r"{{(\w+)}}")
ADDED_BY_PROMETHEUS = {"instance"}


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    """Metrics of a stack in which everybody has spoken."""
    metrics = Metrics(lambda: 0.0)
    counts = {"received": 102, "processed": 101, "held": 1}
    for value in (
        said.decision(60, action=said.Action.STOP),
        said.status("tracker", said.edge(**counts), components=(ComponentCount("ground", 0.01),)),
        said.health(),
        said.model(),
    ):
        metrics.hear(value)
    metrics.fault("/safety/decision", "malformed")
    return metrics


@pytest.fixture(scope="module")
def labels(metrics: Metrics) -> dict[str, set[str]]:
    """Labels of each sample, by its name."""
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def queries() -> Iterator[tuple[str, str]]:
    """(query, legend) of every panel."""
    file = share_dir() / "config" / "grafana" / "perception_platform.json"
    board: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"], target["legendFormat"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"], ""


@pytest.mark.parametrize(("query", "legend"), list(queries()), ids=lambda text: text[:60])
def test_a_query_names_metrics_and_labels_that_there_are(
    query: str, legend: str, labels: dict[str, set[str]]
) -> None:
    names = METRIC.findall(query)
    assert names
    assert set(names) <= set(labels)
    there_are = set.intersection(*(labels[name] for name in names)) | ADDED_BY_PROMETHEUS
    kept = {label.strip() for group in GROUPING.findall(query) for label in group.split(",")}
    assert kept | set(MATCHER.findall(query)) <= there_are
    assert set(LEGEND.findall(legend)) <= (kept or there_are)


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    file = share_dir() / "config" / "grafana" / "perception_platform.json"
    panels = json.loads(file.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_page_in_the_documentation_has_every_metric_and_no_other(metrics: Metrics) -> None:
    page = (REPOSITORY / "docs" / "telemetry.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)
    families = [family for family in metrics.registry.collect() if family.name.startswith(PREFIX)]
    suffix = {"counter": "_total"}
    assert sorted(listed) == sorted(f.name.removeprefix(PREFIX) + suffix.get(f.type, "") for f in families)
