"""The run over time: speed against its limit, the gap, the gate's actions and the reasons for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from perception_platform.explain.birds_eye import stopping_distance_m
from perception_platform.explain.look import ACTIONS, INK, PALE, legend, spoken
from perception_platform.explain.run_files import Run
from perception_platform.explain.story import Span, Window, gaps, reason_spans, reasons, spans
from perception_platform.robot.description import Robot

WINDOWS = {"stop": "#f6c9b3", "no_stop": "#cdeadf"}
_HATCHES = {"stop": "////", "no_stop": ""}


def draw_speed(axes: Axes, run: Run, robot: Robot, windows: Sequence[Window], at_s: float) -> None:
    """Speed limit and speed, with the windows of the truth behind them."""
    times_s = [run.t_s(d) for d in run.decisions]
    for expect in dict.fromkeys(w.expect for w in windows):
        for n, window in enumerate(w for w in windows if w.expect == expect):
            label = f"truth: {'must stop' if expect == 'stop' else 'must not stop'}" if n == 0 else None
            axes.axvspan(window.from_s, window.to_s, facecolor=WINDOWS[expect], hatch=_HATCHES[expect], alpha=0.6,
                         edgecolor="white", lw=0, zorder=0, label=label)  # fmt: skip
    limits = [_or_nan(d["speed_limit_mps"]) for d in run.decisions]
    speeds = [_or_nan(d.get("speed_mps")) for d in run.decisions]
    axes.step(times_s, limits, where="post", c=ACTIONS["stop"], lw=2, label="speed limit", zorder=3)
    axes.plot(times_s, speeds, c=INK, lw=1.8, label="speed", zorder=4)
    finite = [v for v in (0.0, *limits, *speeds) if math.isfinite(v)]
    top = max(*finite, 0.1 * robot.drive.max_speed_mps)
    axes.set(ylabel="m/s", ylim=(1.08 * min(finite) - 0.03 * top, 1.12 * top))
    axes.set_title("Speed")
    _mark(axes, at_s)
    legend(axes)


def draw_gap(axes: Axes, run: Run, robot: Robot, at_s: float) -> None:
    """The least gap to a track in the path, and what has to be left of it after a stop."""
    times_s, gaps_m = gaps(run)
    axes.plot(
        times_s, gaps_m, c="#0072b2", lw=2, marker=".", ms=4, label="gap to the nearest track in the path"
    )
    axes.axhline(robot.clearance.ahead_m, c=PALE, ls="--", lw=1.2, label="clearance kept after a stop")
    finite = [g for g in gaps_m if math.isfinite(g)]
    # What matters is near: gaps from which the robot stops with ease leave the picture at the top.
    ease_m = 3 * stopping_distance_m(robot, robot.drive.max_speed_mps, robot.latency.bound_ms / 1e3)
    axes.set(ylabel="m", ylim=(0, min(ease_m, 1.1 * max([2 * robot.clearance.ahead_m, *finite]))))
    axes.set_title("Room ahead" if finite else "Room ahead: no track was ever in the path")
    _mark(axes, at_s)
    legend(axes)


def draw_lanes(axes: Axes, run: Run, at_s: float) -> None:
    """A lane for the gate's action and one for each reason it gave."""
    lanes: list[tuple[str, list[Span]]] = [("action", spans(run, lambda d: d["action"]))]
    lanes += [(spoken(reason), reason_spans(run, reason)) for reason in reasons(run)]
    for row, (_, held) in enumerate(lanes):
        for span in held:
            colour = ACTIONS[str(span.value)] if row == 0 else PALE
            axes.broken_barh(
                [(span.from_s, span.to_s - span.from_s)], (row - 0.36, 0.72), facecolors=colour, zorder=2
            )
            if row == 0 and span.to_s - span.from_s > 0.1 * (run.t_s(run.decisions[-1]) or 1.0):
                middle_s = (span.from_s + span.to_s) / 2
                axes.text(middle_s, row, spoken(str(span.value)), ha="center", va="center", fontsize=8, zorder=3,
                          c=INK if span.value == "limit" else "white", weight="bold")  # fmt: skip
    axes.set_yticks(range(len(lanes)), [name for name, _ in lanes], color=INK)
    axes.set(ylim=(len(lanes) - 0.5, -0.5), xlabel="s from the first message")
    axes.set_title("What the gate did, and why")
    axes.grid(visible=False, axis="y")
    _mark(axes, at_s)


def _mark(axes: Axes, at_s: float) -> None:
    axes.axvline(at_s, c=INK, lw=1.0, ls=(0, (2, 2)), zorder=5)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
