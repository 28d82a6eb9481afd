"""Two plots of an evaluation: accuracy over recall, and how honest the covariances are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise InputError("--plots", "matplotlib is not installed") from error
    out_dir.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(5.6, 3.6), dpi=100)
    for name, source, line in (("", report, "-"), (" (baseline)", beside, "--")):
        for category, metrics in source.items():
            recalls, scaled = zip(*metrics["iou_0.25"]["curve"], strict=True)
            shown = [min(max(value, 0.0), 1.0) for value in scaled]
            axes.plot(recalls, shown, line, color=COLOURS[category], label=category + name)
    axes.set(xlabel="recall", ylabel="scaled MOTA at 3D IoU 0.25", xlim=(0, 1), ylim=(0, 1.02))
    paths = [_saved(figure, axes, out_dir / "tracking_recall.png")]
    if any(metrics.get("motion", {}).get("samples") for metrics in report.values()):
        figure, axes = plt.subplots(figsize=(5.6, 3.6), dpi=100)
        for category, metrics in report.items():
            for what, line in (("position", "-"), ("velocity", ":")):
                quantiles = metrics["motion"][f"nees_{what}_quantiles"]
                axes.plot(
                    chi2.cdf(quantiles, 2),
                    PROBABILITIES,
                    line,
                    color=COLOURS[category],
                    label=f"{category}, {what}",
                )
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
        axes.set(xlabel="share of errors expected within", ylabel="share within", xlim=(0, 1), ylim=(0, 1))
        paths.append(_saved(figure, axes, out_dir / "tracking_nees.png"))
    plt.close("all")
    return paths


def _saved(figure: Any, axes: Any, path: Path) -> Path:
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    return path
