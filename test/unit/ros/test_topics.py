from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.cli.topics import as_markdown
from perception_platform.robot.load import load_robot, robot_names
from perception_platform.ros.topics import EVERY_NODE, OUTSIDE, TABLE, TOPICS, Topic, rate_hz, sensors_of

REPOSITORY = Path(__file__).resolve().parents[3]
NODES = REPOSITORY / "perception_platform" / "nodes"
STACK = ("camera_driver", "lidar_driver", "perception", "tracker", "risk", "safety_gate")


@pytest.mark.parametrize("topic", TABLE, ids=lambda t: t.key)
def test_every_row_is_complete(topic: Topic) -> None:
    assert topic.on_miss
    assert topic.publishers
    assert topic.subscribers
    assert {*topic.publishers, *topic.subscribers} <= {*STACK, OUTSIDE, EVERY_NODE}
    assert topic.depth > 0
    assert bool(topic.kind) == ("{sensor}" in topic.name)
    assert topic.rate_hz != 0 or not (topic.deadline_periods or topic.lifespan_periods)  # both need a rate
    if topic.lifespan_periods:
        assert topic.lifespan_periods > topic.deadline_periods  # what is merely late is reported, not dropped
        assert topic.durability == "volatile"


def test_keys_and_names_are_used_once() -> None:
    assert len({t.key for t in TABLE}) == len({t.name for t in TABLE}) == len(TABLE)


@pytest.mark.parametrize("name", robot_names())
def test_every_topic_has_a_name_and_rate_on_every_robot(name: str) -> None:
    robot = load_robot(name)
    names = [topic.of(s) for topic in TABLE for s in sensors_of(topic, robot)]
    assert len(set(names)) == len(names)
    assert not any("{" in n for n in names)
    assert all(rate_hz(topic, robot, s) >= 0 for topic in TABLE for s in sensors_of(topic, robot))
    assert rate_hz(TOPICS["decision"], robot) == robot.gate.rate_hz


def test_dds_is_asked_to_watch_only_what_nobody_outside_publishes() -> None:
    assert TOPICS["assessment"].watched_by_dds
    assert not TOPICS["odometry"].watched_by_dds


def calls(source: str) -> set[str]:
    """Methods and functions that a file calls, by their last name."""
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {
        f.attr if isinstance(f, ast.Attribute) else f.id
        for f in functions
        if hasattr(f, "attr") or hasattr(f, "id")
    }


OUTSIDER = "decision_listener"  # no node of the stack: it hears whatever a running one offers


@pytest.mark.parametrize(
    "path", sorted(p for p in NODES.glob("*.py") if p.stem != OUTSIDER), ids=lambda p: p.stem
)
def test_nodes_publish_and_subscribe_through_the_table_alone(path: Path) -> None:
    around = {"create_publisher", "create_subscription", "create_lifecycle_publisher"}
    assert not calls(path.read_text(encoding="utf-8")) & around


def test_the_page_in_the_documentation_is_current() -> None:
    page = REPOSITORY / "docs" / "topics.md"
    assert page.read_text(encoding="utf-8") == as_markdown(), (
        "perception-platform topics --markdown > docs/topics.md"
    )


def test_the_command_writes_the_table_of_a_robot(tmp_path: Path) -> None:
    out = tmp_path / "topics.json"
    result = CliRunner().invoke(app, ["topics", "--robot", "amr", "--json", str(out)])
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(out.read_text(encoding="utf-8"))}
    assert rows["/scan_front/scan"]["rate_hz"] == 15
    assert rows["/safety/decision"]["deadline_s"] == pytest.approx(2 / 20)
    assert "/{sensor}/scan" not in rows


def test_the_command_shows_every_topic() -> None:
    result = CliRunner().invoke(app, ["topics", "--markdown"])
    assert result.exit_code == 0
    assert all(topic.name in result.output for topic in TABLE)


def test_a_deadline_is_told_where_there_is_one_and_refused_elsewhere() -> None:
    assert TOPICS["tracks"].deadline_s == pytest.approx(0.3)
    for without in ("tf_static", "clock", "points"):
        with pytest.raises(ValueError, match="no deadline"):
            _ = TOPICS[without].deadline_s
