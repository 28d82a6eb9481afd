"""A picture of where the time went: each decision's latency in parts over time, and the spread of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from perception_platform.explain.look import INK, RC, figure
from perception_platform.runtime.latency import Parts

SHADES = ("#e8ecf0", "#0072b2", "#56b4e9", "#d5c7e3", "#b3307a", "#e69f00", "#009e73", "#d55e00", "#7a828c")
BINS = 60


def draw_latency(decisions: Sequence[Parts], path: Path) -> None:
    """Write a PNG of the latency of decisions.

    Args:
        decisions: at least one, in order of time.
        path: of the PNG.
    """
    with mpl.rc_context(RC):
        made = figure(11.0, 4.2)
        over_time, spread = made.subplots(1, 2, width_ratios=(2.2, 1.0))
        _draw_parts(over_time, decisions)
        _draw_spread(spread, decisions)
        made.savefig(path, dpi=130, metadata={"Software": None})


def _draw_parts(axes: Axes, decisions: Sequence[Parts]) -> None:
    names = dict.fromkeys(name for d in decisions for name, ms in d.parts_ms.items() if ms > 0)
    t_s = (np.array([d.t_ns for d in decisions]) - decisions[0].t_ns) / 1e9
    columns = [[d.parts_ms.get(name, 0.0) for d in decisions] for name in names]
    shades = [SHADES[i % len(SHADES)] for i in range(len(names))]
    if columns:
        axes.stackplot(t_s, columns, labels=list(names), colors=shades, step="post")
    axes.set(title="Latency of each decision, in parts", xlabel="s from the first", ylabel="ms")
    axes.legend(loc="upper right", fontsize=7, ncols=2)


def _draw_spread(axes: Axes, decisions: Sequence[Parts]) -> None:
    totals_ms = [d.total_ms for d in decisions]
    axes.hist(totals_ms, bins=BINS, color="#0072b2")
    for share in (50, 99):
        at_ms = float(np.percentile(totals_ms, share))
        axes.axvline(at_ms, color=INK, linestyle=":")
        axes.annotate(
            f"p{share} {at_ms:.0f} ms", (at_ms, 1.0), xycoords=("data", "axes fraction"), va="bottom"
        )
    axes.set(xlabel="ms", ylabel="decisions")
