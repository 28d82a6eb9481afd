"""Plots of a report on a detector: recall against precision, and how far scores are what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.evaluation.plots import pyplot, save_axes


def plot_camera(report: dict[str, Any], out_dir: Path) -> list[Path]:
    """Draw ``camera_precision.png`` and ``camera_calibration.png``.

    Args:
        report: of ``evaluate_camera``.
        out_dir: folder for them; it is made.

    Raises:
        InputError: if matplotlib is not installed.
    """
    plt = pyplot(out_dir)
    figure, axes = plt.subplots(figsize=(5.6, 3.6), dpi=100)
    for name, row in report["classes"].items():
        recall, precision = np.array(row["curve"]).reshape(-1, 2).T
        axes.plot(recall, precision, label=f"{name}, AP50 {row['ap50']:.2f}")
    axes.set(xlabel="recall at IoU 0.5", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    paths = [save_axes(figure, axes, out_dir / "camera_precision.png")]
    figure, axes = plt.subplots(figsize=(4.2, 3.8), dpi=100)
    for name in ("raw", "calibrated", "held_out"):
        part = report["calibration"].get(name)
        if part and part["bins"]:
            scores, right = [b["score"] for b in part["bins"]], [b["right"] for b in part["bins"]]
            text = f"{name.replace('_', ' ')}, expected error {part['expected_error']:.3f}"
            axes.plot(scores, right, marker="o", markersize=3, label=text)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axes.set(xlabel="mean score", ylabel="share of right boxes", xlim=(0, 1), ylim=(0, 1))
    paths.append(save_axes(figure, axes, out_dir / "camera_calibration.png"))
    plt.close("all")
    return paths
