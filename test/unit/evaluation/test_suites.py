"""The suites that gates judge: what is in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from perception_platform.core.errors import InputError
from perception_platform.evaluation.evidence import suites
from perception_platform.evaluation.evidence.gate_file import Requirement, gate_names, load_gate
from perception_platform.evaluation.evidence.suites import load_suite
from perception_platform.evaluation.statistics import trials_needed
from perception_platform.robot.load import share_dir
from perception_platform.scenarios.suite import Suite


@pytest.mark.slow
def test_each_gate_judges_a_suite_that_there_is() -> None:
    for name in gate_names():
        assert load_suite(load_gate(name).suite).name == load_gate(name).suite


def counted(requirement: Requirement, suite: Suite) -> Counter[str]:
    """How many cases of each hazard, or of all, a requirement is about."""
    scope = requirement.scope
    return Counter(
        case.family.hazard if requirement.per == "hazard" else "all"
        for case in suite.cases
        if scope.in_domain in (None, case.in_domain)
        and scope.stop_expected in (None, case.family.stop_expected)
        and (not scope.hazards or case.family.hazard in scope.hazards)
    )


@pytest.mark.parametrize("name", gate_names())
def test_a_suite_is_large_enough_for_what_its_gate_asks(name: str) -> None:
    gate = load_gate(name)
    suite = load_suite(gate.suite)
    for requirement in gate.requirements:
        needed = trials_needed(requirement.at_most, 0, gate.confidence)
        for of, cases in counted(requirement, suite).items():
            assert cases >= needed, (requirement.name, of)


@pytest.mark.parametrize("name", gate_names())
def test_no_hazard_of_a_suite_is_only_judged_among_all(name: str) -> None:
    gate = load_gate(name)
    suite = load_suite(gate.suite)
    scopes = [
        requirement.scope.hazards for requirement in gate.requirements if requirement.event == "collision"
    ]
    judged = {hazard for hazards in scopes for hazard in hazards}
    if not any(r.per == "hazard" and not r.scope.hazards for r in gate.requirements):
        assert judged == {case.family.hazard for case in suite.cases if case.in_domain}


def test_the_full_suite_is_driven_by_all_policies_in_2000_runs_at_least() -> None:
    suite = load_suite("full")
    assert len(suite.jobs()) >= 2000
    assert suite.policies == ("ours", "fixed_field", "autoware_aeb", "none")
    assert len({case.family.family for case in suite.cases}) >= 40


def test_a_bad_suite_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = yaml.safe_load((share_dir() / "config" / "suites" / "smoke.yaml").read_text())
    (tmp_path / "config" / "suites").mkdir(parents=True)
    path = tmp_path / "config" / "suites" / "smoke.yaml"
    path.write_text(yaml.safe_dump(shipped | {"policies": ["luck"]}))
    monkeypatch.setattr(suites, "share_dir", lambda: tmp_path)
    with pytest.raises(InputError, match=r"smoke\.yaml: policies\.0: .*'luck'"):
        load_suite("smoke")
