"""``perception-platform bench``: how fast parts of the platform are on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception_platform.cli import bench_faults, bench_risk, bench_scenarios

if TYPE_CHECKING:
    from rich.table import Table

_commands = typer.Typer(help="Measure speed on this machine.", no_args_is_help=True)
_commands.command()(bench_faults.faults)
_commands.command()(bench_risk.risk)
_commands.command()(bench_scenarios.simulation)
_commands.command()(bench_scenarios.scale)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="bench")


@_commands.callback()
def group() -> None:
    """Measure speed on this machine."""


@_commands.command()
def tracking(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up scenes.")] = 0,
) -> None:
    """Time the tracker a frame, for growing numbers of objects, next to the plain baseline."""
    from perception_platform.evaluation.track_bench import bench_tracking

    rows = bench_tracking(seed)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    from rich.console import Console
    from rich.table import Table

    table = Table("tracker", "objects", "p50", "p99", "frames/s", "samples", "times the baseline's speed")
    for row in rows:
        table.add_row(
            row["tracker"],
            str(row["objects"]),
            f"{row['p50_ms']:.2f} ms",
            f"{row['p99_ms']:.2f} ms",
            f"{row['frames_per_s']:.0f}",
            str(row["samples"]),
            f"{row['speed_against_baseline']:.2f}",
        )
    Console().print(table)


@_commands.command()
def sharing(
    robot: Annotated[
        str, typer.Option(help="Robot file or name: its graph and applications.")
    ] = "delivery_van",
    frames: Annotated[
        Path | None, typer.Option(help="Folder of .bin sweeps; without, a simulated street.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a detector for the robot's first camera.")
    ] = None,
    sweeps: Annotated[int, typer.Option(min=20, help="How many are timed.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation, the choice of points, the image.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it there, e.g. sharing.png.")] = None,
) -> None:
    """Time and memory of one shared layer, next to a pipeline of its own for the decisions and each application."""
    from rich.console import Console
    from rich.progress import Progress

    from perception_platform.evaluation.sharing_bench import SharingBench, bench_sharing
    from perception_platform.robot.load import load_robot

    with Progress(transient=True) as progress:
        task = progress.add_task("pipelines", total=1.0)
        report = bench_sharing(
            SharingBench(load_robot(robot), frames, model, sweeps, seed),
            lambda share: progress.update(task, completed=share),
        )
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if plot:
        from perception_platform.evaluation.sharing_plot import plot_sharing

        plot_sharing(report, plot)
    Console(width=max(Console().width, 100)).print(_sharing_table(report))
    path = report["geometric_path"]
    print(
        f"the geometric path: {path['plain_calls']['p50_ms']:.2f} ms as plain calls, "
        f"{path['through_the_graph']['p50_ms']:.2f} through the graph; "
        f"median difference {path['difference_p50_us']:.0f} µs over {path['samples']} sweeps"
    )
    if report["side_by_side"]:
        row = report["side_by_side"]
        after, beside = row["in_turn"], row["side_by_side"]
        print(
            f"a step with sweep and image, p50 / p99: {after['p50_ms']:.1f} / {after['p99_ms']:.1f} ms with the camera "
            f"after the lidar, {beside['p50_ms']:.1f} / {beside['p99_ms']:.1f} beside it, on {row['cores']} cores"
        )


def _sharing_table(report: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table(
        "pipeline", "core a sweep, ms", "p50", "p99", "samples", "arrays at most, MB", "process, MB"
    )
    keys = ("cpu_ms_per_sweep", "p50_ms", "p99_ms", "samples", "arrays_peak_mb", "process_mb")
    shared = report["pipelines"]["shared"]
    for name, row in report["pipelines"].items():
        if name != "shared":
            table.add_row(name.replace("_", " "), *(f"{row[key]:.4g}" for key in keys))
    apart, less = report["separate"], report["times_less"]
    table.add_section()
    for name, row, unit in (
        ("all of these apart", apart, ""),
        ("one shared layer", shared, ""),
        ("less", less, " ×"),
    ):
        table.add_row(name, *(f"{row[key]:.4g}{unit}" if key in row else "" for key in keys))
    return table


@_commands.command()
def lidar(
    frames: Annotated[
        Path | None, typer.Option(help="Recorded sweeps, as KITTI object; a simulated street if left out.")
    ] = None,
    robot: Annotated[str, typer.Option(help="Robot file or name that carries the lidar.")] = "delivery_van",
    sensor: Annotated[str | None, typer.Option(help="Its lidar, if it has several.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How often the geometric path is timed.")] = 200,
    baseline_samples: Annotated[int, typer.Option(min=0, help="How often the baseline is; 0 for never.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation and the baseline.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Time the geometric lidar path on sweeps of up to 115 000 points, on one core, next to plane RANSAC and DBSCAN."""
    from perception_platform.evaluation.lidar_bench import bench_lidar
    from perception_platform.evaluation.lidar_report import lidar_of
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    on = lidar_of(described, sensor)
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    with Progress(transient=True) as bar:
        task = bar.add_task("times", total=1.0)
        report = bench_lidar(
            *(frames, described, on, samples, baseline_samples, seed),
            lambda what, share: bar.update(task, description=what, completed=share),
        )
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table("path", "p50", "p99", "processor p50", "processor p99", "samples", "recall")
    for name in ("geometric", "baseline"):
        if name in report:
            row = report[name]
            times = [f"{row[k]:.2f} ms" for k in ("p50_ms", "p99_ms", "cpu_p50_ms", "cpu_p99_ms")]
            found = f"{row['objects']['found']} of {row['objects']['labelled']}" if "objects" in row else ""
            table.add_row(name, *times, str(row["samples"]), found)
    console = Console()
    console.print(table)
    points = report["points"]
    console.print(
        f"{len(points)} {report['sweeps']} sweeps of {min(points)} to {max(points)} points", highlight=False
    )
    if "times_faster" in report:
        console.print(f"{report['times_faster']} times as fast as the baseline", highlight=False)
    if "conditions" in report:
        console.print(_conditions_table(report["conditions"]))


