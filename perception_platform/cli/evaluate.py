"""``perception-platform evaluate``: results against labels."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from perception_platform.cli import evaluate_suites
from perception_platform.cli.evaluate_tables import (
    read_tracking,
    share,
    show_camera,
    show_detection,
    show_learned,
    show_lidar,
    show_lidar_heads,
    show_tracking,
)

_commands = typer.Typer(
    help="Drive suites of scenarios, and hold results against labels.", no_args_is_help=True
)
_commands.command()(evaluate_suites.smoke)
_commands.command()(evaluate_suites.full)


class Calibrate(StrEnum):
    """How scores are calibrated."""

    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="evaluate")


@_commands.callback()
def group() -> None:
    """Drive suites of scenarios, and hold results against labels."""


@_commands.command()
def tracking(
    results: Annotated[Path, typer.Option(help="Folder that `track kitti` wrote.")],
    labels: Annotated[Path, typer.Option(help="Folder with <seq>.txt, KITTI tracking labels.")],
    frames: Annotated[Path, typer.Option(help="Seqmap: sequences and their numbers of frames.")],
    ego: Annotated[Path | None, typer.Option(help="Poses that the tracker was given, if any.")] = None,
    hota: Annotated[bool, typer.Option(help="Ask TrackEval for HOTA.")] = True,
    resamples: Annotated[int, typer.Option(min=0, help="Of the bootstrap by sequence; 0 for none.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for two plots.")] = None,
    beside: Annotated[
        Path | None, typer.Option(help="With --plots: JSON of other results, drawn beside these.")
    ] = None,
) -> None:
    """Compute sAMOTA, AMOTA, MOTA, MOTP, switches, fragmentations, HOTA, errors of velocity and NEES."""
    from perception_platform.evaluation.tracking import evaluate_results

    others = read_tracking(beside) if beside else {}
    report = evaluate_results(results, labels, frames, ego, hota, resamples, seed)
    _write(json_file, report)
    if plots:
        from perception_platform.evaluation.plots import plot_report

        plot_report(report, others, plots)
    show_tracking(report)


@_commands.command()
def lidar(
    frames: Annotated[
        Path, typer.Option(help="Folder with velodyne/, label_2/ and calib/, as KITTI object.")
    ],
    robot: Annotated[
        str, typer.Option(help="Robot file or name: mounting, range and own body.")
    ] = "delivery_van",
    sensor: Annotated[str | None, typer.Option(help="Its lidar, if it has several.")] = None,
    range_m: Annotated[float, typer.Option(min=1, help="Objects up to this range count.")] = 40.0,
    people_range_m: Annotated[
        float, typer.Option(min=1, help="People and cyclists up to this range count.")
    ] = 25.0,
    min_points: Annotated[int, typer.Option(min=1, help="Objects with fewer points do not count.")] = 20,
    keep: Annotated[float, typer.Option(min=0.01, max=1, help="Keep this share of the points.")] = 1.0,
    noise_m: Annotated[float, typer.Option(min=0, help="Add so much noise to ranges.")] = 0.0,
    pitch_deg: Annotated[float, typer.Option(help="Turn the lidar up or down, unknown to the robot.")] = 0.0,
    backscatter: Annotated[float, typer.Option(min=0, max=1, help="Drops stop this share of beams.")] = 0.0,
    filter_drops: Annotated[bool, typer.Option(help="Leave out what looks like drops in the air.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Recall, near-side error and ground called obstacle of the geometric lidar path, with exact binomial bounds.

    Frames that are in both velodyne/ and label_2/ count. --keep, --noise-m, --pitch-deg and --backscatter make the
    sweeps harder, by a random choice that is the same each time. docs/lidar.md says how each figure is measured.
    """
    from perception_platform.evaluation.lidar_conditions import Condition
    from perception_platform.evaluation.lidar_report import Limits, evaluate_lidar, geometric_finder, lidar_of
    from perception_platform.perception.parameters import GeometryParams
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    limits = Limits(range_m, people_range_m, min_points)
    on = lidar_of(described, sensor)
    find = geometric_finder(
        described, on, GeometryParams() if filter_drops else GeometryParams(backscatter=None)
    )
    condition = Condition("as asked", pitch_deg, keep, noise_m, backscatter)
    report = evaluate_lidar(frames, described, on, limits, find, condition)
    _write(json_file, report)
    show_lidar(report)


