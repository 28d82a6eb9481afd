"""A picture of where the time went: decisions over time, the worst of them in parts, and the spread of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from perception_platform.core.geometry import Array
from perception_platform.core.time import to_s
from perception_platform.explain.look import INK, PALE, RC, figure, spoken
from perception_platform.runtime.latency import DecisionLatency, Kind, Latencies, Part

# A colour a stage, a pattern a kind of part: told apart without colour, too.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#b3307a", "#56b4e9")
_HATCHES = {
    Kind.TRANSPORT: "....",
    Kind.HAND_OVER: "++",
    Kind.QUEUE: "///",
    Kind.BEAT: "\\\\\\",
    Kind.PUBLISH: "xx",
}
_LEAST_SHARE = 0.01  # of the worst total; smaller parts are drawn as one
_WORST = "#8c1d04"
_BINS = 60


def draw_latency(latencies: Latencies, slowest: Sequence[DecisionLatency], path: Path) -> None:
    """Write a PNG of the latency of decisions.

    Args:
        latencies: with at least one decision, in order of time.
        slowest: the worst of them, the worst first.
        path: of the PNG.
    """
    with mpl.rc_context(RC):
        made = figure(12.0, 8.2)
        grid = made.add_gridspec(2, 2, height_ratios=(1.0, 1.25), width_ratios=(1.7, 1.0))
        over_time, bars, spread = (made.add_subplot(cell) for cell in (grid[0, :], grid[1, 0], grid[1, 1]))
        _draw_over_time(over_time, latencies, slowest)
        _draw_worst(bars, slowest)
        _draw_spread(spread, [decision.total_ms for decision in latencies.new])
        made.savefig(path, format="png", dpi=130, metadata={"Software": None})


def _draw_over_time(axes: Axes, latencies: Latencies, slowest: Sequence[DecisionLatency]) -> None:
    start_ns = latencies.decisions[0].t_ns
    for decisions, marker, colour, label in (
        (latencies.decisions, ",-", "#b9c3cd", "every decision: the age of its data"),
        (latencies.new, ".", _COLOURS[0], "the first decision on each new result"),
    ):
        t_s = [to_s(d.t_ns - start_ns) for d in decisions]
        axes.plot(t_s, [d.total_ms for d in decisions], marker, color=colour, lw=0.8, label=label)
    for rank, decision in enumerate(slowest, start=1):
        at = (to_s(decision.t_ns - start_ns), decision.total_ms)
        axes.plot(*at, "o", mfc="none", mec=_WORST, ms=8, label="the worst" if rank == 1 else None)
        axes.annotate(str(rank), at, (5, 3), textcoords="offset points", color=_WORST, fontsize=8)
    axes.set(title="From capture to decision", xlabel="s from the first", ylabel="ms")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8, frameon=False)


def _draw_worst(axes: Axes, slowest: Sequence[DecisionLatency]) -> None:
    """A bar a decision, its parts from left to right as they passed."""
    parts = dict.fromkeys(part for decision in slowest for part in decision.parts_ms)
    least_ms = _LEAST_SHARE * max(decision.total_ms for decision in slowest)
    shown = [part for part in parts if any(d.parts_ms.get(part, 0.0) >= least_ms for d in slowest)]
    colours = dict(zip(dict.fromkeys(part.stage for part in parts), _COLOURS * len(parts), strict=False))
    ranks = np.arange(1.0, len(slowest) + 1)
    left_ms = np.zeros(len(slowest))
    for part in shown:
        width_ms = np.array([d.parts_ms.get(part, 0.0) for d in slowest])
        _draw_part(axes, ranks, width_ms, left_ms, part, colours[part.stage])
        left_ms += width_ms
    rest_ms = np.array([d.total_ms for d in slowest]) - left_ms
    axes.barh(ranks, rest_ms, left=left_ms, color="white", edgecolor=PALE, lw=0.5, label="the rest")
    axes.set(title="The worst, in parts", xlabel="ms", yticks=ranks)
    axes.invert_yaxis()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, fontsize=8, frameon=False)


def _draw_part(axes: Axes, ranks: Array, width_ms: Array, left_ms: Array, part: Part, colour: str) -> None:
    """Work in full colour; waiting and ways in a pattern of it."""
    works = part.kind is Kind.COMPUTE
    axes.barh(
        ranks,
        width_ms,
        left=left_ms,
        facecolor=colour if works else "white",
        edgecolor=colour,
        hatch=_HATCHES.get(part.kind),
        lw=0.5,
        label=spoken(part.name),
    )


def _draw_spread(axes: Axes, totals_ms: Sequence[float]) -> None:
    """Histogram, and the share of decisions that are quicker."""
    axes.hist(totals_ms, bins=_BINS, color="#b9c3cd")
    for share in (50, 90, 99):
        at_ms = float(np.percentile(totals_ms, share))
        axes.axvline(at_ms, color=INK, linestyle=":", lw=0.9)
        axes.annotate(
            f"p{share} {at_ms:.0f}", (at_ms, 0.5), xycoords=("data", "axes fraction"), rotation=90, ha="right"
        )
    cumulative = axes.twinx()
    cumulative.plot(np.sort(totals_ms), np.arange(1, len(totals_ms) + 1) / len(totals_ms), color=_COLOURS[0])
    cumulative.set(ylabel="share that is quicker", ylim=(0, 1.02))
    cumulative.grid(visible=False)
    axes.set(title="Spread over new results", xlabel="ms", ylabel="decisions")
