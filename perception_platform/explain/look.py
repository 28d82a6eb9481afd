"""Colours, names and figure settings shared by the plots and the page.

Colours are Okabe and Ito's (2008), told apart by people with any colour vision; text on them is dark or white so
that contrast is at least 4.5 : 1 (WCAG AA). Nothing is said by colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, PALE, GRID = "#1b1f24", "#5a6470", "#d8dde3"
ACTIONS = {"proceed": "#009e73", "limit": "#e69f00", "stop": "#d55e00", "emergency_stop": "#8c1d04"}
CLASSES = {
    "person": "#b3307a",
    "cyclist": "#0072b2",
    "car": "#0072b2",
    "truck": "#0072b2",
    "forklift": "#0072b2",
    "structure": "#7a828c",
    "unknown": "#7a828c",
}
MOVERS = ("person", "cyclist", "car", "truck", "forklift")
RC: Any = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": PALE,
    "ytick.color": PALE,
    "svg.hashsalt": "perception_platform",
}


def figure(width_in: float, height_in: float) -> Figure:
    """A blank figure that belongs to no window and no global state."""
    made = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    FigureCanvasAgg(made)
    return made


def as_svg(made: Figure) -> str:
    """The figure as an <svg> element without a date or a creator, to stand inside a page."""
    settle(made)
    out = io.StringIO()
    made.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def settle(made: Figure) -> None:
    """Lay the figure out once and round: the solver's last digits differ between runs, and names in SVG hash them."""
    made.draw_without_rendering()
    made.set_layout_engine("none")
    for axes in made.axes:
        left, bottom, width, height = axes.get_position(original=True).bounds
        axes.set_position((round(left, 4), round(bottom, 4), round(width, 4), round(height, 4)))


def spoken(name: str) -> str:
    """A name from the records as people read it."""
    return name.replace("_", " ")


def legend(axes: Axes, handles: Sequence[Artist] | None = None, *, below: bool = False) -> None:
    """A legend of the handles, or of what has a label, outside the axes: to the right of the title, or below."""
    shown = handles or axes.get_legend_handles_labels()[0]
    at: dict[str, Any] = {
        "loc": "lower right",
        "bbox_to_anchor": (1.0, 1.0),
        "ncols": max(min(len(shown), 4), 1),
    }
    if below:
        at = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.07), "ncols": 3}
    if shown:
        axes.legend(handles=shown, fontsize=8, frameon=False, borderaxespad=0.2, columnspacing=1.2, **at)
