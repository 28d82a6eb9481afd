"""``perception-platform bag``: what a recording holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_platform.core.time import to_s

if TYPE_CHECKING:
    from perception_platform.bags.reader import BagInfo

_commands = typer.Typer(help="Look into bags.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="bag")


@_commands.callback()
def group() -> None:
    """Look into bags."""


@_commands.command()
def info(
    bag: Annotated[Path, typer.Argument(help="An .mcap, .db3 or ROS 1 .bag file, or a rosbag2 folder.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Show topics, types, numbers of messages and times; says which topics cannot be read, and why."""
    from perception_platform.bags.reader import bag_info

    found = bag_info(bag)
    if json_file:
        json_file.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    else:
        _show(found)


def _show(found: BagInfo) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    duration_s = to_s(found.end_ns - found.start_ns) if found.start_ns is not None and found.end_ns else 0.0
    console.print(
        f"{escape(found.path)}: {found.count} messages in {duration_s:.1f} s", highlight=False, soft_wrap=True
    )
    table = Table("topic", "type", "messages", "rate", "")
    for topic in found.topics:
        rate = f"{(topic.count - 1) / duration_s:.1f} Hz" if topic.count > 1 and duration_s > 0 else ""
        table.add_row(escape(topic.topic), topic.type, str(topic.count), rate, escape(topic.problem))
    console.print(table)