@_commands.command("learned-lidar")
def learned_lidar(
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    frames: Annotated[Path, typer.Option(help="Recorded sweeps, as KITTI object.")],
    robot: Annotated[str, typer.Option(help="Robot file or name that carries the lidar.")] = "delivery_van",
    sensor: Annotated[str | None, typer.Option(help="Its lidar, if it has several.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 100,
    threads: Annotated[int, typer.Option(min=1, help="Of the model.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Time a learned lidar model next to the geometric path, on the same sweeps."""
    from rich.console import Console
    from rich.table import Table

    from perception_platform.evaluation.learned_lidar import bench_learned
    from perception_platform.evaluation.lidar_report import lidar_of
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    report = bench_learned(frames, described, lidar_of(described, sensor), model, samples, threads)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table("step", "p50", "p99")
    for name, row in report["times"].items():
        table.add_row(name, f"{row['p50_ms']:.2f} ms", f"{row['p99_ms']:.2f} ms")
    Console().print(table)
    Console().print(f"{samples} samples of {report['sweeps']} sweeps, {threads} threads", highlight=False)


def _conditions_table(rows: list[dict[str, Any]]) -> Table:
    """Recall, near-side error and merged boxes of both ways, condition by condition."""
    from rich.table import Table

    table = Table(
        "sweeps", "path", "objects", "people", "near side", "cut", "merged", "ground called obstacle"
    )
    for row in rows:
        for name in ("geometric", "baseline"):
            if name not in row:
                continue
            found = row[name]
            counts = [f"{found[k]['found']} of {found[k]['labelled']}" for k in ("objects", "people")]
            median_m, parts = found["near_side_error_m"]["median"], found["segmentation"]
            ground = found["ground"]
            table.add_row(
                *(row["condition"], name, *counts, "" if median_m is None else f"{median_m:.2f} m"),
                *(
                    str(parts["cut"]),
                    str(parts["merged"]),
                    f"{ground['called_obstacle']} of {ground['points']}",
                ),
            )
    return table


@_commands.command()
def camera(
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of images; noise of 1280 x 720 if left out.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How often it is timed.")] = 200,
    cameras: Annotated[int, typer.Option(min=1, help="Cameras whose images are looked at together.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Of the model.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Time a detector: whole, its network's own run, and what preparing, decoding and NMS add to that."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from perception_platform.evaluation.camera_bench import bench_camera

    with Progress(transient=True) as bar:
        task = bar.add_task("camera", total=samples)
        report = bench_camera(model, images, samples, cameras, seed, threads, lambda: bar.advance(task))
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table("ms", "p50", "p99", "samples")
    for name in ("whole", "model", "overhead"):
        row = report[f"{name}_ms"]
        table.add_row(name, f"{row['p50']:.2f}", f"{row['p99']:.2f}", str(report["samples"]))
    console = Console()
    console.print(table)
    console.print(
        f"{report['model']} on {report['backend']}: {report['runs_per_image']} runs an image, {cameras} cameras; "
        f"the overhead is {100 * report['overhead_share']:.1f} % of the model's own time",
        highlight=False,
    )


@_commands.command()
def latency(
    sweeps: Annotated[
        Path | None, typer.Option(help="Folder of KITTI .bin sweeps; a simulated street if left out.")
    ] = None,
    frames: Annotated[int, typer.Option(min=20, help="Lidar frames for each way to run the chain.")] = 600,
    rounds: Annotated[int, typer.Option(min=1, help="How often the ways take turns.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of images, model and simulation.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """From sensor to decision with a camera of 1280 x 720 at 30 Hz and a lidar of 115 000 points at 10 Hz.

    The chain runs three ways in turn, in real processes over DDS: naive (a process a step, default settings, all work
    in callbacks), tuned (our nodes, a process each), composed (our nodes in one process, the gate in its own). Pure
    compute is the same frames through the same functions, called one after the other. Takes about eight minutes. Exit
    code 1 if a message is unaccounted for, or a composed stack lost one.
    """
    from rich.console import Console
    from rich.progress import Progress

    from perception_platform.bench.latency.bench import bench_latency, broken_promises

    with Progress(transient=True) as bar:
        task = bar.add_task("latency", total=1.0)
        report = bench_latency(
            sweeps,
            frames,
            rounds,
            seed,
            lambda what, share: bar.update(task, description=what, completed=share),
        )
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console = Console()
    for table in _latency_tables(report):
        console.print(table)
    for line in broken_promises(report):
        console.print(line, style="red")
    if broken_promises(report):
        raise typer.Exit(1)


def _latency_tables(report: dict[str, Any]) -> Iterator[Table]:
    from rich.table import Table

    table = Table(
        "ms", "p50", "p99", "p99.9", "p50 / pure", "p99 / pure", "samples", title="sensor to decision"
    )
    rows = {"pure compute": report["pure_compute"], **report["modes"]}
    for name, row in rows.items():
        figures = [f"{row[q]:.1f}" for q in ("p50", "p99", "p99.9")]
        ratios = [f"{row[f'{q}_to_pure']:.2f}" if f"{q}_to_pure" in row else "" for q in ("p50", "p99")]
        table.add_row(name, *figures, *ratios, str(row["samples"]))
    yield table
    table = Table(
        "", "cores", "memory, MB", "sweeps lost", "images lost", "unaccounted", "gate late p99.9, ms"
    )
    for name, row in report["modes"].items():
        frames = row["frames"]
        table.add_row(
            name,
            f"{row['cpu_s_per_s']:.2f}",
            f"{row['memory_mb']:.0f}",
            *(f"{frames[k]['lost']} of {frames[k]['sent']}" for k in ("points", "image")),
            str(frames["points"]["unaccounted"] + frames["image"]["unaccounted"]),
            f"{row['gate']['late_p99.9_ms']:.2f}",
        )
    gate = report["gate_alone"]
    table.add_row("gate alone", f"{gate['core_share']:.3f}", "", "", "", "", f"{gate['late_p99.9_ms']:.2f}")
    yield table
