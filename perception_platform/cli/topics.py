"""``perception-platform topics``: the topic table, for people, programs and the documentation."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from perception_platform.ros.topics import Topic

HEADINGS = (
    *("topic", "type", "rate", "deadline", "lease", "lifespan", "reliability", "depth"),
    *("from", "to", "when it stays away"),
)
ON_TERMINAL = (0, 2, 3, 8, 9, 10)  # what fits; the rest is in the JSON and the page
MARKDOWN_HEAD = """\
# Topics

Printed by `perception-platform topics --markdown` from `perception_platform/ros/topics.py`, the one table that
publishers and subscribers are made from. Every publisher offers the deadline, the lease and the lifespan, after which
the middleware drops what nobody has taken. Subscriptions ask for them only where nobody outside publishes, because a
publisher that does not offer a deadline or lease is then not heard at all, and the lifespan runs from its clock.
`outside` is the robot's base, another package's driver, a bag or a viewer.
""".splitlines()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(topics)


def topics(
    robot: Annotated[str | None, typer.Option(help="Names and rates for this robot.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table there, as JSON.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/topics.md.")] = False,
) -> None:
    """Show every topic with its rate, quality of service and what happens when it stays away."""
    from rich.console import Console
    from rich.table import Table

    rows = table_rows(robot)
    if json_file:
        json_file.write_text(json.dumps([_as_dict(*row) for row in rows], indent=2) + "\n", encoding="utf-8")
    elif markdown:
        typer.echo(as_markdown(), nl=False)
    else:
        table = Table(*(HEADINGS[i] for i in ON_TERMINAL))
        table.columns[0].no_wrap = True
        for row in rows:
            cells = _cells(*row)
            table.add_row(*(cells[i] for i in ON_TERMINAL))
        Console().print(table)


def table_rows(robot_file: str | None) -> list[tuple[Topic, str, float | None]]:
    """(row, ROS name, rate in Hz or None for the sensor's own); for a robot, one a sensor, with its rates."""
    from perception_platform.robot.load import load_robot
    from perception_platform.ros.topics import TABLE, rate_hz, sensors_of

    if robot_file is None:
        return [(topic, topic.name, topic.rate_hz) for topic in TABLE]
    robot = load_robot(robot_file)
    return [
        (topic, topic.of(sensor), rate_hz(topic, robot, sensor))
        for topic in TABLE
        for sensor in sensors_of(topic, robot)
    ]


def as_markdown() -> str:
    """The page docs/topics.md."""
    lines = [*MARKDOWN_HEAD, "", "| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(_cells(*row)) + " |" for row in table_rows(None)]
    return "\n".join(lines) + "\n"


def _as_dict(topic: Topic, name: str, rate_hz: float | None) -> dict[str, object]:
    deadline_s = topic.deadline_periods / rate_hz if rate_hz and topic.deadline_periods else None
    return {
        **asdict(topic),
        "name": name,
        "rate_hz": rate_hz,
        "deadline_s": deadline_s and round(deadline_s, 4),
    }


def _cells(topic: Topic, name: str, rate_hz: float | None) -> list[str]:
    rate = "the sensor's" if rate_hz is None else f"{rate_hz:g} Hz" if rate_hz else "on change"
    durable = "" if topic.durability == "volatile" else f", {topic.durability.replace('_', ' ')}"
    return [
        name,
        topic.type,
        rate,
        f"{topic.deadline_periods:g} periods" if topic.deadline_periods else "",
        f"{topic.liveliness_s:g} s" if topic.liveliness_s else "",
        f"{topic.lifespan_periods:g} periods" if topic.lifespan_periods else "",
        topic.reliability.replace("_", " ") + durable,
        str(topic.depth),
        ", ".join(topic.publishers).replace("_", " "),
        ", ".join(topic.subscribers).replace("_", " "),
        topic.on_miss,
    ]
