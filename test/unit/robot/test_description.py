"""Robot files: the ones that come with the package are good, and bad ones say what is wrong where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from perception_platform.core.errors import InputError
from perception_platform.robot.load import load_robot, robot_names, robot_path


def write(tmp_path: Path, change: dict[str, Any]) -> Path:
    """The AMR's file with some of its fields replaced; a dotted key reaches into lists and tables."""
    data = yaml.safe_load(robot_path("amr").read_text())
    for dotted, value in change.items():
        *path, last = dotted.split(".")
        place = data
        for part in path:
            place = place[int(part)] if part.isdigit() else place[part]
        place[last] = value
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def test_the_three_robots_load() -> None:
    assert {"amr", "forklift", "delivery_van"} <= set(robot_names())
    for name in robot_names():
        robot = load_robot(name)
        assert robot.name == name
        assert all(zone.polygon_m for zone in robot.zones)


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"drive.service_decel_mps2": 0.0}, "drive.service_decel_mps2", "got 0.0"),
        ({"drive.reaction_s": float("nan")}, "drive.reaction_s", "nan"),
        ({"drive.emergency_decel_mps2": 0.1}, "drive", "weaker than service"),
        ({"gate.input_timeout_s": 0.0}, "gate.input_timeout_s", "got 0.0"),
        ({"gate.input_timeout_s": 60.0}, "gate.input_timeout_s", "got 60.0"),
        ({"gate.hold_s": None}, "gate.hold_s", "got None"),
        ({"gate.latch_on": ["nonsense"]}, "gate.latch_on", "nonsense"),
        ({"sensors.0.driver": {"type": "sonar"}}, "sensors.0", "sonar"),
        ({"sensors.0.required": False, "sensors.1.required": False}, "file", "nothing else measures gaps"),
        ({"sensors.0.name": "scan_front"}, "file", "'scan_front' is used twice"),
        ({"zones.0.action": "honk"}, "zones.0.action", "honk"),
        ({"zones.1.speed_limit_mps": None}, "zones.1", "speed_limit_mps belongs to action limit"),
        ({"footprint_m": [[0, 0], [1, 1]]}, "footprint_m", "at least 3"),
        ({"models": [{"head": "camera_objects", "sensor": "nose", "path": "m"}]}, "file", "no sensor 'nose'"),
        ({"turbo": True}, "turbo", "Extra inputs"),
    ],
)
def test_a_bad_field_is_named_with_its_value(
    tmp_path: Path, change: dict[str, Any], where: str, what: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_robot(str(write(tmp_path, change)))
    assert caught.value.source.endswith("robot.yaml")
    assert (caught.value.where or "").startswith(where)
    assert what in str(caught.value)


@pytest.mark.parametrize("text", ["{", "a: [1, 2", "\t- x", ""])
def test_a_file_that_is_no_yaml_table_is_one_clear_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_robot(str(file))
    assert "\n" not in str(caught.value)


def test_an_unknown_robot_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"amr, delivery_van, forklift"):
        load_robot("tank")
    with pytest.raises(InputError, match="no such robot file"):
        load_robot("nowhere/tank.yaml")
