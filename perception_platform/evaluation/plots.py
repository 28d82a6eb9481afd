"""Two plots of an evaluation: accuracy over recall, and how honest the covariances are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

from perception_platform.core.errors import InputError
from perception_platform.evaluation.motion_errors import PROBABILITIES

COLOURS = {"Car": "tab:blue", "Pedestrian": "tab:orange", "Cyclist": "tab:green"}


def plot_report(report: dict[str, Any], beside: dict[str, Any], out_dir: Path) -> list[Path]:
    """Draw ``tracking_recall.png`` and, where there are states, ``tracking_nees.png``.

    Args:
        report: of ``evaluate_results``.
        beside: another such report, drawn dashed; may be empty.
        out_dir: folder for them; it is made.

    Raises:
        InputError: if matplotlib is not installed.
    """
    plt = pyplot(out_dir)
    figure, axes = plt.subplots(figsize=(5.6, 3.6), dpi=100)
    _draw_recall(axes, report, "", "-")
    _draw_recall(axes, beside, " (baseline)", "--")
    axes.set(xlabel="recall", ylabel="scaled MOTA at 3D IoU 0.25", xlim=(0, 1), ylim=(0, 1.02))
    paths = [save_axes(figure, axes, out_dir / "tracking_recall.png")]
    moved = {c: m["motion"] for c, m in report.items() if m.get("motion", {}).get("samples")}
    if moved:
        figure, axes = plt.subplots(figsize=(5.6, 3.6), dpi=100)
        _draw_nees(axes, moved)
        axes.set(xlabel="share of errors expected within", ylabel="share within", xlim=(0, 1), ylim=(0, 1))
        paths.append(save_axes(figure, axes, out_dir / "tracking_nees.png"))
    plt.close("all")
    return paths


def _draw_recall(axes: Any, report: dict[str, Any], suffix: str, line: str) -> None:
    """A curve a category; one without a true positive has no point of it, but its name all the same."""
    for category, metrics in report.items():
        recalls, scaled = np.array(metrics["iou_0.25"]["curve"]).reshape(-1, 2).T
        axes.plot(recalls, scaled.clip(0.0, 1.0), line, color=COLOURS[category], label=category + suffix)


def _draw_nees(axes: Any, motion: dict[str, Any]) -> None:
    for category, errors in motion.items():
        for what, line in (("position", "-"), ("velocity", ":")):
            expected = chi2.cdf(errors[f"nees_{what}_quantiles"], 2)
            axes.plot(expected, PROBABILITIES, line, color=COLOURS[category], label=f"{category}, {what}")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)


def pyplot(out_dir: Path) -> Any:
    """matplotlib's pyplot for files; the folder that they go to is made.

    Raises:
        InputError: if matplotlib is not installed.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise InputError("--plots", "matplotlib is not installed") from error
    out_dir.mkdir(parents=True, exist_ok=True)
    return plt


def save_axes(figure: Any, axes: Any, path: Path) -> Path:
    """Write a figure with a grid and a legend; the same figure gives the same bytes."""
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    return path


def plot_lidar_heads(report: dict[str, Any], path: Path) -> Path:
    """Recall over range, and the share of right names over scores, side by side.

    Args:
        report: ``made-up worlds`` and perhaps ``real sweeps``, by head with ``expected_error`` and ``bins`` of
            ``calibration.reliability``; ``recall``, by head a row for each span of ranges.
        path: of the PNG.

    Raises:
        InputError: if matplotlib is not installed.
    """
    plt = pyplot(path.parent)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.0), dpi=100)
    for k, (name, rows) in enumerate(report["recall"].items()):
        middles = [(row["from_m"] + row["to_m"]) / 2 for row in rows]
        for what, line in (("found", "-"), ("named", ":")):
            rates = [np.nan if row[what]["rate"] is None else row[what]["rate"] for row in rows]
            left.plot(middles, rates, line, marker="o", markersize=3, color=f"C{k}", label=f"{name}, {what}")
    left.set(xlabel="range, m", ylabel="share of road users", ylim=(0, 1.02))
    for of in ("made-up worlds", "real sweeps"):
        for name, one in report.get(of, {}).items():
            scores, shares = [b["score"] for b in one["bins"]], [b["right"] for b in one["bins"]]
            text = f"{name}, {of}: error {one['expected_error']:.3f} of {one['boxes']}"
            right.plot(scores, shares, marker="o", markersize=3, label=text)
    right.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    right.set(xlabel="mean score", ylabel="share of right names", xlim=(0, 1), ylim=(0, 1.02))
    left.grid(alpha=0.3)
    left.legend(fontsize=7)
    saved = save_axes(figure, right, path)
    plt.close("all")
    return saved
