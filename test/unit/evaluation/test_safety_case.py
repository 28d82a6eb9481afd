"""The safety case: what turns red, what with it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence.diagram import safety_case_svg
from perception_platform.evaluation.evidence.safety_case import (
    Document,
    SafetyCase,
    examine,
    load_safety_case,
)
from perception_platform.robot.load import share_dir

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SHIPPED = share_dir() / "config" / "safety_case.yaml"
GATE: dict[str, Any] = {
    "candidate": {"version": 1},
    "requirements": {
        "collisions": {"all": {"at_most": 0.004}},
        "collisions_by_hazard": {"worst": {"at_most": 0.04}},
        "late_stops": {"all": {"at_most": 0.01}},
    },
    "completeness": {"unfinished": 0},
    "latency": {"p99": 120.0},
    "regressions": {"people_and_property": {"regressions": 0}},
    "comparison": {"p_worse": 0.6},
}
DETECTION = {"critical": {"at_10_mps": {"dangerous": 0}}}
LIDAR = {"people": {"recall": 1.0}, "objects": {"recall": 0.995}}


def states(gate: Any = GATE, lidar: Any = LIDAR, made: datetime = NOW) -> set[str]:
    """Names of the nodes of the shipped case that are not supported."""
    documents = {
        "gate": Document(gate, made),
        "lidar": Document(lidar, NOW),
        "detection": Document(DETECTION, NOW),
    }
    return {
        name
        for name, state in examine(load_safety_case(SHIPPED), documents, NOW).items()
        if not state.supported
    }


def test_with_all_its_evidence_the_case_holds() -> None:
    assert states() == set()


@pytest.mark.parametrize("value", [0.006, None, float("nan"), "0.001", True])
def test_what_is_beyond_its_bound_or_no_number_turns_red_and_its_parents_too(value: Any) -> None:
    gate = GATE | {"requirements": GATE["requirements"] | {"collisions": {"all": {"at_most": value}}}}
    assert states(gate) == {"Sn1", "G2", "S1", "G1"}


def test_a_solution_of_two_goals_turns_both_red() -> None:
    gate = GATE | {"requirements": GATE["requirements"] | {"late_stops": {}}}
    assert states(gate) == {"Sn4", "G2", "G4", "S1", "G1"}


def test_a_lower_bound_counts_too() -> None:
    assert states(lidar={"people": {"recall": 0.98}, "objects": {"recall": 0.995}}) == {
        "Sn5",
        "G3",
        "S1",
        "G1",
    }


def test_a_source_that_was_not_given_is_missing_evidence() -> None:
    case = load_safety_case(SHIPPED)
    found = examine(case, {"gate": Document(GATE, NOW)}, NOW)
    assert {name for name, state in found.items() if not state.supported} == {
        "Sn5",
        "Sn6",
        "Sn10",
        "G3",
        "S1",
        "G1",
    }
    assert found["Sn5"].why == "missing: no lidar was given"
    assert found["G3"].why == "not supported: Sn5, Sn6, Sn10"


@pytest.mark.parametrize(
    ("made", "version", "why"),
    [
        (NOW - timedelta(days=31), 1, "stale: 31 days old, 30 are allowed"),
        (NOW + timedelta(days=1), 1, "stale: made at 2026-05-05 12:00 UTC, which is still to come"),
        (NOW, 2, "stale: of suite version 2, 1 is wanted"),
    ],
)
def test_stale_evidence_is_none(made: datetime, version: int, why: str) -> None:
    documents = {
        "gate": Document(GATE | {"candidate": {"version": version}}, made),
        "lidar": Document(LIDAR, NOW),
    }
    found = examine(load_safety_case(SHIPPED), documents, NOW)
    assert found["Sn1"].why == why
    assert not found["G1"].supported


def test_the_drawing_shows_each_node_and_its_state() -> None:
    case = load_safety_case(SHIPPED)
    svg = safety_case_svg(case, examine(case, {}, NOW))
    for name, node in case.nodes.items():
        red = node.kind in ("goal", "strategy", "solution")
        assert f'id="gsn-{name}" class="gsn {node.kind}" data-supported="{str(not red).lower()}"' in svg


def test_nodes_of_the_drawing_do_not_lie_on_each_other() -> None:
    from perception_platform.evaluation.evidence import diagram

    case = load_safety_case(SHIPPED)
    places: dict[str, Any] = {}
    diagram._place(case, case.root, 0, 0.0, places)
    assert set(places) == set(case.nodes)
    rows: dict[float, list[float]] = {}
    for place in places.values():
        rows.setdefault(place.y, []).append(place.x)
    for xs in rows.values():
        ordered = sorted(xs)
        assert all(b - a >= 210 for a, b in pairwise(ordered))


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["nodes"]["G1"].pop("rests_on"), "nodes.G1: .*rest on something"),
        (lambda c: c["nodes"]["Sn1"]["evidence"].pop("at_most"), "nodes.Sn1.evidence: .*without a bound"),
        (lambda c: c["nodes"]["Sn1"].pop("evidence"), "nodes.Sn1: .*evidence belongs to a solution"),
        (lambda c: c["nodes"]["G2"]["rests_on"].append("G1"), "G1 rests on itself"),
        (lambda c: c["nodes"]["G2"]["rests_on"].append("G9"), "G2 names G9, which is not there"),
        (lambda c: c["nodes"]["G2"]["rests_on"].append("C1"), "G2, a goal, can't rest on C1, a context"),
        (lambda c: c["nodes"]["G2"]["beside"].append("Sn1"), "Sn1, a solution, can't stand beside G2"),
        (lambda c: c["nodes"]["G3"]["rests_on"].remove("Sn6"), "Sn6: nothing leads there from G1"),
        (
            lambda c: c["nodes"]["G1"].update(clauses=["UL 4600: be good"]),
            "nodes.G1.clauses.0: .*'UL 4600: be good'",
        ),
        (lambda c: c["nodes"]["G3"].update(amlas="7 hope"), "nodes.G3.amlas: .*'7 hope'"),
        (lambda c: c.update(root="S1"), "root 'S1' is not one of its goals"),
        (lambda c: c["nodes"]["Sn1"]["evidence"].update(valid_days=0), "valid_days: .*greater than 0"),
    ],
)
def test_an_argument_with_a_hole_is_refused(tmp_path: Path, change: Change, says: str) -> None:
    content = yaml.safe_load(SHIPPED.read_text())
    change(content)
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=f"case.yaml: .*{says}"):
        load_safety_case(path)


def test_each_standard_and_stage_that_is_named_is_used() -> None:
    nodes = load_safety_case(SHIPPED).nodes.values()
    named = {clause.split(":")[0] for node in nodes for clause in node.clauses}
    assert named == {"UL 4600", "ISO/PAS 8800", "ISO 21448"}
    assert {node.amlas for node in nodes} > {"5 model verification", "6 model deployment"}
    assert isinstance(SafetyCase.model_validate(yaml.safe_load(SHIPPED.read_text())), SafetyCase)
