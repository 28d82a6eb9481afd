"""The pictures of a report, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes

from perception_platform.explain.birds_eye import draw_moment, draw_run
from perception_platform.explain.look import RC, as_svg, figure, settle
from perception_platform.explain.run_files import Run
from perception_platform.explain.story import Moment, Window, reasons
from perception_platform.explain.timeline import draw_gap, draw_lanes, draw_speed
from perception_platform.robot.description import Robot


def moment_svg(moment: Moment, robot: Robot) -> str:
    """The bird's-eye view of the most telling moment."""
    with mpl.rc_context(RC):
        made = figure(6.4, 7.6)
        draw_moment(made.subplots(), moment, robot)
        return as_svg(made)


def timeline_svg(run: Run, robot: Robot, windows: Sequence[Window], moment: Moment) -> str:
    """Speed, gap, actions and reasons over time."""
    with mpl.rc_context(RC):
        lanes_in = 0.7 + 0.26 * len(reasons(run))
        made = figure(7.6, 5.0 + lanes_in)
        speed, gap, lanes = made.subplots(3, 1, sharex=True, height_ratios=[2.4, 1.6, lanes_in])
        _draw_timeline((speed, gap, lanes), run, robot, windows, moment)
        return as_svg(made)


def run_svg(run: Run) -> str:
    """The whole run from above."""
    with mpl.rc_context(RC):
        made = figure(7.6, 4.6)
        draw_run(made.subplots(), run)
        return as_svg(made)


def write_png(path: Path, run: Run, robot: Robot, windows: Sequence[Window], moment: Moment) -> None:
    """One picture of it all, the same bytes for the same run."""
    with mpl.rc_context(RC):
        made = figure(13.6, 8.0)
        parts = made.subfigures(1, 2, squeeze=False, width_ratios=[1.0, 1.25])
        left, right = parts.flat
        draw_moment(left.subplots(), moment, robot)
        lanes_in = 0.7 + 0.26 * len(reasons(run))
        axes = right.subplots(3, 1, sharex=True, height_ratios=[2.4, 1.6, lanes_in])
        _draw_timeline(tuple(axes), run, robot, windows, moment)
        made.suptitle(headline(run, robot, moment), x=0.012, ha="left", weight="bold", fontsize=13)
        settle(made)
        made.savefig(path, dpi=110, metadata={"Software": None})


def headline(run: Run, robot: Robot, moment: Moment) -> str:
    """One line: what happened at the moment, and what bound the robot."""
    bag = run.summary.get("bag") or "live run"
    evidence = moment.decision["evidence"]
    because = evidence[0]["text"] or evidence[0]["reason"] if evidence else "nothing asked for less"
    return f"{robot.name}, {bag}, {moment.t_s:.2f} s: {because}"


def _draw_timeline(
    axes: Sequence[Axes], run: Run, robot: Robot, windows: Sequence[Window], moment: Moment
) -> None:
    speed, gap, lanes = axes
    draw_speed(speed, run, robot, windows, moment.t_s)
    draw_gap(gap, run, robot, moment.t_s)
    draw_lanes(lanes, run, moment.t_s)
    lanes.set_xlim(0, max(run.t_s(run.decisions[-1]), 1e-3))
