"""Tables of what ``perception-platform evaluate`` has found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perception_platform.core.errors import InputError


def show_detection(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 110))
    table = Table(
        "category", "labels", "boxes", "recall at 2 m", "distance AP", "KITTI 3D AP easy / moderate / hard"
    )
    for name, found in report["categories"].items():
        recall, overlap = found["recall"], found.get("kitti_ap_3d_r40", {})
        share = "" if recall is None else f"{recall['rate']:.3f} (at least {recall['at_least']:.3f})"
        by_overlap = " / ".join(percent(value) for value in overlap.values())
        table.add_row(
            name,
            str(found["labels"]),
            str(found["results"]),
            share,
            percent(found["distance_ap"]["mean"]),
            by_overlap,
        )
    console.print(table)
    for found in report["critical"].values():
        rate, verdicts = found["critical"], found["frames_with_another_verdict"]
        console.print(
            f"at {found['speed_mps']:g} m/s {rate['events']} of {rate['trials']} errors change what the robot does, "
            f"{found['dangerous']} dangerously; all together in {verdicts['events']} of {verdicts['trials']} frames",
            highlight=False,
        )


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def show_camera(report: dict[str, Any]) -> None:
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


def show_lidar(report: dict[str, Any]) -> None:
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
    parts = report["segmentation"]
    console.print(
        f"of {parts['found']} found, {parts['cut']} lie in several boxes, {parts['merged']} in a box that is mostly "
        "something else",
        highlight=False,
    )
    if "drops" in report:
        drops = report["drops"]
        console.print(
            f"drops called obstacle: {drops['called_obstacle']} of {drops['points']}; enough for a stop ahead in "
            f"{drops['sweeps_with_phantom']} of {report['frames']} sweeps",
            highlight=False,
        )
    for o in report["missed"]:
        console.print(f"missed: {o['type']} of {o['frame']} at {o['range_m']} m, {o['points']} points")


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def read_tracking(path: Path) -> dict[str, Any]:
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


def show_tracking(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(Console().width, 112))
    table = Table(
        "category", "3D IoU", "sAMOTA", "AMOTA", "MOTA", "MOTP", "switches", "fragments", "HOTA (sure)"
    )
    for category, metrics in report.items():
        for name, scores in metrics.items():
            if not name.startswith("iou_"):
                continue
            low_high = scores.get("interval_95", {}).get("samota")
            band = f" [{100 * low_high[0]:.1f}, {100 * low_high[1]:.1f}]" if low_high else ""
            values = [f"{100 * scores[k]:.2f}" for k in ("amota", "mota", "motp")]
            hotas = [metrics[k]["HOTA"] for k in ("hota", "hota_confident") if k in metrics]
            hota = " ".join(f"{100 * h:.2f}" if i == 0 else f"({100 * h:.2f})" for i, h in enumerate(hotas))
            table.add_row(
                category,
                name.removeprefix("iou_"),
                f"{100 * scores['samota']:.2f}{band}",
                *values,
                str(scores["switches"]),
                str(scores["fragments"]),
                hota if name == "iou_0.25" else "",
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


def show_lidar_heads(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    for of in ("made-up worlds", "real sweeps"):
        for head, told in report.get(of, {}).items():
            table = Table(head, "stated", "mean score", "right", "share", "95 %, at least and at most")
            rows = [(name, None, row) for name, row in told["classes"].items()]
            rows += [(f"{row['class']}, shape {row['shape']}", row["stated"], row) for row in told["shapes"]]
            for name, stated, row in rows:
                right = row["right"]
                table.add_row(
                    name,
                    "" if stated is None else f"{stated:.2f}",
                    f"{row['score']:.3f}",
                    f"{right['events']} of {right['trials']}",
                    f"{right['rate']:.3f}",
                    f"{right['at_least']:.3f} to {right['at_most']:.3f}",
                )
            Console().print(table)
            Console().print(
                f"{head}, {of}: expected calibration error {told['expected_error']}, {told['boxes']} boxes"
            )
    for head, rows in report["recall"].items():
        table = Table(f"{head}, made-up worlds", "found", "at least", "named", "at least")
        for row in rows:
            told = [row["found"], row["named"]]
            cells = [
                text for of in told for text in (f"{of['events']} of {of['trials']}", f"{of['at_least']:.3f}")
            ]
            table.add_row(f"{row['from_m']:g} to {row['to_m']:g} m", *cells)
        Console().print(table)
    if "fitted" in report:
        Console().print(f"fitted: {report['fitted']}")


def show_learned(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "class",
        "labelled",
        "found",
        "by any name",
        "named without it",
        "named with it",
        "boxes in view right",
    )
    for name, of in report["labels"].items():
        boxes = report["boxes_in_view"][name]
        counts = [str(of[k]["count"]) for k in ("found", "found_any_name", "named_without", "named_with")]
        table.add_row(name, str(of["found"]["of"]), *counts, f"{boxes['count']} of {boxes['of']}")
    strange = report["out_of_domain"]
    Console().print(
        f"{report['model']}, {report['frames']} frames, {strange} unlike what it was validated on"
    )
    Console().print(table)
