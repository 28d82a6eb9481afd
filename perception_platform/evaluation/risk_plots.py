"""A plot of gap and time to collision against what labels say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.evaluation.kitti_risk import TTC_SHOWN_S, LeadErrors

GAP_SHOWN_M = 50.0


def plot_lead(lead: LeadErrors, path: Path) -> None:
    """Draw estimate over label, of gaps and of times to collision.

    Raises:
        InputError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("--plot", "matplotlib is not installed") from error
    figure = Figure(figsize=(8.4, 4.0), dpi=100)
    left, right = figure.subplots(1, 2)
    _scatter(left, lead.true_gap_m, lead.gap_m, GAP_SHOWN_M, "gap to what is ahead, m")
    _scatter(right, lead.true_ttc_s, lead.ttc_s, TTC_SHOWN_S, "time to collision, s")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _scatter(axes: Any, truth: Array, estimate: Array, most: float, name: str) -> None:
    near = np.flatnonzero(truth < most)
    axes.plot(truth[near], np.minimum(estimate[near], most), ".", ms=3, alpha=0.35, color="#0072b2")
    axes.plot([0, most], [0, most], color="black", lw=0.8)
    axes.set(xlabel=f"{name}, by labels", ylabel="by tracks", xlim=(0, most), ylim=(0, most))
    axes.set_title(f"{len(near)} moments", fontsize=9)
    axes.grid(alpha=0.3)