@_commands.command("learned-lidar")
def learned_lidar(
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    frames: Annotated[
        Path, typer.Option(help="Folder with velodyne/, label_2/ and calib/, as KITTI object.")
    ],
    robot: Annotated[
        str, typer.Option(help="Robot file or name: mounting, range and own body.")
    ] = "delivery_van",
    sensor: Annotated[str | None, typer.Option(help="Its lidar, if it has several.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """What a learned lidar model finds in real sweeps, and what the geometric path names without it and with it."""
    from perception_platform.evaluation.learned_lidar import evaluate_learned
    from perception_platform.evaluation.lidar_report import lidar_of
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    report = evaluate_learned(frames, described, lidar_of(described, sensor), model)
    _write(json_file, report)
    show_learned(report)


@_commands.command("lidar-heads")
def lidar_heads(
    worlds: Annotated[int, typer.Option(min=20, help="Made-up streets and warehouses.")] = 1000,
    seed: Annotated[int, typer.Option(min=2, help="Of the set; training and validation have 0 and 1.")] = 2,
    model: Annotated[Path | None, typer.Option(help="Folder of a learned model, judged beside it.")] = None,
    calibrate: Annotated[
        Calibrate | None,
        typer.Option(
            help="Fit the model's scores to the frames, or to the worlds without such; write it into its model.yaml."
        ),
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Labelled real sweeps as KITTI object, judged as well.")
    ] = None,
    robot: Annotated[str, typer.Option(help="Robot file or name: own body and height.")] = "delivery_van",
    sensor: Annotated[str | None, typer.Option(help="Its lidar that the frames are from.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw recall by range and right names by score, as PNG.")
    ] = None,
) -> None:
    """How often the lidar heads find road users, by range, and how often what they call one is, by shape and score.

    The likelihoods of shapes (perception/naming.py) are what this says of seed 2; other seeds show how well they hold.
    """
    from rich.progress import Progress

    from perception_platform.evaluation.calibration import write_calibration
    from perception_platform.evaluation.learned_lidar import lidar_head
    from perception_platform.evaluation.lidar_report import lidar_of
    from perception_platform.robot.load import load_robot
    from perception_platform.training.lidar_evaluation import (
        evaluate_in_worlds,
        fit,
        names_in_sweeps,
        report_on,
    )

    if calibrate and not model:
        raise typer.BadParameter("needs --model", param_hint="--calibrate")
    described, head = load_robot(robot), lidar_head(model) if model else None
    if head and calibrate:
        head = head.uncalibrated()
    with Progress(transient=True) as bar:
        task = bar.add_task("worlds", total=worlds)
        in_worlds = evaluate_in_worlds(described, worlds, seed, head, lambda: bar.update(task, advance=1))
    in_sweeps = names_in_sweeps(frames, described, lidar_of(described, sensor), head) if frames else {}
    report = report_on(in_worlds, in_sweeps)
    if model and calibrate:
        where = "real sweeps" if frames else "made-up worlds"
        boxes = in_sweeps["learned"] if frames else in_worlds["learned"][0]
        report["fitted"] = fit(boxes, calibrate.value, where)
        write_calibration(model, report["fitted"])
    _write(json_file, {"worlds": worlds, "seed": seed, **report})
    if plot:
        from perception_platform.evaluation.plots import plot_lidar_heads

        plot_lidar_heads(report, plot)
    show_lidar_heads(report)


@_commands.command()
def detection(
    frames: Annotated[
        Path, typer.Option(help="Folder with velodyne/, label_2/ and calib/, as KITTI object.")
    ],
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder with <frame>.txt of a detector, 16 fields a line; our lidar path if left out."
        ),
    ] = None,
    robot: Annotated[
        str, typer.Option(help="Robot file or name: what an error matters to.")
    ] = "delivery_van",
    sensor: Annotated[str | None, typer.Option(help="Its lidar, if it has several.")] = None,
    speed: Annotated[
        list[float] | None,
        typer.Option(min=0.1, help="Speeds at which errors are judged, m/s; may be given again."),
    ] = None,
    tolerance_mps: Annotated[
        float, typer.Option(min=0, help="Allowed speeds that differ by less are the same.")
    ] = 0.25,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap by frame.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Average precision of boxes, by distance (nuScenes) and by 3D overlap (KITTI), and the errors that matter.

    An error matters if, with it, the risk stage would have told the robot something else. docs/evidence.md says how.
    """
    from perception_platform.evaluation.detection import evaluate_detection
    from perception_platform.evaluation.lidar_report import lidar_of
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    speeds = speed or [2.0, 5.0, 10.0]
    report = evaluate_detection(
        frames, described, lidar_of(described, sensor), results, speeds, tolerance_mps, seed
    )
    _write(json_file, report)
    show_detection(report)


def _write(json_file: Path | None, report: dict[str, Any]) -> None:
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


@_commands.command()
def camera(
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    labels: Annotated[
        Path, typer.Option(help="Folder of <image>.txt, YOLO or KITTI; or COCO's .json or its folder.")
    ],
    names: Annotated[
        str, typer.Option(help="YOLO's classes in order, with commas; else from data.yaml or classes.txt.")
    ] = "",
    sweeps: Annotated[
        Path | None, typer.Option(help="Folder of <image>.bin lidar sweeps, for models that look at regions.")
    ] = None,
    robot: Annotated[str, typer.Option(help="With --sweeps: robot file or name.")] = "delivery_van",
    calibrate: Annotated[
        Calibrate | None, typer.Option(help="Fit scores, box sides and domain; written into model.yaml.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the model.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for two plots.")] = None,
) -> None:
    """Average precision, recall by class and size, and calibration of a detector on labelled images.

    Classes that the model finds and the labels have are judged; docs/camera.md says how.
    """
    from rich.progress import Progress

    from perception_platform.evaluation.calibration import write_calibration
    from perception_platform.evaluation.camera_report import Sweeps, evaluate_camera
    from perception_platform.robot.load import load_robot

    pointing = Sweeps(sweeps, load_robot(robot)) if sweeps else None
    with Progress(transient=True) as bar:
        task = bar.add_task("images", total=None)
        report, fitted = evaluate_camera(
            model,
            images,
            labels,
            tuple(n for n in names.split(",") if n),
            pointing,
            calibrate.value if calibrate else None,
            threads,
            lambda done, of: bar.update(task, completed=done, total=of),
        )
    if fitted:
        write_calibration(model, fitted)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if plots:
        from perception_platform.evaluation.camera_plots import plot_camera

        plot_camera(report, plots)
    show_camera(report)


@_commands.command()
def phantoms(
    sweeps: Annotated[Path, typer.Argument(help="Folder of sweeps: .bin, .pcd or .csv.")],
    robot: Annotated[str, typer.Option(help="Robot file or name: mounting, range and own body.")],
    free_m: Annotated[float, typer.Option(min=1, help="The way ahead is known to be free so far.")] = 15.0,
    sensor: Annotated[str | None, typer.Option(help="Its lidar, if it has several.")] = None,
    filter_drops: Annotated[bool, typer.Option(help="Leave out what looks like drops in the air.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """In how many sweeps of a free way ahead something seems to stand there: fog, rain, dust, the robot itself.

    Four points count: a zone of a robot file stops for that many.
    """
    from rich.console import Console

    from perception_platform.evaluation.lidar_report import lidar_of
    from perception_platform.evaluation.phantoms import evaluate_phantoms
    from perception_platform.perception.parameters import GeometryParams
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    params = GeometryParams() if filter_drops else GeometryParams(backscatter=None)
    report = evaluate_phantoms(sweeps, described, lidar_of(described, sensor), free_m, params)
    _write(json_file, report)
    low, high = report["interval_95"]
    Console().print(
        f"phantoms in {report['with_phantom']} of {report['sweeps']} sweeps (exact bounds {low:.3f} to {high:.3f}), "
        f"{report['points']} points in all",
        highlight=False,
    )


@_commands.command("looking-back")
def looking_back(
    robot: Annotated[str, typer.Option(help="Robot file or name: its first lidar looks.")] = "delivery_van",
    graph: Annotated[list[str] | None, typer.Option(help="Graphs to compare, by name or path.")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="Simulated scenes.")] = 5,
    sweeps: Annotated[int, typer.Option(min=1, help="Sweeps of each.")] = 80,
    seed: Annotated[int, typer.Option(min=0, help="Of ways and noise.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """What a graph that takes the tracks of earlier moments gains: cuts, merges and continuity, in simulation.

    People side by side, that meet, along a wall and past pillars, and a forklift behind pillars; the robot stands.
    """
    from rich.console import Console
    from rich.table import Table

    from perception_platform.evaluation.looking_back import evaluate_looking_back
    from perception_platform.robot.load import load_robot

    report = evaluate_looking_back(
        load_robot(robot), graph or ["shared", "track_aware"], scenes, sweeps, seed
    )
    _write(json_file, report)
    first = next(iter(report.values()))
    table = Table("graph", *(name.replace("_", " ") for name in first))
    for name, counts in report.items():
        table.add_row(name, *(str(count) for count in counts.values()))
    Console(width=max(Console().width, 112)).print(table)


@_commands.command()
def scans(
    bags: Annotated[
        list[Path], typer.Argument(help="Bags with LaserScans and, before each, a PoseArray of legs.")
    ],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Recall, precision and position error of people that are found in 2D laser scans by their legs.

    Once scan by scan, once as the tracker follows them, and once for the tracks that walk. The scanner has to stand.
    """
    from rich.console import Console
    from rich.table import Table

    from perception_platform.evaluation.scan_people import evaluate_scans

    report = evaluate_scans(bags)
    _write(json_file, report)
    table = Table(
        "people in",
        "found",
        "recall",
        "exact 95 %",
        "said",
        "precision",
        "exact 95 %",
        "median error",
        "95 %",
    )
    for name in ("scans", "tracks", "walking_tracks"):
        row = report[name]
        shares = [
            text
            for measure in ("recall", "precision")
            for text in (share(row[measure]), "{:.3f} to {:.3f}".format(*row[f"{measure}_95"]))
        ]
        errors = [share(row["error_m"][k]) for k in ("median", "p95")]
        found = f"{row['found']} of {row['labelled']}"
        table.add_row(name.replace("_", " "), found, *shares[:2], str(row["said"]), *shares[2:], *errors)
    Console(width=max(Console().width, 120)).print(table)
