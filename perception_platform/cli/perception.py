"""``perception-platform perception``: look at the shared layer of a robot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_commands = typer.Typer(help="Look at the shared perception layer.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="perception")


@_commands.callback()
def group() -> None:
    """Look at the shared perception layer."""


@_commands.command()
def graph(
    robot: Annotated[str, typer.Option(help="Robot file or name.")] = "amr",
    plot: Annotated[Path | None, typer.Option(help="Draw it there, e.g. graph.png.")] = None,
) -> None:
    """Check a robot's graph and list its components in the order in which they run.

    What does not fit (a type, a unit, a frame, a length, a rate, a circle) is answered with file, field and edge.
    """
    from rich.console import Console
    from rich.table import Table

    from perception_platform.perception.graph_file import ApplicationEntry
    from perception_platform.perception.load import load_graph
    from perception_platform.robot.load import load_robot

    wired = [step.wired for step in load_graph(load_robot(robot), keep_going=True).steps]
    table = Table("component", "takes", "makes", "budget, ms", "shed at")
    for component in wired:
        entry = component.entry
        served = isinstance(entry, ApplicationEntry)
        makes = (
            f"{entry.rate_hz:g} Hz within {entry.deadline_ms:g} ms" if served else ", ".join(component.makes)
        )
        shed = "" if served else entry.shed_at or ""
        table.add_row(component.name, ", ".join(component.takes), makes, f"{entry.budget_ms:g}", shed)
    Console(width=max(Console().width, 100)).print(table)
    if plot:
        from perception_platform.evaluation.graph_plot import plot_graph

        plot_graph(wired, plot)


@_commands.command()
def models(
    robot: Annotated[str, typer.Option(help="Robot file or name.")] = "amr",
) -> None:
    """Load a robot's models as its node does, hold them against their golden outputs, and say who would serve."""
    import time

    from rich.console import Console
    from rich.table import Table

    from perception_platform.perception.load import load_graph
    from perception_platform.robot.load import load_robot

    graph = load_graph(load_robot(robot), keep_going=True, clock_ns=time.perf_counter_ns)
    graph.warm_up()
    table = Table("head", "state", "model", "runs on", "says")
    for status in graph.model_status(0):
        model = status.model.id if status.model else ""
        table.add_row(status.head, status.state.name.lower(), model, status.backend, status.text)
    Console(width=max(Console().width, 100)).print(table)


@_commands.command()
def golden(
    model: Annotated[Path, typer.Argument(help="Folder with a model.yaml that has `golden`.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up input.")] = 0,
) -> None:
    """Write a model's golden outputs: what it answers to a made-up input on the first of its backends."""
    from perception_platform.perception.load import write_golden

    print(f"wrote {write_golden(model, seed)}")


@_commands.command()
def picture(
    frames: Annotated[
        Path, typer.Option(help="Folder with velodyne/, label_2/ and calib/, as KITTI object.")
    ],
    frame: Annotated[str, typer.Option(help="Name of the frame, e.g. 000008.")],
    out: Annotated[Path, typer.Option(help="The picture, e.g. sweep.png.")],
    robot: Annotated[str, typer.Option(help="Robot file or name: mounting and graph.")] = "delivery_van",
    sensor: Annotated[str | None, typer.Option(help="Its lidar, if it has several.")] = None,
) -> None:
    """Draw a labelled sweep from above: what the layer found, over the labels."""
    from perception_platform.evaluation.frame_picture import picture_of_frame
    from perception_platform.evaluation.lidar_report import lidar_of
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    percept = picture_of_frame(frames, frame, described, lidar_of(described, sensor), out)
    print(f"{len(percept.detections)} objects, {len(percept.obstacles)} obstacle points: {out}")
