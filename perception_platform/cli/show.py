"""``perception-platform show``: what a robot file means, as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

_commands = typer.Typer(help="Draw what a robot file means.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="show")


@_commands.callback()
def group() -> None:
    """Draw what a robot file means."""


@_commands.command()
def zones(
    robot: Annotated[str, typer.Argument(help="Name of a robot file, or a path to one.")],
    out: Annotated[Path | None, typer.Option(help="PNG; default: zones_<robot>.png here.")] = None,
    speed: Annotated[
        list[float] | None, typer.Option(help="m/s, backwards negative; repeatable: a panel each.")
    ] = None,
    turn: Annotated[
        float, typer.Option(help="Turn rate of those panels, rad/s, to the left positive.")
    ] = 0.0,
    payload: Annotated[
        float | None, typer.Option(min=0, help="kg; default: the most the file allows.")
    ] = None,
    latency_ms: Annotated[
        float, typer.Option(min=0, help="Measured latency; the declared one counts when it is larger.")
    ] = 0.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="The polygons, m, in the base frame.")
    ] = None,
) -> None:
    """Draw footprint, way to a stop and zones from above; without --speed slow, fast, and half as fast in a bend.

    The risk node publishes the same outlines for RViz on /risk/zones.
    """
    from perception_platform.core.errors import InputError
    from perception_platform.robot.load import load_robot

    try:
        from perception_platform.explain.zones import Motion, draw_zones, outlines_of, usual_motions
    except ImportError as error:
        raise InputError("show zones", "matplotlib is not installed") from error
    described = load_robot(robot)
    most_kg = described.drive.max_payload_kg
    if payload is not None and payload > most_kg:
        raise InputError("--payload", f"{payload:g} kg is more than the {most_kg:g} of the robot file")
    motions: list[Motion] = [(v, turn) for v in speed] if speed else usual_motions(described)
    path = out or Path(f"zones_{described.name}.png")
    draw_zones(described, motions, path, payload, latency_ms / 1e3)
    if json_file:
        panels = outlines_of(described, motions, payload, latency_ms / 1e3)
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(panels, indent=2) + "\n", encoding="utf-8")
    print(path)


@_commands.command()
def measures(
    robot: Annotated[str, typer.Argument(help="Name of a robot file, or a path to one.")],
    out: Annotated[Path | None, typer.Option(help="PNG; default: measures_<robot>.png here.")] = None,
) -> None:
    """Draw each formula of docs/risk.md as curves, with the brakes and delays of a robot."""
    from perception_platform.core.errors import InputError
    from perception_platform.robot.load import load_robot

    try:
        from perception_platform.explain.measures import draw_measures
    except ImportError as error:
        raise InputError("show measures", "matplotlib is not installed") from error
    described = load_robot(robot)
    path = out or Path(f"measures_{described.name}.png")
    draw_measures(described, path)
    print(path)
