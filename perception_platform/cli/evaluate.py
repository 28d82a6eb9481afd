"""``perception-platform evaluate``: results against labels."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from perception_platform.core.errors import InputError

_commands = typer.Typer(help="Hold results against labels.", no_args_is_help=True)


class Calibrate(StrEnum):
    """How scores are calibrated."""

    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="evaluate")


@_commands.callback()
def group() -> None:
    """Hold results against labels."""


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

    others = _read_report(beside) if beside else {}
    report = evaluate_results(results, labels, frames, ego, hota, resamples, seed)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if plots:
        from perception_platform.evaluation.plots import plot_report

        plot_report(report, others, plots)
    _show(report)


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
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there, as JSON.")] = None,
) -> None:
    """Recall, near-side error and ground called obstacle of the geometric lidar path, with exact binomial bounds.

    Frames that are in both velodyne/ and label_2/ count. docs/lidar.md says how each figure is measured.
    """
    from perception_platform.evaluation.lidar_report import Limits, evaluate_lidar, lidar_of
    from perception_platform.robot.load import load_robot

    described = load_robot(robot)
    limits = Limits(range_m, people_range_m, min_points)
    report = evaluate_lidar(frames, described, lidar_of(described, sensor), limits)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _show_lidar(report)


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

    from perception_platform.evaluation.camera_calibration import write_calibration
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
    _show_camera(report)


def _show_camera(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 110))
    table = Table(
        "class", "AP50", "AP", "found", "recall, 95 % bounds", "right / boxes", "small", "medium", "large"
    )
    for name, row in report["classes"].items():
        recall, precision = row["recall"], row["precision"]
        low, high = recall["interval_95"]
        sizes = [f"{s['count']} of {s['of']}" for s in row["recall_by_size"].values()]
        table.add_row(
            name,
            f"{row['ap50']:.3f}",
            f"{row['ap']:.3f}",
            f"{recall['count']} of {recall['of']}",
            f"{recall['share']:.3f} ({low:.3f} to {high:.3f})",
            f"{precision['count']} / {precision['of']}",
            *sizes,
        )
    console.print(table)
    console.print(
        f"{report['images']} images, {report['runs_per_image']} runs an image, threshold {report['score_threshold']}",
        highlight=False,
    )
    if "out_of_domain" in report:
        strange = report["out_of_domain"]
        console.print(f"out of the domain: {strange['count']} of {strange['of']} images", highlight=False)
    for name in ("raw", "calibrated", "held_out"):
        part = report["calibration"].get(name)
        if part and part["expected_error"] is not None:
            error, boxes = part["expected_error"], report["calibration"]["boxes"]
            console.print(f"{name}: expected calibration error {error:.3f} of {boxes} boxes", highlight=False)


def _show_lidar(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 100))
    table = Table("what", "found", "labelled", "recall", "exact 95 % bounds")
    parts = {"objects": report["objects"], "people and cyclists": report["people"]}
    for name, part in (parts | report["by_type"] | report["by_range"]).items():
        low, high = part["interval_95"]
        recall = "" if part["recall"] is None else f"{part['recall']:.3f}"
        table.add_row(name, str(part["found"]), str(part["labelled"]), recall, f"{low:.3f} to {high:.3f}")
    console.print(table)
    error, ground = report["near_side_error_m"], report["ground"]
    if error["samples"]:
        console.print(
            f"near side: median error {error['median']:.3f} m, 95th percentile {error['p95']:.2f} m",
            highlight=False,
        )
    if ground["points"]:
        console.print(
            f"ground called obstacle: {ground['called_obstacle']} of {ground['points']} points, "
            f"{100 * ground['share']:.3f} % (at most {100 * ground['interval_95'][1]:.3f} %)",
            highlight=False,
        )
    for o in report["missed"]:
        console.print(f"missed: {o['type']} of {o['frame']} at {o['range_m']} m, {o['points']} points")


def _read_report(path: Path) -> dict[str, Any]:
    """What ``--json`` wrote, as far as the plots use it.

    Raises:
        InputError: if it cannot be read, is not JSON, or not such a report.
    """
    from perception_platform.evaluation.kitti_files import CATEGORIES

    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    if not isinstance(report, dict):
        raise InputError(path, "is not a report of `evaluate tracking`")
    for category, metrics in report.items():
        try:
            whole = all(len(point) == 2 for point in metrics["iou_0.25"]["curve"])
        except (KeyError, TypeError):
            whole = False
        if category not in CATEGORIES or not whole:
            raise InputError(path, "is not a report of `evaluate tracking`", category)
    return report


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 112))
    table = Table("category", "3D IoU", "sAMOTA", "AMOTA", "MOTA", "MOTP", "switches", "fragments", "HOTA")
    for category, metrics in report.items():
        for name, scores in metrics.items():
            if not name.startswith("iou_"):
                continue
            low_high = scores.get("interval_95", {}).get("samota")
            band = f" [{100 * low_high[0]:.1f}, {100 * low_high[1]:.1f}]" if low_high else ""
            values = [f"{100 * scores[k]:.2f}" for k in ("amota", "mota", "motp")]
            hota = metrics.get("hota", {}).get("HOTA") if name == "iou_0.25" else None
            table.add_row(
                category,
                name.removeprefix("iou_"),
                f"{100 * scores['samota']:.2f}{band}",
                *values,
                str(scores["switches"]),
                str(scores["fragments"]),
                "" if hota is None else f"{100 * hota:.2f}",
            )
    console.print(table)
    _show_motion(report, console)


def _show_motion(report: dict[str, Any], console: Any) -> None:
    for category, metrics in report.items():
        motion = metrics.get("motion", {})
        if not motion.get("samples"):
            continue
        low, high = motion["nees_band_95"]
        acceleration = ""
        if "nees_acceleration" in motion:
            acceleration = (
                f", of acceleration {motion['nees_acceleration']:.2f} "
                f"(RMSE {motion['acceleration_rmse_mps2']:.2f} m/s²)"
            )
        console.print(
            f"{category}: velocity RMSE {motion['velocity_rmse_mps']:.2f} m/s, median error "
            f"{motion['velocity_median_error_mps']:.2f}, bias along {motion['velocity_bias_along_mps']:+.2f}; "
            f"NEES of position {motion['nees_position']:.2f}, of velocity {motion['nees_velocity']:.2f}{acceleration} "
            f"(95 % band {low:.2f} to {high:.2f})",
            highlight=False,
        )
