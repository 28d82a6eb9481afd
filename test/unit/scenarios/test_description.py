"""Scenario files: what is wrong in one is told with file, field and value; those of the package are all right."""

from collections import Counter

import pytest
import yaml

from perception_platform.core.errors import InputError
from perception_platform.robot.load import load_robot
from perception_platform.scenarios.cases import Case, draw
from perception_platform.scenarios.load import choose, load_families, load_family, load_regressions
from perception_platform.scenarios.setup import set_up
from test.unit.scenarios.families import described

FAMILIES = load_families()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tags": ["WeatherSnowball"]}, "tags: .*WeatherSnowball"),
        ({"robot": 3}, "robot: "),
        ({"speed": 3}, "speed: .*3"),
        ({"parameters": {"at": {"kind": "uniform", "low": 5, "high": 4}}}, r"parameters\.at.*low 5"),
        ({"parameters": {"at": {"kind": "gamma", "low": 5, "high": 4}}}, "gamma"),
        ({"parameters": {"at": {"kind": "uniform", "low": 4, "high": float("nan")}}}, r"high: .*nan"),
        ({"cruise_mps": "at + nowhere"}, "cruise_mps uses 'nowhere'"),
        ({"cruise_mps": "at +"}, "not an expression: 'at \\+'"),
        ({"actors": []}, "parameter 'at' is never used"),
        ({"actors": [{"thing": "dragon", "path_m": [["at", 0]]}]}, r"actors\.0: .*dragon"),
        (
            {"actors": [{"thing": "block", "size": {"girth": 1}, "path_m": [["at", 0]]}]},
            "block has no 'girth'",
        ),
        ({"actors": [{"thing": "block", "path_m": [["at", 0]], "trigger": {}}]}, "exactly one of"),
        ({"faults": [{"kind": "gone"}]}, r"faults\.0\.kind: .*gone"),
        ({"version": 2}, "version: .*2"),
        ({"domain": {"height": [0, 1]}}, "domain uses 'height'"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_field(tmp_path, changes, told):
    path = tmp_path / "block_ahead.yaml"
    path.write_text(yaml.safe_dump(described(**changes)))
    with pytest.raises(InputError, match=rf"block_ahead\.yaml: .*{told}"):
        load_family(path)


def test_a_file_has_its_familys_name(tmp_path):
    path = tmp_path / "another.yaml"
    path.write_text(yaml.safe_dump(described()))
    with pytest.raises(InputError, match="family: is 'block_ahead'"):
        load_family(path)


def test_what_is_no_yaml_or_no_folder_of_families_is_told(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(InputError, match=r"broken\.yaml"):
        load_family(tmp_path / "broken.yaml")
    with pytest.raises(InputError, match="no scenario family"):
        load_families(tmp_path / "none")
    with pytest.raises(InputError, match="no such family"):
        choose(FAMILIES, ["flying_saucer"])


def test_there_are_enough_families_of_both_kinds():
    kinds = Counter(family.stop_expected for family in FAMILIES.values())
    assert kinds[True] >= 30
    assert kinds[False] >= 10


@pytest.mark.parametrize("name", FAMILIES)
def test_every_corner_of_every_family_can_be_set_up(name):
    family = FAMILIES[name]
    robot = load_robot(family.robot)
    for index in range(6):
        setup = set_up(draw(family, 0, index), robot)
        assert 0 < setup.cruise_mps <= robot.drive.max_speed_mps
        assert setup.route_m > 0
        assert setup.route_m / setup.cruise_mps < setup.duration_s + 1e-9 or setup.case.family.stop_expected


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_truly_whether_it_can_be_in_the_domain(name):
    family = FAMILIES[name]
    inside = [draw(family, 0, index).in_domain for index in range(200)]
    assert any(inside) is family.in_domain
    assert all(inside) or family.domain or not family.in_domain


def test_kept_failures_are_cases_of_families_that_exist(tmp_path):
    for case in load_regressions(FAMILIES):
        set_up(case, load_robot(case.family.robot))
    kept = {"version": 1, "family": "dead_end", "seed": 1, "parameters": {"at": 7.0}, "holds": "no_collision"}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(kept | {"found": "collision"}))
    with pytest.raises(InputError, match="has not the parameters"):
        load_regressions(FAMILIES, tmp_path)


def test_a_case_is_told_by_its_values_and_its_seed():
    family = FAMILIES["dead_end"]
    one, same, other = draw(family, 0, 4), draw(family, 0, 4), draw(family, 0, 5)
    assert one.id == same.id
    assert one.id != other.id
    assert one.id != Case(family, one.seed + 1, one.parameters).id
    assert one.id != Case(family, one.seed, one.parameters | {"at": 7.123}).id
