"""A run from above, as a picture: where robot and actors were, when the judge asked for what, how near they came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Patch, Polygon

from perception_platform.core.geometry import Array, box_corners
from perception_platform.explain.look import ACTIONS, INK

SHOWN_MOMENTS = 6
FURNITURE, ACTOR, OVERHEAD = "#b8bec6", "#c2410c", "#e9d5a1"
LOW_M = 2.5  # what begins higher is above everything


def plot_trace(trace: list[dict[str, Any]], line: dict[str, Any], title: str, path: Path) -> None:
    """Draw a trace and its result into a PNG."""
    head, moments = trace[0], trace[1:]
    figure, (above, below) = plt.subplots(2, 1, figsize=(12, 8), height_ratios=(2.2, 1), layout="constrained")
    _draw_map(above, head, moments)
    _draw_speed(below, moments, line)
    events = line["events"]
    figure.suptitle(
        f"{title}\n{line['case']}, {line['policy']}: {line['outcome']}, nearest {events['min_separation_m']} m, "
        f"{events['stops']} stops, {events['time_lost_s']} s lost"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _draw_map(axes: Axes, head: dict[str, Any], moments: list[dict[str, Any]]) -> None:
    for outline in head["standing"]:
        axes.add_patch(_shape(outline, facecolor=FURNITURE, edgecolor="none", zorder=1))
    shown = np.unique(np.linspace(0, len(moments) - 1, SHOWN_MOMENTS).round().astype(int))
    footprint = np.asarray(head["footprint_m"])
    for i in shown:
        moment, strength = moments[i], 0.25 + 0.75 * (i + 1) / len(moments)
        for outline in moment["moving"]:
            colour = OVERHEAD if outline[5] > LOW_M else ACTOR
            axes.add_patch(
                _shape(outline, facecolor=colour, edgecolor="none", alpha=0.6 * strength, zorder=2)
            )
        corners = _placed(footprint, moment["pose"])
        colour = ACTIONS.get(moment["action"], INK)
        axes.add_patch(Polygon(corners, facecolor=colour, edgecolor=INK, alpha=strength, zorder=3))
        axes.annotate(
            f"{moment['t_s']:.1f} s", corners.mean(axis=0), ha="center", va="center", fontsize=7, zorder=4
        )
    way = np.array([moment["pose"][:2] for moment in moments])
    axes.plot(*way.T, c=INK, lw=0.8, zorder=3)
    axes.axvline(head["route_m"], c=INK, ls=":", lw=0.8)
    xs = [outline[0] for moment in moments for outline in moment["moving"]]
    ys = [outline[1] for moment in moments for outline in moment["moving"]]
    axes.set(
        xlim=(min(-3.0, *xs, 0.0), max(head["route_m"] + 4.0, *xs, 0.0)),
        ylim=(min(-4.0, *ys, 0.0) - 1, max(4.0, *ys, 0.0) + 1),
        aspect="equal",
        xlabel="x, m",
        ylabel="y, m",
    )
    names = [name for name in ACTIONS if any(moment["action"] == name for moment in moments)]
    handles = [Patch(color=ACTIONS[name], label=name.replace("_", " ")) for name in names]
    handles += [Patch(color=ACTOR, label="actor"), Patch(color=FURNITURE, label="standing")]
    axes.legend(handles=handles, ncols=3, fontsize=8, loc="upper right")


def _draw_speed(axes: Axes, moments: list[dict[str, Any]], line: dict[str, Any]) -> None:
    t_s = [moment["t_s"] for moment in moments]
    speeds = [moment["speed_mps"] for moment in moments]
    limits = [np.nan if moment["limit_mps"] is None else moment["limit_mps"] for moment in moments]
    axes.plot(t_s, limits, c="#64748b", lw=1.2, drawstyle="steps-post", label="limit")
    axes.plot(t_s, speeds, c=INK, lw=1.8, label="speed")
    for name, colour in ACTIONS.items():
        asked = np.array([moment["action"] == name for moment in moments])
        axes.fill_between(
            t_s, 0, max(speeds) * 1.1 + 0.1, where=asked, color=colour, alpha=0.15, step="post", lw=0
        )
    axes.set(xlabel="time, s", ylabel="m/s", ylim=(0, max(speeds) * 1.1 + 0.1), xlim=(0, max(t_s)))
    axes.legend(fontsize=8, loc="upper right")


def _shape(outline: list[float | None], **look: Any) -> Patch:
    x, y, length, width, yaw = outline[:5]
    assert x is not None
    assert y is not None
    assert length is not None
    assert width is not None  # only a yaw may be
    if yaw is None:
        return Circle((x, y), length / 2, **look)
    return Polygon(box_corners(np.array([[x, y]]), np.array([[length, width]]), np.array([yaw]))[0], **look)


def _placed(polygon_m: Array, pose: list[float]) -> Array:
    x, y, yaw = pose
    c, s = np.cos(yaw), np.sin(yaw)
    return np.asarray(polygon_m @ np.array([[c, s], [-s, c]]) + [x, y])
