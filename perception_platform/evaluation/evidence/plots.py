"""The report's plots: collisions against time lost, bounds against what is wanted, separation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from perception_platform.evaluation.evidence.gate import Verdict
from perception_platform.evaluation.evidence.results import Results
from perception_platform.explain.look import ACTIONS, INK, PALE, RC, as_svg, figure

POLICIES = {
    "ours": ("this stack", "#0072b2", "o"),
    "fixed_field": ("fixed field", "#e69f00", "s"),
    "autoware_aeb": ("Autoware's formula", "#cc79a7", "^"),
    "none": ("no protection", "#5a6470", "X"),
}
VERDICTS = {
    Verdict.SHIP: ACTIONS["proceed"],
    Verdict.NO_SHIP: ACTIONS["stop"],
    Verdict.NOT_ENOUGH: ACTIONS["limit"],
}


def pareto_svg(policies: Mapping[str, Mapping[str, Any]]) -> str:
    """Collisions against time lost, a point a policy: down and to the left is better. Bars are the intervals."""
    with mpl.rc_context(RC):
        made = figure(6.4, 4.2)
        axes = made.subplots()
        for name, figures in policies.items():
            _draw_policy(axes, name, figures)
        axes.set(xlabel="time lost a run, s (mean, interval by family)", ylabel="runs with a collision, %")
        axes.set_title("Collisions against time lost")
        axes.set_ylim(bottom=-1.5)
        axes.legend(fontsize=8, frameon=False)
        return as_svg(made)


def _draw_policy(axes: Axes, name: str, figures: Mapping[str, Any]) -> None:
    lost, rate = figures["time_lost_s"], figures["collision"]
    if lost is None or rate["rate"] is None:
        return
    label, colour, marker = POLICIES[name]
    y = 100 * rate["rate"]
    x_bars = [[lost["mean"] - lost["low"]], [lost["high"] - lost["mean"]]]
    y_bars = [[y - 100 * rate["at_least"]], [100 * rate["at_most"] - y]]
    axes.errorbar(
        [lost["mean"]], [y], xerr=np.maximum(x_bars, 0.0), yerr=np.maximum(y_bars, 0.0), color=colour,
        marker=marker, ms=9, capsize=3, lw=1.2, ls="", label=label,
    )  # fmt: skip


def bounds_svg(checks: Sequence[Mapping[str, Any]]) -> str:
    """What each bound was found to be, against what is wanted: a line a hazard."""
    rows = [check for check in checks if check["kind"] == "bound"][::-1]
    with mpl.rc_context(RC):
        made = figure(11.0, 1.1 + 0.24 * len(rows))
        axes = made.subplots()
        for i, check in enumerate(rows):
            figures, colour = check["figures"], VERDICTS[Verdict(check["verdict"])]
            axes.plot(
                [figures["at_least"], figures["at_most"]], [i, i], c=colour, lw=4, solid_capstyle="butt"
            )
            if figures["rate"] is not None:
                axes.plot(figures["rate"], i, marker="o", ms=5, c=INK)
            axes.plot(figures["wanted_at_most"], i, marker="|", ms=13, mew=2, c=INK)
        names = [f"{c['name']}: {c['of']}" for c in rows]
        axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name in names])
        axes.set(
            xlim=(-0.01, 1.01), xlabel="probability a run: seen (dot), proved (bar), wanted at most (stroke)"
        )
        axes.set_title("Bounds")
        return as_svg(made)


def separation_svg(results: Results) -> str:
    """How near runs came to anything, as a share of runs, a line a policy."""
    with mpl.rc_context(RC):
        made = figure(6.4, 4.2)
        axes = made.subplots()
        for name in results.policies:
            near_m = np.sort([
                run.events.min_separation_m
                for run in results.of(name)
                if run.ran and run.events and run.events.min_separation_m is not None
            ])  # fmt: skip
            if len(near_m):
                label, colour, _ = POLICIES[name]
                axes.step(
                    near_m,
                    100 * np.arange(1, len(near_m) + 1) / len(near_m),
                    c=colour,
                    where="post",
                    label=label,
                )
        axes.set(
            xlabel="smallest separation in the run, m", ylabel="runs that came as near, %", ylim=(0, 102)
        )
        axes.set_title("How near they came")
        axes.axvline(0.0, c=PALE, lw=0.8)
        axes.legend(fontsize=8, frameon=False)
        return as_svg(made)
